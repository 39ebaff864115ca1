"""The rate limiter of requests to Graph, one for each tenant and process, in place of the SDK's retry handler.

The SDK's handler sleeps inside one call and knows nothing of the others: with a hundred calls under way, each of them
is throttled. Here calls are admitted in the order in which they come. When Graph throttles one call or reports that a
limit is near, all calls wait. Urgent calls have their own line and a reserved share of each limit.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sync_core.backoff import WaitBudget, growing_wait, retry_after
from sync_core.clock import Clock
from sync_core.errors import Transient
from sync_core.graph.port import Told
from sync_core.graph.quota import Quota
from sync_core.messaging.messages import Priority

WAITING_BUDGET = timedelta(seconds=120)
"""The wait budget of one piece of work. With the waits for replication and the pause before a redelivery, a
delivery waits for less than five minutes; the host ends a function after 30 (host.json, functionTimeout)."""

# Graph's limits for one app in one tenant ("Identity and access service limits"). Resource units grow with the tenant;
# these are the smallest.
_UNITS, _UNITS_WINDOW = 3_500, timedelta(seconds=10)
_WRITES, _WRITES_WINDOW = 3_000, timedelta(seconds=150)

_CONCERNED = 0.1
"""A process with a smaller share of a limit did not use it up."""

_PLACES = {Priority.BULK: 16, Priority.URGENT: 8}
"""The most requests of each priority under way at once."""


@dataclass(frozen=True, slots=True)
class Cost:
    """The expected cost of a request, in Graph's resource units and writes; `people` are those whom it adds.

    A write of several people costs one, or about one for three people: no source agrees with the others.
    """

    units: int = 1
    writes: int = 0
    people: int = 0


async def never_probed(*_: str) -> None:
    """The price in a tenant that was never probed: not known."""


class RateLimiter:
    """Tracks what is spent and how long Graph wants no requests. `jitter` gives numbers from 0 to 1.

    `probed_price` is what adding one person cost when the tenant was last probed, and is read once, before the first
    such request. `places` bounds the requests of each priority under way; each admitted request takes one.
    """

    def __init__(
        self,
        clock: Clock,
        jitter: Callable[[], float] = random.random,
        probed_price: Callable[[], Awaitable[float | None]] = never_probed,
    ) -> None:
        self._clock = clock
        self._jitter = jitter
        self.places = {priority: asyncio.Semaphore(count) for priority, count in _PLACES.items()}
        self._units = Quota(_UNITS, _UNITS_WINDOW)
        self._writes = Quota(_WRITES, _WRITES_WINDOW)
        self._reading, self._writing = ({priority: asyncio.Lock() for priority in Priority} for _ in range(2))
        self._open_at: datetime | None = None
        self._unspecified = 0
        self._each_person: float | None = None
        self._probed_price = probed_price

    async def admit(self, priority: Priority, cost: Cost, wait_budget: WaitBudget) -> Cost:
        """Wait until `cost`, as Graph was seen to price it, may be spent, and reserve that: a call of `answered` with
        what is returned must follow.

        Raises Transient past the wait budget.
        """
        cost = await self._priced(cost)
        start = self._clock.now()
        wait_budget.need(self._closed_for(start), waited_too_long())
        async with (self._writing if cost.writes else self._reading)[priority]:
            wait_budget.waited(self._clock.now() - start)
            while (pause := self._pause(priority, cost, now := self._clock.now())) > timedelta(0):
                await wait_budget.sleep(pause, waited_too_long())
        for quota, amount in self._amounts(cost):
            quota.promise(priority, amount, now)
        return cost

    def answered(self, cost: Cost, status: int, headers: Mapping[str, str]) -> None:
        """Record Graph's answer to an admitted request; status 0 means no answer, and the work may have been done."""
        now = self._clock.now()
        throttled = status == 429
        told = told_by(headers)
        if told.units and cost.people and 0 < status < 400:
            self._each_person = told.units / cost.people
        self._units.spend(cost.units, 0 if throttled else int(told.units or cost.units), now)
        if cost.writes:
            writes = int(told.units) if told.units and cost.people else cost.writes
            self._writes.spend(cost.writes, 0 if throttled else writes, now)
        if throttled:
            if concerned := self._concerned(cost, now, (self._writes, self._units) if cost.writes else (self._units,)):
                concerned.see_refusal(now)
            self._close(retry_after(headers), now)
        elif status:
            self._unspecified = 0
            if told.share:
                if concerned := self._concerned(cost, now, (self._writes, self._units)):
                    concerned.see_share(told.share, now)
            elif status < 300:
                self._writes.see_room(now)
                self._units.see_room(now)

    def _concerned(self, cost: Cost, now: datetime, quotas: Sequence[Quota]) -> Quota | None:
        """The limit that Graph's answer is about, which it does not tell: of `quotas`, the one with the largest share.

        Where this process has a small share of each, others used the limit up: for a write that is taken to be the one
        of writes, which a night uses up.
        """
        busiest = max(quotas, key=lambda quota: quota.share(now))
        if busiest.share(now) >= _CONCERNED:
            return busiest
        return self._writes if cost.writes else None

    def closed_for(self) -> timedelta:
        """How long Graph wants no requests, as far as this process was told."""
        return self._closed_for(self._clock.now())

    def backoff(self, failures: int) -> timedelta:
        """The wait after `failures` in a row, with jitter so that failed calls do not all return at once."""
        return growing_wait(failures) * (0.5 + self._jitter() / 2)

    def _close(self, requested: timedelta | None, now: datetime) -> None:
        if requested is None:
            self._unspecified += 1
            requested = self.backoff(self._unspecified)
        self._open_at = max(now + requested, self._open_at or now)

    def _closed_for(self, now: datetime) -> timedelta:
        return max(self._open_at - now, timedelta(0)) if self._open_at else timedelta(0)

    def _pause(self, priority: Priority, cost: Cost, now: datetime) -> timedelta:
        waits = (quota.wait(priority, amount, now) for quota, amount in self._amounts(cost))
        return max(self._closed_for(now), *waits)

    async def _priced(self, cost: Cost) -> Cost:
        """A write of people at the price that Graph last told for one, or told when the tenant was last probed."""
        if not cost.people:
            return cost
        if self._each_person is None:
            self._each_person = await self._probed_price() or 0.0
        # Of 20 people for 7: 0.35 each. Rounded, so that the 20 are 7 again in spite of the fraction.
        price = max(1, math.ceil(round(self._each_person * cost.people, 6)))
        return Cost(price, price, cost.people)

    def _amounts(self, cost: Cost) -> list[tuple[Quota, int]]:
        """The quotas that a request of this cost spends, each with the amount."""
        amounts = ((self._units, cost.units), (self._writes, cost.writes))
        return [(quota, amount) for quota, amount in amounts if amount]


def waited_too_long() -> Transient:
    return Transient(
        "Graph was throttled or unavailable for longer than this change may wait",
        "the queue redelivers the message; if it keeps failing, check the Microsoft 365 service health",
    )


def told_by(headers: Mapping[str, str]) -> Told:
    """What the headers of an answer tell."""
    units, share = (headers.get(name) for name in ("x-ms-resource-unit", "x-ms-throttle-limit-percentage"))
    return Told(_number(units), _number(share))


def _number(text: str | None) -> float | None:
    """None for no number, and for one that no request can have cost. Graph's numbers are not negative."""
    try:
        number = float(text or "nan")
    except ValueError:
        return None
    return max(number, 0.0) if number <= _UNITS else None
