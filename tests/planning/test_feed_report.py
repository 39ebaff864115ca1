"""What the check of a feed counts, and which rules of the limits it tells."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from sync_core.domain.ids import MisId, SchoolId
from sync_core.domain.roster import Feed, GroupType, LeftOut, MisGroup, School, Snapshot, SourceCount
from sync_core.domain.school.limits import Limits
from sync_core.planning.feed_report import GroupsOfType, Identities, YearGroup, report_on
from sync_core.planning.limits.snapshot import statistics_of
from tests.builders import NOON, SCHOOL, by_id, mis_ids, person, teaching


def year(name: str, *students: str) -> MisGroup:
    return MisGroup(
        id=MisId(f"grade:{name}"), type=GroupType.YEAR, name=name, academic_year=2026, students=mis_ids(*students)
    )


PEOPLE = by_id(
    person("amy", "amy@oak.example"),
    person("ben", "ben", "ben@oak.example"),
    person("cleo", "", "cleo@oak.example"),
    person("dora"),
    person("main", "main"),
    *(person(name, "", f"{name}@oak.example") for name in ("eve", "finn", "gus")),
)
GROUPS = (
    year("10", "amy"),
    year("7", "ben", "cleo"),
    year("R"),
    teaching("G1", "Maths", ["amy", "ben", "dora"], ["main"]),
    teaching("G2", "Art", ["amy"]),
    teaching("G3", "Music", [], ["main"], year=2025),
)
SNAPSHOT = Snapshot(
    SCHOOL,
    GROUPS,
    PEOPLE,
    NOON,
    notes=("a note",),
    feed=Feed("OneRoster 1.1 CSV", (SCHOOL, School(SchoolId("S2"), "Elm", "")), 2026),
)
ROW = LeftOut("users.csv", "line 3", "role", "2 letters", "is not a role", "correct it", SCHOOL.id)


def test_people_and_enrolments_are_counted_by_the_type_of_group() -> None:
    report = report_on(SNAPSHOT, Limits(), None)
    assert report.groups == (
        GroupsOfType(
            type=GroupType.YEAR,
            groups=3,
            students=3,
            enrolments=3,
            teachers=0,
            without_students=1,
            without_teachers=3,
        ),
        GroupsOfType(
            type=GroupType.REGISTRATION,
            groups=0,
            students=0,
            enrolments=0,
            teachers=0,
            without_students=0,
            without_teachers=0,
        ),
        GroupsOfType(
            type=GroupType.TEACHING,
            groups=3,
            students=3,
            enrolments=4,
            teachers=1,
            without_students=1,
            without_teachers=1,
        ),
    )
    assert (report.academic_years, report.current_year) == ({2025: 1, 2026: 5}, 2026)
    assert report.year_groups == (YearGroup("R", 0), YearGroup("7", 2), YearGroup("10", 1))


def test_it_shows_what_accounts_can_be_matched_with_and_no_value_of_it() -> None:
    report = report_on(SNAPSHOT, Limits(), None)
    assert report.students == Identities(people=4, with_username=2, username_is_address=1, with_email=2, with_neither=1)
    assert report.teachers == Identities(people=1, with_username=1, username_is_address=0, with_email=0, with_neither=0)
    assert report.statistics.domain == "oak.example"
    assert not any(f"{name}@" in repr(report) for name in ("amy", "ben", "cleo"))


def test_it_tells_the_format_and_the_schools_of_the_feed() -> None:
    report = report_on(SNAPSHOT, Limits(), None)
    assert (report.school, report.name, report.dfe_code) == ("S1", "Test School", "1234567")
    assert (report.format, report.notes) == ("OneRoster 1.1 CSV", ("a note",))
    assert report.schools == {"S1": "Test School", "S2": "Elm"}
    assert report.of_one_school().schools == {"S1": "Test School"}


def test_rows_that_are_left_out_are_counted_and_listed_and_below_the_limit_not_a_rejection() -> None:
    counts = (SourceCount(source="users.csv", left_out=1, rows=9), SourceCount(source="orgs.csv", left_out=0, rows=2))
    report = report_on(replace(SNAPSHOT, left_out=(ROW,), counts=counts), Limits(), None)
    assert (report.left_out_rows, report.left_out_of, report.left_out) == (1, counts[:1], (ROW,))
    assert (report.rejections, report.accepted) == ((), None)


def test_every_rule_that_a_sync_would_reject_the_feed_for_is_told_with_its_remedy() -> None:
    counts = (SourceCount(source="users.csv", left_out=30, rows=90),)
    before = replace(statistics_of(SNAPSHOT), groups=100, dfe_code="7654321", taken_at=NOON + timedelta(days=1))
    report = report_on(replace(SNAPSHOT, left_out=(ROW,), counts=counts), Limits(), before)
    rows, differs = report.rejections
    assert rows.what.startswith("30 of 90 rows of users.csv cannot be read, over 2% and over 20: users.csv line 3")
    assert "limits.left_out" in rows.remedy
    for fault in ("before the last accepted one", "its DfE code is 1234567 and was 7654321", "5 groups of 2026/27"):
        assert fault in differs.what
    assert "limits.smallest_snapshot" in differs.remedy
    assert report.accepted == before


def test_the_limits_of_the_school_decide() -> None:
    before = replace(statistics_of(SNAPSHOT), groups=8)
    assert [len(report_on(SNAPSHOT, Limits(smallest_snapshot=share), before).rejections) for share in (0.8, 0.7)] == [
        1,
        0,
    ]


@given(st.lists(st.tuples(st.sampled_from(GroupType), st.sets(st.sampled_from(sorted(PEOPLE))))))
def test_a_feed_is_never_rejected_against_itself_and_counts_add_up(groups: list[tuple[GroupType, set[MisId]]]) -> None:
    listed = tuple(
        MisGroup(id=MisId(str(number)), type=type_, name=str(number), academic_year=2026, students=tuple(students))
        for number, (type_, students) in enumerate(groups)
    )
    snapshot = replace(SNAPSHOT, groups=listed)
    report = report_on(snapshot, Limits(), statistics_of(snapshot))
    assert report.rejections == ()
    assert sum(each.groups for each in report.groups) == sum(report.academic_years.values()) == len(listed)
    assert sum(each.enrolments for each in report.groups) == report.statistics.enrolments
    assert report.students.people == report.statistics.students
