"""The limits of Teams on the app in one tenant, by kind of request and by team. The identity quota is another.

Requests of one priority are admitted in the order in which they come. Bulk requests wait while urgent ones do.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from sync_core.backoff import WaitBudget, growing_wait, retry_after
from sync_core.clock import Clock
from sync_core.domain.ids import ClassId
from sync_core.graph.rate_limiter import waited_too_long
from sync_core.messaging.messages import Priority


class Kind(Enum):
    """The kinds of requests to Teams. Each has a limit of its own."""

    CREATE = "POST /teams"
    TEAM = "GET or PATCH of a team"
    MEMBERS = "GET of the members of a team"
    OTHER = "any other request"


# Requests a second of an app in a tenant ("Microsoft Teams service limits", which Microsoft may change).
_PER_TENANT = {Kind.CREATE: 10, Kind.TEAM: 30, Kind.MEMBERS: 60, Kind.OTHER: 30}
_PER_TEAM = 4
"""Requests a second to any one team ("Microsoft Teams service limits")."""

_WINDOW = timedelta(seconds=1.1)
"""A second, and a tenth more: of two requests, the later may overtake on the way."""

_TO_BLAME = 0.5
"""The share of the limit of a team from which that limit is the reason for a 429, which does not tell its reason."""

_PLACES = {Priority.BULK: 16, Priority.URGENT: 8}
"""The most requests of each priority under way at once."""

_KNOWN_TEAMS = 500
"""The teams after which the idle ones are forgotten."""


@dataclass(frozen=True, slots=True)
class TeamsRequest:
    """What a request takes from the limits: one of its kind, and one of its team."""

    kind: Kind
    team: ClassId


class _Limit:
    """At most `most` requests within any window, and none while it is closed."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._sent: deque[datetime] = deque()
        self._open_at: datetime | None = None
        self._urgent = 0
        self._lines = {priority: asyncio.Lock() for priority in Priority}

    @asynccontextmanager
    async def line(self, priority: Priority) -> AsyncIterator[None]:
        """The place at the head of the line of a priority."""
        urgent = int(priority is Priority.URGENT)
        self._urgent += urgent
        try:
            async with self._lines[priority]:
                yield
        finally:
            self._urgent -= urgent

    def pause(self, priority: Priority, now: datetime) -> timedelta:
        """The wait until one more request may be sent; zero for at once."""
        closed = max(self._open_at - now, timedelta(0)) if self._open_at else timedelta(0)
        if self._count(now) >= self._most:
            return max(closed, self._sent[0] + _WINDOW - now)
        yields = priority is Priority.BULK and self._urgent > 0
        return max(closed, _WINDOW / self._most) if yields else closed

    def take(self, now: datetime) -> None:
        self._sent.append(now)

    def close(self, until: datetime) -> None:
        self._open_at = max(until, self._open_at or until)

    def share(self, now: datetime) -> float:
        return self._count(now) / self._most

    def idle(self, now: datetime) -> bool:
        """Whether forgetting the limit changes nothing."""
        waiting = any(line.locked() for line in self._lines.values())
        return not waiting and not self._count(now) and (self._open_at is None or self._open_at <= now)

    def _count(self, now: datetime) -> int:
        while self._sent and self._sent[0] + _WINDOW <= now:
            self._sent.popleft()
        return len(self._sent)


class TeamsLimiter:
    """Tracks what this process sends to Teams in one tenant. `jitter` gives numbers from 0 to 1."""

    def __init__(self, clock: Clock, jitter: Callable[[], float] = random.random) -> None:
        self._clock = clock
        self._jitter = jitter
        self._places = {priority: asyncio.Semaphore(count) for priority, count in _PLACES.items()}
        self._kinds = {kind: _Limit(most) for kind, most in _PER_TENANT.items()}
        self._teams: dict[ClassId, _Limit] = {}
        self._unspecified = 0

    @property
    def places(self) -> Mapping[Priority, asyncio.Semaphore]:
        return self._places

    async def admit(self, priority: Priority, cost: TeamsRequest, wait_budget: WaitBudget) -> TeamsRequest:
        """Wait until the request may be sent, and count it.

        The wait for the team comes first: who waits for one team does not keep others from theirs. Raises Transient
        past the wait budget.
        """
        start = self._clock.now()
        kind, team = self._kinds[cost.kind], self._team(cost.team, start)
        async with team.line(priority):
            wait_budget.waited(self._clock.now() - start)
            while True:
                await self._wait(team, priority, wait_budget)
                since = self._clock.now()
                async with kind.line(priority):
                    wait_budget.waited(self._clock.now() - since)
                    await self._wait(kind, priority, wait_budget)
                    now = self._clock.now()
                    if team.pause(priority, now) > timedelta(0):
                        continue
                    kind.take(now)
                    team.take(now)
                    return cost

    def answered(self, cost: TeamsRequest, status: int, headers: Mapping[str, str]) -> None:
        """Record the answer. A 429 closes the team, if this process used much of its limit, and else the kind.

        Messages of a class come one after the other, so no other process sends to its team.
        """
        if status != 429:
            self._unspecified = 0 if status else self._unspecified
            return
        now = self._clock.now()
        wait = retry_after(headers)
        if wait is None:
            self._unspecified += 1
            wait = self.backoff(self._unspecified)
        team = self._team(cost.team, now)
        blamed = team if team.share(now) >= _TO_BLAME else self._kinds[cost.kind]
        blamed.close(now + wait)

    def backoff(self, failures: int) -> timedelta:
        """The wait after `failures` in a row, with jitter so that failed requests do not all return at once."""
        return growing_wait(failures) * (0.5 + self._jitter() / 2)

    async def _wait(self, limit: _Limit, priority: Priority, wait_budget: WaitBudget) -> None:
        while (pause := limit.pause(priority, self._clock.now())) > timedelta(0):
            await wait_budget.sleep(pause, waited_too_long())

    def _team(self, team: ClassId, now: datetime) -> _Limit:
        if team not in self._teams:
            if len(self._teams) >= _KNOWN_TEAMS:
                self._teams = {id_: limit for id_, limit in self._teams.items() if not limit.idle(now)}
            self._teams[team] = _Limit(_PER_TEAM)
        return self._teams[team]
