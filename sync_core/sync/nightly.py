"""Starts a night, and refreshes each tenant by two Graph deltas before its schools are synced.

The tenants of a night follow each other over its window, and the schools of a tenant are next to each other. A server
that every school reads at two o'clock sharp (an MIS vendor's API, a Service Bus namespace, Graph across all tenants)
rejects some of the requests. While the schools of one tenant follow each other, its accounts are still cached.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import chain

from sync_core.domain.accounts import AccountProperty
from sync_core.domain.classes.record import ClassRecord
from sync_core.domain.classes.tenant_groups import Drift
from sync_core.domain.ids import ClassKey, RunId, SchoolId
from sync_core.domain.permissions import TenantCheck
from sync_core.domain.runs import Cause, RunOutcome, RunRecord
from sync_core.domain.school.settings import SchoolSettings
from sync_core.errors import DeltaExpired, EtagConflict, Permanent
from sync_core.graph.port import Tenant
from sync_core.messaging.messages import Change, Priority, RefreshTenant, SyncSchool
from sync_core.planning.diff import Origin
from sync_core.planning.drift import delta_tells_members, drift_changes, find_drift, sample, to_look_up, with_stale
from sync_core.planning.year.arrangement import only_by_plan
from sync_core.planning.year.calendar import SchoolDay, school_day
from sync_core.services import Services
from sync_core.state.port import EverySchool
from sync_core.sync.school import own_run

FULL_RESYNC_EVERY = timedelta(days=7)
"""Graph's delta may leave out removals caused by a deleted account, so every class is compared at least this often."""


class TenantBlocked(Permanent):
    """The app gets no token for a tenant, or lacks a permission in it: nothing of the tenant was read or planned.

    `runs`, one for each enabled school, say so and are in the tables.
    """

    def __init__(self, check: TenantCheck, runs: tuple[RunRecord, ...]) -> None:
        super().__init__(check.what, check.remedy)
        self.check = check
        self.runs = runs


async def start_night(run: RunId, services: Services, window: timedelta, history: timedelta) -> EverySchool:
    """Request a refresh of every tenant that has a school, each in its slot of `window`. Returns the schools then.

    Message faults older than `history` are deleted.
    """
    now = services.clock.now()
    every = await services.schools.every_school()
    known = every.readable
    slots = tenant_slots(Counter(school.tenant for school in known), now, now + window)
    await services.outbox.schedule_requests(
        [(begins, RefreshTenant(tenant, run, Cause.NIGHTLY, until=ends)) for tenant, (begins, ends) in slots.items()]
    )
    await services.runs.forget_message_faults(now - history)
    return every


def tenant_slots(schools: Mapping[str, int], start: datetime, end: datetime) -> dict[str, tuple[datetime, datetime]]:
    """When each tenant begins and ends, in order, given its number of schools. Every school has the same time."""
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


async def refresh_tenant(request: RefreshTenant, services: Services, history: timedelta) -> int:
    """Read the accounts and the drift, then request a sync of each enabled school. Returns the number of syncs.

    The syncs are spread over the time until the request's `until`. Nothing is read of a tenant that has no school.
    Raises TenantBlocked.

    The groups delta shows drift. It starts from the beginning, as a full resync of every class of the tenant, if the
    request says so, if the token has expired, and every FULL_RESYNC_EVERY. Drift of a school that is paused, by an
    admin or its calendar, or whose settings cannot be read, is recorded, and corrected once the school is synced again.
    Where the delta does not tell the members of classes, a part of the classes is read each night instead. History
    older than `history` is deleted.

    The token of the groups delta is written last, after the rows that the delta changes, and that of the accounts with
    them. After a crash before that, the next refresh reads the same delta and repeats harmless work. A token written
    first would lose a manual change.
    """
    every = await services.schools.every_school(request.tenant)
    schools = every.readable
    if not schools:
        return 0
    check = await services.reading.check_tenant(request.tenant)
    if check.blocked:
        raise TenantBlocked(check, await _write_blocked_runs(request, schools, check, services))
    tenant = services.graph.of(request.tenant, Priority.BULK)
    await _follow_accounts(request.tenant, schools, tenant, services)
    began = services.clock.now()
    facts = await services.tenants.facts(request.tenant)
    last = facts.resynced_at
    full = request.full_resync or last is None or began - last >= FULL_RESYNC_EVERY
    token = None if full else await services.tenants.groups_token(request.tenant)
    groups = await tenant.group_changes(token)
    enabled = {school.school: school.enabled for school in schools}
    # No plan is made for a school whose settings cannot be read, but this delta is read only once.
    enabled |= dict.fromkeys(every.unreadable, False)
    days = {each.school: school_day(each, began) for each in schools}
    records = {school: await _records_in(request.tenant, school, services) for school in enabled}
    told = delta_tells_members(chain(*records.values()), groups)
    before, facts = facts, facts if told is None else replace(facts, delta_tells_members=told)
    for school, of_school in records.items():
        drifts = find_drift(of_school, groups, tells_members=facts.delta_tells_members)
        if not facts.delta_tells_members:
            untold = of_school if request.full_resync else sample(of_school, began.toordinal())
            drifts = with_stale(drifts, untold)
        changes = await _follow_drift(request, school, of_school, drifts, days.get(school), tenant, services)
        if enabled[school]:
            await services.outbox.send_changes(changes, Priority.BULK)
    await services.tenants.write_groups_token(request.tenant, groups.token)
    facts = replace(facts, resynced_at=began) if groups.full else facts
    if facts != before:
        await services.tenants.write_facts(request.tenant, facts)

    syncs = [
        SyncSchool(school, request.run, request.cause, until=request.until)
        for school, synced in enabled.items()
        if synced
    ]
    await _schedule(syncs, services)
    for each in schools:
        await services.runs.forget_history(each.school, services.clock.now() - history)
    return len(syncs)


