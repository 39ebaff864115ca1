"""Which academic year a calendar ends and begins, who is in on which day, and in which order classes are filled."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from sync_core.domain.ids import MisId
from sync_core.domain.roster import GroupType, MisGroup
from sync_core.domain.school.year import Pause, SchoolYear
from sync_core.planning.diff import ClassDiff, Plan
from sync_core.planning.year.calendar import SchoolDay, school_day
from sync_core.planning.year.dates import YearDate, dates_of
from sync_core.planning.year.order import filling_order, year_number, youngest_first
from tests.builders import by_class_key, settings, teaching

JULY, SEPTEMBER = date(2027, 7, 21), date(2027, 9, 2)


def day(today: date, month: int = 9, **dates: Any) -> SchoolDay:
    return SchoolDay(today, SchoolYear(**dates), month)


@pytest.mark.parametrize(
    ("last", "first", "month", "ended", "coming"),
    [
        (JULY, SEPTEMBER, 9, 2026, 2027),
        (date(2027, 6, 25), date(2027, 8, 17), 8, 2026, 2027),
        (date(2027, 6, 25), date(2027, 8, 17), 9, 2026, 2027),  # the MIS has Scottish dates, the settings English ones
        (JULY, date(2027, 8, 31), 9, 2026, 2027),
        (date(2026, 12, 11), date(2027, 1, 27), 1, 2026, 2027),  # a year of the southern hemisphere
        (JULY, None, 9, 2026, None),
        (date(2027, 6, 25), None, 8, 2026, None),
        (date(2027, 9, 1), None, 9, 2026, None),
        (None, SEPTEMBER, 9, None, 2027),
        (None, None, 9, None, None),
    ],
)
def test_the_dates_say_which_year_ends_and_which_begins(
    last: date | None, first: date | None, month: int, ended: int | None, coming: int | None
) -> None:
    found = day(JULY, month, last_day=last, first_day=first)
    assert (found.coming, found.ended if last else None) == (coming, ended)


def test_a_year_is_over_on_the_day_after_its_last_day() -> None:
    assert not day(JULY, last_day=JULY).is_over(2026)
    after = day(date(2027, 7, 22), last_day=JULY)
    assert [after.is_over(year) for year in (2025, 2026, 2027)] == [True, True, False]
    assert not day(date(2027, 7, 22), first_day=SEPTEMBER).is_over(2026)


@pytest.mark.parametrize(
    ("dates", "teachers", "pupils"),
    [
        ({}, True, True),
        ({"teachers_in_from": date(2027, 8, 30)}, False, False),
        ({"pupils_in_from": date(2027, 8, 30)}, True, False),
        ({"teachers_in_from": date(2027, 8, 29), "pupils_in_from": date(2027, 8, 30)}, True, False),
        ({"teachers_in_from": date(2027, 8, 28), "pupils_in_from": date(2027, 8, 29)}, True, True),
    ],
)
def test_who_is_in_classes_of_the_coming_year(dates: dict[str, date], teachers: bool, pupils: bool) -> None:
    found = day(date(2027, 8, 29), 9, first_day=SEPTEMBER, **dates)
    for year in (2027, 2028):
        assert (found.teachers_are_in(year), found.pupils_are_in(year)) == (teachers, pupils)
    assert found.teachers_are_in(2026) and found.pupils_are_in(2026)
    assert replace(found, calendar=replace(found.calendar, first_day=None)).pupils_are_in(2027)


def test_today_is_the_date_in_the_time_zone_of_the_school() -> None:
    dates = {"first_day": "2027-09-02", "pupils_in_from": "2027-09-03"}
    late = datetime(2027, 9, 2, 23, 30, tzinfo=UTC)
    assert school_day(settings(calendar=dates), late).today == date(2027, 9, 3)
    assert school_day(settings(calendar=dates, time_zone="UTC"), late).today == SEPTEMBER
    assert school_day(settings(calendar=dates), late).pupils_are_in(2027)
    assert not school_day(settings(calendar=dates, time_zone="UTC"), late).pupils_are_in(2027)


def test_a_pause_has_its_first_and_its_last_day() -> None:
    dates: dict[str, Any] = {"pause_from": date(2027, 8, 1), "pause_until": date(2027, 8, 3), "pause": Pause.NOTHING}
    found = [day(date(2027, 8, each), **dates).pause for each in range(1, 5)]
    assert found == [Pause.NOTHING, Pause.NOTHING, Pause.NOTHING, None]
    assert day(date(2027, 7, 31), **dates).pause is None


def test_the_dates_are_in_the_order_in_which_they_take_effect_and_large_ones_are_told_on_the_day_before() -> None:
    dates: dict[str, Any] = {
        "last_day": JULY,
        "first_day": SEPTEMBER,
        "pause_from": JULY,
        "pause_until": date(2027, 8, 29),
        "teachers_in_from": date(2027, 8, 30),
        "pupils_in_from": SEPTEMBER,
        "archive_on": date(2027, 10, 1),
    }
    today = date(2027, 8, 29)
    found = dates_of(day(today, **dates))
    assert [each.name for each in found] == [
        YearDate.PAUSE_FROM,
        YearDate.LAST_DAY,
        YearDate.PAUSE_UNTIL,
        YearDate.TEACHERS_IN_FROM,
        YearDate.FIRST_DAY,
        YearDate.PUPILS_IN_FROM,
        YearDate.ARCHIVE_ON,
    ]
    assert [each.past for each in found] == [True, True, False, False, False, False, False]
    assert [each.name for each in found if each.ahead] == [YearDate.PAUSE_UNTIL, YearDate.TEACHERS_IN_FROM]
    eve = dates_of(day(date(2027, 9, 1), **dates))
    assert [each.name for each in eve if each.tomorrow] == [YearDate.FIRST_DAY, YearDate.PUPILS_IN_FROM]
    assert [each.name for each in eve if each.ahead] == [YearDate.PUPILS_IN_FROM]
    assert [each.what for each in eve][:1] == ["a pause begins, in which nobody leaves a class"]


# --- the youngest first


def year_group(name: str, pupils: Iterable[str]) -> MisGroup:
    return MisGroup(
        id=MisId(f"Y{name}"),
        type=GroupType.YEAR,
        name=name,
        academic_year=2027,
        students=tuple(map(MisId, pupils)),
    )


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("7", 7), ("Year 07", 7), ("Y10", 10), ("Reception", -1), ("R", -1), ("Nursery", -2), ("Sixth Form", None),
        ("2027", None),
    ],
)  # fmt: skip
def test_the_year_of_a_year_group_is_read_from_its_name(name: str, number: int | None) -> None:
    assert year_number(name) == number


GROUPS = by_class_key(
    [
        year_group("Year 7", ["amy", "ben"]),
        year_group("Year 10", ["cleo", "dan"]),
        year_group("Reception", ["eve"]),
        teaching("T1", "10A/Ma", ["cleo", "dan"], year=2027),
        teaching("T2", "7X/Ma", ["amy", "ben"], year=2027),
        teaching("T3", "Choir", ["amy", "ben", "cleo"], year=2027),
        teaching("T4", "Band", ["gus"], year=2027),
        teaching("T5", "Art", [], year=2027),
        teaching("T6", "Old", ["amy"], year=2026),
    ]
)


def test_classes_are_filled_by_the_year_group_of_most_of_their_pupils_and_then_by_name() -> None:
    order = sorted(GROUPS, key=lambda key: filling_order(GROUPS)[key])
    assert [GROUPS[key].name for key in order] == [
        "Reception", "7X/Ma", "Choir", "Old", "Year 7", "10A/Ma", "Year 10", "Art", "Band",
    ]  # fmt: skip


def test_a_plan_fills_classes_of_the_coming_year_after_all_others_and_the_youngest_first() -> None:
    plan = Plan(diffs=tuple(ClassDiff(key=key, name="", create=True) for key in sorted(GROUPS)))
    ordered = youngest_first(plan, GROUPS, day(SEPTEMBER, first_day=SEPTEMBER))
    assert [GROUPS[key].name for key in ordered.created] == [
        "Old", "Reception", "7X/Ma", "Choir", "Year 7", "10A/Ma", "Year 10", "Art", "Band",
    ]  # fmt: skip
    assert youngest_first(plan, GROUPS, day(SEPTEMBER)) == plan
