"""The share of one of Graph's limits that is spent, as far as this process can know it, and the wait for the rest.

Graph counts what all processes of the app spend in a tenant within a sliding window. A process knows exactly what it
spent itself. It learns of the others in two ways: above 80 % of a limit Graph reports the share that is used (the
header x-ms-throttle-limit-percentage, in steps of a tenth), and beyond the limit Graph refuses. So each answer corrects
the estimate of what others spend, in their favour where the answer leaves it open.

The first half of what is left may be spent at once, so that a school's night is over in a minute. The rest is spread
over the time until the first of it comes back, so that a long run never waits for a whole window. A small share is
reserved for urgent work, which nobody can predict.
"""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta

from sync_core.messaging.messages import Priority

_ALONE = 0.99
"""The share that a process uses while it sees no other; the rest allows for clocks that differ."""

_STEP = 0.05
"""Graph reports the share in tenths: the real share may be this much higher or lower."""

_BESIDE_OTHERS = 1.0 - _STEP
"""The share that all processes use together: from here Graph rounds to 1.0."""

_RESERVED = 0.035
"""The share reserved for urgent work: a hundred writes in a window, enough for some fifty webhook events."""

_YIELDED = 0.02
"""The part of its own share that a process yields each time the limit is reached: a larger share yields more."""

_NEWCOMER = 0.1
_TRIES = 150
"""A process below the newcomer's share tries this often in a window, however much the others seem to spend: their share
shrinks only when they notice the newcomer."""


class Quota:
    """One limit: `limit` within any `window`. Callers pass the time; amounts are in the limit's unit."""

    def __init__(self, limit: int, window: timedelta) -> None:
        self._limit = limit
        self._window = window
        self._spent: deque[tuple[datetime, int]] = deque()
        self._total = 0
        self._under_way = 0
        self._others = 0.0
        self._others_seen: datetime | None = None
        self._next: datetime | None = None

    def own(self, now: datetime) -> int:
        """What this process spent within the window, including promises that are not answered yet."""
        while self._spent and self._spent[0][0] + self._window <= now:
            self._total -= self._spent.popleft()[1]
        return self._total + self._under_way

    def share(self, now: datetime) -> float:
        """The share of the limit that this process spent."""
        return self.own(now) / self._limit

    def wait(self, priority: Priority, cost: int, now: datetime) -> timedelta:
        """The wait until `cost` may be spent, if nothing else is spent before; zero for at once.

        Urgent work ignores what others seem to spend: the estimate is only an upper bound.
        """
        own, others = self.own(now), self._others_now(now)
        if priority is Priority.URGENT:
            return self._first_back(now) if own + cost > _ALONE * self._limit else timedelta(0)
        if own + cost > self._usable(others) and (not others or own >= _NEWCOMER * self._limit):
            return self._first_back(now)
        if self._half_left(now):
            return timedelta(0)
        return max(self._next - now, timedelta(0)) if self._next else timedelta(0)

    def promise(self, priority: Priority, cost: int, now: datetime) -> None:
        """Reserve `cost`, which is about to be spent."""
        if priority is Priority.BULK and not self._half_left(now):
            left = self._usable(self._others_now(now)) - self.own(now)
            pace = self._first_back(now) / left if left > 0 else self._window / _TRIES
            self._next = max(self._next or now, now) + pace * cost
        self._under_way += cost

    def spend(self, promised: int, spent: int, now: datetime) -> None:
        """Record Graph's answer. Graph counted the request before `now`, so its window ends before ours."""
        self._under_way -= promised
        if spent:
            self._spent.append((now, spent))
            self._total += spent

    def see_share(self, share: float, now: datetime) -> None:
        """Record Graph's report that all processes together use `share` of the limit."""
        own = self.own(now)
        others = (share - _STEP) * self._limit - own
        self._see_others(others + _YIELDED * own if others > 0 else 0, now)

    def see_refusal(self, now: datetime) -> None:
        """Record a refusal by Graph: the whole limit is used."""
        self._see_others(self._limit - self.own(now), now)

    def _half_left(self, now: datetime) -> bool:
        own, others = self.own(now), self._others_now(now)
        return own + others < (self._usable(others) + _RESERVED * self._limit + others) / 2

    def _see_others(self, spent: float, now: datetime) -> None:
        self._others, self._others_seen = max(spent, 0.0), now

    def _others_now(self, now: datetime) -> float:
        """What others spend; a report by Graph is valid for one window."""
        return self._others if self._others_seen and now - self._others_seen < self._window else 0.0

    def _usable(self, others: float) -> float:
        """What bulk work may use."""
        return (_BESIDE_OTHERS if others else _ALONE) * self._limit - others - _RESERVED * self._limit

    def _first_back(self, now: datetime) -> timedelta:
        """The time until the first spending comes back; a moment where there is none, as work under way will show.

        Callers have asked for `own` at `now`, which drops what has left the window.
        """
        return self._spent[0][0] + self._window - now if self._spent else timedelta(seconds=0.1)
