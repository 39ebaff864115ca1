"""The refresh of a tenant at the start of a night: old history, the times of each school, and full resyncs."""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from dataclasses import replace
from datetime import timedelta
from types import coroutine
from typing import Any

import pytest

from sync_core.domain.accounts import AccountChange, AccountChanges, AccountProperty, AccountTokens
from sync_core.domain.classes.outcomes import AppliedDelta
from sync_core.domain.classes.record import ClassState
from sync_core.domain.ids import ClassId, ClassKey, MisId, RunId, SchoolId
from sync_core.domain.permissions import PERMISSIONS, Grants
from sync_core.domain.runs import Cause, RunOutcome, RunRecord
from sync_core.errors import GraphDenied, Transient
from sync_core.graph.port import NewClass
from sync_core.messaging.messages import ChangeMembers, RefreshTenant, SyncSchool
from sync_core.sync.nightly import TenantBlocked, refresh_tenant
from tests.builders import NOON, TENANT, desired, entra_id, entra_ids, settings, synced
from tests.fakes.fixed_clock import FixedClock
from tests.fakes.memory_outbox import MemoryOutbox
from tests.fakes.memory_state import MemoryState
from tests.fakes.memory_tenant import MemoryTenant
from tests.fakes.services import services
from tests.properties.protocol_world import run_through

RUN = RunId("run")
K1 = ClassKey("K1")
S1 = SchoolId("S1")
NIGHT = RefreshTenant(TENANT, RUN, Cause.NIGHTLY, until=NOON + timedelta(hours=1))


async def test_old_history_is_forgotten_for_active_and_paused_schools() -> None:
    state, clock = MemoryState(), FixedClock()
    early = AppliedDelta(run=RunId("run1"), cause=Cause.NIGHTLY, at=NOON - timedelta(days=401), created=True)
    late = AppliedDelta(
        run=RunId("run2"), cause=Cause.NIGHTLY, at=NOON - timedelta(days=399), members_added=entra_ids(["amy"])
    )
    for school, enabled in (("S1", True), ("S2", False)):
        await state.save_school(replace(settings(), school=SchoolId(school), enabled=enabled))
        await state.write_desired(SchoolId(school), [desired("K1")])
        for delta in (early, late):
            record = await state.class_record(SchoolId(school), K1)
            assert record
            await state.write_actual(record, delta)
    retention = timedelta(days=400)
    await refresh_tenant(NIGHT, services(state, clock=clock), retention)
    assert [await state.history(SchoolId(school), K1) for school in ("S1", "S2")] == [(late,), (late,)]


async def test_enabled_schools_are_spread_over_the_window() -> None:
    state, outbox, clock = MemoryState(), MemoryOutbox(), FixedClock()
    for number in range(4):
        await state.save_school(replace(settings(), school=SchoolId(f"S{number}"), enabled=number != 2))
    assert await refresh_tenant(NIGHT, services(state, outbox=outbox, clock=clock), timedelta(days=1)) == 3
    assert outbox.requests == [
        (
            SyncSchool(SchoolId(f"S{number}"), RUN, Cause.NIGHTLY, until=NIGHT.until),
            NOON + timedelta(minutes=20) * place,
        )
        for place, number in enumerate((0, 1, 3))
    ]


async def test_a_full_resync_runs_when_requested_and_once_a_week() -> None:
    state, tenant, clock = MemoryState(), MemoryTenant(), FixedClock()
    await state.save_school(settings())
    full_resyncs: list[bool] = []

    async def run_night(full_resync: bool = False) -> None:
        request = RefreshTenant(TENANT, RUN, Cause.NIGHTLY, full_resync=full_resync)
        before = await state.facts(TENANT)
        await refresh_tenant(request, services(state, tenant=tenant, clock=clock), timedelta(days=400))
        full_resyncs.append(await state.facts(TENANT) != before)
        clock.advance(timedelta(days=1))

    for full_resync in (False, False, True, False, False, False, False, False, False, False, False):
        await run_night(full_resync)
    assert [day for day, was_full in enumerate(full_resyncs) if was_full] == [0, 2, 9]


