"""The admin API as a whole: its routers, its errors, and the OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException

from sync_core.admin.holds import PlanDiffers
from sync_core.app import App
from sync_core.errors import (
    Forbidden,
    NotSignedIn,
    SyncError,
    TooManyCalls,
    UnknownSetting,
    Unreadable,
    faults_for_sender,
    faults_of,
)
from sync_core.http.admin.dependencies import read_principal
from sync_core.http.admin.routes import classes, operations, runs, schools
from sync_core.http.admin.schemas import PlanProblem
from sync_core.http.problems import MEDIA_TYPE, Problem, problem_of
from sync_core.telemetry import RefusedRequest

_PREFIX = "/api/admin"
_DOCUMENT = f"{_PREFIX}/openapi.json"
_REFUSALS = (NotSignedIn, Forbidden, TooManyCalls, Unreadable, UnknownSetting)
"""The errors about which there is an event. A class that does not exist, or a state that does not fit, is none."""

# Only for the OpenAPI document: App Service checks the token before a request reaches this app.
_SIGN_IN = HTTPBearer(description="A token of Microsoft Entra ID for this app", auto_error=False)


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
        dependencies=[Depends(_SIGN_IN)],
        responses={status: {"model": Problem} for status in (400, 401, 403, 413, 422, 429, 500, 503)},
        exception_handlers={
            PlanDiffers: _differ,
            SyncError: _refuse,
            RequestValidationError: _invalid,
            HTTPException: _unknown,
        },
    )
    api.state.app = app
    for routes in (schools, classes, runs, operations):
        api.include_router(routes.router, prefix=_PREFIX)
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
    problem = problem_of(error)
    if isinstance(error, _REFUSALS):
        # The other messages may repeat words of the sender.
        said = "" if isinstance(error, (Unreadable, UnknownSetting)) else error.message
        _note(request, problem.status, type(error).__name__, said)
    return _answer(problem)


async def _invalid(request: Request, error: RequestValidationError) -> Response:
    remedy = f"correct the fields named here; {_DOCUMENT} describes every body"
    problem = problem_of(Unreadable(faults_for_sender(error.errors()), remedy))
    _note(request, problem.status, Unreadable.__name__, faults_of(error.errors()))
    return _answer(problem)


async def _unknown(request: Request, error: HTTPException) -> Response:
    not_served = SyncError(str(error.detail), f"{_DOCUMENT} lists every path and method")
    problem = problem_of(not_served, error.status_code)
    _note(request, problem.status, problem.title)
    return _answer(problem, error.headers)


def _note(request: Request, status: int, error: str, message: str = "") -> None:
    """Emit the event of a request that is refused."""
    app: App = request.app.state.app
    route = request.scope.get("route")
    refused = RefusedRequest(
        function="manage",
        method=request.method,
        route=getattr(route, "path", ""),
        status=status,
        error=error,
        message=message,
        caller=_caller_of(request, app),
        school=getattr(request.state, "school", ""),
    )
    app.refusals.request(refused, app.services.clock.now())


def _caller_of(request: Request, app: App) -> str:
    """The Entra id of the caller, also of one whose request was refused before its route asked for it."""
    try:
        return read_principal(request, app).id
    except NotSignedIn:
        return ""


def _answer(problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse(asdict(problem), problem.status, headers, MEDIA_TYPE)
