"""The health of this process, and how each HTTP function gets its app: a failed start is a problem with status 503."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TYPE_CHECKING

import azure.functions as func

from sync_core.domain.ids import SchoolId
from sync_core.errors import SyncError
from sync_core.http.problems import problem_response

if TYPE_CHECKING:
    from sync_core.app import App
    from sync_core.wiring import ProcessApp


async def with_app(process: ProcessApp, answer: Callable[[App], Awaitable[func.HttpResponse]]) -> func.HttpResponse:
    """Start the app and let it answer. A failed start is 503 whatever its cause, because no caller can correct it."""
    try:
        app = await process.get()
    except SyncError as error:
        return problem_response(error, HTTPStatus.SERVICE_UNAVAILABLE)
    return await answer(app)


async def report_health(app: App) -> func.HttpResponse:
    """An app is healthy if it starts and can read its tables."""
    try:
        await app.services.schools.school(SchoolId("health"))
    except SyncError as error:
        return problem_response(error, HTTPStatus.SERVICE_UNAVAILABLE)
    return func.HttpResponse(json.dumps({"health": "healthy"}), mimetype="application/json")
