"""Times, counts and words as a person in a UK school reads them."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

_UK = ZoneInfo("Europe/London")


def moment(at: datetime, now: datetime) -> str:
    """`today 02:04`, `yesterday 14:12`, `25 Nov 02:04`, or, in another year, `25 Nov 2025`."""
    then, today = at.astimezone(_UK), now.astimezone(_UK).date()
    days = (today - then.date()).days
    if days in (0, 1):
        return f"{'yesterday' if days else 'today'} {then:%H:%M}"
    return f"{then.day} {then:%b %H:%M}" if then.year == today.year else f"{then.day} {then:%b %Y}"


def count(number: int, one: str = "", many: str = "") -> str:
    """`1,040`, or with words `1 class` and `2 classes`."""
    words = one if number == 1 else many or f"{one}s"
    return f"{number:,} {words}".strip() if one else f"{number:,}"
