"""Webhooks over HTTP: check the sender, read the event, pass it on, and answer."""

from __future__ import annotations

import json
from dataclasses import dataclass

import azure.functions as func

from sync_core import telemetry
from sync_core.app import App
from sync_core.domain.ids import SchoolId
from sync_core.errors import NotSignedIn, SyncError, UnknownSetting
from sync_core.http.problems import problem_response
from sync_core.http.webhooks.schemas import read_event, read_wonde
from sync_core.http.webhooks.signature import NOT_SET_UP, signed_id, usable_secrets
from sync_core.sync.vendor_access import AccessEvent, follow_access
from sync_core.sync.webhooks import receive_event


async def receive_changes(app: App, request: func.HttpRequest) -> func.HttpResponse:
    """Accept a signed webhook event of a school: 202 with the time of the plan, or a problem."""
    school, body = SchoolId(request.route_params["school"]), request.get_body()
    receiver = _Receiver()
    try:
        receiver = await _receiver(school, app)
        id_ = signed_id(receiver.secrets, request.headers, body)
        event = read_event(id_, app.services.clock.now(), body)
        due = await receive_event(school, event, app.new_run(), app.services)
    except SyncError as error:
        # The id of an unknown school may be any text, so the event leaves it out. Only the event, and not the answer,
        # says why there is no secret: a sender must not learn which schools there are.
        reason = receiver.without_secret if isinstance(error, NotSignedIn) and not receiver.secrets else error
        app.refusals.webhook(school if receiver.known else None, reason, app.services.clock.now())
        return problem_response(error)
    telemetry.webhook_accepted(school, event, due)
    return _accepted(planned=due.isoformat())


@dataclass(frozen=True, slots=True)
class _Receiver:
    """The school of a webhook, if it is known, with its secrets, or the reason why it has none."""

    known: bool = False
    secrets: tuple[str, ...] = ()
    without_secret: SyncError = NOT_SET_UP


async def _receiver(school: SchoolId, app: App) -> _Receiver:
    try:
        settings = await app.services.schools.school(school)
    except UnknownSetting as unreadable:
        return _Receiver(known=True, without_secret=unreadable)
    if settings is None:
        return _Receiver()
    secrets = usable_secrets(app.settings.mis_secrets.get(name, "") for name in settings.webhook_secrets)
    return _Receiver(known=True, secrets=tuple(secrets))


async def receive_wonde_event(app: App, request: func.HttpRequest) -> func.HttpResponse:
    """Accept Wonde's event about its access to a school. Wonde signs nothing, so its URL has the function key."""
    try:
        event = read_wonde(request.get_body())
        if event.payload_type not in set(AccessEvent):
            return _accepted(schools=0)
        paused = await follow_access(AccessEvent(event.payload_type), event.school_id, app.new_run(), app.services)
    except SyncError as error:
        app.refusals.webhook(None, error, app.services.clock.now())
        return problem_response(error)
    for school, is_paused in paused.items():
        telemetry.access_changed(school, event.payload_type, is_paused)
    return _accepted(schools=len(paused))


def _accepted(**body: object) -> func.HttpResponse:
    return func.HttpResponse(json.dumps(body), status_code=202, mimetype="application/json")
