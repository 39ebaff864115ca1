"""One tenant brought up to date by two Graph deltas, and then its schools: the start of every night."""

from __future__ import annotations

from datetime import timedelta

from sync_core.events import Lane, RefreshTenant, SyncSchool
from sync_core.night import evenly
from sync_core.plan import Origin, drift_changes, find_drift
from sync_core.ports import Clock, DeltaKind, Outbox, StateStore, Tenant

SWEEP_EVERY = timedelta(days=7)
"""Graph's delta may leave out removals that came of a deleted account: so often every class is compared anyway."""


async def refresh_tenant(
    request: RefreshTenant, tenant: Tenant, state: StateStore, outbox: Outbox, clock: Clock, history: timedelta
) -> int:
    """Follow the accounts and the drift, then ask for a sync of each school, spread over the time the request leaves.

    Drift is told by the groups delta: from its beginning (a sweep, every class of the tenant) where the request says
    so, where the token has expired, and every SWEEP_EVERY. What was applied longer than `history` ago is forgotten. A
    paused school's drift is followed too, and acted upon when it goes on. Returns the number of schools.

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
            await outbox.send_changes(drift_changes(drifts, left_alone, origin), Lane.BULK)
    await state.write_delta_token(request.tenant, DeltaKind.GROUPS, groups.token)
    if groups.full:
        await state.write_swept(request.tenant, began)

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
    swept = await state.swept_at(request.tenant)
    if request.sweep or swept is None or clock.now() - swept >= SWEEP_EVERY:
        return None
    return await state.delta_token(request.tenant, DeltaKind.GROUPS)
