"""Exact counts of what a plan of one group reads of Azure Tables, whatever the size of its school."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from azure.data.tables.aio import TableServiceClient

from bench.planning import make_large_school
from sync_core.clock import SystemClock
from sync_core.domain.accounts import AccountChange, AccountChanges
from sync_core.domain.ids import RunId, SchoolId
from sync_core.domain.roster import MisGroup, Snapshot
from sync_core.domain.runs import Cause
from sync_core.domain.school.settings import SchoolSettings
from sync_core.messaging.messages import SyncSchool
from sync_core.planning.limits.snapshot import statistics_of
from sync_core.planning.membership import desired_classes
from sync_core.planning.school_plan import plan_school
from sync_core.services import Reading
from sync_core.state.store import TableState
from tests.builders import settings
from tests.fakes.services import services
from tests.state.wire import Wire

A_PLAN = (
    "GET schools row",  # the settings
    "GET schools row",  # the statistics of the last feed
    "GET runs",
    "GET holds",
    "GET classes",  # requests
    "GET classes",  # pins
    "GET accounts row",
    "GET classes",  # choices
)
"""Whatever is planned, on a worker that has the accounts."""


@pytest.fixture
async def state(service: TableServiceClient) -> TableState:
    state = TableState(service)
    await state.ensure_tables()
    return state


@dataclass(frozen=True, slots=True)
class Mis:
    """Implements MisSource."""

    groups: tuple[MisGroup, ...]
    whole: Snapshot

    async def snapshot(self, settings: SchoolSettings, since: datetime | None = None) -> Snapshot:
        return replace(self.whole, groups=self.groups, taken_at=datetime.now(UTC))


async def make_school(state: TableState, classes: int) -> tuple[SchoolSettings, Snapshot]:
    """A school with that many classes, as its first night leaves the tables."""
    whole, accounts = make_large_school(classes)
    chosen = replace(settings(), school=SchoolId(uuid4().hex), tenant=uuid4().hex)
    await state.save_school(chosen)
    known = tuple(AccountChange(each.id, each.values, each.enabled) for each in accounts)
    await state.write_accounts(chosen.tenant, AccountChanges(True, known, frozenset(), "t"))
    await state.write_desired(chosen.school, desired_classes(whole, chosen, accounts, {}, {}).classes)
    await state.write_accepted_statistics(chosen.school, statistics_of(whole))
    return chosen, whole


def reading_of(state: TableState, groups: tuple[MisGroup, ...], whole: Snapshot) -> Reading:
    return services(state, mis=Mis(groups, whole), clock=SystemClock()).reading


@pytest.mark.parametrize("classes", [20, 200, 1_200])
async def test_a_plan_of_one_group_reads_its_row_alone(state: TableState, wire: Wire, classes: int) -> None:
    chosen, whole = await make_school(state, classes)
    first, *others = whole.groups
    reading = reading_of(state, (replace(first, students=first.students[1:]), *others), whole)
    event = SyncSchool(chosen.school, RunId("run"), Cause.WEBHOOK, scope=(first.id,))
    await plan_school(event, reading)
    assert await wire.record(plan_school(event, reading)) == [*A_PLAN, "GET classes row"]
    night = SyncSchool(chosen.school, RunId("run"), Cause.NIGHTLY)
    pages = -(-classes // 1_000)
    assert await wire.record(plan_school(night, reading)) == [*A_PLAN, *["GET classes"] * pages]


async def test_a_plan_of_some_groups_reads_a_row_of_each(state: TableState, wire: Wire) -> None:
    chosen, whole = await make_school(state, 20)
    reading = reading_of(state, whole.groups, whole)
    event = SyncSchool(chosen.school, RunId("run"), Cause.WEBHOOK, scope=tuple(group.id for group in whole.groups[:7]))
    assert await wire.record(plan_school(event, reading)) == [*A_PLAN, *["GET classes row"] * 7]


async def test_a_plan_that_needs_all_rows_reads_them_once(state: TableState, wire: Wire) -> None:
    """The row of the group was read before: it alone would exceed a limit of the school."""
    chosen, whole = await make_school(state, 20)
    first, *others = whole.groups
    reading = reading_of(state, (replace(first, students=first.students[6:]), *others), whole)
    event = SyncSchool(chosen.school, RunId("run"), Cause.WEBHOOK, scope=(first.id,))
    assert await wire.record(plan_school(event, reading)) == [*A_PLAN, "GET classes row", "GET classes"]
