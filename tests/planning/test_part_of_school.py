"""A plan of some groups decides from their rows alone what it would decide from all rows of the school."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sync_core.domain.ids import MisId
from sync_core.domain.roster import GroupType, MisGroup
from sync_core.domain.runs import RunOutcome
from sync_core.planning.naming.class_keys import class_key
from tests.builders import SCHOOL, entra_id, entra_ids, teaching
from tests.fakes.memory_state import MemoryState
from tests.planning.part_scene import PUPILS, STAFF, OnlyAllRows, Scene, differences, make_scene, try_plan


async def test_a_part_is_planned_as_with_all_rows() -> None:
    """And for most events the rows of the groups are enough."""
    parts = planned = 0
    for seed in range(250):
        scene, groups = await make_scene(MemoryState(), seed)
        with_all, _ = await make_scene(OnlyAllRows(), seed)
        found, expected = await try_plan(scene, groups), await try_plan(with_all, groups)
        assert with_all.read_all or expected.run.outcome is not RunOutcome.PLANNED
        keys = {class_key(group) for group in scene.groups if group.id in groups}
        assert differences(found, expected, keys) == [], seed
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
