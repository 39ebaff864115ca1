"""Timers, with a clock that the test advances."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from local.host.functions_index import Function
from local.host.invoke import Counts, Invoker
from local.host.ncrontab import parse
from local.host.timers import Timer, TimerMonitor, run_timer

START = datetime(2026, 11, 23, 0, 0, tzinfo=UTC)


class ManualClock:
    """Stands still until the test advances it."""

    def __init__(self, start: datetime = START) -> None:
        self._now = start
        self._until = start
        self._changed = asyncio.Condition()

    def now(self) -> datetime:
        return self._now

    async def sleep_until(self, moment: datetime) -> None:
        async with self._changed:
            self._until = moment
            self._changed.notify_all()
            await self._changed.wait_for(lambda: self._now >= moment)

    async def wait_for_sleeper(self) -> None:
        """Wait until a task sleeps."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._now < self._until)

    async def advance(self, by: timedelta) -> None:
        await self.wait_for_sleeper()
        async with self._changed:
            self._now += by
            self._changed.notify_all()


async def _run(
    functions: list[Function],
    clock: ManualClock,
    monitor: TimerMonitor | None,
    *moves: timedelta,
    startup: bool = False,
) -> Counts:
    """The invocation counts of the timer after advancing the clock by each of `moves`."""
    function = next(function for function in functions if function.name == "nightly")
    timer = Timer(function, parse("0 0 1 * * *"), startup, use_monitor=True)
    invoker = Invoker(timeout=5.0)
    task = asyncio.create_task(run_timer(timer, invoker, clock, monitor))
    async with asyncio.timeout(5):
        for by in moves:
            await clock.advance(by)
        await clock.wait_for_sleeper()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return invoker.counts.get("nightly", Counts())


@pytest.mark.parametrize(
    ("moves", "runs"),
    [
        ([timedelta(minutes=59)], 0),
        ([timedelta(hours=1)], 1),
        ([timedelta(hours=1), timedelta(hours=24)], 2),
        # A host that was suspended over three nights runs once, not three times.
        ([timedelta(days=3, hours=2)], 1),
    ],
)
async def test_a_timer_runs_when_due(web_functions: list[Function], moves: list[timedelta], runs: int) -> None:
    assert await _run(web_functions, ManualClock(), None, *moves) == Counts(succeeded=runs)


async def test_a_timer_may_run_on_startup(web_functions: list[Function]) -> None:
    assert await _run(web_functions, ManualClock(), None, startup=True) == Counts(succeeded=1)


async def test_a_run_missed_while_the_host_was_down_is_made_up_once(
    web_functions: list[Function], tmp_path: Path
) -> None:
    monitor = TimerMonitor(tmp_path / "state" / "timers.json")
    clock = ManualClock()
    assert await _run(web_functions, clock, monitor) == Counts()
    later = ManualClock(START + timedelta(hours=2))
    # The function raises if the timer is past due, so a failure shows that it was.
    assert await _run(web_functions, later, monitor) == Counts(failed=1)
    assert await _run(web_functions, later, monitor) == Counts()
