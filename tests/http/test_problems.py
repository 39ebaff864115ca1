"""Errors over HTTP: the form of a problem, the status of each error class, and a failed start."""

from __future__ import annotations

import json

import azure.functions as func

from sync_core import errors
from sync_core.admin.holds import PlanDiffers
from sync_core.app import App
from sync_core.errors import (
    AlreadyThere,
    DeltaExpired,
    EtagConflict,
    GraphDenied,
    GraphRefused,
    MembersHidden,
    NicknameTaken,
    NotOnRecord,
    NotThere,
    ReadingFailed,
    SyncError,
)
from sync_core.http.edge import serve
from sync_core.http.problems import problem_of, problem_response
from sync_core.wiring import ProcessApp
from tests.fakes.fixed_clock import FixedClock


def test_a_problem_has_the_members_of_rfc_9457_and_two_of_our_own() -> None:
    answer = problem_response(errors.NotFound("there is no school S", "list the schools"))
    assert (answer.status_code, answer.mimetype) == (404, "application/problem+json")
    assert json.loads(answer.get_body()) == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "there is no school S — list the schools",
        "what": "there is no school S",
        "remedy": "list the schools",
    }


STATUS = {
    "NotSignedIn": 401,
    "Forbidden": 403,
    "NotFound": 404,
    "Conflict": 409,
    "SnapshotRejected": 409,
    "ReadingFailed": 409,
    "Replayed": 409,
    "PreconditionFailed": 412,
    "TooLarge": 413,
    "TooManyCalls": 429,
    "UnknownSetting": 422,
    "Unreadable": 422,
    "SyncError": 503,
    "Transient": 503,
    "EtagConflict": 503,
    "TeamNotReady": 503,
    "Permanent": 503,
    "Undeliverable": 503,
    "Malformed": 503,
    "NotOnRecord": 503,
    "AccessDenied": 503,
    "RowRefused": 503,
    "RowTooLarge": 503,
    "GraphRefused": 503,
    "GraphDenied": 503,
    "MembersHidden": 503,
    "DeltaExpired": 503,
    "NicknameTaken": 503,
    "AlreadyThere": 503,
    "NotThere": 503,
    "RequestError": 503,
}


def test_every_class_of_error_has_a_status() -> None:
    kinds = {
        name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, SyncError)
    }
    special: dict[type[SyncError], SyncError] = {
        type(error): error
        for error in (
            *(GraphRefused("Code", "detail", "r"), GraphDenied("Code", "detail", "r"), MembersHidden()),
            *(EtagConflict(), NicknameTaken(), AlreadyThere(), NotThere(), DeltaExpired()),
            *(ReadingFailed(KeyError("Amy Smith")), NotOnRecord("run")),
        )
    }
    examples = {name: special.get(kind) or kind("m", "r") for name, kind in kinds.items()}
    assert {name: problem_of(error).status for name, error in examples.items()} == STATUS
    assert issubclass(PlanDiffers, errors.Conflict)


async def test_a_failed_start_is_503_and_names_every_missing_setting() -> None:
    async def answer(app: App) -> func.HttpResponse:
        raise AssertionError("the app did not start")

    request = func.HttpRequest("GET", "/api/admin/schools", body=b"")
    response = await serve(ProcessApp({}, FixedClock()), "manage", request, answer)
    problem = json.loads(response.get_body())
    assert (response.status_code, response.mimetype, problem["status"]) == (503, "application/problem+json", 503)
    assert "TENANT_ID is not set" in problem["what"]
    assert "ServiceBusConnection" in problem["what"]
    assert "docs/operations.md" in problem["remedy"]
