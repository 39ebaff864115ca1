"""Whether this process is healthy, for callers who are not signed in: they are told nothing else.

No header is read here, so that nobody learns more by claiming to be somebody. Admins read more at /api/admin/health.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING

import azure.functions as func

from sync_core.domain.ids import SchoolId
from sync_core.errors import SyncError

if TYPE_CHECKING:
    from sync_core.wiring import ProcessApp


async def report_health(process: ProcessApp) -> func.HttpResponse:
    """An app is healthy if it starts and can read its tables."""
    try:
        app = await process.get()
        await app.services.schools.school(SchoolId("health"))
    except SyncError:
        return _answer("unhealthy", HTTPStatus.SERVICE_UNAVAILABLE)
    return _answer("healthy", HTTPStatus.OK)


def _answer(health: str, status: HTTPStatus) -> func.HttpResponse:
    return func.HttpResponse(json.dumps({"health": health}), status_code=status, mimetype="application/json")
