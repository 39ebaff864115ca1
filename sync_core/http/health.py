"""The health of this process."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING

import azure.functions as func

from sync_core.domain.ids import SchoolId
from sync_core.errors import SyncError
from sync_core.http.problems import problem_response

if TYPE_CHECKING:
    from sync_core.app import App


async def report_health(app: App) -> func.HttpResponse:
    """An app is healthy if it starts and can read its tables."""
    try:
        await app.services.schools.school(SchoolId("health"))
    except SyncError as error:
        return problem_response(error, HTTPStatus.SERVICE_UNAVAILABLE)
    return func.HttpResponse(json.dumps({"health": "healthy"}), mimetype="application/json")
