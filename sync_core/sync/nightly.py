"""How a night begins, and one tenant brought up to date by two Graph deltas before its schools are synced.

Whoever is asked at two o'clock sharp by every school at once (an MIS vendor's API, a Service Bus namespace, Graph
across all tenants) refuses some of them. And while the schools of one tenant follow each other, what they share (its
accounts) is still in memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sync_core.clock import Clock
from sync_core.domain.runs import Cause
from sync_core.graph.port import Tenant
from sync_core.messaging.messages import Priority, RefreshTenant, SyncSchool
from sync_core.messaging.port import Outbox
from sync_core.planning.diff import Origin
from sync_core.planning.drift import drift_changes, find_drift
from sync_core.state.port import DeltaKind, StateStore


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


FULL_RESYNC_EVERY = timedelta(days=7)
"""Graph's delta may leave out removals that came of a deleted account: so often every class is compared anyway."""


async def refresh_tenant(
    request: RefreshTenant, tenant: Tenant, state: StateStore, outbox: Outbox, clock: Clock, history: timedelta
) -> int:
    """Follow the accounts and the drift, then ask for a sync of each school, spread over the time the request leaves.

    The groups delta tells of drift: from its beginning (a full resync of every class of the tenant) where the request
    says so, where the token has expired, and every FULL_RESYNC_EVERY. History older than `history` is deleted. The
    drift of a paused school is recorded too, and acted upon once the school is enabled. Returns the number of schools.

    Each delta token is written last, when everything that the delta led to is on the rows: a crash before takes the
    same delta again, which repeats harmless work, while a token written first would lose a hand edit for good.
    """
    schools = await state.schools(request.tenant)
    properties = frozenset(found for school in schools for found in school.account_properties)
    accounts = await tenant.account_changes(await state.delta_token(request.tenant, DeltaKind.ACCOUNTS), properties)
    await state.write_accounts(request.tenant, accounts)
    await state.write_delta_token(request.tenant, DeltaKind.ACCOUNTS, accounts.token)

    began = clock.now()
    groups = await tenant.group_changes(await _groups_token(request, state, clock))
    for school in schools:
        records = await state.class_records(school.school)
        drifts = find_drift(records, groups)
        await state.write_drift(school.school, drifts)
        if school.enabled:
            left_alone = {record.key for record in records if record.desired.ended or record.desired.pinned}
            origin = Origin(request.tenant, school.school, request.run, request.cause)
            await outbox.send_changes(drift_changes(drifts, left_alone, origin), Priority.BULK)
    await state.write_delta_token(request.tenant, DeltaKind.GROUPS, groups.token)
    if groups.full:
        await state.write_full_resync(request.tenant, began)

    working = [school for school in schools if school.enabled]
    starts = evenly(len(working), clock.now(), request.until or clock.now())
    await outbox.schedule_requests(
        [
            (at, SyncSchool(school.school, request.run, request.cause))
            for at, school in zip(starts, working, strict=True)
        ]
    )
    for school in schools:
        await state.forget_history(school.school, clock.now() - history)
    return len(working)


async def _groups_token(request: RefreshTenant, state: StateStore, clock: Clock) -> str | None:
    swept = await state.last_full_resync(request.tenant)
    if request.full_resync or swept is None or clock.now() - swept >= FULL_RESYNC_EVERY:
        return None
    return await state.delta_token(request.tenant, DeltaKind.GROUPS)
