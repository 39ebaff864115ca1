"""The share of one of Graph's limits that is spent, as far as this process can know it, and the wait for the rest.

Graph counts what all processes of the app spend in a tenant within a sliding window. A process knows exactly what it
spent itself. It learns of the others in two ways: above 80 % of a limit Graph reports the share that is used (the
header x-ms-throttle-limit-percentage, in steps of a tenth), and beyond the limit Graph refuses. So each answer corrects
the estimate of what others spend, in their favour where the answer leaves it open.

The first half of what is left may be spent at once, so that a school's night is over in a minute. The rest is spread
over the time until the first of it comes back, so that a long run never waits for a whole window. A small share is
reserved for urgent work, which nobody can predict.

Processes share a limit without a word between them. While Graph reports 1.0, each comes down by a part of what it
spends; while it reports less, or nothing any more, each may spend a little more, all by the same amount. So together
they stay where the report changes. A process that spends more than all others comes down to half within a window, so
one that joins has its fair share by then.
"""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta

from sync_core.messaging.messages import Priority

_ALONE = 0.99
"""The share that a process uses while it sees no other; the rest allows for clocks that differ."""

_STEP = 0.05
"""Graph reports the share in tenths: the real share may be this much higher or lower."""

_REPORTED_FROM = 0.8
"""The share from which Graph reports it."""

_FULL = 1.0 - _STEP
"""The share from which Graph rounds to 1.0. A share that it might report exactly is taken for 1.0 from here, too."""

_BESIDE_OTHERS = 0.96
"""The share that bulk work of all processes uses together: a little above the one at which Graph's report changes."""

_RESERVED = 0.03
"""The share reserved for urgent work: ninety writes in a window, enough for some forty-five webhook events."""

_MOST = _ALONE - _RESERVED
"""The share that bulk work may use in a process that sees no other."""

_MORE = 0.01
"""The share that a process may spend more when it has spent all that it may and Graph reports room."""

_LESS = 0.5
"""The part of its own share that a process yields in a window of reports of 1.0: a larger share yields more."""

_PAST = 0.02
"""The part of its own share by which a process goes on past the first report of 1.0, unless it makes room: else all
would stay below the share at which the report changes as often as above it."""

_SEEN = 0.005
"""The share of others, at least, for which a process makes room: less may be the difference of clocks."""

_LARGER = 1.05
"""A process that spends this many times the half of all makes room for others…"""
_HALVED = 0.5
"""… so fast that it would come down to the half within this part of a window…"""
_MAKES_ROOM = 1 / 15
"""… for this part of a window after each report of 1.0, in which it leaves to them what room there is."""

_NEWCOMER = 0.1
"""A process below this share goes on however much the others seem to spend, at half the pace of the limit: they make
room only when they notice it."""
_HASTE = 4
"""The pace, in times the limit's own, at which a process that joins others takes the room that Graph reports."""
_TRIES = 150
"""Where Graph reports none, it tries this often in a window whether there is room by now."""


