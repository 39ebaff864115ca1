"""Six-field NCRONTAB as Azure reads it: what Azure rejects is rejected first, then croniter finds the times."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from croniter import CroniterBadDateError, croniter

_FIELDS: tuple[tuple[str, int, int, Sequence[str]], ...] = (
    ("second", 0, 59, ()),
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of month", 1, 31, ()),
    ("month", 1, 12, ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]),
    ("day of week", 0, 6, ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]),
)
_PART = re.compile(r"(?:\*|(?P<first>\w+)(?:-(?P<last>\w+))?)(?:/(?P<step>\d+))?", re.ASCII)


class BadSchedule(ValueError):
    """The expression is not six fields of NCRONTAB, or can never come true; the message says which field."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a timer fires, in UTC. `numbers` is the expression without names, for croniter."""

    expression: str
    numbers: str

    def after(self, moment: datetime) -> datetime:
        """The first time after `moment`, in the zone of `moment`. Raises BadSchedule if there is none in 50 years."""
        # In NCRONTAB both day of month and day of week must match; for croniter by default one of them is enough.
        times = croniter(self.numbers, moment, ret_type=datetime, day_or=False, second_at_beginning=True)
        try:
            following: datetime = times.get_next()
        except CroniterBadDateError as error:
            raise BadSchedule(f"{self.expression!r} never comes true") from error
        return following


def parse(expression: str) -> Schedule:
    """The schedule of six fields: second, minute, hour, day of month, month, day of week. Raises BadSchedule."""
    fields = expression.split()
    if len(fields) != len(_FIELDS):
        raise BadSchedule(
            f"{expression!r} has {len(fields)} fields, not the six of NCRONTAB "
            "(second, minute, hour, day of month, month, day of week)"
        )
    numbers = [
        ",".join(_part(part, f"the {name} field {text!r}", low, high, names) for part in text.split(","))
        for text, (name, low, high, names) in zip(fields, _FIELDS, strict=True)
    ]
    schedule = Schedule(expression, " ".join(numbers))
    schedule.after(datetime(2024, 1, 1))
    return schedule


def _part(part: str, field: str, low: int, high: int, names: Sequence[str]) -> str:
    match = _PART.fullmatch(part)
    if match is None:
        raise BadSchedule(f"{field} is not NCRONTAB (numbers, names, *, lists, ranges, steps)")
    step = f"/{match['step']}" if match["step"] else ""
    if step and int(match["step"]) == 0:
        raise BadSchedule(f"{field} has a step of 0")
    ends = [_value(text, field, low, high, names) for text in (match["first"], match["last"]) if text]
    if ends != sorted(ends):
        raise BadSchedule(f"{field} has a range that runs backwards")
    if len(ends) == 2 and ends[0] == ends[1]:
        return f"{ends[0]}"  # croniter reads 5-5 as the whole cycle.
    return "-".join(map(str, ends or "*")) + step


def _value(text: str, field: str, low: int, high: int, names: Sequence[str]) -> int:
    if not text.isdigit() and text[:3].upper() not in names:
        raise BadSchedule(f"{field} holds {text!r}")
    value = int(text) if text.isdigit() else names.index(text[:3].upper()) + low
    if not low <= value <= high:
        raise BadSchedule(f"{field} holds {value}, which is not within {low} to {high}")
    return value
