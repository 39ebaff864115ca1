"""The health of this process, and how each HTTP function gets its app: a failed start is a problem with status 503."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TYPE_CHECKING

import azure.functions as func

from sync_core.errors import SyncError
from sync_core.http.problems import problem_of, problem_response

if TYPE_CHECKING:
    from sync_core.app import App
    from sync_core.wiring import ProcessApp


async def with_app(process: ProcessApp, answer: Callable[[App], Awaitable[func.HttpResponse]]) -> func.HttpResponse:
    """What `answer` returns for the app. A start that fails is 503 whatever its cause: no caller can correct it."""
    try:
        app = await process.get()
    except SyncError as error:
        return _unavailable(error)
    return await answer(app)


async def report_health(app: App) -> func.HttpResponse:
    """Healthy is an app that starts and can read its tables."""
    try:
        await app.services.schools.school("health")
    except SyncError as error:
        return _unavailable(error)
    return func.HttpResponse(json.dumps({"health": "healthy"}), mimetype="application/json")


def _unavailable(error: SyncError) -> func.HttpResponse:
    return problem_response(problem_of(error, HTTPStatus.SERVICE_UNAVAILABLE))
