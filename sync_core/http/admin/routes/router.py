"""What the routes of the admin API have in common: the start of their paths, the sign-in, and their errors."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends
from fastapi.security import HTTPBearer

from sync_core.http.admin.schemas import ProblemBody

PREFIX = "/api/admin"
_ERRORS: tuple[int | str, ...] = (400, 401, 403, 413, 422, 429, 500, 503)
"""The statuses of errors that any route may answer with."""

# Only for the OpenAPI document: App Service checks the token before a request reaches this app.
_SIGN_IN = HTTPBearer(description="A token of Microsoft Entra ID for this app", auto_error=False)


def admin_router(path: str, responses: dict[int | str, dict[str, Any]]) -> APIRouter:
    """A router whose routes are complete, so that an app serves them as they are.

    FastAPI builds the routes of a router that an app includes a second time, at the first request.
    """
    errors: dict[int | str, dict[str, Any]] = {status: {"model": ProblemBody} for status in _ERRORS}
    return APIRouter(prefix=f"{PREFIX}{path}", dependencies=[Depends(_SIGN_IN)], responses=errors | responses)
