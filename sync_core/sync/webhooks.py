"""Webhook events of a school, from the HTTP request to one plan for all that arrived meanwhile.

The row says what, the message only says that: a webhook event is a row before its message is sent, and a plan takes all
rows of its school that wait. So a message that is lost, doubled or late does no harm, and a thousand webhooks are a
thousand rows and a handful of messages. A crash on either side of the message leaves a row that waits: the sender's
next try, the next webhook event or, for the classes, the next night takes care of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from sync_core.clock import Clock
from sync_core.domain.runs import Cause, RunRecord
from sync_core.domain.webhooks import WebhookEvent, next_plan, recent_plans, too_early
from sync_core.errors import Replayed
from sync_core.messaging.messages import SyncSchool, SyncWebhookEvents
from sync_core.messaging.port import Outbox
from sync_core.mis.port import MisSource
from sync_core.state.port import StateStore, WebhookInbox
from sync_core.sync.school import sync_school

REMEMBER_FOR = timedelta(days=1)
"""How long a webhook that was taken is known, and refused if it comes again: its signature is good for five minutes."""


async def receive_event(
    school: str, event: WebhookEvent, run: str, inbox: WebhookInbox, outbox: Outbox, clock: Clock
) -> datetime:
    """Have what was announced planned under `run`, or with what is planned before. Returns when. Raises Replayed.

    The time is told after the row is written: the plan that is due then finds it.
    """
    if not await inbox.add(school, event):
        raise Replayed(
            "this webhook was taken already",
            "send each event once, under a webhook-id of its own; a sender's next try of one that was taken may stop",
        )
    due = next_plan(clock.now(), await inbox.planned(school))
    await outbox.schedule_once(due, SyncWebhookEvents(school, run))
    await inbox.sent(school, event.id)
    return due


async def sync_webhook_events(
    request: SyncWebhookEvents,
    inbox: WebhookInbox,
    mis: MisSource,
    state: StateStore,
    outbox: Outbox,
    clock: Clock,
) -> RunRecord | None:
    """Plan what of the school was announced and not planned yet, as one. None if that is nothing, or for a later plan.

    What waits is taken when its plan is on its way, whatever became of it: the run's record says so, and a feed that
    was rejected is tried again by the night.
    """
    waiting = await inbox.waiting(request.school)
    if not waiting:
        return None
    now, planned = clock.now(), await inbox.planned(request.school)
    if too_early(now, planned):
        await outbox.schedule_once(next_plan(now, planned), request)
        return None
    await inbox.write_planned(request.school, recent_plans(now, planned))
    run = await sync_school(sync_of_events(request, waiting), mis, state, outbox, clock)
    await inbox.take(request.school, [event.id for event in waiting], clock.now())
    await inbox.forget(request.school, clock.now() - REMEMBER_FOR)
    return run


def sync_of_events(request: SyncWebhookEvents, waiting: Iterable[WebhookEvent]) -> SyncSchool:
    """The sync that all of them ask for together."""
    listed = list(waiting)
    if any(event.whole for event in listed):
        return SyncSchool(request.school, request.run, Cause.WEBHOOK)
    groups = sorted({group for event in listed for group in event.groups})
    people = sorted({person for event in listed for person in event.people})
    return SyncSchool(request.school, request.run, Cause.WEBHOOK, tuple(groups), tuple(people))
