"""Six-field NCRONTAB as Azure reads it. Cron libraries differ: NCRONTAB wants day of month AND day of week to match."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_FIELDS: tuple[tuple[str, int, int, tuple[str, ...]], ...] = (
    ("second", 0, 59, ()),
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of month", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day of week", 0, 6, _DAYS),
)
_PART = re.compile(r"(?P<all>\*)(?:/(?P<every>\d+))?|(?P<first>\w+)(?:-(?P<last>\w+))?(?:/(?P<step>\d+))?")
# 29 February can be eight years away, on either side of 2100.
_HORIZON_DAYS = 366 * 8


class BadSchedule(ValueError):
    """The expression is not six fields of NCRONTAB, or can never come true; the message says which field."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a timer fires, in UTC: the values allowed for each field, ascending."""

    expression: str
    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]

    def after(self, moment: datetime) -> datetime:
        """The first time later than `moment` (whose zone is kept). BadSchedule when there is none."""
        start = (moment + timedelta(seconds=1)).replace(microsecond=0)
        for ahead in range(_HORIZON_DAYS):
            day = start.date() + timedelta(days=ahead)
            if day.month not in self.months or day.day not in self.days or day.isoweekday() % 7 not in self.weekdays:
                continue
            earliest = (start.hour, start.minute, start.second) if ahead == 0 else (0, 0, 0)
            time = self._time_from(earliest)
            if time is not None:
                hour, minute, second = time
                return datetime(day.year, day.month, day.day, hour, minute, second, tzinfo=moment.tzinfo)
        raise BadSchedule(f"{self.expression!r} never comes true")

    def _time_from(self, earliest: tuple[int, int, int]) -> tuple[int, int, int] | None:
        for hour in self.hours:
            for minute in self.minutes:
                if (hour, minute, self.seconds[-1]) < earliest:
                    continue
                for second in self.seconds:
                    if (hour, minute, second) >= earliest:
                        return hour, minute, second
        return None


def parse(expression: str) -> Schedule:
    """The schedule of six fields: second, minute, hour, day of month, month, day of week. BadSchedule otherwise."""
    fields = expression.split()
    if len(fields) != len(_FIELDS):
        raise BadSchedule(
            f"{expression!r} has {len(fields)} fields, not the six of NCRONTAB "
            "(second, minute, hour, day of month, month, day of week)"
        )
    values = [_field(text, *spec) for text, spec in zip(fields, _FIELDS, strict=True)]
    seconds, minutes, hours, days, months, weekdays = values
    schedule = Schedule(
        expression,
        tuple(sorted(seconds)),
        tuple(sorted(minutes)),
        tuple(sorted(hours)),
        frozenset(days),
        frozenset(months),
        frozenset(weekdays),
    )
    schedule.after(datetime(2024, 1, 1))
    return schedule


def _field(text: str, name: str, low: int, high: int, words: tuple[str, ...]) -> set[int]:
    values: set[int] = set()
    for part in text.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise BadSchedule(f"the {name} field {text!r} is not NCRONTAB (numbers, names, *, lists, ranges, steps)")
        step = int(match["every"] or match["step"] or 1)
        if step < 1:
            raise BadSchedule(f"the {name} field {text!r} has a step of {step}")
        if match["all"]:
            first, last = low, high
        else:
            first = _value(match["first"], text, name, low, high, words)
            last = _value(match["last"], text, name, low, high, words) if match["last"] else first
            if match["step"] and not match["last"]:
                last = high
        if last < first:
            raise BadSchedule(f"the {name} field {text!r} has a range that runs backwards")
        values.update(range(first, last + 1, step))
    return values


def _value(word: str, text: str, name: str, low: int, high: int, words: tuple[str, ...]) -> int:
    if word.isascii() and word.isdigit():
        value = int(word)
    elif word[:3].upper() in words:
        value = words.index(word[:3].upper()) + low
    else:
        raise BadSchedule(f"the {name} field {text!r} holds {word!r}")
    if not low <= value <= high:
        raise BadSchedule(f"the {name} field {text!r} holds {value}, which is not within {low} to {high}")
    return value
