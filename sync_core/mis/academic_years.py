"""Today in a school, and the years of its sessions. An academic year is the calendar year in which it starts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, tzinfo
from heapq import heappop, heappush
from zoneinfo import ZoneInfo

from sync_core.domain.school.settings import SchoolChoices
from sync_core.domain.school.year import LEAD, academic_year_of
from sync_core.mis.budget import FIRST_YEAR, LAST_YEAR
from sync_core.mis.rows import nearest

_SCHOOL_YEAR = "schoolyear"
_UK = ZoneInfo("Europe/London")
_YEARS = re.compile(r"(\d{4})(?:\s*[-/–]\s*(\d{2}|\d{4}))?")


@dataclass(frozen=True, slots=True)
class Calendar:
    """The day that it is in a school, the month (1 to 12) in which its academic year begins, and its time zone.

    `coming_year` is an academic year that begins on the day `coming_starts`, and whose classes count from the day
    `coming_from` on, before it starts.
    """

    today: date
    first_month: int = 9
    zone: tzinfo = _UK
    coming_year: int = 0
    coming_from: date = date.max
    coming_starts: date = date.max

    @property
    def current_year(self) -> int:
        return academic_year_of(self.today, self.first_month)

    def counts_from(self, year: int) -> date:
        """The day from which classes of this academic year count."""
        starts = self.starts(year)
        return min(starts, self.coming_from) if year == self.coming_year else starts

    def year_of_period(self, start: date | None, end: date | None) -> int | None:
        """The academic year of most of a period, or of its start if its end is not known.

        None without a start, and if no school has classes of that year.
        """
        if start is None or date.max - start < LEAD:
            return None
        day = start + (end - start) / 2 if end and end > start else start + LEAD
        return _plausible(academic_year_of(day, self.first_month))

    def in_force(self, begin: date | None, end: date | None, academic_year: int | None = None) -> bool:
        """Whether something counts today. The last day counts, too.

        `academic_year` is that of the class of an enrolment. One that begins with the coming year counts as early as
        its class does: MISs date the enrolments of a year by its first day, and teachers come in before it.
        An end before FIRST_YEAR is none: databases write 0001-01-01, 1753-01-01 or 1900-01-01 for no date.
        """
        if begin and academic_year == self.coming_year and begin <= self.coming_starts:
            begin = min(begin, self.coming_from)
        ended = end is not None and end.year >= FIRST_YEAR and end < self.today
        return (begin is None or begin <= self.today) and not ended

    def starts(self, year: int) -> date:
        return date(year, self.first_month, 1)


def calendar_of(settings: SchoolChoices, now: datetime) -> Calendar:
    """The calendar of a school at that moment. Its coming year counts from the day on which its teachers come in."""
    dates, first_month = settings.calendar, settings.year_starts_in
    calendar = Calendar(settings.date_at(now), first_month, ZoneInfo(settings.time_zone))
    coming = dates.coming_year(first_month)
    if coming is None or dates.first_day is None or dates.teachers_in_from is None:
        return calendar
    starts = max(dates.first_day, calendar.starts(coming))
    return replace(calendar, coming_year=coming, coming_from=dates.teachers_in_from, coming_starts=starts)


@dataclass(frozen=True, slots=True)
class Session:
    """An academic session. `parent` and `school_year` are as the feed has them, dates None if it has none to read."""

    type: str
    parent: str
    school_year: str
    start: date | None
    end: date | None


def session_years(sessions: Mapping[str, Session], calendar: Calendar) -> dict[str, int | None]:
    """The academic year of each session by its id; None if nothing tells it.

    The year is that of the school year above the session, or with the same `schoolYear`, or that contains its start;
    else its own column `schoolYear`, which names the calendar year in which a school year ends (OneRoster); else that
    of its own dates.
    """
    whole = {id_: session for id_, session in sessions.items() if session.type.casefold() == _SCHOOL_YEAR}
    by_name = {year.school_year: year for year in reversed(whole.values()) if year.school_year and year.start}
    around = _first_around({session.start for session in sessions.values() if session.start}, list(whole.values()))
    tops = nearest({id_: session.parent for id_, session in sessions.items()}, whole.keys())
    years: dict[str, int | None] = {}
    for id_, session in sessions.items():
        above = whole.get(tops.get(id_, "")) or by_name.get(session.school_year)
        if above is None and session.start:
            above = around.get(session.start)
        own = calendar.year_of_period(session.start, session.end)
        found = calendar.year_of_period(above.start, above.end) if above else None
        years[id_] = found if found is not None else _year_of_column(session.school_year, own)
    return years


def year_of_class(ids: Iterable[str], years: Mapping[str, int | None]) -> int | str:
    """The one academic year of a class's sessions, or the reason why there is none."""
    known = {years[id_] for id_ in ids if years.get(id_) is not None}
    if len(known) == 1 and (year := known.pop()) is not None:
        return year
    return "names sessions of different academic years" if known else "names no session whose academic year is known"


def _first_around(days: Iterable[date], years: Sequence[Session]) -> dict[date, Session]:
    """For each day the first of the school years that contains it."""
    spans = sorted((year.start, place, year.end) for place, year in enumerate(years) if year.start and year.end)
    begun: list[tuple[int, date]] = []
    around: dict[date, Session] = {}
    following = 0
    for day in sorted(days):
        while following < len(spans) and spans[following][0] <= day:
            heappush(begun, spans[following][1:])
            following += 1
        while begun and begun[0][1] < day:
            heappop(begun)
        if begun:
            around[day] = years[begun[0][0]]
    return around


def _year_of_column(text: str, by_dates: int | None) -> int | None:
    """`2027` ends in 2027, and `2026/27` starts in 2026. Some exporters write the year of the start alone."""
    years = _YEARS.fullmatch(text.strip())
    if years is None:
        return by_dates
    named = int(years[1])
    return _plausible(named if years[2] or named == by_dates else named - 1)


def _plausible(year: int) -> int | None:
    return year if FIRST_YEAR <= year <= LAST_YEAR else None
