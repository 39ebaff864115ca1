"""When the next night begins, by the schedule of its timer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, time, timedelta
from itertools import product

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS: Sequence[tuple[int, int, Sequence[str]]] = (
    (0, 59, ()), (0, 59, ()), (0, 23, ()), (1, 31, ()), (1, 12, _MONTHS), (0, 6, _DAYS),
)  # fmt: skip
_PART = re.compile(r"(?:\*|(?P<first>\w+)(?:-(?P<last>\w+))?)(?:/(?P<step>[1-9]\d*))?", re.ASCII)
_DAYS_AHEAD = 366


def next_night(schedule: str, now: datetime) -> datetime | None:
    """The first time after `now`, in UTC, of the six fields of NCRONTAB that start a night.

    The fields are second, minute, hour, day, month and day of the week, and a time matches all of them ("Timer trigger
    for Azure Functions"). None for anything else, and for a schedule without a night within a year.
    """
    fields = schedule.split()
    if len(fields) != len(_FIELDS):
        return None
    try:
        allowed = [_values(text, *field) for text, field in zip(fields, _FIELDS, strict=True)]
    except ValueError:
        return None
    seconds, minutes, hours, days, months, weekdays = map(sorted, allowed)
    for ahead in range(_DAYS_AHEAD + 1):
        day = now.date() + timedelta(days=ahead)
        if day.day not in days or day.month not in months or day.isoweekday() % 7 not in weekdays:
            continue
        for hour, minute, second in product(hours, minutes, seconds):
            at = datetime.combine(day, time(hour, minute, second), now.tzinfo)
            if at > now:
                return at
    return None


def _values(text: str, low: int, high: int, names: Sequence[str]) -> set[int]:
    """The numbers that a field allows. Raises ValueError."""
    allowed: set[int] = set()
    for part in text.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise ValueError(part)
        first = _number(match["first"], low, names) if match["first"] else low
        last = _number(match["last"], low, names) if match["last"] else first
        if match["first"] is None or (match["step"] and match["last"] is None):
            last = high
        if not low <= first <= last <= high:
            raise ValueError(part)
        allowed.update(range(first, last + 1, int(match["step"] or 1)))
    return allowed


def _number(text: str, low: int, names: Sequence[str]) -> int:
    return int(text) if text.isdecimal() else names.index(text[:3].lower()) + low
