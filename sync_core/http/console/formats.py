"""Times, counts and words as a person in a UK school reads them."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

_UK = ZoneInfo("Europe/London")
_NEAR = {-1: "yesterday", 0: "today", 1: "tomorrow"}


def moment(at: datetime, now: datetime) -> str:
    """`today 02:04`, `yesterday 14:12`, `tomorrow 02:00`, `25 Nov 02:04`, or, in another year, `25 Nov 2025`."""
    then, today = at.astimezone(_UK), local_date(now)
    near = _NEAR.get((then.date() - today).days)
    if near:
        return f"{near} {then:%H:%M}"
    return f"{then.day} {then:%b %H:%M}" if then.year == today.year else f"{then.day} {then:%b %Y}"


def local_date(at: datetime) -> date:
    """The date of a time in the UK."""
    return at.astimezone(_UK).date()


def day(date: date) -> str:
    """`25 Nov`."""
    return f"{date.day} {date:%b}"


def count(number: int, one: str = "", many: str = "") -> str:
    """`1,040`, or with words `1 class` and `2 classes`."""
    words = one if number == 1 else many or f"{one}s"
    return f"{number:,} {words}".strip() if one else f"{number:,}"
