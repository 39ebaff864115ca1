"""A school whose setting `tenant` is changed: its classes are made in the new tenant, and stay in the old one."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sync_core.applying.change import apply_change
from sync_core.domain.ids import RunId
from sync_core.domain.roster import Snapshot
from sync_core.domain.runs import Cause, RunOutcome, RunRecord
from sync_core.domain.school.settings import SchoolSettings
from sync_core.messaging.messages import Change, Priority, RefreshTenant, SyncSchool
from sync_core.services import Services
from sync_core.sync.nightly import refresh_tenant
from sync_core.sync.school import sync_school
from tests.builders import SCHOOL, TENANT, entra_id, settings, snapshot, teaching
from tests.fakes.fixed_clock import FixedClock
from tests.fakes.memory_outbox import MemoryOutbox
from tests.fakes.memory_state import MemoryState
from tests.fakes.memory_tenant import MemoryTenant
from tests.fakes.services import services

NEW = "99999999-2222-4333-8444-555555555555"
PUPILS = tuple("abcdefgh")
GROUPS = [teaching(f"G{number}", f"Set {number}", PUPILS, ["main"]) for number in (1, 2)]
EVERYBODY = {entra_id(person) for person in (*PUPILS, "main")}


@dataclass
class World:
    """Two tenants with the same people, whose limits on losses are the defaults."""

    clock: FixedClock = field(default_factory=FixedClock)
    state: MemoryState = field(default_factory=MemoryState)
    outbox: MemoryOutbox = field(default_factory=MemoryOutbox)
    tenants: dict[str, MemoryTenant] = field(init=False)
    services: Services = field(init=False)

    def __post_init__(self) -> None:
        self.tenants = {id_: MemoryTenant(clock=self.clock) for id_ in (TENANT, NEW)}
        for tenant in self.tenants.values():
            for person in (*PUPILS, "main"):
                tenant.add_account(entra_id(person), f"{person}@school.onmicrosoft.com")
        self.services = services(self.state, tenant=self.tenants, mis=self, outbox=self.outbox, clock=self.clock)

    async def snapshot(self, settings: SchoolSettings, since: datetime | None = None) -> Snapshot:
        return replace(snapshot(GROUPS), taken_at=self.clock.now())

    async def save(self, tenant: str) -> None:
        await self.state.save_school(replace(settings(), tenant=tenant))

    async def plan_night(self, tenant: str) -> tuple[RunRecord, list[Change]]:
        """The run of the school, and the messages of the night."""
        self.clock.advance(timedelta(days=1))
        run = RunId(f"{self.clock.now():%d}")
        await refresh_tenant(RefreshTenant(tenant, run, Cause.NIGHTLY), self.services, timedelta(days=400))
        planned = await sync_school(SyncSchool(SCHOOL.id, run, Cause.NIGHTLY), self.services)
        changes = list(self.outbox.changes)
        self.outbox.changes.clear()
        return planned, changes

    async def apply(self, changes: list[Change]) -> None:
        for change in changes:
            await apply_change(change, Priority.BULK, self.services)

    def classes(self, tenant: str) -> list[tuple[str, set[str]]]:
        """The class of each group that is there: the nickname and its members."""
        groups = self.tenants[tenant].groups.values()
        return [(group.name.mail_nickname, {*group.members}) for group in groups if not group.deleted]


async def test_classes_of_a_school_that_moved_are_made_there_and_stay_where_they_were() -> None:
    world = World()
    await world.save(TENANT)
    _, changes = await world.plan_night(TENANT)
    await world.apply(changes)
    before, writes = world.classes(TENANT), world.tenants[TENANT].writes
    assert [members for _, members in before] == [EVERYBODY] * 2

    await world.save(NEW)
    for created, held in ((2, ()), (0, ())):
        run, changes = await world.plan_night(NEW)
        assert (run.outcome, len(run.created), run.held, run.gone, run.removals) == (
            RunOutcome.PLANNED,
            created,
            held,
            (),
            0,
        )
        await world.apply(changes)
    assert changes == []
    assert world.classes(NEW) == before
    assert (world.classes(TENANT), world.tenants[TENANT].writes) == (before, writes)
    for record in await world.state.class_records(SCHOOL.id):
        assert len(record.previous_ids & world.tenants[TENANT].groups.keys()) == 1

    await world.save(TENANT)
    _, changes = await world.plan_night(TENANT)
    await world.apply(changes)
    assert world.classes(TENANT) == world.classes(NEW) == before


async def test_what_was_planned_before_the_move_is_done_in_the_tenant_that_it_was_planned_for() -> None:
    world = World()
    await world.save(TENANT)
    _, changes = await world.plan_night(TENANT)
    await world.save(NEW)
    await world.apply(changes)
    assert [members for _, members in world.classes(TENANT)] == [EVERYBODY] * 2
    assert world.classes(NEW) == []


async def test_what_comes_after_the_first_plan_there_is_done_there_alone() -> None:
    world = World()
    await world.save(TENANT)
    _, early = await world.plan_night(TENANT)
    await world.save(NEW)
    run, late = await world.plan_night(NEW)
    await world.apply([*early, *late])
    assert world.classes(TENANT) == []
    assert [members for _, members in world.classes(NEW)] == [EVERYBODY] * 2
    assert len(run.created) == 2
