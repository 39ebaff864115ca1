"""How much of one of Graph's limits is spent, as far as it can be known from here, and how long to wait for the rest.

Graph counts what all processes of the app spend in a tenant within a sliding window. What this process spent is known
exactly. What others spend shows in two ways: above 80 % of a limit Graph tells the share that is used (the header
x-ms-throttle-limit-percentage, in steps of a tenth), and beyond it Graph refuses. So the account of others is corrected
with each answer, in their favour where the answer leaves it open.

The first half of what is left may be spent at once: a school's night is over in a minute. The rest is spread over the
time until the first of it comes back, so that a long run never stands still waiting for a whole window; but for a small
share, which is for urgent work alone, of which nobody knows beforehand.
"""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta

from sync_core.messaging.messages import Priority

_ALONE = 0.99
"""The share that one process uses while it sees nobody else; the rest is for clocks that differ."""

_STEP = 0.05
"""Graph says the share in tenths: it may be so much more or less."""

_BESIDE_OTHERS = 1.0 - _STEP
"""The share that all use together: where Graph's rounding begins to say 1.0."""

_RESERVED = 0.035
"""The share that is left to urgent work: a hundred writes in a window, which are some fifty announced changes."""

_YIELDED = 0.02
"""What is left to others of what this process has whenever the limit is reached: who has more yields more."""

_NEWCOMER = 0.1
_TRIES = 150
"""Who has less than this share tries so often in a window, however much others seem to spend: their share shrinks only
when they notice him."""


class Quota:
    """One limit: `limit` within any `window`. Times are the caller's; `spent` and `others` are in the limit's unit."""

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
        """What this process spent within the window, with what it has been promised and not been answered."""
        while self._spent and self._spent[0][0] + self._window <= now:
            self._total -= self._spent.popleft()[1]
        return self._total + self._under_way

    def share(self, now: datetime) -> float:
        """The share of the limit that this process spent."""
        return self.own(now) / self._limit

    def wait(self, priority: Priority, cost: int, now: datetime) -> timedelta:
        """How long until `cost` may be spent, if nothing else is until then; zero for at once.

        What is urgent tries whatever others seem to spend: of them it is only known that they spend no more than that.
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
        """`cost` is about to be spent."""
        if priority is Priority.BULK and not self._half_left(now):
            left = self._usable(self._others_now(now)) - self.own(now)
            pace = self._first_back(now) / left if left > 0 else self._window / _TRIES
            self._next = max(self._next or now, now) + pace * cost
        self._under_way += cost

    def spend(self, promised: int, spent: int, now: datetime) -> None:
        """Graph has answered. It counted at some time before `now`, so it forgets before this account does."""
        self._under_way -= promised
        if spent:
            self._spent.append((now, spent))
            self._total += spent

    def told(self, share: float, now: datetime) -> None:
        """Graph says that `share` of the limit is used, by all together."""
        own = self.own(now)
        others = (share - _STEP) * self._limit - own
        self._see_others(others + _YIELDED * own if others > 0 else 0, now)

    def refused(self, now: datetime) -> None:
        """Graph refused: all of the limit is used."""
        self._see_others(self._limit - self.own(now), now)

    def _half_left(self, now: datetime) -> bool:
        own, others = self.own(now), self._others_now(now)
        return own + others < (self._usable(others) + _RESERVED * self._limit + others) / 2

    def _see_others(self, spent: float, now: datetime) -> None:
        self._others, self._others_seen = max(spent, 0.0), now

    def _others_now(self, now: datetime) -> float:
        """Of what Graph said longer ago than a window, nothing is left."""
        return self._others if self._others_seen and now - self._others_seen < self._window else 0.0

    def _usable(self, others: float) -> float:
        """By bulk work."""
        return (_BESIDE_OTHERS if others else _ALONE) * self._limit - others - _RESERVED * self._limit

    def _first_back(self, now: datetime) -> timedelta:
        """When the first of what was spent comes back; a moment, where nothing was: what is under way will tell."""
        return self._spent[0][0] + self._window - now if self._spent else timedelta(seconds=0.1)
