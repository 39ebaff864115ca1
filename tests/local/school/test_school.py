"""The generated school has the expected size, is the same for a seed, and survives a round trip."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from local.feed import read_feed
from local.school.data import SchoolData
from local.school.day import next_day
from local.school.generate import generate
from local.school.oneroster_csv import accounts, write
from sync_core.domain.ids import MisId
from sync_core.domain.roster import GroupType
from tests.mis import feeds


def test_the_same_seed_gives_the_same_school() -> None:
    assert generate() == generate()
    assert generate(1) != generate(2)


def test_the_default_is_a_secondary_school_of_a_thousand() -> None:
    school = generate()
    assert (len(school.pupils), len(school.staff)) == (1000, 75)
    assert Counter(group.homeroom for group in school.groups) == {True: 40, False: 180}
    titles = {group.title for group in school.groups}
    assert {"2S/DT1", "2SDT1", "Mon Ch", "日本語", "//", "9é/Fr1", "O'Neill Set"} <= titles
    upns = [upn.lower() for upn, _ in accounts(school)]
    assert len(set(upns)) == len(upns) == 1075
    assert all(upn.isascii() for upn in upns)


def test_a_generated_school_survives_a_round_trip(tmp_path: Path) -> None:
    for school in (generate(), next_day(generate())[0], generate(pupils=60)):
        write(school, tmp_path / "feed")
        (snapshot,) = read_feed(tmp_path / "feed", feeds.TODAY).values()
        read = {group.id: group for group in snapshot.groups}
        for group in school.groups:
            assert read[MisId(group.id)].students == group.pupils
            assert set(read[MisId(group.id)].teachers) == {staffing.teacher for staffing in group.staff}
        years = [group for group in snapshot.groups if group.type is GroupType.YEAR]
        assert sum(len(year.students) for year in years) == len(school.pupils)
        assert {group.academic_year for group in snapshot.groups} == {2026}


def test_a_day_makes_the_changes_that_it_reports() -> None:
    before = generate()
    after, story = next_day(before)
    assert (story.moved, story.joined, story.left, story.teachers_changed, story.new_groups) == (30, 5, 4, 2, 1)
    assert len(after.pupils) == len(before.pupils) + story.joined - story.left
    assert len(after.groups) == len(before.groups) + 1
    assert _count_teacher_changes(before, after) == 2
    enrolled = {pupil for group in after.groups for pupil in group.pupils}
    assert enrolled == {pupil.id for pupil in after.pupils}


def _count_teacher_changes(before: SchoolData, after: SchoolData) -> int:
    staff_after = {group.id: group.staff for group in after.groups}
    return sum(staff_after[group.id] != group.staff for group in before.groups)
