"""A webhook that names groups reads these alone, and decides what it would decide from the whole school."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from random import Random

import pytest

from sync_core.domain.accounts import Account
from sync_core.domain.ids import MisId, RunId, SchoolId
from sync_core.domain.roster import Doubt, GroupType, MisGroup, Snapshot, SourceCount
from sync_core.domain.runs import Cause, RunOutcome
from sync_core.domain.school.settings import SchoolSettings
from sync_core.messaging.messages import SyncSchool
from sync_core.planning.naming.class_keys import class_key
from sync_core.planning.planned import PlanNotMade
from sync_core.planning.reads.kept import KeptSchool
from sync_core.planning.school_plan import plan_school
from sync_core.services import KeptSchools
from tests.builders import SCHOOL, accounts, entra_ids, teaching
from tests.fakes.memory_state import MemoryState
from tests.planning.part_scene import PUPILS, STAFF, OnlyAllRows, Scene, differences, make_scene, try_plan


def change_some(chance: Random, groups: Iterable[MisGroup], named: Iterable[str]) -> tuple[MisGroup, ...]:
    """The groups, of which those named have other people, and now and then another name, type, year or teacher."""
    changed = []
    for group in groups:
        if group.id in named:
            stay = [person for person in group.students if chance.random() > 0.15]
            come = chance.sample(PUPILS, chance.choice([0, 0, 1, 2]))
            group = replace(group, students=tuple(dict.fromkeys([*stay, *map(MisId, come)])))
            kind = chance.random()
            if kind < 0.2:
                group = replace(group, teachers=tuple(map(MisId, chance.sample(STAFF, chance.choice([0, 1, 2])))))
            elif kind < 0.25:
                continue
            elif kind < 0.4:
                group = replace(group, name=f"{group.name} again", academic_year=chance.choice([2026, 2026, 2027]))
        changed.append(group)
    return tuple(changed)


def faults_of(chance: Random) -> tuple[Doubt, tuple[SourceCount, ...]]:
    if chance.random() > 0.4:
        return Doubt(), ()
    doubt = Doubt(
        frozenset(map(MisId, chance.choice([[], ["G5"], ["", "G4"]]))),
        frozenset(map(MisId, chance.choice([[], ["p3"], [""]]))),
        frozenset((MisId(group), MisId(person)) for group, person in chance.choice([[], [("G3", "p5")], [("", "p5")]])),
    )
    left_out = chance.choice([1, 25])
    return doubt, (SourceCount(source="enrollments", left_out=left_out, rows=left_out * 100),)


async def test_groups_are_planned_alone_as_in_the_whole_school() -> None:
    """For some events after one another, of which each changes the groups that it names, and most read these alone."""
    events = alone = 0
    for seed in range(120):
        chance = Random(seed)
        scene, _ = await make_scene(MemoryState(), seed)
        expecting, _ = await make_scene(OnlyAllRows(), seed)
        scene.doubt, scene.counts = expecting.doubt, expecting.counts = faults_of(chance)
        scene.groups = (*scene.groups, *(teaching(f"H{number}", "Half", PUPILS[number::2], STAFF) for number in (0, 1)))
        scene.kept.drop(SCHOOL.id)
        await try_plan(scene, ["G1"])
        for _ in range(4):
            named = chance.sample(["G0", "G1", "G2", "G3", "Y7"], chance.choice([1, 2, 3]))
            scene.groups = expecting.groups = change_some(chance, scene.groups, named)
            scene.whole, expecting.kept = 0, KeptSchools()
            found, expected = await try_plan(scene, named), await try_plan(expecting, named)
            keys = {class_key(group) for group in scene.groups if group.id in named}
            assert differences(found, expected, keys) == [], seed
            events += found.run.outcome is RunOutcome.PLANNED
            alone += not scene.whole
    assert events > 350
    assert alone > 90


GROUPS = (
    *(teaching(f"G{number}", f"Set {number}", PUPILS[number * 5 : number * 5 + 5], ["t0"]) for number in range(6)),
    *(teaching(f"H{number}", f"Half {number}", PUPILS[number * 15 : number * 15 + 15], ["t1"]) for number in range(2)),
)


async def make_school(groups: Sequence[MisGroup] = GROUPS, **chosen: object) -> Scene:
    """A school after a night, which this worker has read since for a webhook."""
    scene = Scene(MemoryState(), **chosen)
    await scene.set_accounts([*PUPILS, *STAFF])
    await scene.run_night(groups)
    await scene.apply(map(class_key, groups))
    scene.kept.drop(SCHOOL.id)
    await scene.plan(groups[0].id)
    scene.whole = 0
    return scene


def with_group(id_: str, change: Callable[[MisGroup], MisGroup]) -> tuple[MisGroup, ...]:
    return tuple(change(group) if group.id == id_ else group for group in GROUPS)


def without(*people: str) -> Callable[[MisGroup], MisGroup]:
    return lambda group: replace(group, students=tuple(each for each in group.students if each not in people))


def and_also(*people: str) -> Callable[[MisGroup], MisGroup]:
    return lambda group: replace(group, students=(*group.students, *map(MisId, people)))


async def test_a_pupil_who_moves_is_planned_from_the_two_groups_alone() -> None:
    scene = await make_school()
    moved = {"G0": without("p0"), "G1": and_also("p0")}
    scene.groups = tuple(moved[group.id](group) if group.id in moved else group for group in GROUPS)
    planned = await scene.plan("G0", "G1")
    assert (scene.whole, scene.reads.count("class_record"), scene.read_all) == (0, 2, False)
    assert [(diff.members_removed, diff.members_added) for diff in planned.plan.diffs] == [
        (entra_ids(["p0"]), frozenset()),
        (frozenset(), entra_ids(["p0"])),
    ]


CHANGES: dict[str, Callable[[MisGroup], MisGroup]] = {
    "a pupil whom no group had": and_also("new"),
    "a teacher whom no group had": lambda group: replace(group, teachers=(*group.teachers, MisId("new"))),
    "a pupil who was only a teacher": and_also("t1"),
    "no student": lambda group: replace(group, students=()),
    "no teacher": lambda group: replace(group, teachers=()),
    "another year": lambda group: replace(group, academic_year=2027),
    "another type": lambda group: replace(group, type=GroupType.REGISTRATION),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_that_may_concern_others_reads_the_whole_school(change: str) -> None:
    scene = await make_school()
    scene.groups = with_group("G0", CHANGES[change])
    await scene.plan("G0")
    assert (scene.alone, scene.whole) == (1, 1)


async def test_a_pupil_who_leaves_two_groups_one_after_the_other_is_in_none() -> None:
    """What was read alone before counts."""
    scene = await make_school(limits={"class_loss_people": 10})
    scene.groups = with_group("G0", without("p0"))
    await scene.plan("G0")
    assert scene.whole == 0
    scene.groups = tuple(without("p0")(group) for group in GROUPS)
    await scene.plan("H0")
    assert scene.whole == 1


async def test_a_group_that_is_not_in_the_mis_any_more_is_looked_for_in_the_whole_school() -> None:
    scene = await make_school()
    scene.groups = GROUPS[1:]
    await scene.plan("G0")
    assert (scene.alone, scene.whole) == (1, 1)
    await scene.plan("G0")
    assert (scene.alone, scene.whole) == (1, 2)


async def change_accounts(scene: Scene) -> None:
    await scene.set_accounts([*PUPILS, *STAFF])


async def change_settings(scene: Scene) -> None:
    scene.settings = replace(scene.settings, admin_owners=("t2@school.onmicrosoft.com",))
    await scene.state.save_school(scene.settings)


async def forget(scene: Scene) -> None:
    scene.kept.drop(SCHOOL.id)


async def reject_a_feed(scene: Scene) -> None:
    """A feed of the whole school that cannot be trusted: what was read before it does not count any more."""
    scene.groups = ()
    with pytest.raises(PlanNotMade):
        await plan_school(SyncSchool(SCHOOL.id, RunId("whole"), Cause.ADMIN), scene.services.reading)
    scene.groups, scene.whole = GROUPS, 0


@pytest.mark.parametrize(
    ("happens", "alone"), [(change_accounts, 1), (change_settings, 0), (forget, 0), (reject_a_feed, 0)]
)
async def test_what_was_kept_counts_only_while_all_is_as_it_was(happens: Callable[[Scene], object], alone: int) -> None:
    """The accounts are read after the MIS, as for the whole school."""
    scene = await make_school()
    result = happens(scene)
    assert hasattr(result, "__await__")
    await result
    await scene.plan("G0")
    assert (scene.alone, scene.whole) == (alone, 1)
    await scene.plan("G0")
    assert (scene.alone, scene.whole) == (alone + 1, 1)


@pytest.mark.parametrize("cause", [Cause.ADMIN, Cause.FILE_DROP, Cause.NIGHTLY])
async def test_only_a_webhook_reads_groups_alone(cause: Cause) -> None:
    """An admin who resyncs a class may have corrected a person of it."""
    scene = await make_school()
    await plan_school(SyncSchool(SCHOOL.id, RunId("run"), cause, (MisId("G0"),)), scene.services.reading)
    assert (scene.alone, scene.whole) == (0, 1)


async def test_a_webhook_that_names_people_reads_the_whole_school() -> None:
    scene = await make_school()
    await scene.plan("G0", people=["p1"])
    assert (scene.alone, scene.whole) == (0, 1)


async def test_a_loss_above_a_limit_of_the_school_reads_the_whole_school() -> None:
    scene = await make_school(limits={"school_loss_people": 1, "school_loss": 0.01})
    scene.groups = with_group("G0", without("p0"))
    planned = await scene.plan("G0")
    assert (scene.alone, scene.whole, planned.run.held) == (1, 1, (class_key(GROUPS[0]),))


async def test_what_another_plan_read_meanwhile_counts() -> None:
    """A preview has read the whole school while the group was requested."""
    scene = await make_school()

    async def again(
        settings: SchoolSettings, whole: Snapshot, groups: Sequence[MisGroup]
    ) -> tuple[MisGroup, ...] | None:
        await plan_school(SyncSchool(SCHOOL.id, RunId("preview"), Cause.ADMIN), scene.services.reading)
        return await scene.again(settings, whole, groups)

    request = SyncSchool(SCHOOL.id, RunId("run"), Cause.WEBHOOK, (MisId("G0"),))
    await plan_school(request, replace(scene.services.reading, again=again))
    assert (scene.alone, scene.whole) == (1, 2)


async def test_a_school_that_might_be_rejected_is_read_as_a_whole() -> None:
    """It has a third of its enrolments less."""
    scene = await make_school(limits={"smallest_snapshot": 0.99})
    scene.groups = with_group("H0", without("p1"))
    with pytest.raises(PlanNotMade, match="under 99%"):
        await scene.plan("H0")
    assert (scene.alone, scene.whole) == (1, 1)


async def test_a_feed_with_almost_too_many_faults_is_read_as_a_whole() -> None:
    """As many faults may be too many, once a group has fewer records."""
    scene = await make_school(limits={"left_out": 0.5, "left_out_rows": 1})
    scene.counts = (SourceCount(source="enrollments", left_out=30, rows=60),)
    scene.kept.drop(SCHOOL.id)
    await scene.plan("G1")
    await scene.plan("G1")
    assert (scene.alone, scene.whole) == (1, 1)
    scene.groups = with_group("G1", without("p5"))
    await scene.plan("G1")
    assert (scene.alone, scene.whole) == (2, 2)


async def test_many_groups_that_were_read_alone_lead_to_a_reading_of_the_whole_school() -> None:
    groups = [teaching(f"K{number}", f"Set {number}", PUPILS, ["t0"]) for number in range(52)]
    scene = await make_school(groups)
    for number in range(51):
        scene.groups = tuple(without("p0")(group) for group in groups[: number + 1]) + tuple(groups[number + 1 :])
        await scene.plan(f"K{number}")
        assert scene.whole == (number == 50)


async def test_a_group_that_is_as_it_was_again_is_not_counted() -> None:
    scene = await make_school()
    for _ in range(60):
        await scene.plan("G1")
    kept = scene.kept.of(SCHOOL.id)
    assert isinstance(kept, KeptSchool)
    assert (kept.changed, scene.whole) == ({}, 0)


async def test_a_school_that_cannot_be_read_in_parts_is_not_kept() -> None:
    scene = await make_school()

    async def snapshot(settings: object, since: object = None) -> Snapshot:
        return replace(await Scene.snapshot(scene, scene.settings), origin=None)

    reading = replace(scene.services.reading, mis=type("Files", (), {"snapshot": staticmethod(snapshot)})())
    await plan_school(SyncSchool(SCHOOL.id, RunId("run"), Cause.NIGHTLY), reading)
    assert scene.kept.of(SCHOOL.id) is None


@dataclass(frozen=True)
class Sized:
    """Something kept."""

    size: int
    accounts: tuple[Account, ...] = ()


def test_the_schools_that_were_put_first_make_room() -> None:
    kept = KeptSchools(most=10)
    for number in range(5):
        kept.put(SchoolId(f"S{number}"), Sized(3))
    assert [number for number in range(5) if kept.of(SchoolId(f"S{number}"))] == [2, 3, 4]
    kept.put(SchoolId("S2"), Sized(4))
    kept.put(SchoolId("S5"), Sized(3))
    assert [number for number in range(6) if kept.of(SchoolId(f"S{number}"))] == [2, 4, 5]
    kept.put(SchoolId("large"), Sized(11))
    assert kept.of(SchoolId("large")) is None


def test_the_accounts_of_many_tenants_make_room_too() -> None:
    """Those of one tenant are the same for all its schools, and may be any number."""
    kept, tenant = KeptSchools(most_accounts=10), tuple(accounts(PUPILS[:6]))
    for number in range(3):
        kept.put(SchoolId(f"S{number}"), Sized(1, tenant))
    assert all(kept.of(SchoolId(f"S{number}")) for number in range(3))
    kept.put(SchoolId("other"), Sized(1, tuple(accounts(PUPILS[:5]))))
    assert [number for number in range(3) if kept.of(SchoolId(f"S{number}"))] == []
    kept.put(SchoolId("large"), Sized(1, tuple(accounts(PUPILS))))
    assert (kept.of(SchoolId("other")), bool(kept.of(SchoolId("large")))) == (None, True)
