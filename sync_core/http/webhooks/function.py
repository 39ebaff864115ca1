"""From an HTTP request of the MIS side to what it announces: who sent it, what it says, and the answer."""

from __future__ import annotations

import json

import azure.functions as func

from sync_core import telemetry
from sync_core.app import App
from sync_core.errors import NotSignedIn, Replayed, SyncError, Unreadable
from sync_core.http.webhooks.schemas import read_event, read_wonde
from sync_core.http.webhooks.signature import signed_id
from sync_core.sync.vendor_access import AccessEvent, follow_access
from sync_core.sync.webhooks import receive_event

LARGEST_BODY = 128 * 1024
_STATUS: dict[type[SyncError], int] = {NotSignedIn: 401, Replayed: 409, Unreadable: 422}
_UNREACHABLE = 503


async def receive_changes(app: App, request: func.HttpRequest) -> func.HttpResponse:
    """Changes of a school, announced and signed by its MIS side: 202 with the time of the plan, or a problem."""
    school, body = request.route_params["school"], request.get_body()
    if len(body) > LARGEST_BODY:
        return _too_large()
    known = False
    try:
        settings = await app.services.schools.school(school)
        known = settings is not None
        secrets = [app.settings.mis_secrets.get(name, "") for name in settings.webhook_secrets] if settings else []
        id_ = signed_id(secrets, request.headers, body)
        event = read_event(id_, app.services.clock.now(), body)
        due = await receive_event(school, event, app.new_run(), app.services)
    except SyncError as error:
        # Nobody can be sure that an unknown school is one: its name may be anything.
        telemetry.webhook_refused(school if known else "", error)
        return _problem(error)
    telemetry.webhook_accepted(school, event, due)
    return _answer(202, {"planned": due.isoformat()})


async def receive_wonde_event(app: App, request: func.HttpRequest) -> func.HttpResponse:
    """Wonde's word on its access to a school; whoever sends it holds the function's key, for Wonde signs nothing."""
    body = request.get_body()
    if len(body) > LARGEST_BODY:
        return _too_large()
    try:
        said = read_wonde(body)
        if said.payload_type not in set(AccessEvent):
            return _answer(202, {"schools": 0})
        changed = await follow_access(AccessEvent(said.payload_type), said.school_id, app.new_run(), app.services)
    except SyncError as error:
        telemetry.webhook_refused("", error)
        return _problem(error)
    for access in changed:
        telemetry.access_changed(access.school, access.event, access.paused)
    return _answer(202, {"schools": len(changed)})


def _too_large() -> func.HttpResponse:
    problem = {
        "what": f"the body has more than {LARGEST_BODY} bytes",
        "remedy": "name fewer groups and people, or none for the whole school",
    }
    return _answer(413, problem)


def _problem(error: SyncError) -> func.HttpResponse:
    return _answer(_STATUS.get(type(error), _UNREACHABLE), {"what": error.message, "remedy": error.remedy})


def _answer(status: int, body: object) -> func.HttpResponse:
    return func.HttpResponse(json.dumps(body), status_code=status, mimetype="application/json")
