"""How long a change takes at the limits of Microsoft Graph, at least."""

from __future__ import annotations

from datetime import timedelta
from math import ceil

WRITES, PERIOD = 3_000, timedelta(seconds=150)
"""The writes that an app may send to a tenant in a period ("Identity and access service limits")."""
_PEOPLE_PER_WRITE = 20


def writes_to_add(people: int) -> int:
    """The requests that add so many people to one class."""
    return ceil(people / _PEOPLE_PER_WRITE)


def shortest_time(writes: int) -> timedelta:
    """The time in which Graph takes so many writes, if nothing else writes to the tenant."""
    return PERIOD * (writes / WRITES)


def in_words(time: timedelta) -> str:
    """Such as `at least 3 minutes`."""
    minutes = ceil(time / timedelta(minutes=1))
    return "less than a minute" if minutes <= 1 else f"at least {minutes} minutes"
