"""The calendar of a school's year: the dates on which the rules of its classes change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Annotated

from sync_core.domain.constraints import WHOLE_FORM, Checked, CheckedWith, Meaning, UkDate

LEAD = timedelta(days=31)
"""A date within a month before an academic year belongs to it: staff begin before pupils."""
_EARLIEST, _LATEST = date(2000, 1, 1), date(2100, 12, 31)


def academic_year_of(day: date, first_month: int) -> int:
    """The calendar year in which the academic year of that day starts; `first_month` is from 1 to 12."""
    return day.year if day.month >= first_month else day.year - 1


def in_years(academic_year: int) -> str:
    """`2027/28`."""
    return f"{academic_year}/{(academic_year + 1) % 100:02}"


class Pause(StrEnum):
    """What goes on during a pause. ADDITIONS_ONLY: people join classes, and nobody leaves one. NOTHING: no plan."""

    ADDITIONS_ONLY = "additions_only"
    NOTHING = "nothing"


def _plausible(day: date | None) -> date | None:
    if day and not _EARLIEST <= day <= _LATEST:
        raise ValueError(f"should be a day from {_EARLIEST} to {_LATEST}")
    return day


def _after(other: str) -> Callable[[date | None, date | None], None]:
    def check(day: date | None, before: date | None) -> None:
        if day and before and day <= before:
            raise ValueError(f"should be after {other}")

    return check


def _not_before(other: str) -> Callable[[date | None, date | None], None]:
    def check(day: date | None, before: date | None) -> None:
        if day and before and day < before:
            raise ValueError(f"should not be before {other}")

    return check


def _needs(other: str) -> Callable[[date | None, date | None], None]:
    def check(day: date | None, needed: date | None) -> None:
        if day and not needed:
            raise ValueError(f"needs {other}; give that too, or leave this out")

    return check


def _ends_a_pause(until: date | None, since: date | None) -> None:
    if since and not until:
        raise ValueError("a pause needs its last day; give it, or leave pause_from out")
    _needs("pause_from")(until, since)


def _of_a_pause(pause: Pause, until: date | None) -> None:
    if pause is Pause.NOTHING and not until:
        raise ValueError("needs the dates of the pause; give pause_from and pause_until")


_Day = Annotated[date | None, UkDate(), Checked(_plausible)]


@dataclass(frozen=True, slots=True, kw_only=True)
class SchoolYear:
    """The dates of a school, each None where the school has none. A day begins at midnight in the school's time zone.

    The coming academic year is the one that `first_day` begins.
    """

    __pydantic_config__ = WHOLE_FORM
    last_day: Annotated[
        _Day, Meaning("Last day of the academic year; from the next day on its classes keep their people")
    ] = None
    first_day: Annotated[
        _Day, CheckedWith("last_day", _after("last_day")), Meaning("First day of the coming academic year")
    ] = None
    pause_from: Annotated[_Day, Meaning("First day of a pause")] = None
    pause_until: Annotated[
        _Day,
        CheckedWith("pause_from", _ends_a_pause),
        CheckedWith("pause_from", _not_before("pause_from")),
        Meaning("Last day of the pause"),
    ] = None
    pause: Annotated[
        Pause,
        CheckedWith("pause_until", _of_a_pause),
        Meaning("additions_only: nobody leaves a class; nothing: no plan is made"),
    ] = Pause.ADDITIONS_ONLY
    teachers_in_from: Annotated[
        _Day,
        CheckedWith("first_day", _needs("first_day")),
        Meaning("When classes of the coming year are made, with their owners"),
    ] = None
    pupils_in_from: Annotated[
        _Day,
        CheckedWith("first_day", _needs("first_day")),
        CheckedWith("teachers_in_from", _not_before("teachers_in_from")),
        Meaning("When pupils come into classes of the coming year"),
    ] = None
    archive_on: Annotated[
        _Day,
        CheckedWith("last_day", _after("last_day")),
        Meaning("When the app reminds admins to archive the classes of the year that ended; it archives nothing"),
    ] = None

    def coming_year(self, first_month: int) -> int | None:
        """The academic year that `first_day` begins; None if there is no first day."""
        return academic_year_of(self.first_day + LEAD, first_month) if self.first_day else None


NO_CALENDAR = SchoolYear()
