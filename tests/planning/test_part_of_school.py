"""A plan of some groups decides from their rows alone what it would decide from all rows of the school."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

import pytest

from sync_core.domain.accounts import AccountChange, AccountChanges
from sync_core.domain.classes.choices import ClassChoice, Follow
from sync_core.domain.classes.desired import Pin
from sync_core.domain.classes.record import ClassRecord
from sync_core.domain.ids import ClassKey, MisId, RunId, SchoolId
from sync_core.domain.roster import GroupType, MisGroup, Snapshot
from sync_core.domain.runs import Cause, Hold, HoldKind, RunOutcome
from sync_core.domain.school.settings import SchoolSettings
from sync_core.messaging.messages import SyncSchool
from sync_core.planning.naming.class_keys import class_key
from sync_core.planning.planned import PlanNotMade, SchoolPlan
from sync_core.planning.school_plan import plan_school
from sync_core.sync.school import sync_school
from tests.builders import SCHOOL, TENANT, accounts, entra_id, entra_ids, settings, snapshot, synced, teaching
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
        state._step = self._note

    async def _note(self, step: str) -> None:
        self.reads.append(step)

    async def snapshot(self, settings: SchoolSettings, since: object = None) -> Snapshot:
        return replace(snapshot(self.groups), taken_at=self.clock.now())

    @property
    def services(self) -> Any:
        return services(self.state, mis=self, tenant=MemoryTenant(), outbox=MemoryOutbox(), clock=self.clock)

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


FIELDS = ("outcome", "created", "changed", "unchanged", "held", "removals", "groups", "gone", "ended", "ownerless")
PEOPLE = ("numbered", "people_without_account", "people_disabled", "people_ambiguous", "teams_made", "withheld")


async def try_plan(scene: Scene, groups: Iterable[str]) -> SchoolPlan:
    try:
        return await scene.plan(*groups)
    except PlanNotMade as reason:
        return reason.planned


async def test_a_part_is_planned_as_with_all_rows() -> None:
    """And for most events the rows of the groups are enough."""
    parts = planned = 0
    for seed in range(250):
        scene, groups = await make_scene(MemoryState(), seed)
        with_all, _ = await make_scene(OnlyAllRows(), seed)
        found, expected = await try_plan(scene, groups), await try_plan(with_all, groups)
        assert with_all.read_all or expected.run.outcome is not RunOutcome.PLANNED
        keys = {class_key(group) for group in scene.groups if group.id in groups}
        assert found.plan == expected.plan, seed
        assert found.teams == expected.teams
        assert holds_of(found, keys) == holds_of(expected, keys), seed
        for name in FIELDS + PEOPLE:
            assert getattr(found.run, name, None) == getattr(expected.run, name, None), (seed, name)
        planned += found.run.outcome is RunOutcome.PLANNED
        parts += not scene.read_all
    assert planned > 200
    assert parts > 80


GROUPS = [teaching(f"G{number}", f"Set {number}", PUPILS[number * 5 : number * 5 + 5], ["t0"]) for number in range(6)]


async def make_school(**limits: object) -> Scene:
    scene = Scene(MemoryState(), limits=limits)
    await scene.set_accounts([*PUPILS, *STAFF])
    await scene.run_night(GROUPS)
    await scene.apply(map(class_key, GROUPS))
    return scene


def without(*pupils: str) -> tuple[MisGroup, ...]:
    return tuple(replace(each, students=tuple(set(each.students) - {*map(MisId, pupils)})) for each in GROUPS)


async def test_a_small_change_reads_the_rows_of_its_groups() -> None:
    scene = await make_school()
    scene.groups = without("p0", "p7")
    planned = await scene.plan("G0", "G1")
    assert (scene.read_all, scene.reads.count("class_record")) == (False, 2)
    assert [diff.members_removed for diff in planned.plan.diffs] == [entra_ids(["p0"]), entra_ids(["p7"])]


@pytest.mark.parametrize(
    ("groups", "people"),
    [(["G0"], ["p1"]), (["G0", "not there"], []), (["new"], []), ([f"G{number}" for number in range(51)], [])],
    ids=["people", "group that is not in the MIS", "group without a class", "many groups"],
)
async def test_all_rows_are_read_where_those_of_the_groups_are_not_enough(groups: list[str], people: list[str]) -> None:
    scene = await make_school()
    scene.groups = (*GROUPS, teaching("new", "Set 0", ["p1"], ["t0"]))
    await scene.plan(*groups, people=people)
    assert scene.read_all


async def test_a_loss_that_all_memberships_may_allow_is_compared_with_all() -> None:
    """Two of five is over 10% of the class, and not of the school's thirty."""
    scene = await make_school(school_loss_people=2, school_loss=0.1)
    scene.groups = without("p0", "p1")
    planned = await scene.plan("G0")
    assert scene.read_all
    assert (planned.run.held, len(planned.plan.diffs[0].members_removed)) == ((), 2)
    scene.groups = without("p0", "p1", "p5", "p6")
    planned = await scene.plan("G0", "G1")
    assert planned.run.held == tuple(map(class_key, GROUPS[:2]))
    assert planned.plan.diffs == ()


async def test_people_of_other_groups_who_find_no_account_hold_a_part() -> None:
    scene = await make_school(unmatched_people=5)
    await scene.set_accounts([*PUPILS[:22], *STAFF])
    scene.groups = without("p0")
    planned = await scene.plan("G0")
    assert scene.read_all
    assert planned.matching_failed
    assert planned.plan.diffs == ()


async def test_a_row_of_another_tenant_is_no_class_of_the_group() -> None:
    scene = await make_school()
    row = await scene.state.class_record(SCHOOL.id, class_key(GROUPS[0]))
    assert row
    await scene.state.write_desired(SCHOOL.id, [replace(row.desired, tenant=str(entra_id("another tenant")))])
    planned = await scene.plan("G0")
    assert scene.read_all
    assert planned.plan.created == (class_key(GROUPS[0]),)


async def test_people_of_groups_whose_type_is_no_longer_chosen_are_counted_too() -> None:
    """Such groups keep their classes. Only all rows tell which have one, so their people may have to be counted."""
    scene = Scene(MemoryState(), types=["teaching", "year"], limits={"unmatched_people": 5})
    year = replace(teaching("Y7", "Year 7", PUPILS), type=GroupType.YEAR)
    await scene.set_accounts([*PUPILS, *STAFF])
    await scene.run_night([*GROUPS[:4], year])
    await scene.apply([*map(class_key, GROUPS[:4]), class_key(year)])
    scene.settings = replace(scene.settings, types=frozenset({GroupType.TEACHING}))
    await scene.state.save_school(scene.settings)
    await scene.set_accounts([*PUPILS[:20], *STAFF])
    planned = await scene.plan("G0")
    assert scene.read_all
    assert planned.matching_failed


async def test_a_row_of_another_year_is_no_class_of_the_group() -> None:
    """The key of a class that is reused has the year in which it was made."""
    scene = await make_school()
    row = await scene.state.class_record(SCHOOL.id, class_key(GROUPS[0]))
    assert row
    await scene.state.write_desired(SCHOOL.id, [replace(row.desired, academic_year=2027)])
    await scene.plan("G0")
    assert scene.read_all
