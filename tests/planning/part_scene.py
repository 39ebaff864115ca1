"""A school whose groups change at random, planned through memory: what a plan of some groups reads and decides."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from datetime import timedelta
from random import Random
from typing import Any

from sync_core.domain.accounts import AccountChange, AccountChanges
from sync_core.domain.classes.choices import ClassChoice, Follow
from sync_core.domain.classes.desired import Pin
from sync_core.domain.classes.record import ClassRecord
from sync_core.domain.ids import ClassKey, MisId, RunId, SchoolId
from sync_core.domain.roster import Doubt, GroupType, MisGroup, Snapshot, SourceCount
from sync_core.domain.runs import Cause, Hold, HoldKind
from sync_core.domain.school.settings import SchoolSettings
from sync_core.messaging.messages import SyncSchool
from sync_core.planning.planned import PlanNotMade, SchoolPlan
from sync_core.planning.school_plan import plan_school
from sync_core.services import KeptSchools, Services
from sync_core.sync.school import sync_school
from tests.builders import SCHOOL, TENANT, accounts, entra_ids, settings, snapshot, synced, teaching
from tests.fakes.fixed_clock import FixedClock
from tests.fakes.memory_outbox import MemoryOutbox
from tests.fakes.memory_state import MemoryState
from tests.fakes.memory_tenant import MemoryTenant
from tests.fakes.services import services

PUPILS, STAFF = [f"p{number}" for number in range(30)], ["t0", "t1", "t2"]


class OnlyAllRows(MemoryState):
    """Has no row by itself, so that every plan reads all rows."""

    async def class_record(self, school: SchoolId, key: ClassKey) -> ClassRecord | None:
        return None


class Scene:
    """A school in `state`, and what its MIS has now."""

    def __init__(self, state: MemoryState, **chosen: object) -> None:
        self.state, self.clock, self.reads = state, FixedClock(), list[str]()
        self.settings = settings(**chosen)
        self.groups: tuple[MisGroup, ...] = ()
        self.doubt, self.counts = Doubt(), tuple[SourceCount, ...]()
        self.kept, self.alone, self.whole = KeptSchools(), 0, 0
        state._step = self._note

    async def _note(self, step: str) -> None:
        self.reads.append(step)

    async def snapshot(self, settings: SchoolSettings, since: object = None) -> Snapshot:
        self.whole += 1
        read = replace(snapshot(self.groups), taken_at=self.clock.now(), origin=self)
        return replace(read, doubt=self.doubt, counts=self.counts)

    async def again(
        self, settings: SchoolSettings, whole: Snapshot, groups: Sequence[MisGroup]
    ) -> tuple[MisGroup, ...] | None:
        self.alone += 1
        now = {group.id: group for group in self.groups}
        return tuple(now[group.id] for group in groups) if {group.id for group in groups} <= now.keys() else None

    @property
    def services(self) -> Services:
        tenant, outbox = MemoryTenant(), MemoryOutbox()
        made = services(self.state, mis=self, tenant=tenant, outbox=outbox, clock=self.clock)
        return replace(made, reading=replace(made.reading, again=self.again, kept=self.kept))

    async def set_accounts(self, people: Iterable[str]) -> None:
        known = tuple(AccountChange(each.id, each.values) for each in accounts(people))
        await self.state.write_accounts(TENANT, AccountChanges(True, known, frozenset(), "t"))

    async def run_night(self, groups: Iterable[MisGroup], run: str = "night") -> None:
        self.clock.advance(timedelta(days=1))
        self.groups = tuple(groups)
        await self.state.save_school(self.settings)
        await sync_school(SyncSchool(SCHOOL.id, RunId(run), Cause.NIGHTLY), self.services)

    async def apply(self, keys: Iterable[ClassKey]) -> None:
        """Make the classes in Microsoft 365 what their rows want."""
        rows = {row.key: row for row in await self.state.class_records(SCHOOL.id)}
        for key in keys:
            await self.state.write_actual(replace(rows[key], actual=synced(rows[key].desired).actual, intent="x"))

    async def plan(self, *groups: str, people: Iterable[str] = ()) -> SchoolPlan:
        self.reads.clear()
        request = SyncSchool(
            SCHOOL.id, RunId("part"), Cause.WEBHOOK, tuple(map(MisId, groups)), tuple(map(MisId, people))
        )
        return await plan_school(request, self.services.reading)

    @property
    def read_all(self) -> bool:
        return "class_records" in self.reads


def random_groups(chance: Random, known: Iterable[MisGroup] = ()) -> list[MisGroup]:
    """Groups that differ a little, or much, from the known ones."""
    groups = list(known) or [
        teaching(f"G{number}", chance.choice(["7A", "7B", f"Set {number}"]), chance.sample(PUPILS, 6), STAFF[:1])
        for number in range(6)
    ]
    if not known:
        return [*groups, replace(teaching("Y7", "Year 7", PUPILS), type=GroupType.YEAR)]
    changed = []
    for group in groups:
        kind = chance.random()
        if kind < 0.06:
            continue
        students = list(group.students)
        if kind < 0.5 and students:
            students = students[chance.choice([1, 1, 2, 5]) :]
            students += map(MisId, chance.sample(PUPILS, chance.choice([0, 1, 3])))
        changed.append(replace(group, students=tuple(dict.fromkeys(students))))
    if chance.random() < 0.3:
        changed.append(teaching("N1", "7A", chance.sample(PUPILS, 5), STAFF[1:2]))
    return changed


async def make_scene(state: MemoryState, seed: int) -> tuple[Scene, tuple[str, ...]]:
    """A school after two nights and some changes, and the groups that an event names."""
    chance = Random(seed)
    limits = {
        "school_loss_people": chance.choice([1, 5, 100]),
        "unmatched_people": chance.choice([1, 10]),
        "smallest_snapshot": 0,
        "class_loss_people": chance.choice([2, 5]),
    }
    scene = Scene(
        state,
        limits=limits,
        types=chance.choice([["teaching"], ["teaching", "year"]]),
        rollover=chance.choice(["new", "reuse"]),
        admin_owners=chance.choice([[], ["t2@school.onmicrosoft.com"]]),
        departed_owners=chance.choice(["keep", "revoke"]),
    )
    await scene.set_accounts([*PUPILS, *STAFF])
    first = random_groups(chance)
    await scene.run_night(first, "first")
    keys = [record.key for record in await state.class_records(SCHOOL.id)]
    await scene.apply(key for key in keys if chance.random() < 0.9)
    second = random_groups(chance, first)
    if chance.random() < 0.5:
        await scene.run_night(second, "second")
    if chance.random() < 0.3:
        pinned = chance.choice(keys)
        pin = Pin(
            key=pinned, members=entra_ids(PUPILS[:4]), owners=entra_ids(["t0"]), undone=RunId("x"), run=RunId("y")
        )
        await state.write_pins(SCHOOL.id, [pin])
    if chance.random() < 0.3:
        choice = ClassChoice(
            key=chance.choice(keys), follow=chance.choice([Follow.MIS, Follow.ENDED, Follow.TWO_YEARS]), goes_into=2027
        )
        await state.write_choice(SCHOOL.id, choice)
    if chance.random() < 0.4:
        await scene.set_accounts([*chance.sample(PUPILS, chance.choice([15, 27, 29])), *STAFF])
    scene.groups = tuple(random_groups(chance, second))
    return scene, tuple(chance.sample(["G0", "G1", "G2", "G3", "Y7", "N1"], chance.choice([1, 1, 1, 2])))


def holds_of(plan: SchoolPlan, keys: Iterable[ClassKey]) -> list[tuple[HoldKind, object, object]]:
    """What is held of these classes."""
    found: list[tuple[Hold, Any]] = [(hold, part) for hold in plan.holds for part in hold.classes if part.key in keys]
    return sorted(((hold.kind, part.digest, hold.status) for hold, part in found), key=str)


def differences(found: SchoolPlan, expected: SchoolPlan, keys: Iterable[ClassKey]) -> list[str]:
    """In what two plans of these classes differ: parts of the plan, and fields of the run.

    Only a plan from all rows names the other classes whose pins differ from the MIS, or that are kept for too long.
    """
    runs = [asdict(replace(plan.run, held_because=tuple(sorted(plan.run.held_because)))) for plan in (found, expected)]
    compared = runs[0].keys() - {"pins_differ", "expired", "notes"}
    differing = [name for name in compared if runs[0][name] != runs[1][name]]
    differing += ["plan"] * (found.plan != expected.plan) + ["teams"] * (found.teams != expected.teams)
    return differing + ["holds"] * (holds_of(found, keys) != holds_of(expected, keys))


async def try_plan(scene: Scene, groups: Iterable[str]) -> SchoolPlan:
    try:
        return await scene.plan(*groups)
    except PlanNotMade as reason:
        return reason.planned
