"""Timer triggers: wait for the next time of the schedule, run, and, with a state folder, catch up on a missed run."""

import asyncio
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from azure_functions_runtime.bindings.datumdef import Datum

from local.host.functions_index import Function
from local.host.invoke import Invoker
from local.host.ncrontab import BadSchedule, Schedule, parse
from local.host.refusal import StartRefused
from local.host.settings import Settings

_log = logging.getLogger("host.timers")


class Clock(Protocol):
    """Time, aware and in UTC, as the timers see it."""

    def now(self) -> datetime: ...

    async def sleep_until(self, moment: datetime) -> None: ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep_until(self, moment: datetime) -> None:
        # In steps, because the machine may be suspended or its clock changed.
        left = (moment - self.now()).total_seconds()
        while left > 0:
            await asyncio.sleep(min(left, 30.0))
            left = (moment - self.now()).total_seconds()


@dataclass(frozen=True, slots=True)
class Timer:
    """A timer-triggered function with its settings resolved."""

    function: Function
    schedule: Schedule
    run_on_startup: bool
    use_monitor: bool


@dataclass(frozen=True, slots=True)
class TimerMonitor:
    """When each timer is next due, kept in a file, so that a run missed while the host was down is caught up."""

    path: Path

    def due(self, timer: Timer) -> datetime | None:
        """When the timer was due by the schedule it still has; None when it is new or its schedule has changed."""
        known = self._read().get(timer.function.name)
        if known is None or known["schedule"] != timer.schedule.expression:
            return None
        return datetime.fromisoformat(known["next"])

    def expect(self, timer: Timer, moment: datetime) -> None:
        state = dict(self._read())
        state[timer.function.name] = {"schedule": timer.schedule.expression, "next": moment.isoformat()}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = self.path.with_suffix(".draft")
        draft.write_text(json.dumps(state), encoding="utf-8")
        draft.replace(self.path)

    def _read(self) -> Mapping[str, dict[str, str]]:
        try:
            state: Mapping[str, dict[str, str]] = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        return state


def timer_of(function: Function, settings: Settings) -> Timer:
    """Raises StartRefused if a setting is missing or the schedule is not six-field NCRONTAB."""
    trigger = function.trigger
    expression = settings.resolve(str(trigger["schedule"]), function.where)
    try:
        schedule = parse(expression)
    except BadSchedule as error:
        raise StartRefused(
            f"bad schedule: {error}", function.where, "Write six fields, such as 0 30 1 * * * for 01:30:00 UTC."
        ) from error
    return Timer(function, schedule, bool(trigger.get("runOnStartup", False)), bool(trigger.get("useMonitor", True)))


async def run_timer(timer: Timer, invoker: Invoker, clock: Clock, monitor: TimerMonitor | None) -> None:
    """Fire the timer forever. One run ends before the next begins, as in Azure."""
    watch = monitor if timer.use_monitor else None
    due = watch.due(timer) if watch else None
    missed = due is not None and due < clock.now()
    if missed or timer.run_on_startup:
        await fire(timer, invoker, clock, past_due=missed)
    while True:
        due = timer.schedule.after(clock.now())
        if watch:
            watch.expect(timer, due)
        await clock.sleep_until(due)
        await fire(timer, invoker, clock)


async def fire(timer: Timer, invoker: Invoker, clock: Clock, *, past_due: bool = False) -> None:
    """Run the function now."""
    _log.info("timer %s fires%s", timer.function.name, ", past due" if past_due else "")
    now = clock.now()
    request = {
        "Schedule": {"AdjustForDST": True},
        "ScheduleStatus": {"Last": now.isoformat(), "Next": timer.schedule.after(now).isoformat(),
                           "LastUpdated": now.isoformat()},
        "IsPastDue": past_due,
    }  # fmt: skip
    await invoker.invoke(timer.function, Datum(json.dumps(request), "json"), {})
