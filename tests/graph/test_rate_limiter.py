"""The rate limiter believes what Graph tells of its prices."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sync_core.backoff import WaitBudget
from sync_core.graph.rate_limiter import Cost, RateLimiter
from sync_core.messaging.messages import Priority
from tests.fakes.fixed_clock import FixedClock

TWENTY = Cost(writes=1, people=20)


async def admit(limiter: RateLimiter, clock: FixedClock, cost: Cost) -> Cost:
    return await limiter.admit(Priority.BULK, cost, WaitBudget(clock, timedelta(minutes=5)))


async def test_a_write_of_people_costs_what_graph_last_told_for_one() -> None:
    clock = FixedClock()
    limiter = RateLimiter(clock)
    reserved = await admit(limiter, clock, TWENTY)
    assert (reserved.units, reserved.writes) == (1, 1)
    limiter.answered(reserved, 204, {"x-ms-resource-unit": "7"})
    prices = [(await admit(limiter, clock, Cost(writes=1, people=people))).writes for people in (20, 19, 4, 1)]
    assert prices == [7, 7, 2, 1]
    limiter.answered(Cost(7, 7, 20), 204, {"x-ms-resource-unit": "1"})
    assert (await admit(limiter, clock, TWENTY)).writes == 1
    limiter.answered(Cost(7, 7, 20), 204, {})
    assert (await admit(limiter, clock, TWENTY)).writes == 1


async def test_a_refused_write_tells_no_price() -> None:
    """It added nobody, so its cost is not that of an addition."""
    clock = FixedClock()
    limiter = RateLimiter(clock)
    limiter.answered(await admit(limiter, clock, TWENTY), 204, {"x-ms-resource-unit": "7"})
    limiter.answered(await admit(limiter, clock, TWENTY), 400, {"x-ms-resource-unit": "1"})
    assert (await admit(limiter, clock, TWENTY)).writes == 7


@pytest.mark.parametrize(("told", "most"), [("1", 2_970), ("7", 424)])
async def test_the_limit_holds_at_either_price(told: str, most: int) -> None:
    """An urgent change waits only when the whole limit is spent: 99 % of 3,000 writes."""
    clock, written = FixedClock(), 0
    limiter = RateLimiter(clock)
    while not clock.slept:
        reserved = await limiter.admit(Priority.URGENT, TWENTY, WaitBudget(clock, timedelta(minutes=5)))
        limiter.answered(reserved, 204, {"x-ms-resource-unit": told})
        clock.advance(timedelta(seconds=0.05))
        written += 1
    assert written - 1 == most


async def test_other_requests_keep_their_price() -> None:
    """A read that costs more units than expected is no more writes."""
    clock = FixedClock()
    limiter = RateLimiter(clock)
    for cost in (Cost(), Cost(writes=1)):
        reserved = await admit(limiter, clock, cost)
        limiter.answered(reserved, 200, {"x-ms-resource-unit": "9"})
        assert await admit(limiter, clock, cost) == cost


async def test_the_price_that_a_probe_saw_is_read_once_and_counts_until_graph_tells_another() -> None:
    clock, read = FixedClock(), []

    async def probed_price() -> float:
        read.append(clock.now())
        return 0.35

    limiter = RateLimiter(clock, probed_price=probed_price)
    assert (await admit(limiter, clock, Cost(writes=1))).writes == 1
    assert read == []
    assert [(await admit(limiter, clock, TWENTY)).writes for _ in range(2)] == [7, 7]
    limiter.answered(Cost(7, 7, 20), 204, {"x-ms-resource-unit": "1"})
    assert (await admit(limiter, clock, TWENTY)).writes == 1
    assert len(read) == 1


@pytest.mark.parametrize(("status", "headers"), [(204, {"x-ms-throttle-limit-percentage": "1.0"}), (429, {})])
async def test_a_process_that_wrote_little_learns_that_others_use_the_limit_of_writes_up(
    status: int, headers: dict[str, str]
) -> None:
    """It joins at half the pace of the limit, ten writes a second, in place of sixteen writes at once."""
    clock, write = FixedClock(), Cost(writes=1)
    limiter = RateLimiter(clock, jitter=lambda: 0.0)
    limiter.answered(await admit(limiter, clock, write), status, headers)
    await admit(limiter, clock, write)
    began = clock.now()
    for _ in range(20):
        await admit(limiter, clock, write)
    assert clock.now() - began == timedelta(seconds=2)


async def test_a_read_of_a_process_that_spent_little_tells_nothing_of_a_limit() -> None:
    clock = FixedClock()
    limiter = RateLimiter(clock)
    limiter.answered(await admit(limiter, clock, Cost()), 200, {"x-ms-throttle-limit-percentage": "1.0"})
    for cost in (Cost(), *[Cost(writes=1)] * 20):
        await admit(limiter, clock, cost)
    assert not clock.slept
