"""The calendar of a school as the strip of its home and as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sync_core.admin.overview.schools import Light, Sign
from sync_core.admin.year.calendar import CalendarDate, SchoolCalendar
from sync_core.http.console.formats import count
from sync_core.planning.year.calendar import in_words
from sync_core.planning.year.dates import YearDate

_SHORT = {
    YearDate.LAST_DAY: "Last day of the year",
    YearDate.FIRST_DAY: "First day of the year",
    YearDate.PAUSE_FROM: "Pause begins",
    YearDate.PAUSE_UNTIL: "Last day of the pause",
    YearDate.TEACHERS_IN_FROM: "Teachers come in",
    YearDate.PUPILS_IN_FROM: "Pupils come in",
    YearDate.ARCHIVE_ON: "Reminder to archive",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DateShown:
    """A date of the calendar: `title` in a few words, `when` as `past`, `today` or `in 3 days`."""

    day: date
    day_text: str
    title: str
    what: str
    when: Sign
    classes: str
    people: str


def dates_shown(calendar: SchoolCalendar) -> Sequence[DateShown]:
    return [_date_shown(each, calendar.today) for each in calendar.dates]


def all_past(calendar: SchoolCalendar) -> bool:
    """Whether the calendar is that of a year that is over."""
    return bool(calendar.dates) and all(each.past for each in calendar.dates)


def _date_shown(each: CalendarDate, today: date) -> DateShown:
    return DateShown(
        day=each.day,
        day_text=in_words(each.day),
        title=_SHORT[each.name],
        what=f"{each.what[:1].upper()}{each.what[1:]}.",
        when=_when(each, today),
        classes=count(each.classes),
        people="–" if each.people is None else count(each.people),
    )


def _when(each: CalendarDate, today: date) -> Sign:
    days = (each.day - today).days
    if each.past and days:
        return Sign(light=Light.GOOD, text="past")
    if days <= 0:
        return Sign(light=Light.WAITS, text="today")
    return Sign(light=Light.WAITS, text="tomorrow" if days == 1 else f"in {count(days, 'day')}")
