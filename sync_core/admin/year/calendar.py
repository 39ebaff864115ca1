"""The calendar of a school as a table: what happens on each date, and to how much."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sync_core.admin.overview.schools import last_plan
from sync_core.domain.classes.record import WITHOUT_CLASS, ClassOutline
from sync_core.domain.ids import SchoolId
from sync_core.domain.runs import RunRecord
from sync_core.domain.school.settings import SchoolSettings
from sync_core.planning.year.calendar import SchoolDay, school_day
from sync_core.planning.year.dates import DatedChange, YearDate, dates_of
from sync_core.services import Services

_PLANS = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class CalendarDate:
    """One date of a school's calendar, and what happens on it.

    `classes` counts the classes that it is about, and `people` those who join or leave, null where nobody does; for
    what is to come, as the last plan of the whole school knows it. `past`: it has taken effect.
    """

    name: YearDate
    day: date
    what: str
    classes: int
    people: int | None
    past: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SchoolCalendar:
    """The dates of a school in order; `today` is the day in its time zone.

    `planned_at` is the time of the last plan of the whole school, null if there is none within 30 days.
    """

    school: SchoolId
    today: date
    planned_at: datetime | None
    dates: tuple[CalendarDate, ...]


async def read_calendar(settings: SchoolSettings, services: Services) -> SchoolCalendar:
    """Reads the tables alone."""
    now = services.clock.now()
    planned = last_plan(await services.runs.runs(settings.school, now - _PLANS))
    outlines = await services.classes.class_outlines(settings.school)
    return calendar_table(settings, planned, outlines, now)


def calendar_table(
    settings: SchoolSettings, planned: RunRecord | None, outlines: Iterable[ClassOutline], now: datetime
) -> SchoolCalendar:
    """`planned` is the last plan of the whole school, and `outlines` are its classes."""
    day = school_day(settings, now)
    classes = [outline for outline in outlines if outline.state not in WITHOUT_CLASS]
    return SchoolCalendar(
        school=settings.school,
        today=day.today,
        planned_at=planned.at if planned else None,
        dates=tuple(_row(each, day, planned, classes) for each in dates_of(day)),
    )


async def dates_ahead(settings: SchoolSettings, services: Services) -> tuple[CalendarDate, ...]:
    """What large happens tomorrow. Nothing is read of a school that has no such date."""
    ahead = {each.name for each in dates_of(school_day(settings, services.clock.now())) if each.ahead}
    if not ahead:
        return ()
    return tuple(each for each in (await read_calendar(settings, services)).dates if each.name in ahead)


def _row(each: DatedChange, day: SchoolDay, planned: RunRecord | None, classes: list[ClassOutline]) -> CalendarDate:
    people = None
    match each.name:
        case YearDate.LAST_DAY | YearDate.ARCHIVE_ON:
            count = sum(day.ended is not None and one.academic_year <= day.ended for one in classes)
        case YearDate.FIRST_DAY:
            count = _of_coming(day, classes) + (planned.classes_to_make if planned else 0)
        case YearDate.TEACHERS_IN_FROM:
            count = _of_coming(day, classes) if each.past or planned is None else planned.classes_to_make
        case YearDate.PUPILS_IN_FROM:
            to_come = planned.classes_to_make + planned.classes_to_fill if planned else 0
            count = _of_coming(day, classes) if each.past else to_come
            people = planned.pupils_to_come if planned and not each.past else None
        case YearDate.PAUSE_FROM | YearDate.PAUSE_UNTIL:
            count = len(classes)
            people = planned.people_staying if planned and each.name is YearDate.PAUSE_UNTIL and not each.past else None
    return CalendarDate(name=each.name, day=each.day, what=each.what, classes=count, people=people, past=each.past)


def _of_coming(day: SchoolDay, classes: list[ClassOutline]) -> int:
    return sum(day.coming is not None and one.academic_year >= day.coming for one in classes)
