"""Today in the UK, for stories whose dates move because the clock does not.

It is asked for when a story runs: all tests are imported minutes before, and midnight may pass meanwhile.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo


def today() -> date:
    return datetime.now(ZoneInfo("Europe/London")).date()


YEAR = today().year if today().month >= 9 else today().year - 1
"""The academic year: the calendar year in which it starts."""


def on(days: int) -> str:
    """The date so many days from now. Two days are in the future even if midnight passes meanwhile."""
    return str(today() + timedelta(days=days))
