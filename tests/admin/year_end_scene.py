"""A school with classes of last year and of this one, its nights, and the year ends that its admin requests."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

from sync_core.admin.requests import Requester
from sync_core.admin.undo import request_undo, undo_run
from sync_core.admin.year.year_end import (
    end_year,
    preview_taking_back,
    preview_year_end,
    request_taking_back,
    request_year_end,
    take_back,
)
from sync_core.applying.change import apply_change
from sync_core.domain.accounts import AccountChange, AccountChanges
from sync_core.domain.classes.outcomes import Outcome
from sync_core.domain.classes.record import ClassRecord
from sync_core.domain.classes.teams import ActualTeam
from sync_core.domain.classes.year_end import YearEndFilter, YearEndOrder
from sync_core.domain.ids import ClassKey, RunId
from sync_core.domain.roster import MisGroup, Snapshot
from sync_core.domain.runs import Cause, RunRecord
from sync_core.domain.school.settings import SchoolSettings
from sync_core.messaging.messages import Change, EndYear, Priority, SyncSchool, TakeBackYearEnd, UndoRun
from sync_core.planning.naming.class_keys import class_key
from sync_core.services import Services
from sync_core.sync.school import sync_school
from tests.builders import SCHOOL, TENANT, accounts, entra_id, settings, snapshot, teaching
from tests.fakes.fixed_clock import FixedClock
from tests.fakes.memory_outbox import MemoryOutbox
from tests.fakes.memory_state import MemoryState
from tests.fakes.memory_tenant import MemoryGroup, MemoryTenant
from tests.fakes.services import services
from tests.fakes.steps import Step, no_step

PUPILS = ["amy", "ben", "cleo", "dora", "eve"]
ART = teaching("A1", "10x/Art", PUPILS, ["main"], year=2025)
MUSIC = teaching("M1", "10x/Music", PUPILS, ["second"], year=2025)
MATHS = teaching("G1", "11x/Maths", PUPILS, ["main"], year=2026)
ART_KEY, MUSIC_KEY, MATHS_KEY = class_key(ART), class_key(MUSIC), class_key(MATHS)
ADMIN = entra_id("admin")


class Mis:
    """A MIS with these groups."""

    def __init__(self, *groups: MisGroup) -> None:
        self.groups = groups

    async def snapshot(self, settings: SchoolSettings, since: datetime | None = None) -> Snapshot:
        return snapshot(self.groups)


@dataclass
class Scene:
    """Tables, queues and a tenant in memory. `sent` are the changes that were not applied yet."""

    clock: FixedClock = field(default_factory=FixedClock)
    step: Step = no_step
    state: MemoryState = field(init=False)
    outbox: MemoryOutbox = field(init=False)
    mis: Mis = field(default_factory=lambda: Mis(ART, MUSIC))
    tenant: MemoryTenant = field(init=False)
    runs: int = 0
    chosen: dict[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.state = MemoryState(self.step)
        self.outbox = MemoryOutbox(self.step)
        self.tenant = MemoryTenant(self.step, clock=self.clock)

    @property
    def services(self) -> Services:
        return services(self.state, tenant=self.tenant, mis=self.mis, outbox=self.outbox, clock=self.clock)

    @property
    def settings(self) -> SchoolSettings:
        return settings(types=["teaching"], **self.chosen)

    async def begin(self) -> None:
        """Two classes of last year, whose groups have left the MIS, and one of this year."""
        await self.state.save_school(self.settings)
        people = accounts([*PUPILS, "main", "second", "hand"])
        self.tenant.accounts |= {account.id: account for account in people}
        changes = tuple(AccountChange(account.id, account.values) for account in people)
        await self.state.write_accounts(TENANT, AccountChanges(True, changes, frozenset(), "token"))
        await self.night()
        self.mis.groups = (MATHS,)
        await self.night()

    def new_run(self) -> RunId:
        self.runs += 1
        return RunId(f"run {self.runs}")

    async def night(self) -> RunRecord:
        run = await sync_school(SyncSchool(SCHOOL.id, self.new_run(), Cause.NIGHTLY), self.services)
        await self.deliver()
        return run

    async def deliver(self) -> list[Outcome]:
        """Apply every change that is on the queue."""
        changes, self.outbox.changes = self.outbox.changes, []
        return [await self.apply(change) for change in changes]

    async def apply(self, change: Change) -> Outcome:
        return await apply_change(change, Priority.URGENT, self.services)

    async def request_end(self, order: YearEndOrder) -> EndYear:
        """The message of a year end as it is shown now."""
        shown = await preview_year_end(self.settings, order, self.services)
        requester = Requester(ADMIN, self.new_run())
        await request_year_end(self.settings, order, shown.digest, requester, self.services)
        request, _ = self.outbox.requests[-1]
        assert isinstance(request, EndYear)
        return request

    async def end(self, order: YearEndOrder) -> RunRecord:
        run = await end_year(await self.request_end(order), self.services)
        await self.deliver()
        return run

    async def take_back(self, filter_: YearEndFilter) -> RunRecord:
        shown = await preview_taking_back(self.settings, filter_, self.services)
        requester = Requester(ADMIN, self.new_run())
        await request_taking_back(self.settings, filter_, shown.digest, requester, self.services)
        request, _ = self.outbox.requests[-1]
        assert isinstance(request, TakeBackYearEnd)
        run = await take_back(request, self.services)
        await self.deliver()
        return run

    async def undo(self, run: RunId) -> RunRecord:
        await request_undo(self.settings, run, Requester(ADMIN, self.new_run()), self.services)
        request, _ = self.outbox.requests[-1]
        assert isinstance(request, UndoRun)
        undone = await undo_run(request, self.services)
        await self.deliver()
        return undone

    async def release(self, key: ClassKey) -> RunRecord:
        """Forget the pin of a class, and sync."""
        await self.state.forget_pin(SCHOOL.id, key)
        return await self.night()

    async def row(self, key: ClassKey) -> ClassRecord:
        record = await self.state.class_record(SCHOOL.id, key)
        assert record is not None
        return record

    async def group(self, key: ClassKey) -> MemoryGroup:
        actual = (await self.row(key)).actual
        assert actual is not None
        return self.tenant.groups[actual.class_id]

    async def give_team(self, key: ClassKey, team: ActualTeam) -> None:
        record = await self.row(key)
        assert record.actual is not None
        await self.state.write_actual(replace(record, actual=replace(record.actual, team=team)))