async def test_a_full_resync_finds_a_removal_that_the_delta_omits() -> None:
    """Graph's delta of groups may omit the removal of a deleted account."""
    state, tenant, clock, outbox = MemoryState(), MemoryTenant(), FixedClock(), MemoryOutbox()
    await state.save_school(settings())
    for person in ("amy", "ben"):
        tenant.add_account(entra_id(person), f"{person}@school.onmicrosoft.com")
    record = synced(desired("K1", members=["amy", "ben"]))
    assert record.actual
    class_id = (await tenant.create_class(NewClass(record.actual.name, record.external_id, MisId("G")))).id
    await tenant.add_members(class_id, [entra_id("amy"), entra_id("ben")])
    await state.write_desired(S1, [record.desired])
    row = await state.class_record(S1, K1)
    assert row
    actual = replace(record.actual, class_id=class_id)
    await state.write_actual(replace(record, actual=actual, etag=row.etag))
    request = RefreshTenant(TENANT, RUN, Cause.NIGHTLY)
    fakes = services(state, tenant=tenant, outbox=outbox, clock=clock)
    await refresh_tenant(request, fakes, timedelta(days=400))
    assert outbox.changes == []
    tenant.groups[class_id].members.discard(entra_id("ben"))
    await refresh_tenant(request, fakes, timedelta(days=400))
    assert outbox.changes == []
    await refresh_tenant(replace(request, full_resync=True), fakes, timedelta(days=400))
    assert [change.key for change in outbox.changes if isinstance(change, ChangeMembers)] == ["K1"]


async def test_drift_of_a_school_whose_settings_cannot_be_read_waits_until_they_can() -> None:
    state, tenant, outbox = MemoryState(), MemoryTenant(), MemoryOutbox()
    for school in ("S1", "S2"):
        await state.save_school(replace(settings(), school=SchoolId(school)))
    class_id = await add_class_in_step(state, tenant)
    fakes = services(state, tenant=tenant, outbox=outbox)
    await refresh_tenant(NIGHT, fakes, timedelta(days=400))
    assert len(outbox.requests) == 2

    state.damage_settings(S1)
    tenant.hand_member(class_id, entra_id("amy"), present=False)
    await refresh_tenant(NIGHT, fakes, timedelta(days=400))
    assert [request.session for request, _ in outbox.requests[2:]] == ["S2"]
    row = await state.class_record(S1, K1)
    assert row
    assert (row.stale, outbox.changes) == (True, [])


async def test_without_members_in_the_delta_every_class_is_read_once_a_week() -> None:
    """Some are read each night, all within seven, and none of them is called empty."""
    state, tenant, clock, outbox = MemoryState(), MemoryTenant(), FixedClock(), MemoryOutbox()
    tenant.delta_tells_members = False
    await state.save_school(settings())
    keys = [f"K{number}" for number in range(40)]
    tenant.add_account(entra_id("amy"), "amy@school.onmicrosoft.com")
    for key in keys:
        record = synced(desired(key, members=["amy"]))
        assert record.actual
        class_id = (await tenant.create_class(NewClass(record.actual.name, record.external_id, MisId("G")))).id
        await tenant.add_members(class_id, [entra_id("amy")])
        await state.write_desired(S1, [record.desired])
        row = await state.class_record(S1, ClassKey(key))
        assert row
        await state.write_actual(replace(record, actual=replace(record.actual, class_id=class_id), etag=row.etag))
    fakes = services(state, tenant=tenant, outbox=outbox, clock=clock)
    nights: list[set[str]] = []
    for night in range(8):
        outbox.changes.clear()
        await refresh_tenant(RefreshTenant(TENANT, RunId(f"night {night}"), Cause.NIGHTLY), fakes, timedelta(days=400))
        nights.append({change.key for change in outbox.changes})
        clock.advance(timedelta(days=1))
    assert not (await state.facts(TENANT)).delta_tells_members
    assert set().union(*nights[:7]) == set(keys)
    assert sum(map(len, nights[:7])) == len(keys)
    assert nights[7] == nights[0]
    outbox.changes.clear()
    await refresh_tenant(RefreshTenant(TENANT, RUN, Cause.ADMIN, full_resync=True), fakes, timedelta(days=400))
    assert {change.key for change in outbox.changes} == set(keys)


