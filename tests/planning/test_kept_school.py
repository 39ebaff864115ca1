"""A school that is kept: what it says of itself after groups were read again is what a whole reading would say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest

from sync_core.domain.ids import MisId
from sync_core.domain.roster import Doubt, GroupType, MisGroup, Snapshot, SourceCount
from sync_core.planning.limits.snapshot import statistics_of
from sync_core.planning.matching.everybody import Everybody, heads_of, owners_of
from sync_core.planning.membership import extracted_groups
from sync_core.planning.reads.kept import KeptSchool, WholeSchool
from tests.builders import NOON, accounts, settings, snapshot, teaching

PUPILS, STAFF = [f"p{number}" for number in range(24)], ["t0", "t1", "t2", "t3"]
LATER = NOON + timedelta(minutes=5)


def make_groups() -> tuple[MisGroup, ...]:
    """Groups of two years and each type. Everybody is in several."""
    return (
        *(
            teaching(f"G{number}", f"Set {number}", PUPILS[number::3], STAFF[number : number + 2])
            for number in range(3)
        ),
        *(replace(teaching(f"O{number}", "Old", PUPILS[number::2], STAFF), academic_year=2025) for number in range(2)),
        replace(teaching("R", "7R", PUPILS, ["t3"]), type=GroupType.REGISTRATION),
        replace(teaching("Y", "Year 7", PUPILS), type=GroupType.YEAR, academic_year=2025),
    )


def keep(groups: Iterable[MisGroup], known: Iterable[str] = (*PUPILS, *STAFF), **chosen: object) -> KeptSchool:
    """The school with these groups, of whose people these are known to Microsoft 365."""
    return keep_snapshot(snapshot(groups), known, **chosen)


def keep_snapshot(whole: Snapshot, known: Iterable[str] = (*PUPILS, *STAFF), **chosen: object) -> KeptSchool:
    school = settings(**chosen)
    everybody = Everybody.of(whole, school, accounts(known))
    return KeptSchool(WholeSchool(school, whole, statistics_of(whole), everybody))


def change(chance: Random, group: MisGroup) -> MisGroup:
    students = [person for person in group.students if chance.random() > 0.3] or group.students
    come = [person for person in map(MisId, PUPILS) if chance.random() < 0.1 and person not in students]
    teachers = tuple(map(MisId, chance.sample(STAFF, chance.choice([1, 2])))) if group.teachers else ()
    return replace(group, students=(*students, *come), teachers=teachers)


def test_statistics_and_heads_are_those_of_a_whole_reading() -> None:
    """Of the heads, at least so many people and at most so many without an account."""
    kept_alone = 0
    for seed in range(60):
        chance = Random(seed)
        types = chance.choice([["teaching"], ["teaching", "year"], ["registration"]])
        owners = chance.choice(["all", "main"])
        known = chance.sample([*PUPILS, *STAFF], 22)
        kept: KeptSchool | None = keep(make_groups(), known, types=types, teaching_owners=owners)
        groups = {group.id: group for group in make_groups()}
        for _ in range(3):
            again = [change(chance, groups[id_]) for id_ in map(MisId, chance.sample(sorted(groups), 2))]
            groups |= {group.id: group for group in again}
            kept = kept.with_groups(again) if kept else None
            if kept is None:
                break
            kept_alone += 1
            whole = snapshot(groups.values())
            assert kept.statistics(LATER) == statistics_of(replace(whole, taken_at=LATER)), seed
            everybody, school = (
                Everybody.of(whole, kept.whole.settings, kept.whole.everybody.accounts),
                kept.whole.settings,
            )
            of_types = [group for group in groups.values() if group.type in school.types]
            students = dict.fromkeys(person for group in of_types for person in group.students)
            exact = heads_of(everybody, students, owners_of(of_types, school))
            perhaps = heads_of(everybody, whole.students, owners_of(groups.values(), school))
            assert kept.heads.students.people <= exact.students.people
            assert kept.heads.staff.people <= exact.staff.people, seed
            assert kept.heads.students.unmatched >= perhaps.students.unmatched
            assert kept.heads.staff.unmatched >= perhaps.staff.unmatched, seed
            assert everybody.students == kept.whole.everybody.students
            assert everybody.staff == kept.whole.everybody.staff
    assert kept_alone > 60


def test_a_part_has_the_named_groups_with_the_people_of_the_whole_school() -> None:
    doubt = Doubt(people=frozenset([MisId("p1")]))
    counts = (SourceCount(source="enrollments", left_out=3, rows=100),)
    whole = replace(snapshot(make_groups()), doubt=doubt, counts=counts, notes=("a note",))
    kept = keep_snapshot(whole)
    assert kept.part([MisId("G1"), MisId("G0")], LATER) == replace(whole, groups=whole.groups[:2], taken_at=LATER)
    first = replace(whole.groups[0], name="Another")
    again = kept.with_groups([first])
    assert again
    part = again.part([MisId("G0")], LATER)
    assert (part.groups, part.people) == ((first,), whole.people)
    # Eight students and two teachers may have left the group.
    assert part.counts == (replace(counts[0], rows=90),)


def with_doubt(**doubt: object) -> KeptSchool:
    return keep_snapshot(replace(snapshot(make_groups()), doubt=Doubt(**doubt)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kept", "alone"),
    [
        (with_doubt(groups=frozenset(["G0"])), False),
        (with_doubt(groups=frozenset(["G1"])), True),
        (with_doubt(groups=frozenset([""])), False),
        (with_doubt(memberships=frozenset([("G0", "p1")])), False),
        (with_doubt(memberships=frozenset([("G1", "p1")])), True),
        (with_doubt(memberships=frozenset([("", "p1")])), False),
        (with_doubt(people=frozenset(["p1", ""])), True),
    ],
)
def test_a_group_in_doubt_is_not_read_alone(kept: KeptSchool, alone: bool) -> None:
    assert (kept.with_groups(make_groups()[:1]) is not None) is alone


@pytest.mark.parametrize(
    "other",
    [
        {"type": GroupType.REGISTRATION},
        {"academic_year": 2025},
        {"id": MisId("unknown")},
        {"students": ()},
        {"teachers": ()},
        {"students": (MisId("new"),)},
        {"teachers": (MisId("p1"),)},
    ],
)
def test_a_group_that_may_change_more_than_itself_is_not_read_alone(other: dict[str, object]) -> None:
    group = make_groups()[0]
    assert keep(make_groups()).with_groups([replace(group, **other)]) is None  # type: ignore[arg-type]


def test_groups_that_cannot_be_told_apart_are_not_planned_alone() -> None:
    groups = make_groups()
    assert keep(groups).named([MisId("G0"), MisId("R")]) == (groups[0], groups[5])
    assert keep((*groups, replace(groups[0], type=GroupType.REGISTRATION))).named([MisId("G0")]) == ()
    scholar_pack = keep(groups, mis="scholarpack")
    assert len(extracted_groups(scholar_pack.whole.snapshot, scholar_pack.whole.settings)) == 2
    assert scholar_pack.named([MisId("R")]) == ()
