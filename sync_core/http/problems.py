"""Errors over HTTP: one format (RFC 9457), and one status for each class of error."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from http import HTTPStatus

import azure.functions as func

from sync_core.errors import (
    Conflict,
    Forbidden,
    NotFound,
    NotSignedIn,
    PreconditionFailed,
    Replayed,
    SnapshotRejected,
    SyncError,
    TooLarge,
    TooManyCalls,
    UnknownSetting,
    Unreadable,
)

MEDIA_TYPE = "application/problem+json"
_STATUS: dict[type[BaseException], HTTPStatus] = {
    NotSignedIn: HTTPStatus.UNAUTHORIZED,
    Forbidden: HTTPStatus.FORBIDDEN,
    NotFound: HTTPStatus.NOT_FOUND,
    Conflict: HTTPStatus.CONFLICT,
    SnapshotRejected: HTTPStatus.CONFLICT,
    Replayed: HTTPStatus.CONFLICT,
    PreconditionFailed: HTTPStatus.PRECONDITION_FAILED,
    TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    TooManyCalls: HTTPStatus.TOO_MANY_REQUESTS,
    UnknownSetting: HTTPStatus.UNPROCESSABLE_ENTITY,
    Unreadable: HTTPStatus.UNPROCESSABLE_ENTITY,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Problem details (RFC 9457) with two members of our own: `what` happened, and the `remedy`; `detail` is both."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    what: str
    remedy: str


def problem_of(error: SyncError, status: int | None = None) -> Problem:
    """`status` replaces the status of the error's class. A class that has none listed is 503."""
    if status is None:
        listed = (_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)
        status = next(listed, HTTPStatus.SERVICE_UNAVAILABLE)
    return Problem(
        title=HTTPStatus(status).phrase,
        status=int(status),
        detail=str(error),
        what=error.message,
        remedy=error.remedy,
    )


def problem_response(error: SyncError, status: int | None = None) -> func.HttpResponse:
    problem = problem_of(error, status)
    return func.HttpResponse(json.dumps(asdict(problem)), status_code=problem.status, mimetype=MEDIA_TYPE)
