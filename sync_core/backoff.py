"""How long to wait for a busy server, how much one piece of work may wait in total, and how often one may call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sync_core.clock import Clock
from sync_core.errors import TooManyCalls, Transient

_FIRST_WAIT, _LONGEST_WAIT = 2.0, 30.0
_DAY = 86_400


class WaitBudget:
    """The time that one piece of work may still wait."""

    def __init__(self, clock: Clock, budget: timedelta) -> None:
        self._clock = clock
        self._left = budget

    def need(self, pause: timedelta, spent: Transient) -> None:
        """Raise `spent` if `pause` is longer than the time left."""
        if pause > self._left:
            raise spent

    async def sleep(self, pause: timedelta, spent: Transient) -> None:
        """Wait for `pause`; raise `spent` at once if it is longer than the time left."""
        self.need(pause, spent)
        await self._clock.sleep(pause.total_seconds())
        self.waited(pause)

    def waited(self, pause: timedelta) -> None:
        self._left -= pause


def growing_wait(failures: int) -> timedelta:
    """The wait after `failures` in a row when the server names none."""
    return timedelta(seconds=min(_FIRST_WAIT * 2.0 ** (failures - 1), _LONGEST_WAIT))


def retry_after(headers: Mapping[str, str]) -> timedelta | None:
    """The wait in the Retry-After header, a day at most; None where it has no positive number of seconds.

    Python reads no number of more than 4,300 digits. One of six or more is longer than a day.
    """
    header = headers.get("Retry-After", "")
    digits = header.lstrip("0") if header.isascii() and header.isdecimal() else ""
    return timedelta(seconds=min(int(digits[:6]), _DAY)) if digits else None


def seconds_before_redelivery(deliveries: int) -> float:
    """How long to keep a failed message after `deliveries`, because the queue redelivers it without a pause.

    Ten deliveries outlast an outage of five minutes. The host renews the lock of the
    session meanwhile, and ends a function after 30 minutes (host.json).
    """
    return min(2.0**deliveries, 60.0)


MAX_CALLS = 600
"""Calls of one person in a minute, at each instance of the app. People need a few, and a script some hundred."""
_MINUTE = 60.0


@dataclass(frozen=True, slots=True)
class _Bucket:
    """A token bucket: what was left `at` a moment. It fills up within a minute."""

    left: float
    at: datetime

    def at_time(self, now: datetime) -> _Bucket:
        filled = self.left + max(0.0, (now - self.at).total_seconds()) * MAX_CALLS / _MINUTE
        return _Bucket(min(MAX_CALLS, filled), now)


@dataclass(slots=True)
class CallLimit:
    """How often one person may call the app: the buckets of all callers of this process that are not full.

    A script that runs wild, or a stolen token, must not use up what all callers share.
    """

    _buckets: dict[str, _Bucket] = field(default_factory=dict)

    def count(self, caller: str, now: datetime) -> None:
        """Count one call. Raises TooManyCalls past the limit."""
        bucket = self._buckets.get(caller, _Bucket(MAX_CALLS, now)).at_time(now)
        if bucket.left < 1:
            raise TooManyCalls(
                f"you made more than {MAX_CALLS} calls in a minute, so this one was not carried out",
                "wait a minute, and send fewer calls",
            )
        if caller not in self._buckets:
            self._forget_the_full(now)
        self._buckets[caller] = _Bucket(bucket.left - 1, now)

    def _forget_the_full(self, now: datetime) -> None:
        self._buckets = {one: left for one, left in self._buckets.items() if left.at_time(now).left < MAX_CALLS}