class Quota:
    """One limit: `limit` within any `window`. Callers pass the time; amounts are in the limit's unit."""

    def __init__(self, limit: int, window: timedelta) -> None:
        self._limit = limit
        self._window = window
        self._spent: deque[tuple[datetime, int]] = deque()
        self._total = 0
        self._under_way = 0
        self._paced_at: datetime | None = None
        self._allowed = _MOST * limit
        self._others = 0.0
        self._seen_at: datetime | None = None
        self._full_at: datetime | None = None
        self._crowded_at: datetime | None = None
        self._room_at: datetime | None = None
        self._joining = self._reported = False

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
        own = self.own(now)
        if priority is Priority.URGENT:
            return self._first_back(now) if own + cost > _ALONE * self._limit else timedelta(0)
        usable = self._usable(now)
        if self._half_left(own, usable):
            return timedelta(0)
        enough = own + cost <= usable
        if not enough and not self._joining:
            return self._first_back(now)
        due = (self._paced_at or now - self._window) + self._pause(cost, own, usable, now)
        wait = max(due - now, timedelta(0))
        return wait if enough else min(wait, self._first_back(now))

    def promise(self, priority: Priority, cost: int, now: datetime) -> None:
        """Reserve `cost`, which is about to be spent."""
        if priority is Priority.BULK and not self._half_left(self.own(now), self._usable(now)):
            self._paced_at = now
        self._under_way += cost

    def spend(self, promised: int, spent: int, now: datetime) -> None:
        """Record Graph's answer. Graph counted the request before `now`, so its window ends before ours."""
        self._under_way -= promised
        if spent:
            self._spent.append((now, spent))
            self._total += spent

    def see_share(self, share: float, now: datetime) -> None:
        """Record Graph's report that all processes together use `share` of the limit."""
        self._reported = True
        self._see(share - _STEP, now, full=share >= _FULL)

    def see_room(self, now: datetime) -> None:
        """Record an answer without a report, which means less than 80 %, if Graph has reported a share here."""
        if self._reported and self._others_known(now):
            self._crowded_at = None
            self._see(_REPORTED_FROM, now, full=False)
            self._room_at = now

    def see_refusal(self, now: datetime) -> None:
        """Record a refusal by Graph: the whole limit is used."""
        self._see(1.0, now, full=True)

    def _see(self, share: float, now: datetime, *, full: bool) -> None:
        """All processes together use at least this share of the limit. `full`: all that they may."""
        own, known = self.own(now), self._others_known(now)
        others = share * self._limit - own
        if others <= 0 and not (full or known):
            return
        # A report tells of its moment: what was before it counts for one try at most.
        passed = min((now - known) / self._window, 1 / _TRIES) if known else 0.0
        if not known:
            self._forget_others()
            self._allowed = min(self._allowed, own / share)
        if self._joining:
            self._allowed = max(self._allowed, own)
        self._others, self._seen_at = max(others, 0.0), now
        self._full_at = now if full else self._full_at
        self._crowded_at = now if full and others > _SEEN * self._limit else self._crowded_at
        new = own < (_NEWCOMER if full else _NEWCOMER / 2) * self._limit
        # What a newcomer spent comes back only after its first window: it joins until it has its part at the latest.
        self._joining = own < others + _STEP * self._limit and (self._joining or new)
        self._allow(own, passed, now)

    def _allow(self, own: int, passed: float, now: datetime) -> None:
        """Change what this process may spend by Graph's report of `now`; `passed` is the part of a window before it."""
        allowed, full = self._allowed, self._full_at == now
        half, more = _FULL * self._limit / 2, _MORE * self._limit
        if full:
            past = 0.0 if own > _LARGER * half or self._joining else _PAST
            allowed = min(allowed, own * (1 + past)) * (1 - _LESS * passed)
        if own > _LARGER * half and self._crowded_at and now - self._crowded_at < self._window * _MAKES_ROOM:
            allowed = min(allowed, own) - 2 * (own - half) * passed / _HALVED
        elif not full and own >= allowed - more / 2:
            allowed = max(allowed, own) + more
        self._allowed = min(max(allowed, _NEWCOMER * self._limit), _MOST * self._limit)

    def _forget_others(self) -> None:
        self._allowed, self._others, self._joining = _MOST * self._limit, 0.0, False
        self._seen_at = self._full_at = self._crowded_at = None

    def _others_known(self, now: datetime) -> datetime | None:
        """When Graph last told of others, if that was within a window."""
        return self._seen_at if self._seen_at and now - self._seen_at < self._window else None

    def _usable(self, now: datetime) -> float:
        """What bulk work may use."""
        if not self._others_known(now):
            self._forget_others()
        return min(self._allowed, _BESIDE_OTHERS * self._limit - self._others)

    def _half_left(self, own: int, usable: float) -> bool:
        return own + self._others < (usable + _RESERVED * self._limit + self._others) / 2

    def _pause(self, cost: int, own: int, usable: float, now: datetime) -> timedelta:
        """The time from one spending to the next, which is `cost`, once the first half is spent."""
        if self._joining and self._full_at != self._seen_at:
            return self._window / self._limit * cost / _HASTE
        half_pace, left = 2 * self._window / self._limit * cost, usable - own
        if self._joining and own < _NEWCOMER * self._limit:
            return half_pace
        even_pace = self._first_back(now) / left * cost if left > 0 else self._window / _TRIES
        return min(even_pace, half_pace) if self._seen_at and self._room_at == self._seen_at else even_pace

    def _first_back(self, now: datetime) -> timedelta:
        """The time until the first spending comes back; a moment where there is none, as work under way will show.

        Callers have asked for `own` at `now`, which drops what has left the window.
        """
        return self._spent[0][0] + self._window - now if self._spent else timedelta(seconds=0.1)
