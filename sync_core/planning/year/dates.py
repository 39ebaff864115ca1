"""The dates of a school's calendar in order, each with what happens on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from sync_core.domain.school.year import Pause, in_years
from sync_core.planning.year.calendar import SchoolDay


class YearDate(StrEnum):
    """A date of the calendar. What is last in it, the year or a pause, is over on the day after."""

    LAST_DAY = "last_day"
    FIRST_DAY = "first_day"
    PAUSE_FROM = "pause_from"
    PAUSE_UNTIL = "pause_until"
    TEACHERS_IN_FROM = "teachers_in_from"
    PUPILS_IN_FROM = "pupils_in_from"
    ARCHIVE_ON = "archive_on"


_ENDS = frozenset({YearDate.LAST_DAY, YearDate.PAUSE_UNTIL})
_LARGE = frozenset(YearDate) - {YearDate.LAST_DAY, YearDate.FIRST_DAY}


@dataclass(frozen=True, slots=True, kw_only=True)
class DatedChange:
    """A date of a calendar and what happens on it, in words. `past`: it has taken effect."""

    name: YearDate
    day: date
    what: str
    past: bool
    tomorrow: bool

    @property
    def ahead(self) -> bool:
        """Whether something large happens tomorrow."""
        return self.tomorrow and self.name in _LARGE


def dates_of(day: SchoolDay) -> tuple[DatedChange, ...]:
    """In the order in which they take effect."""
    return tuple(
        sorted(_dates_of(day), key=lambda each: (each.day, each.name in _ENDS, list(YearDate).index(each.name)))
    )


def _dates_of(day: SchoolDay) -> Iterator[DatedChange]:
    for name in YearDate:
        on: date | None = getattr(day.calendar, name)
        if on is None:
            continue
        left = (on - day.today).days + (name in _ENDS)
        yield DatedChange(name=name, day=on, what=_what(name, day), past=left <= 0, tomorrow=left == 1)


def _what(name: YearDate, day: SchoolDay) -> str:
    coming, ended = ("" if year is None else in_years(year) for year in (day.coming, day.ended))
    match name:
        case YearDate.LAST_DAY:
            return f"last day of {ended}: from the next day on, nobody joins or leaves its classes"
        case YearDate.FIRST_DAY:
            return f"first day of {coming}"
        case YearDate.PAUSE_FROM if day.calendar.pause is Pause.NOTHING:
            return "a pause begins, in which no plan is made"
        case YearDate.PAUSE_FROM:
            return "a pause begins, in which nobody leaves a class"
        case YearDate.PAUSE_UNTIL:
            return "last day of the pause: from the next day on, classes follow the MIS again"
        case YearDate.TEACHERS_IN_FROM:
            return f"classes of {coming} are made, with their owners"
        case YearDate.PUPILS_IN_FROM:
            return f"pupils come into classes of {coming}, the youngest first"
        case YearDate.ARCHIVE_ON:
            return f"a reminder to archive classes of {ended or 'the year that ended'}: the app archives none"
