"""Webhook events of a school, from the HTTP request to one plan for all that arrived meanwhile.

The row says what, the message only says that: an announcement is a row before its message is sent, and a plan takes all
rows of its school that wait. So a message that is lost, doubled or late does no harm, and a thousand webhooks are a
thousand rows and a handful of messages. A crash on either side of the message leaves a row that waits: the sender's
next try, the next announcement or, for the classes, the next night takes care of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from sync_core.clock import Clock
from sync_core.domain.runs import Cause, RunRecord
from sync_core.domain.webhooks import Announcement, next_plan, remembered, too_early
from sync_core.errors import Replayed
from sync_core.messaging.messages import SyncAnnounced, SyncSchool
from sync_core.messaging.port import Outbox
from sync_core.mis.port import MisSource
from sync_core.state.port import Announcements, StateStore
from sync_core.sync.school import sync_school

REMEMBERED = timedelta(days=1)
"""How long a webhook that was taken is known, and refused if it comes again: its signature is good for five minutes."""


async def announce(
    school: str, announcement: Announcement, run: str, announcements: Announcements, outbox: Outbox, clock: Clock
) -> datetime:
    """Have what was announced planned under `run`, or with what is planned before. Returns when. Raises Replayed.

    The time is told after the row is written: the plan that is due then finds it.
    """
    if not await announcements.add(school, announcement):
        raise Replayed(
            "this webhook was taken already",
            "send each event once, under a webhook-id of its own; a sender's next try of one that was taken may stop",
        )
    due = next_plan(clock.now(), await announcements.planned(school))
    await outbox.schedule_once(due, SyncAnnounced(school, run))
    await announcements.sent(school, announcement.id)
    return due


async def sync_announced(
    request: SyncAnnounced,
    announcements: Announcements,
    mis: MisSource,
    state: StateStore,
    outbox: Outbox,
    clock: Clock,
) -> RunRecord | None:
    """Plan what of the school was announced and not planned yet, as one. None if that is nothing, or for a later plan.

    What waits is taken when its plan is on its way, whatever became of it: the run's record says so, and a feed that
    was rejected is tried again by the night.
    """
    waiting = await announcements.waiting(request.school)
    if not waiting:
        return None
    now, planned = clock.now(), await announcements.planned(request.school)
    if too_early(now, planned):
        await outbox.schedule_once(next_plan(now, planned), request)
        return None
    await announcements.write_planned(request.school, remembered(now, planned))
    run = await sync_school(sync_of(request, waiting), mis, state, outbox, clock)
    await announcements.take(request.school, [announcement.id for announcement in waiting], clock.now())
    await announcements.forget(request.school, clock.now() - REMEMBERED)
    return run


def sync_of(request: SyncAnnounced, waiting: Iterable[Announcement]) -> SyncSchool:
    """The sync that all of them ask for together."""
    listed = list(waiting)
    if any(announcement.whole for announcement in listed):
        return SyncSchool(request.school, request.run, Cause.WEBHOOK)
    groups = sorted({group for announcement in listed for group in announcement.groups})
    people = sorted({person for announcement in listed for person in announcement.people})
    return SyncSchool(request.school, request.run, Cause.WEBHOOK, tuple(groups), tuple(people))