async def _schedule(syncs: Sequence[SyncSchool], services: Services) -> None:
    """Request the syncs of a tenant's schools, spread over the time until the night is to end."""
    now = services.clock.now()
    until = max((sync.until for sync in syncs if sync.until), default=now)
    await services.outbox.schedule_requests(list(zip(evenly(len(syncs), now, until), syncs, strict=True)))


async def _records_in(tenant: str, school: SchoolId, services: Services) -> Sequence[ClassRecord]:
    """The school's classes in this tenant. A school that moved has others until its first plan there."""
    return [each for each in await services.classes.class_records(school) if each.desired.tenant == tenant]


async def _write_blocked_runs(
    request: RefreshTenant, schools: Sequence[SchoolSettings], check: TenantCheck, services: Services
) -> tuple[RunRecord, ...]:
    enabled = [school.school for school in schools if school.enabled]
    for school in enabled:
        await own_run(SyncSchool(school, request.run, request.cause), services)
    runs = tuple(
        RunRecord(
            school=school,
            id=request.run,
            cause=request.cause,
            at=services.clock.now(),
            outcome=RunOutcome.BLOCKED,
            whole=True,
            notes=(f"{check.what}: nothing was planned", check.remedy),
        )
        for school in enabled
    )
    for run in runs:
        await services.runs.write_run(run)
    return runs


async def _follow_accounts(
    tenant_id: str, schools: Sequence[SchoolSettings], tenant: Tenant, services: Services
) -> None:
    properties = frozenset(used for school in schools for used in school.account_properties)
    tokens = await services.tenants.account_tokens(tenant_id)
    if tokens.delta is None and await _read_first_accounts(tenant_id, tokens.first, properties, tenant, services):
        return
    await services.tenants.write_accounts(tenant_id, await tenant.account_changes(tokens.delta, properties))


async def _read_first_accounts(
    tenant_id: str, token: str | None, properties: Set[AccountProperty], tenant: Tenant, services: Services
) -> bool:
    """Read all accounts in parts, going on where an interrupted read stopped.

    False if that was too long ago: accounts that it read may be gone by now, and only a read of all at once shows that.
    """
    try:
        async for part in tenant.first_accounts(token, properties):
            await services.tenants.write_accounts(tenant_id, part)
    except DeltaExpired:
        return False
    return True


async def _follow_drift(
    request: RefreshTenant,
    school: SchoolId,
    records: Sequence[ClassRecord],
    drifts: Sequence[Drift],
    day: SchoolDay | None,
    tenant: Tenant,
    services: Services,
) -> tuple[Change, ...]:
    """Record the drift of a school, and return the changes that correct it before its plan is made.

    `day` is that of the school, None if its settings cannot be read.
    """
    await services.classes.write_drift(school, drifts)
    restored = await _look_up_gone(school, to_look_up(records, drifts), tenant, services)
    await services.classes.write_drift(school, restored)
    left_alone = {
        record.key
        for record in records
        if record.desired.ended or record.desired.pinned or (day and only_by_plan(record, day))
    }
    origin = Origin(school, request.run, request.cause)
    return drift_changes((*drifts, *restored), left_alone, origin)


async def _look_up_gone(
    school: SchoolId, keys: Sequence[ClassKey], tenant: Tenant, services: Services
) -> Sequence[Drift]:
    """Look classes up after they were marked gone, and return the drift of those that exist.

    A restore that is later than the look-up is in a delta whose refresh sees the mark. A class that does not exist is
    not looked up again: its row is no longer stale, unless somebody wrote it meanwhile.
    """
    restored: list[Drift] = []
    for key in keys:
        record = await services.classes.class_record(school, key)
        if record is None or record.actual is None or not record.gone:
            continue
        if await tenant.class_exists(record.actual.class_id):
            restored.append(Drift(key, stale=True, gone=False))
        else:
            with suppress(EtagConflict):
                await services.classes.write_actual(replace(record, stale=False))
    return restored
