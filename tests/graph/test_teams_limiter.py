"""The limits of Teams hold for each kind of request and for each team, and urgent work comes first."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import pytest

from sync_core.backoff import WaitBudget
from sync_core.domain.ids import ClassId
from sync_core.errors import Transient
from sync_core.graph.teams.limiter import Kind, TeamsLimiter, TeamsRequest
from sync_core.messaging.messages import Priority
from tests.builders import NOON
from tests.fakes.fixed_clock import FixedClock

SECOND = timedelta(seconds=1)


class VirtualClock:
    """Time passes only when everybody sleeps: the earliest sleeper wakes first."""

    def __init__(self) -> None:
        self._now = NOON
        self._sleepers: list[tuple[datetime, int, asyncio.Future[None]]] = []
        self._count = 0

    def now(self) -> datetime:
        return self._now

    async def sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count += 1
        self._sleepers.append((self._now + timedelta(seconds=seconds), self._count, future))
        await future

    async def run(self, *tasks: asyncio.Task[None]) -> None:
        while not all(task.done() for task in tasks):
            for _ in range(50):
                await asyncio.sleep(0)
            if self._sleepers:
                self._sleepers.sort(key=lambda sleeper: sleeper[:2])
                at, _, future = self._sleepers.pop(0)
                self._now = max(self._now, at)
                future.set_result(None)


def team(number: int) -> ClassId:
    return ClassId(f"11111111-2222-4333-8444-{number:012}")


def budget(clock: FixedClock | VirtualClock, seconds: int = 600) -> WaitBudget:
    return WaitBudget(clock, timedelta(seconds=seconds))


def most_within_a_second(times: list[datetime]) -> int:
    return max(sum(start <= time < start + SECOND for time in times) for start in times)


@pytest.mark.parametrize(("kind", "most"), [(Kind.CREATE, 10), (Kind.TEAM, 30), (Kind.MEMBERS, 60), (Kind.OTHER, 30)])
async def test_each_kind_has_its_limit_which_is_used_up(kind: Kind, most: int) -> None:
    clock = FixedClock()
    limiter, times = TeamsLimiter(clock), list[datetime]()
    for number in range(most * 5):
        await limiter.admit(Priority.BULK, TeamsRequest(kind, team(number)), budget(clock))
        times.append(clock.now())
    assert most_within_a_second(times) == most
    assert times[-1] - times[0] == timedelta(seconds=4.4)


async def test_no_team_gets_more_than_four_requests_a_second_of_all_kinds_together() -> None:
    clock = FixedClock()
    limiter, times = TeamsLimiter(clock), list[datetime]()
    for number in range(20):
        kind = list(Kind)[number % len(Kind)]
        await limiter.admit(Priority.BULK, TeamsRequest(kind, team(1)), budget(clock))
        times.append(clock.now())
    assert most_within_a_second(times) == 4


async def test_whoever_waits_for_one_team_keeps_nobody_from_another() -> None:
    clock = VirtualClock()
    limiter, done = TeamsLimiter(clock), list[tuple[int, float]]()

    async def send(number: int) -> None:
        await limiter.admit(Priority.BULK, TeamsRequest(Kind.OTHER, team(number)), budget(clock))
        done.append((number, (clock.now() - NOON).total_seconds()))

    await clock.run(*[asyncio.create_task(send(1)) for _ in range(12)], *[asyncio.create_task(send(2))])
    assert (2, 0.0) in done
    assert [at for number, at in done if number == 1] == [0.0] * 4 + [1.1] * 4 + [2.2] * 4


async def test_urgent_work_does_not_queue_behind_bulk_work() -> None:
    """Three hundred bulk requests take 11 seconds; an urgent one that comes after them waits for one window at most."""
    clock = VirtualClock()
    limiter, done = TeamsLimiter(clock), dict[Priority, list[float]]()

    async def send(priority: Priority, number: int) -> None:
        await limiter.admit(priority, TeamsRequest(Kind.OTHER, team(number)), budget(clock))
        done.setdefault(priority, []).append((clock.now() - NOON).total_seconds())

    bulk = [asyncio.create_task(send(Priority.BULK, number)) for number in range(300)]
    urgent = [asyncio.create_task(send(Priority.URGENT, number)) for number in range(300, 303)]
    await clock.run(*bulk, *urgent)
    assert max(done[Priority.URGENT]) <= 1.2
    assert 9.9 <= max(done[Priority.BULK]) <= 11.5


async def test_a_429_about_a_busy_team_closes_that_team_alone() -> None:
    clock = FixedClock()
    limiter = TeamsLimiter(clock)
    for _ in range(2):
        request = await limiter.admit(Priority.BULK, TeamsRequest(Kind.OTHER, team(1)), budget(clock))
    limiter.answered(request, 429, {"Retry-After": "20"})
    await limiter.admit(Priority.BULK, TeamsRequest(Kind.OTHER, team(2)), budget(clock))
    assert clock.slept == []
    await limiter.admit(Priority.BULK, TeamsRequest(Kind.OTHER, team(1)), budget(clock))
    assert clock.slept == [20]


async def test_another_429_closes_its_kind() -> None:
    clock = FixedClock()
    limiter = TeamsLimiter(clock)
    request = await limiter.admit(Priority.BULK, TeamsRequest(Kind.CREATE, team(1)), budget(clock))
    limiter.answered(request, 429, {"Retry-After": "20"})
    await limiter.admit(Priority.BULK, TeamsRequest(Kind.TEAM, team(1)), budget(clock))
    assert clock.slept == []
    with pytest.raises(Transient):
        await limiter.admit(Priority.URGENT, TeamsRequest(Kind.CREATE, team(2)), budget(clock, 10))
    await limiter.admit(Priority.BULK, TeamsRequest(Kind.CREATE, team(2)), budget(clock))
    assert clock.slept == [20]


async def test_without_a_retry_after_the_pauses_grow() -> None:
    clock = FixedClock()
    limiter = TeamsLimiter(clock, jitter=lambda: 1.0)
    request = TeamsRequest(Kind.CREATE, team(1))
    for _ in range(3):
        await limiter.admit(Priority.BULK, request, budget(clock))
        limiter.answered(request, 429, {})
    await limiter.admit(Priority.BULK, request, budget(clock))
    assert clock.slept == [2, 4, 8]


async def test_thousands_of_teams_are_not_kept() -> None:
    clock = FixedClock()
    limiter = TeamsLimiter(clock)
    for number in range(2_000):
        await limiter.admit(Priority.BULK, TeamsRequest(Kind.MEMBERS, team(number)), budget(clock))
    assert len(limiter._teams) <= 600
