"""Today in a school, and the years of its sessions. An academic year is the calendar year in which it starts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from sync_core.domain.school import SchoolChoices

_SCHOOL_YEAR = "schoolyear"
_LEAD = timedelta(days=31)
"""A date that begins something within a month before the academic year belongs to it: staff begin before pupils."""
_YEARS = re.compile(r"(\d{4})(?:\s*[-/–]\s*(\d{2}|\d{4}))?")


@dataclass(frozen=True, slots=True)
class Calendar:
    """The day that it is in a school, and the month (1 to 12) in which its academic year begins."""

    today: date
    first_month: int = 9

    @property
    def current_year(self) -> int:
        return self._year_of(self.today)

    def year_of_period(self, start: date | None, end: date | None) -> int | None:
        """The academic year of most of a period, or of its start if its end is not known. None without a start."""
        if start is None:
            return None
        return self._year_of(start + (end - start) / 2 if end and end > start else start + _LEAD)

    def in_force(self, begin: date | None, end: date | None) -> bool:
        """Whether something counts today. The last day counts, too."""
        return (begin is None or begin <= self.today) and (end is None or self.today <= end)

    def starts(self, year: int) -> date:
        return date(year, self.first_month, 1)

    def _year_of(self, day: date) -> int:
        return day.year if day.month >= self.first_month else day.year - 1


def calendar_of(settings: SchoolChoices, now: datetime) -> Calendar:
    return Calendar(now.astimezone(ZoneInfo(settings.time_zone)).date(), settings.year_starts_in)


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
    years: dict[str, int | None] = {}
    for id_, session in sessions.items():
        above = _above(id_, sessions, whole) or _alike(session, whole.values())
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


def _above(id_: str, sessions: Mapping[str, Session], whole: Mapping[str, Session]) -> Session | None:
    seen: set[str] = set()
    while id_ in sessions and id_ not in seen:
        if id_ in whole:
            return whole[id_]
        seen.add(id_)
        id_ = sessions[id_].parent
    return None


def _alike(session: Session, whole: Iterable[Session]) -> Session | None:
    around = None
    for year in whole:
        if session.school_year and year.school_year == session.school_year and year.start:
            return year
        if session.start and year.start and year.end and year.start <= session.start <= year.end:
            around = around or year
    return around


def _year_of_column(text: str, by_dates: int | None) -> int | None:
    """`2027` ends in 2027, and `2026/27` starts in 2026. Some exporters write the year of the start alone."""
    years = _YEARS.fullmatch(text.strip())
    if years is None:
        return by_dates
    named = int(years[1])
    return named if years[2] or named == by_dates else named - 1
