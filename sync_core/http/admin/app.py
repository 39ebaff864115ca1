"""The admin API as a whole: its routers, its errors, and the OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from sync_core.admin.holds import PlanDiffers
from sync_core.app import App
from sync_core.errors import SyncError, Unreadable, faults_for_sender
from sync_core.http.admin.refusals import note_invalid, note_not_served, note_refused
from sync_core.http.admin.routes import choices, classes, operations, rehearsal, runs, schools, year, year_end
from sync_core.http.admin.routes.router import PREFIX
from sync_core.http.admin.schemas import PlanProblem
from sync_core.http.problems import MEDIA_TYPE, Problem, problem_of

_DOCUMENT = f"{PREFIX}/openapi.json"
_FUNCTION = "manage"
_ROUTES = (schools, classes, choices, runs, year, year_end, rehearsal, operations)


def build_api(app: App) -> FastAPI:
    """The API that serves `app`. Every error is a Problem."""
    api = _AdminApi(
        title="MIS Class Sync admin API",
        summary="Groups, classes and settings of schools",
        version="1",
        openapi_url=_DOCUMENT,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # a redirect would repeat the host that the caller named
        routes=[route for routes in _ROUTES for route in routes.router.routes],
        exception_handlers={
            PlanDiffers: _differ,
            SyncError: _refuse,
            RequestValidationError: _invalid,
            HTTPException: _unknown,
        },
    )
    api.state.app = app
    return api


class _AdminApi(FastAPI):
    """FastAPI declares every body that has a model as application/json, but an error is application/problem+json."""

    def openapi(self) -> dict[str, Any]:
        document = super().openapi()
        for operation in (operation for path in document["paths"].values() for operation in path.values()):
            for status, response in operation["responses"].items():
                if status >= "400" and "application/json" in response["content"]:
                    response["content"] = {MEDIA_TYPE: response["content"]["application/json"]}
        return document


async def _differ(_: Request, error: PlanDiffers) -> Response:
    problem = problem_of(error)
    body = PlanProblem.model_validate({**asdict(problem), "plan": error.plan.as_data()})
    return Response(body.model_dump_json(), problem.status, media_type=MEDIA_TYPE)


async def _refuse(request: Request, error: SyncError) -> Response:
    note_refused(request, _FUNCTION, error)
    return _answer(problem_of(error))


async def _invalid(request: Request, error: RequestValidationError) -> Response:
    remedy = f"correct the fields named here; {_DOCUMENT} describes every body"
    problem = problem_of(Unreadable(faults_for_sender(error.errors()), remedy))
    note_invalid(request, _FUNCTION, error.errors(), problem.status)
    return _answer(problem)


async def _unknown(request: Request, error: HTTPException) -> Response:
    not_served = SyncError(str(error.detail), f"{_DOCUMENT} lists every path and method")
    problem = problem_of(not_served, error.status_code)
    note_not_served(request, _FUNCTION, problem.status, problem.title)
    return _answer(problem, error.headers)


def _answer(problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse(asdict(problem), problem.status, headers, MEDIA_TYPE)
