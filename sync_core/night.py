"""How a night begins: its tenants one after the other, the schools of each next to each other, evenly over the window.

Whoever is asked at two o'clock sharp by every school at once (an MIS vendor's API, a Service Bus namespace, Graph
across all tenants) refuses some of them. And while the schools of one tenant follow each other, what they share (its
accounts) is still in memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sync_core.events import Cause, RefreshTenant
from sync_core.ports import Clock, Outbox, StateStore


async def start_night(
    run: str, state: StateStore, outbox: Outbox, clock: Clock, window: timedelta, history: timedelta
) -> tuple[str, ...]:
    """Ask for a refresh of every tenant that has a school, each in its slot of `window`. Returns the schools then due.

    Why messages failed longer ago than `history` is forgotten.
    """
    now = clock.now()
    known = await state.schools()
    schools = Counter(school.tenant for school in known)
    await outbox.schedule_requests(
        [
            (begins, RefreshTenant(tenant, run, Cause.NIGHTLY, until=ends))
            for tenant, (begins, ends) in tenant_slots(schools, now, now + window).items()
        ]
    )
    await state.forget_message_faults(now - history)
    return tuple(school.school for school in known if school.enabled)


def tenant_slots(schools: Mapping[str, int], start: datetime, end: datetime) -> dict[str, tuple[datetime, datetime]]:
    """When each tenant begins and ends, in order, given how many schools it has: each school has as much time."""
    each = max(end - start, timedelta(0)) / max(sum(schools.values()), 1)
    slots: dict[str, tuple[datetime, datetime]] = {}
    before = 0
    for tenant in sorted(schools):
        slots[tenant] = (start + each * before, start + each * (before + schools[tenant]))
        before += schools[tenant]
    return slots


def evenly(count: int, start: datetime, end: datetime) -> Sequence[datetime]:
    """`count` moments from `start` on and before `end`, equally far apart; all at `start` if `end` is not after it."""
    step = max(end - start, timedelta(0)) / max(count, 1)
    return [start + step * place for place in range(count)]
