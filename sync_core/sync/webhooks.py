"""Webhook events of a school, from the HTTP request to one plan for all that arrived meanwhile.

The row says what changed, the message only says that something changed: an event is a row before its message is sent,
and a plan takes all waiting rows of its school. So a lost, doubled or late message does no harm, and a thousand
webhooks are a thousand rows and a handful of messages. A crash on either side of the message leaves a waiting row. The
sender's next attempt, the next event or, for the classes, the next night takes care of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from sync_core.domain.ids import RunId, SchoolId
from sync_core.domain.runs import Cause, RunRecord
from sync_core.domain.webhooks import WebhookEvent, gathering_ends, pause_ends, recent_plans, too_early
from sync_core.errors import Replayed, RowRefused
from sync_core.messaging.messages import SyncSchool, SyncWebhookEvents
from sync_core.services import Services
from sync_core.sync.school import end_unwritten, own_run, sync_under

REMEMBER_FOR = timedelta(days=1)
"""How long the id of a planned event is known and rejected if it comes again. A signature is valid five minutes."""


async def receive_event(school: SchoolId, event: WebhookEvent, run: RunId, services: Services) -> datetime:
    """Store the event and request a plan of it under `run`. Returns when the plan is due. Raises Replayed.

    It is due at once if the pause since the last plan is over and no other event waits. Others are gathered. The clock
    is read after the row is written, so the plan that is due then finds the row. A plan that is due at once has a
    message of its own: one that the queue takes for a duplicate of an earlier message might be lost to a plan that has
    read the rows already. Of two events that come together, at least one sees the other, so there is one such message
    at most. A message too many finds no event that waits.
    """
    if not await services.inbox.add(school, event):
        raise Replayed(
            "this webhook was accepted before",
            "send each event once, under its own webhook-id; a sender may stop retrying an accepted event",
        )
    planned = await services.inbox.plan_times(school)
    due, plan = services.clock.now(), SyncWebhookEvents(school, run)
    if pause_ends(due, planned) > due or await services.inbox.others_wait(school, event.id):
        due = gathering_ends(due, planned)
        await services.outbox.schedule_once(due, plan)
    else:
        await services.outbox.schedule_requests([(due, plan)])
    await services.inbox.mark_sent(school, event.id)
    return due


async def sync_webhook_events(request: SyncWebhookEvents, services: Services) -> RunRecord | None:
    """Plan the school's waiting events as one. None if none waits, or if a later plan takes them.

    The events stop waiting after their plan, whatever its outcome: the run has it, and the next night retries a
    rejected feed. Raises NotOnRecord.
    """
    inbox, school = services.inbox, request.school
    waiting = await inbox.waiting(school)
    if not waiting:
        return None
    sync = sync_of_events(request, waiting)
    before = await own_run(sync, services)
    now, planned = services.clock.now(), await inbox.plan_times(school)
    if too_early(now, planned):
        await services.outbox.schedule_once(gathering_ends(now, planned), request)
        return None
    await inbox.write_plan_times(school, recent_plans(now, planned))
    try:
        run = await sync_under(before, sync, services)
    except RowRefused as refusal:
        run = await end_unwritten(request, refusal, services)
    await inbox.mark_planned(school, [event.id for event in waiting], services.clock.now())
    await inbox.forget(school, services.clock.now() - REMEMBER_FOR)
    return run


def sync_of_events(request: SyncWebhookEvents, waiting: Iterable[WebhookEvent]) -> SyncSchool:
    """The one sync that covers all of these events."""
    events = list(waiting)
    if any(event.whole for event in events):
        return SyncSchool(request.school, request.run, Cause.WEBHOOK)
    groups = sorted({group for event in events for group in event.groups})
    people = sorted({person for event in events for person in event.people})
    return SyncSchool(request.school, request.run, Cause.WEBHOOK, tuple(groups), tuple(people))
