"""What one refresh, one plan, one row and one class cost, counted in a real run: what a nation's night multiplies.

The use cases run one after another against a simulated tenant that answers in 0.1 s and against the tables' emulator,
so that `seconds` are those that nothing holds up. A school's MIS is held in memory: to read it is not in them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from operator import add, attrgetter

from bench.ours import CollectedOutbox, TableRequests, azurite, seed_school, table_state
from bench.school import BenchSchool, make_school
from bench.simulated import SimulatedTenant
from sync_core.admin.school_settings import DEFAULT_ACCOUNT_DOMAIN
from sync_core.applying.change import apply_change
from sync_core.clock import SystemClock
from sync_core.domain.roster import MisGroup
from sync_core.domain.runs import Cause, RunOutcome, RunRecord
from sync_core.graph.connections import GraphTenants
from sync_core.messaging.messages import Priority, RefreshTenant, SyncSchool
from sync_core.state.port import StateStore
from sync_core.sync.nightly import refresh_tenant, start_night
from sync_core.sync.school import sync_school

LATENCY = 0.1
"""Seconds that each answer of Graph takes."""

_RUN = "tonight"
_NIGHTS_BEFORE = 6
_HISTORY = timedelta(days=365)
_REPEATS = 3

FIGURES = ("requests", "units", "writes", "messages", "calls", "entities", "seconds")


@dataclass(frozen=True, slots=True)
class Work:
    """Graph requests, resource units and writes; messages that bring it about; calls to Table storage and the entities
    that they read or write; seconds of a function that nothing holds up."""

    requests: float = 0.0
    units: float = 0.0
    writes: float = 0.0
    messages: float = 0.0
    calls: float = 0.0
    entities: float = 0.0
    seconds: float = 0.0

    @property
    def statistics(self) -> tuple[float, ...]:
        """In the order of FIGURES."""
        statistics: tuple[float, ...] = _figures(self)
        return statistics

    def __add__(self, other: Work) -> Work:
        return Work(*map(add, _figures(self), _figures(other)))

    def __sub__(self, other: Work) -> Work:
        return self + other * -1

    def __mul__(self, times: float) -> Work:
        return Work(*[times * visible for visible in _figures(self)])


_figures = attrgetter(*FIGURES)


@dataclass(frozen=True, slots=True)
class UnitCosts:
    """Counts of a real run, divided by what they were spent on.

    `refresh` is a tenant's, `plan` a school's with what the refresh asks the tables for each school: both where nothing
    changed, and without what is read in bulk. Those are the rows of classes, read by both, and the accounts, read by a
    plan whose process does not hold them: `class_row` and `account_row` are one more of each. `changed` is a class of
    which one pupil is replaced, `created` a class made with its people, each from the row that the plan writes to the
    row that the last of its messages writes.
    """

    refresh: Work
    plan: Work
    class_row: Work
    account_row: Work
    changed: Work
    created: Work


def measure_unit_costs(classes: tuple[int, int] = (100, 400), touched: int = 20, accounts: int = 2_000) -> UnitCosts:
    """Of two schools of so many classes in a tenant of so many accounts; `touched` classes change, as many are made.

    Raises RuntimeError where a school is not as wanted in the end, or a plan did something else.
    """
    with azurite() as tables, SimulatedTenant() as tenant:
        return asyncio.run(_measure(tenant, tables, classes, touched, accounts))


async def _measure(
    tenant: SimulatedTenant, tables: str, classes: tuple[int, int], touched: int, accounts: int
) -> UnitCosts:
    fewer, more = classes
    small, large = make_school(1, fewer, tenant.id), make_school(2, more, tenant.id)
    grown = make_school(1, fewer + touched, tenant.id)
    upns = [*grown.upns, *large.upns]
    upns += [f"leaver{number}@{DEFAULT_ACCOUNT_DOMAIN}" for number in range(accounts - len(upns))]
    ids = tenant.add_users(upns)
    async with table_state(tables) as (state, asked):
        for school in (small, large):
            await seed_school(school, school.classes(ids), tenant, state)
        ours = _Ours(tenant, state, asked)
        await ours.have_nights_before(small, large)
        tenant.switch(latency_seconds=LATENCY)

        both, with_accounts, planned_large, planned_small = await ours.quiet_nights(small, large)
        await state.forget_school(large.settings.school)
        refreshed_small = _best([await ours.refresh() for _ in range(_REPEATS)])
        await state.save_school(large.settings)
        await state.forget_school(small.settings.school)
        refreshed_large = _best([await ours.refresh() for _ in range(_REPEATS)])
        await state.save_school(small.settings)

        class_row = (planned_large - planned_small) * (1 / (more - fewer))
        refreshed_row = (refreshed_large - refreshed_small) * (1 / (more - fewer))
        refreshed_school = both - refreshed_small - refreshed_row * more
        await ours.plan(small)  # So that the accounts, which have a new version, are held again.
        created = await ours.changes(grown, touched, planned_small)
        changed_school = _with_others(grown, touched)
        changed = await ours.changes(changed_school, touched, await ours.plan(grown))
    tenant.check([*changed_school.classes(ids), *large.classes(ids)])
    return UnitCosts(
        refresh=refreshed_small - refreshed_school - refreshed_row * fewer,
        plan=planned_small - class_row * fewer + refreshed_school,
        class_row=class_row,
        account_row=(with_accounts - planned_large) * (1 / len(ids)),
        changed=changed,
        created=created,
    )


class _Ours:
    """The app's use cases in one tenant, each with what it costs."""

    def __init__(self, tenant: SimulatedTenant, state: StateStore, tables: TableRequests) -> None:
        self._tenant, self._state, self._tables = tenant, state, tables
        self._outbox, self._clock = CollectedOutbox(), SystemClock()
        credential = tenant.credential()
        self._graph = GraphTenants(lambda _: credential, tenant.graph_url, self._clock).of(tenant.id, Priority.BULK)

    async def have_nights_before(self, *schools: BenchSchool) -> None:
        """A week of runs, the last of which heard of all accounts and classes."""
        now = self._clock.now()
        for school in schools:
            for days in range(1, _NIGHTS_BEFORE + 1):
                at, name = now - timedelta(days=days), school.settings.school
                await self._state.write_run(RunRecord(name, f"{days}", Cause.NIGHTLY, at, RunOutcome.PLANNED))
        await self.refresh()
        for school in schools:
            await self.plan(school)

    async def quiet_nights(self, small: BenchSchool, large: BenchSchool) -> tuple[Work, Work, Work, Work]:
        """A refresh, the plan that reads the accounts, and one of each school that does not: the best of several."""
        nights = [
            (await self.refresh(), await self.plan(large), await self.plan(large), await self.plan(small))
            for _ in range(_REPEATS)
        ]
        refreshed, with_accounts, planned_large, planned_small = map(_best, zip(*nights, strict=True))
        return refreshed, with_accounts, planned_large, planned_small

    async def refresh(self) -> Work:
        """From the message that the timer sends."""
        await start_night(_RUN, self._state, self._outbox, self._clock, timedelta(0), _HISTORY)
        requests, self._outbox.requests = self._outbox.requests, []
        work = Work()
        for request in requests:
            assert isinstance(request, RefreshTenant)
            refresh = refresh_tenant(request, self._graph, self._state, self._outbox, self._clock, _HISTORY)
            work += replace(await self._spent(refresh), messages=1)
        self._outbox.requests = []
        return work

    async def plan(self, school: BenchSchool) -> Work:
        """A plan that finds nothing to do."""
        work = await self._plan(school)
        if self._outbox.changes:
            raise RuntimeError(f"{len(self._outbox.changes)} changes in a quiet night")
        return work

    async def changes(self, school: BenchSchool, classes: int, quiet: Work) -> Work:
        """For each of these classes: its share of what the plan does beside a quiet one, and all of its messages."""
        work = await self._plan(school) - quiet
        changes, self._outbox.changes = self._outbox.changes, []
        if len({change.key for change in changes}) != classes:
            raise RuntimeError(f"{len(changes)} changes, of other than {classes} classes")
        for change in changes:
            outcome = apply_change(change, self._state, self._graph, self._clock)
            work += replace(await self._spent(outcome), messages=1)
        return work * (1 / classes)

    async def _plan(self, school: BenchSchool) -> Work:
        """All plans are of one run, so that none finds more runs on record than another."""
        request = SyncSchool(school.settings.school, _RUN, Cause.NIGHTLY)
        plan = sync_school(request, school, self._state, self._outbox, self._clock)
        return replace(await self._spent(plan), messages=1)

    async def _spent(self, work: Awaitable[object]) -> Work:
        graph, calls, entities = self._tenant.spent(), self._tables.count, self._tables.entities
        began = time.monotonic()
        outcome = await work
        seconds = time.monotonic() - began
        spent = self._tenant.spent() - graph
        if isinstance(outcome, RunRecord) and (outcome.outcome is not RunOutcome.PLANNED or outcome.held):
            raise RuntimeError(f"not all was planned: {outcome}")
        return Work(
            requests=spent.requests,
            units=spent.units,
            writes=spent.writes,
            calls=self._tables.count - calls,
            entities=self._tables.entities - entities,
            seconds=seconds,
        )


def _best(works: Sequence[Work]) -> Work:
    """The least seconds. Raises RuntimeError where anything else differs."""
    if len({replace(work, seconds=0.0) for work in works}) != 1:
        raise RuntimeError(f"the same took otherwise: {works}")
    return min(works, key=attrgetter("seconds"))


def _with_others(school: BenchSchool, classes: int) -> BenchSchool:
    """The school when in each of its first classes one pupil has been replaced by another."""
    everybody = {pupil: None for group in school.held.groups for pupil in group.students}
    groups = [
        _with_another(group, everybody) if place < classes else group for place, group in enumerate(school.held.groups)
    ]
    return replace(school, held=replace(school.held, groups=tuple(groups)))


def _with_another(group: MisGroup, everybody: dict[str, None]) -> MisGroup:
    comes = next(pupil for pupil in everybody if pupil not in group.students)
    return replace(group, students=(*group.students[1:], comes))
