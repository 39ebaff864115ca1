"""The events about requests that the admin API and the console refuse."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fastapi import Request

from sync_core.app import App
from sync_core.errors import (
    Forbidden,
    NotSignedIn,
    SyncError,
    TooManyCalls,
    UnknownSetting,
    Unreadable,
    faults_of,
)
from sync_core.http.admin.dependencies import read_principal
from sync_core.http.admin.routes.router import PREFIX
from sync_core.http.problems import problem_of
from sync_core.telemetry import RefusedRequest

_REFUSALS = (NotSignedIn, Forbidden, TooManyCalls, Unreadable, UnknownSetting)
"""The errors about which there is an event. A class that does not exist, or a state that does not fit, is none."""


def note_refused(request: Request, function: str, error: SyncError) -> None:
    """Emit the event of a request that is refused because of this error, if there is one about it."""
    if isinstance(error, _REFUSALS):
        # The other messages may repeat words of the sender.
        said = "" if isinstance(error, (Unreadable, UnknownSetting)) else error.message
        _note(request, function, problem_of(error).status, type(error).__name__, said)


def note_invalid(request: Request, function: str, faults: Iterable[Mapping[str, Any]], status: int) -> None:
    """Emit the event of a request whose parts have these faults of pydantic."""
    _note(request, function, status, Unreadable.__name__, faults_of(faults))


def note_not_served(request: Request, function: str, status: int, title: str) -> None:
    """Emit the event of a request for a path or method that there is not."""
    _note(request, function, status, title, "")


def _note(request: Request, function: str, status: int, error: str, message: str) -> None:
    app: App = request.app.state.app
    route = request.scope.get("route")
    refused = RefusedRequest(
        function=function,
        method=request.method,
        route=getattr(route, "path", "").removeprefix(PREFIX),
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
