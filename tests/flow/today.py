"""Today in the UK, for stories whose dates move because the clock does not."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

TODAY = datetime.now(ZoneInfo("Europe/London")).date()
YEAR = TODAY.year if TODAY.month >= 9 else TODAY.year - 1
"""The academic year: the calendar year in which it starts."""


def on(days: int) -> str:
    """The date so many days from now. Two days are in the future even if midnight passes meanwhile."""
    return str(TODAY + timedelta(days=days))
