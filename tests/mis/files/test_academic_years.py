"""The year of a session, of a class and of a year group, and what counts today."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from local.feed import read_feed
from sync_core.domain.ids import MisId, SchoolId
from sync_core.domain.roster import GroupType, Snapshot
from sync_core.mis.academic_years import Calendar, Session, calendar_of, session_years
from sync_core.mis.files.words import year_group
from tests.builders import settings
from tests.mis import feeds


@pytest.mark.parametrize(
    ("today", "first_month", "year"),
    [
        (date(2026, 8, 31), 9, 2025),
        (date(2026, 9, 1), 9, 2026),
        (date(2026, 8, 20), 8, 2026),
        (date(2026, 7, 31), 8, 2025),
        (date(2027, 1, 5), 9, 2026),
        (date(2027, 1, 5), 1, 2027),
    ],
)
def test_the_year_of_today_begins_in_the_month_of_the_school(today: date, first_month: int, year: int) -> None:
    assert Calendar(today, first_month).current_year == year


def test_today_is_the_date_in_the_time_zone_of_the_school() -> None:
    late = datetime(2026, 8, 31, 23, 30, tzinfo=UTC)
    assert calendar_of(settings(), late) == Calendar(date(2026, 9, 1), 9)
    assert calendar_of(settings(time_zone="UTC", year_starts_in=8), late) == Calendar(
        date(2026, 8, 31), 8, ZoneInfo("UTC")
    )


# type, schoolYear, start, end, the year
SESSIONS = [
    ("schoolYear", "", "2026-08-24", "2027-06-11", 2026),
    ("schoolYear", "", "2026-07-01", "2027-06-30", 2026),
    ("schoolYear", "2027", "", "", 2026),
    ("term", "2027", "2027-01-05", "2027-03-26", 2026),
    ("term", "", "2027-01-05", "2027-03-26", 2026),
    ("term", "", "2027-01-05", "", 2026),
    ("term", "", "2026-08-24", "", 2026),
    ("term", "", "2026-07-01", "", 2025),
    ("term", "2026", "2026-09-01", "2026-12-18", 2026),
    ("term", "2026/27", "", "", 2026),
    ("term", "2026-2027", "", "", 2026),
    ("term", "", "", "", None),
    ("term", "Autumn", "", "", None),
]


@pytest.mark.parametrize(("type_", "school_year", "start", "end", "year"), SESSIONS)
def test_the_year_of_a_session(type_: str, school_year: str, start: str, end: str, year: int | None) -> None:
    first, last = (date.fromisoformat(day) if day else None for day in (start, end))
    session = Session(type_, "", school_year, first, last)
    assert session_years({"T": session}, feeds.TODAY) == {"T": year}


def test_a_school_year_decides_before_a_session_of_its_own() -> None:
    year = Session("SCHOOLYEAR", "", "2027", date(2026, 9, 1), date(2027, 8, 31))
    term = Session("term", "", "", date(2027, 8, 20), None)
    for session in (replace(term, parent="Y"), replace(term, school_year="2027"), term):
        assert session_years({"Y": year, "T": session}, feeds.TODAY)["T"] == 2026
    assert session_years({"T": term}, feeds.TODAY)["T"] == 2027
    assert session_years({"T": replace(term, parent="T")}, feeds.TODAY)["T"] == 2027


@pytest.mark.parametrize(
    ("texts", "id_"),
    [
        (("07", "7", "Year 7", "year 07", "Y7", "Yr 7", "yr7", ' ["07"] '), "7"),
        (("7.0", "7th", "Yr. 7", "NC Year 7", "NCY7", "Grade 7", "7th grade", "Curriculum Year 7"), "7"),
        (("10", "Y10", "Year 10"), "10"),
        (("13+",), "13+"),
        (("7W",), "7w"),
        (("L6", "l6"), "l6"),
        (("0", "00"), "0"),
        (("N1",), "n1"),
        (("N2",), "n2"),
        (("Reception", "RECEPTION "), "reception"),
        (("S1",), "s1"),
        (("P3",), "p3"),
        (("Year 7 boarders",), "year 7 boarders"),
    ],
)
def test_one_year_group_however_it_is_written(texts: tuple[str, ...], id_: str) -> None:
    assert {year_group(text) for text in texts} == {id_}


def test_pupils_of_one_year_group_written_in_two_ways_are_together(tmp_path: Path) -> None:
    feed = feeds.oneroster()
    feed["users.csv"] = feed["users.csv"].replace("ben@else.org,10", "ben@else.org,Year 10")
    (group,) = (group for group in read(feed, tmp_path).groups if group.id.startswith("grade:"))
    assert (group.id, group.name, group.students) == ("grade:10", "10", ("p1", "p2"))


NEXT_YEAR = {
    "academicSessions.csv": "Y2,,,2027/28,schoolYear,2027-09-01,2028-08-31,,2028\n",
    "classes.csv": "N1,,,11A/Ma1,scheduled,S1,Y2\n",
    "enrollments.csv": "N1,,,N1,S1,p1,student,\n",
}


def test_classes_of_the_next_year_wait_and_touch_nothing(tmp_path: Path) -> None:
    plain = feeds.oneroster()
    feed = {name: text + NEXT_YEAR.get(name, "") for name, text in plain.items()}
    waiting, without = read(feed, tmp_path / "a"), read(plain, tmp_path / "b")
    assert waiting.groups == without.groups
    assert waiting.notes == ("1 classes of the next academic year wait until 1 September 2027",)
    assert waiting.doubt.groups == {"N1"}
    begun = read(feed, tmp_path / "a", Calendar(date(2027, 9, 1)))
    assert {group.id: group.academic_year for group in begun.groups} == {
        "C1": 2026,
        "R1": 2026,
        "N1": 2027,
        "grade:10": 2027,
    }


@pytest.mark.parametrize(
    ("day", "counts"), [(date(2027, 8, 29), False), (date(2027, 8, 30), True), (date(2027, 9, 1), True)]
)
def test_classes_of_the_next_year_count_from_the_day_of_the_schools_calendar(
    day: date, counts: bool, tmp_path: Path
) -> None:
    feed = {name: text + NEXT_YEAR.get(name, "") for name, text in feeds.oneroster().items()}
    chosen = settings(calendar={"first_day": "2027-09-02", "teachers_in_from": "2027-08-30"})
    calendar = calendar_of(chosen, datetime(day.year, day.month, day.day, 12, tzinfo=UTC))
    found = read(feed, tmp_path, calendar)
    assert ("N1" in {group.id for group in found.groups}) is counts
    assert any("wait until 30 August 2027" in note for note in found.notes) is not counts
    # The pupils have moved up to the next year group only when the year begins.
    years = {group.academic_year for group in found.groups if group.type is GroupType.YEAR}
    assert years == {2027 if day.month == 9 else 2026}


@pytest.mark.parametrize(
    ("begins", "day", "counts"),
    [
        ("2027-09-01", date(2027, 8, 29), False),
        ("2027-09-01", date(2027, 8, 30), True),
        ("2027-09-02", date(2027, 8, 30), True),
        ("2027-09-03", date(2027, 8, 30), False),
        ("2027-09-03", date(2027, 9, 3), True),
    ],
)
def test_an_enrolment_that_begins_with_the_coming_year_counts_as_early_as_its_class(
    begins: str, day: date, counts: bool, tmp_path: Path
) -> None:
    feed = {name: text + NEXT_YEAR.get(name, "") for name, text in feeds.oneroster().items()}
    first, *rest = feed["enrollments.csv"].splitlines()
    teacher = f"N2,,,N1,S1,t1,teacher,true,{begins},2028-07-21"
    others = [f"{line},," for line in rest if line.startswith("N1")]
    this_year = [f"{line},{begins}," for line in rest if line.startswith("E1")]
    feed["enrollments.csv"] = "\n".join([f"{first},beginDate,endDate", *others, *this_year, teacher, ""])
    chosen = settings(calendar={"first_day": "2027-09-02", "teachers_in_from": "2027-08-30"})
    found = read(feed, tmp_path, calendar_of(chosen, datetime(day.year, day.month, day.day, 12, tzinfo=UTC)))
    teachers = {group.id: group.teachers for group in found.groups}
    assert teachers.get(MisId("N1"), ()) == (("t1",) if counts else ())
    assert teachers[MisId("C1")] == (("t1",) if day >= date.fromisoformat(begins) else ())


def test_a_feed_of_the_next_year_alone_is_read(tmp_path: Path) -> None:
    """The MIS has rolled over before the year began."""
    early = read(feeds.oneroster(), tmp_path, Calendar(date(2026, 8, 20)))
    assert {group.academic_year for group in early.groups} == {2026}
    assert not early.notes


@pytest.mark.parametrize(
    ("today", "pupils"), [(date(2026, 9, 30), ()), (date(2026, 10, 1), ("p1",)), (date(2026, 10, 17), ())]
)
def test_an_enrolment_counts_from_its_first_to_its_last_day(
    today: date, pupils: tuple[str, ...], tmp_path: Path
) -> None:
    feed = feeds.oneroster()
    first, *rest = feed["enrollments.csv"].splitlines()
    dated = [f"{line},01/10/2026,16/10/2026" if line.startswith("E3") else f"{line},," for line in rest]
    feed["enrollments.csv"] = "\n".join([f"{first},beginDate,endDate", *dated, ""])
    snapshot = read(feed, tmp_path, Calendar(today))
    assert snapshot.groups[0].students == pupils
    assert len(snapshot.notes) == (not pupils)


TIMES = [
    ("Europe/London", "2026-07-31T23:00:00Z", date(2026, 8, 1)),
    ("Europe/London", "2026-07-31T23:00:00.0000000+00:00", date(2026, 8, 1)),
    ("Europe/London", "2026-07-31T22:59:59Z", date(2026, 7, 31)),
    ("Europe/London", "2026-08-01T00:00:00Z", date(2026, 8, 1)),
    ("Europe/London", "2026-08-01T00:00:00+01:00", date(2026, 8, 1)),
    ("Europe/London", "2026-07-31T23:59:59Z", date(2026, 7, 31)),
    ("Europe/London", "2026-07-31T23:00:00", date(2026, 7, 31)),
    ("Europe/London", "2026-12-31T23:00:00Z", date(2026, 12, 31)),
    ("America/New_York", "2026-08-01T04:00:00Z", date(2026, 8, 1)),
    ("America/New_York", "2026-08-01T00:00:00Z", date(2026, 8, 1)),
    ("Pacific/Auckland", "2026-07-31T12:00:00Z", date(2026, 8, 1)),
]


@pytest.mark.parametrize(("zone", "end", "last_day"), TIMES)
def test_an_end_with_an_offset_is_a_day_of_the_school(zone: str, end: str, last_day: date, tmp_path: Path) -> None:
    """The last day counts: a local midnight that may mean the end of the day before removes nobody early."""
    feed = feeds.oneroster()
    first, *rest = feed["enrollments.csv"].splitlines()
    dated = [f"{line},2025-10-01,{end}" if line.startswith("E3") else f"{line},," for line in rest]
    feed["enrollments.csv"] = "\n".join([f"{first},beginDate,endDate", *dated, ""])
    for number, (today, pupils) in enumerate([(last_day, ("p1",)), (last_day + timedelta(days=1), ())]):
        snapshot = read(feed, tmp_path / str(number), Calendar(today, zone=ZoneInfo(zone)))
        assert snapshot.groups[0].students == pupils


def test_the_main_teacher_is_one_of_today_and_no_assistant(tmp_path: Path) -> None:
    feed = feeds.sds_v2()
    feed["enrollments.csv"] = feed["enrollments.csv"].replace("t1,professor", "t1,teacherAssistant")
    assert read(feed, tmp_path / "v2").groups[0].teachers == ("t2", "t1")
    feed = feeds.oneroster()
    first, *rest = feed["enrollments.csv"].splitlines()
    ended = [f"{line},2026-09-01,2026-10-16" if line.startswith("E2") else f"{line},," for line in rest]
    feed["enrollments.csv"] = "\n".join([f"{first},beginDate,endDate", *ended, ""])
    assert read(feed, tmp_path / "roster").groups[0].teachers == ("t1",)


def test_the_order_of_teachers_does_not_follow_the_order_of_the_feed(tmp_path: Path) -> None:
    feed = feeds.oneroster()
    feed["enrollments.csv"] = feed["enrollments.csv"].replace("t2,teacher,true", "t2,teacher,")
    first, *rest = feed["enrollments.csv"].splitlines()
    again = feed | {"enrollments.csv": "\n".join([first, *reversed(rest), ""])}
    assert read(feed, tmp_path / "a").groups[0].teachers == read(again, tmp_path / "b").groups[0].teachers


def read(feed: feeds.Feed, folder: Path, calendar: Calendar = feeds.TODAY) -> Snapshot:
    snapshots = read_feed(feeds.write(feed, folder), calendar)
    return next(iter(snapshots.values())) if SchoolId("S1") not in snapshots else snapshots[SchoolId("S1")]
