"""How a night begins: its tenants, and the schools of each, spread over the window so that they never meet.

Whoever is asked at two o'clock sharp by every school at once (an MIS vendor's API, a Service Bus namespace, Graph
across all tenants) refuses some of them. The largest tenants begin first: their many schools have most of the window.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sync_core.events import Cause, RefreshTenant
from sync_core.ports import Clock, Outbox, StateStore


async def start_night(run: str, state: StateStore, outbox: Outbox, clock: Clock, window: timedelta) -> None:
    """Ask for a refresh of every tenant that has a school, each in its turn within `window`."""
    now = clock.now()
    schools = Counter(school.tenant for school in await state.schools())
    starts = tenant_starts(schools, now, now + window)
    await outbox.schedule_requests(
        [(at, RefreshTenant(tenant, run, Cause.NIGHTLY, until=now + window)) for tenant, at in starts.items()]
    )


def tenant_starts(schools: Mapping[str, int], start: datetime, end: datetime) -> dict[str, datetime]:
    """When each tenant begins, in order, given how many schools it has: evenly from `start` on, the largest first."""
    largest_first = sorted(schools, key=lambda tenant: (-schools[tenant], tenant))
    return dict(zip(largest_first, evenly(len(largest_first), start, end), strict=True))


def evenly(count: int, start: datetime, end: datetime) -> Sequence[datetime]:
    """`count` moments from `start` on and before `end`, equally far apart; all at `start` if `end` is not after it."""
    step = max(end - start, timedelta(0)) / max(count, 1)
    return [start + step * place for place in range(count)]