async def test_an_interrupted_first_read_of_accounts_goes_on_where_it_stopped() -> None:
    """No school is planned with a part of the accounts."""
    state, clock, parts = MemoryState(), FixedClock(), 0

    async def crash_after_two_parts(step: str) -> None:
        nonlocal parts
        parts += step == "first_accounts answered"
        if parts == 2 and step == "first_accounts answered":
            raise Transient("the process ends", "start it again")

    tenant = MemoryTenant(step=crash_after_two_parts)
    await state.save_school(settings())
    for number in range(7):
        tenant.add_account(entra_id(f"p{number}"), f"p{number}@school.onmicrosoft.com")
    fakes = services(state, tenant=tenant, clock=clock)
    with pytest.raises(Transient):
        await refresh_tenant(NIGHT, fakes, timedelta(days=400))
    assert await state.accounts(TENANT) is None
    assert await state.account_tokens(TENANT) == AccountTokens(first="4")
    await refresh_tenant(NIGHT, fakes, timedelta(days=400))
    assert len(await state.accounts(TENANT) or ()) == 7
    assert parts == 4


async def test_a_first_read_that_stopped_too_long_ago_starts_over_and_keeps_nobody_who_left() -> None:
    state, tenant = MemoryState(), MemoryTenant()
    await state.save_school(settings())
    gone = AccountChange(entra_id("gone"), {AccountProperty.UPN: "gone@school.onmicrosoft.com"})
    await state.write_accounts(TENANT, AccountChanges(False, (gone,), frozenset(), "expired", more=True))
    tenant.add_account(entra_id("amy"), "amy@school.onmicrosoft.com")
    await refresh_tenant(NIGHT, services(state, tenant=tenant), timedelta(days=400))
    assert [account.id for account in await state.accounts(TENANT) or ()] == [entra_id("amy")]


# --- two refreshes at once, after one lost its lock


@coroutine
def _pause(step: str) -> Generator[str, None, None]:
    yield step


def run_until(step: str, refresh: Coroutine[Any, Any, int]) -> None:
    """Run a refresh until it is about to take this step."""
    while refresh.send(None) != step:
        pass


async def make_class(state: MemoryState, tenant: MemoryTenant) -> ClassId:
    """A class in step with the MIS, whose tenant was refreshed once."""
    await state.save_school(settings())
    class_id = await add_class_in_step(state, tenant)
    await refresh_tenant(NIGHT, services(state, tenant=tenant), timedelta(days=400))
    return class_id


async def add_class_in_step(state: MemoryState, tenant: MemoryTenant) -> ClassId:
    tenant.add_account(entra_id("amy"), "amy@school.onmicrosoft.com")
    record = synced(desired("K1", members=["amy"]))
    assert record.actual
    class_id = (await tenant.create_class(NewClass(record.actual.name, record.external_id, MisId("G")))).id
    await tenant.add_members(class_id, [entra_id("amy")])
    await state.write_desired(S1, [record.desired])
    row = await state.class_record(S1, K1)
    assert row
    await state.write_actual(replace(record, actual=replace(record.actual, class_id=class_id), etag=row.etag))
    return class_id


@pytest.mark.parametrize("dies", [False, True], ids=["goes on", "dies"])
def test_a_refresh_that_lost_its_lock_leaves_no_restored_class_gone(dies: bool) -> None:
    """It read the deletion, and marks the class gone after a newer refresh read the restore. Its token comes first."""
    state, tenant, outbox = MemoryState(_pause), MemoryTenant(), MemoryOutbox()
    fakes = services(state, tenant=tenant, outbox=outbox)
    class_id = run_through(make_class(state, tenant))
    tenant.hand_delete(class_id)
    older = refresh_tenant(NIGHT, fakes, timedelta(days=400))
    run_until("write_drift", older)
    tenant.hand_delete(class_id, deleted=False)
    newer = refresh_tenant(NIGHT, fakes, timedelta(days=400))
    run_until("write_groups_token", newer)
    if dies:
        run_until("write_drift answered", older)
        older.close()
    else:
        run_through(older)
    run_through(newer)
    if dies:
        run_through(refresh_tenant(NIGHT, fakes, timedelta(days=400)))
    record = run_through(state.class_record(S1, K1))
    assert record
    assert (record.gone, record.state) == (False, ClassState.CHANGED_BY_HAND)
    assert [change.key for change in outbox.changes if isinstance(change, ChangeMembers)] == [K1]


