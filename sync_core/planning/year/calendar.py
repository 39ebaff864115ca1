"""What the calendar of a school says on one day. An academic year is the calendar year in which it starts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from sync_core.domain.school.settings import SchoolChoices
from sync_core.domain.school.year import LEAD, NO_CALENDAR, Pause, SchoolYear, academic_year_of


@dataclass(frozen=True, slots=True)
class SchoolDay:
    """A day in a school, with its calendar and the month (1 to 12) in which its academic year starts."""

    today: date
    calendar: SchoolYear
    first_month: int

    @property
    def coming(self) -> int | None:
        """The academic year that the calendar's first day begins; None if it has no first day."""
        return self.calendar.coming_year(self.first_month)

    @property
    def ended(self) -> int | None:
        """The academic year that the calendar's last day ends, today or later; None if it has no last day."""
        if not (last := self.calendar.last_day):
            return None
        return academic_year_of(last - LEAD, self.first_month) if self.coming is None else self.coming - 1

    def is_over(self, academic_year: int) -> bool:
        """Whether the last day of this academic year, or of a later one, has passed."""
        last = self.calendar.last_day
        return last is not None and self.ended is not None and academic_year <= self.ended and self.today > last

    @property
    def pause(self) -> Pause | None:
        """The pause that today is in."""
        since, until = self.calendar.pause_from, self.calendar.pause_until
        return self.calendar.pause if since and until and since <= self.today <= until else None

    @property
    def pupils_day(self) -> date | None:
        """When pupils come into classes of the coming year, which is not before their teachers do."""
        return self.calendar.pupils_in_from or self.calendar.teachers_in_from

    def teachers_are_in(self, academic_year: int) -> bool:
        """Whether a class of this academic year may be made, with its owners."""
        return not self._is_coming(academic_year) or _has_come(self.calendar.teachers_in_from, self.today)

    def made_from(self, academic_year: int) -> date | None:
        """The day before which a class of this academic year is not made; None if it may be made today."""
        return None if self.teachers_are_in(academic_year) else self.calendar.teachers_in_from

    def pupils_are_in(self, academic_year: int) -> bool:
        """Whether pupils may come into a class of this academic year."""
        return not self._is_coming(academic_year) or _has_come(self.pupils_day, self.today)

    def _is_coming(self, academic_year: int) -> bool:
        return self.coming is not None and academic_year >= self.coming


WITHOUT_DATES = SchoolDay(date.min, NO_CALENDAR, 1)
"""A day in a school whose calendar has no dates."""


def school_day(settings: SchoolChoices, now: datetime) -> SchoolDay:
    """The day that it is in the school's time zone."""
    return SchoolDay(settings.date_at(now), settings.calendar, settings.year_starts_in)


def in_words(day: date) -> str:
    return f"{day.day} {day:%B %Y}"


def _has_come(day: date | None, today: date) -> bool:
    return day is None or today >= day
