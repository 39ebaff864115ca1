"""When a request may go to Graph: one rate limiter for each tenant and process, in place of the SDK's retry handler.

The SDK's handler sleeps inside one call and knows nothing of the others: with a hundred calls under way, a hundred run
into the same wall. Here every call asks first, in the order in which they came; what Graph says to one call, that it is
throttled, for how long, or that a limit is near, holds for all. Urgent calls have a line of their own, and the share of
each limit that is reserved for them.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sync_core.backoff import WaitBudget, growing_wait, retry_after
from sync_core.clock import Clock
from sync_core.errors import Transient
from sync_core.graph.quota import Quota
from sync_core.messaging.messages import Priority

WAITING_BUDGET = timedelta(seconds=120)
"""The longest that one piece of work waits for Graph in all: with a class's replication and the pause before a
redelivery it stays under the five minutes for which the queue's lock is renewed."""

# Graph's limits for one app in one tenant ("Identity and access service limits"). Resource units grow with the tenant;
# these are the smallest.
_UNITS, _UNITS_WINDOW = 3_500, timedelta(seconds=10)
_WRITES, _WRITES_WINDOW = 3_000, timedelta(seconds=150)

_CONCERNED = 0.1
"""Whose share of a limit is less than this is not the one who uses it up."""

_PLACES = {Priority.BULK: 16, Priority.URGENT: 8}
"""Requests of each priority that may be under way at once."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a request is expected to cost, in Graph's resource units and writes."""

    units: int = 1
    writes: int = 0


class RateLimiter:
    """Knows what is spent and how long Graph wants to be left alone. `jitter` gives numbers from 0 to 1.

    `places` bounds the requests of each priority under way; whoever was admitted takes one.
    """

    def __init__(self, clock: Clock, jitter: Callable[[], float] = random.random) -> None:
        self._clock = clock
        self._jitter = jitter
        self.places = {priority: asyncio.Semaphore(count) for priority, count in _PLACES.items()}
        self._units = Quota(_UNITS, _UNITS_WINDOW)
        self._writes = Quota(_WRITES, _WRITES_WINDOW)
        self._reading, self._writing = ({priority: asyncio.Lock() for priority in Priority} for _ in range(2))
        self._open_at: datetime | None = None
        self._silent = 0

    async def admit(self, priority: Priority, cost: Cost, wait_budget: WaitBudget) -> None:
        """Wait until `cost` may be spent, and promise it: `answered` must follow.

        Raises Transient past the wait budget.
        """
        came = self._clock.now()
        wait_budget.need(self._closed_for(came), waited_too_long())
        async with (self._writing if cost.writes else self._reading)[priority]:
            wait_budget.waited(self._clock.now() - came)
            while (pause := self._pause(priority, cost, now := self._clock.now())) > timedelta(0):
                await wait_budget.sleep(pause, waited_too_long())
        self._units.promise(priority, cost.units, now)
        if cost.writes:
            self._writes.promise(priority, cost.writes, now)

    def answered(self, cost: Cost, status: int, headers: Mapping[str, str]) -> None:
        """Graph's answer to what was admitted; status 0 where there was none, and the work may have been done."""
        now = self._clock.now()
        throttled = status == 429
        spent = _number(headers.get("x-ms-resource-unit")) or cost.units
        self._units.spend(cost.units, 0 if throttled else int(spent), now)
        if cost.writes:
            self._writes.spend(cost.writes, 0 if throttled else cost.writes, now)
        busiest = max((self._writes, self._units), key=lambda quota: quota.share(now))
        if throttled:
            concerned = busiest if cost.writes else self._units
            if concerned.share(now) >= _CONCERNED:
                concerned.refused(now)
            self._close(retry_after(headers), now)
        elif status:
            self._silent = 0
            share = _number(headers.get("x-ms-throttle-limit-percentage"))
            if share and busiest.share(now) >= _CONCERNED:
                busiest.told(share, now)

    def backoff(self, failures: int) -> timedelta:
        """How long to wait after so many failures in a row: not as long as everybody else who failed."""
        return growing_wait(failures) * (0.5 + self._jitter() / 2)

    def _close(self, said: timedelta | None, now: datetime) -> None:
        if said is None:
            self._silent += 1
            said = self.backoff(self._silent)
        self._open_at = max(now + said, self._open_at or now)

    def _closed_for(self, now: datetime) -> timedelta:
        return max(self._open_at - now, timedelta(0)) if self._open_at else timedelta(0)

    def _pause(self, priority: Priority, cost: Cost, now: datetime) -> timedelta:
        pauses = [self._closed_for(now), self._units.wait(priority, cost.units, now)]
        if cost.writes:
            pauses.append(self._writes.wait(priority, cost.writes, now))
        return max(pauses)


def waited_too_long() -> Transient:
    return Transient(
        "Graph was throttled or out of order for longer than this change may wait",
        "it is delivered again by itself; if it stays so, look at the service health of Microsoft 365",
    )


def _number(text: str | None) -> float | None:
    """None for no number; Graph's are neither negative nor endless."""
    try:
        number = float(text or "nan")
    except ValueError:
        return None
    return max(number, 0.0) if math.isfinite(number) else None