async def test_a_deleted_class_is_looked_up_once() -> None:
    calls: list[str] = []

    async def note(call: str) -> None:
        calls.append(call)

    state, tenant, outbox = MemoryState(), MemoryTenant(note), MemoryOutbox()
    tenant.hand_delete(await make_class(state, tenant))
    for _ in range(3):
        await refresh_tenant(NIGHT, services(state, tenant=tenant, outbox=outbox), timedelta(days=400))
    record = await state.class_record(S1, K1)
    assert record
    assert (record.state, record.stale) == (ClassState.GONE, False)
    assert (calls.count("class_exists"), outbox.changes) == (1, [])


# --- a tenant that lacks a permission

ROLES = frozenset(permission.name for permission in PERMISSIONS)
LACKED = {"Member.Read.Hidden", "User.Read.All"}


def make_tenant(granted: Grants | None) -> tuple[MemoryTenant, list[str]]:
    """A tenant for which the app's token carries `granted`, and the calls that Graph receives."""
    calls: list[str] = []

    async def note(call: str) -> None:
        calls.append(call)

    tenant = MemoryTenant(note)
    tenant.granted = granted
    return tenant, calls


async def test_a_tenant_that_lacks_a_permission_is_neither_read_nor_planned() -> None:
    state, outbox, (tenant, calls) = MemoryState(), MemoryOutbox(), make_tenant(Grants(ROLES - LACKED, "app"))
    for number in range(3):
        await state.save_school(replace(settings(), school=SchoolId(f"S{number}"), enabled=number != 1))
    with pytest.raises(TenantBlocked) as blocked:
        await refresh_tenant(NIGHT, services(state, tenant=tenant, outbox=outbox), timedelta(days=400))
    assert (calls, outbox.requests, outbox.changes) == ([], [], [])
    assert await state.accounts(TENANT) is None
    runs = [await state.runs(SchoolId(f"S{number}")) for number in range(3)]
    what, remedy = blocked.value.check.what, blocked.value.check.remedy
    expected = [
        RunRecord(
            school=SchoolId(f"S{number}"),
            id=RUN,
            cause=Cause.NIGHTLY,
            at=NOON,
            outcome=RunOutcome.BLOCKED,
            whole=True,
            notes=(f"{what}: nothing was planned", remedy),
        )
        for number in (0, 2)
    ]
    assert runs == [(expected[0],), (), (expected[1],)]
    assert blocked.value.runs == tuple(expected)
    assert {name for name in ROLES if name in what} == LACKED
    assert f"python infra/scripts/grant_graph.py --tenant={TENANT} --principal=app" in remedy
    assert "24 hours" in remedy


@pytest.mark.parametrize("granted", [None, Grants(ROLES - {"Group.ReadWrite.All"})], ids=["unknown", "optional"])
async def test_an_unreadable_token_or_a_missing_optional_permission_blocks_nothing(granted: Grants | None) -> None:
    state, outbox, (tenant, _) = MemoryState(), MemoryOutbox(), make_tenant(granted)
    await state.save_school(settings())
    assert await refresh_tenant(NIGHT, services(state, tenant=tenant, outbox=outbox), timedelta(days=400)) == 1
    assert [request for request, _ in outbox.requests] == [SyncSchool(S1, RUN, Cause.NIGHTLY, until=NIGHT.until)]


async def test_a_tenant_that_gives_no_token_is_blocked_and_one_that_gives_none_now_is_not() -> None:
    state, outbox, (tenant, calls) = MemoryState(), MemoryOutbox(), make_tenant(Grants(ROLES))
    await state.save_school(settings())
    tenant.no_token = GraphDenied("NoToken", "the app's identity got no token for Graph", "have the tenant consent")
    with pytest.raises(TenantBlocked) as blocked:
        await refresh_tenant(NIGHT, services(state, tenant=tenant, outbox=outbox), timedelta(days=400))
    assert (calls, outbox.requests) == ([], [])
    (run,) = await state.runs(S1)
    assert blocked.value.runs == (run,)
    assert (run.outcome, run.notes) == (
        RunOutcome.BLOCKED,
        (
            f"the app's identity got no token for tenant {TENANT}: nothing was planned",
            "have the tenant consent; the next night after that syncs the tenant",
        ),
    )
    tenant.no_token = Transient("no token for Graph could be fetched", "it is retried")
    assert await refresh_tenant(NIGHT, services(state, tenant=tenant, outbox=outbox), timedelta(days=400)) == 1
