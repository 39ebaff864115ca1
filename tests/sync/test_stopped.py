"""As docs/operations.md says under "Stop everything": messages that waited carry out the newest plan, not their own."""

from __future__ import annotations

from datetime import datetime, timedelta

from sync_core.applying.change import apply_change
from sync_core.domain.ids import AccountId, RunId
from sync_core.domain.roster import MisGroup, Snapshot
from sync_core.domain.runs import Cause, RunOutcome
from sync_core.domain.school.settings import SchoolSettings
from sync_core.messaging.messages import Priority, RefreshTenant, SyncSchool
from sync_core.sync.nightly import refresh_tenant
from sync_core.sync.school import sync_school
from tests.builders import SCHOOL, TENANT, entra_id, settings, snapshot, teaching
from tests.fakes.fixed_clock import FixedClock
from tests.fakes.memory_outbox import MemoryOutbox
from tests.fakes.memory_state import MemoryState
from tests.fakes.memory_tenant import MemoryTenant
from tests.fakes.services import services

RIGHT = [teaching("G1", "7X/Ma1", ["amy", "ben"], ["main"])]
WRONG = [teaching("G1", "7X/Ma1", ["amy", "cleo"], ["main"]), teaching("G2", "7Y/Ma1", ["ben"], ["main"])]


class _Mis:
    groups: list[MisGroup] = RIGHT

    async def snapshot(self, settings: SchoolSettings, since: datetime | None = None) -> Snapshot:
        return snapshot(self.groups)


class _School:
    """A school whose messages wait in `outbox` until `start`, as they do while the functions are off."""

    def __init__(self) -> None:
        self.tenant, self.outbox, self.mis, self.state = MemoryTenant(), MemoryOutbox(), _Mis(), MemoryState()
        self.services = services(self.state, tenant=self.tenant, mis=self.mis, outbox=self.outbox, clock=FixedClock())
        for person in ("amy", "ben", "cleo", "main"):
            self.tenant.add_account(entra_id(person), f"{person}@school.onmicrosoft.com")

    async def open(self) -> None:
        await self.state.save_school(settings())
        await refresh_tenant(RefreshTenant(TENANT, RunId("r"), Cause.ADMIN), self.services, timedelta(days=400))

    async def sync(self, run: str) -> RunOutcome:
        return (await sync_school(SyncSchool(SCHOOL.id, RunId(run), Cause.ADMIN), self.services)).outcome

    async def start(self) -> None:
        for change in self.outbox.changes:
            await apply_change(change, Priority.BULK, self.services)

    def members(self) -> list[set[AccountId]]:
        return [set(group.members) for group in self.tenant.groups.values()]


async def _stopped_before_a_wrong_plan_was_applied() -> _School:
    school = _School()
    await school.open()
    await school.sync("first")
    await school.start()
    school.outbox.changes.clear()
    school.mis.groups = WRONG
    assert await school.sync("wrong") is RunOutcome.PLANNED
    assert len(school.outbox.changes) == 4
    return school


async def test_after_a_corrected_plan_the_messages_of_the_wrong_one_change_nothing() -> None:
    school = await _stopped_before_a_wrong_plan_was_applied()
    before = school.members()

    school.mis.groups = RIGHT
    # The wrong feed had twice as many groups, and is what the corrected one is compared with.
    assert await school.sync("compared") is RunOutcome.REJECTED
    await school.state.write_accepted_statistics(SCHOOL.id, None)
    assert await school.sync("corrected") is RunOutcome.PLANNED
    await school.start()

    assert school.members() == before
    assert before == [{entra_id(person) for person in ("amy", "ben", "main")}]
    assert school.tenant.creates == 1


async def test_a_school_that_was_paused_first_gets_the_wrong_plan() -> None:
    school = await _stopped_before_a_wrong_plan_was_applied()
    school.mis.groups = RIGHT
    await school.state.save_school(settings(enabled=False))
    assert await school.sync("paused") is RunOutcome.PAUSED
    await school.start()
    assert {entra_id(person) for person in ("amy", "cleo", "main")} in school.members()
    assert school.tenant.creates == 2
