"""Webhooks over HTTP: check the sender, read the event, pass it on, and answer."""

from __future__ import annotations

import json

import azure.functions as func

from sync_core import telemetry
from sync_core.app import App
from sync_core.domain.ids import SchoolId
from sync_core.domain.school import SchoolSettings
from sync_core.errors import NotSignedIn, SyncError
from sync_core.http.problems import problem_response
from sync_core.http.webhooks.schemas import read_event, read_wonde
from sync_core.http.webhooks.signature import NOT_SET_UP, signed_id, usable_secrets
from sync_core.sync.vendor_access import AccessEvent, follow_access
from sync_core.sync.webhooks import receive_event


async def receive_changes(app: App, request: func.HttpRequest) -> func.HttpResponse:
    """Accept a signed webhook event of a school: 202 with the time of the plan, or a problem."""
    school, body = SchoolId(request.route_params["school"]), request.get_body()
    settings: SchoolSettings | None = None
    secrets: list[str] = []
    try:
        settings = await app.services.schools.school(school)
        names = settings.webhook_secrets if settings else ()
        secrets = usable_secrets(app.settings.mis_secrets.get(name, "") for name in names)
        id_ = signed_id(secrets, request.headers, body)
        event = read_event(id_, app.services.clock.now(), body)
        due = await receive_event(school, event, app.new_run(), app.services)
    except SyncError as error:
        # The id of an unknown school may be any text, so the event leaves it out. Only the event, and not the answer,
        # says that no webhook is set up: a sender must not learn which schools there are.
        reason = NOT_SET_UP if isinstance(error, NotSignedIn) and not secrets else error
        telemetry.webhook_refused(school if settings else None, reason)
        return problem_response(error)
    telemetry.webhook_accepted(school, event, due)
    return _accepted(planned=due.isoformat())


async def receive_wonde_event(app: App, request: func.HttpRequest) -> func.HttpResponse:
    """Accept Wonde's event about its access to a school. Wonde signs nothing, so its URL has the function key."""
    try:
        event = read_wonde(request.get_body())
        if event.payload_type not in set(AccessEvent):
            return _accepted(schools=0)
        paused = await follow_access(AccessEvent(event.payload_type), event.school_id, app.new_run(), app.services)
    except SyncError as error:
        telemetry.webhook_refused(None, error)
        return problem_response(error)
    for school, is_paused in paused.items():
        telemetry.access_changed(school, event.payload_type, is_paused)
    return _accepted(schools=len(paused))


def _accepted(**body: object) -> func.HttpResponse:
    return func.HttpResponse(json.dumps(body), status_code=202, mimetype="application/json")
