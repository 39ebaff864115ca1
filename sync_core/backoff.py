"""How long to wait for a busy or failing server, and how much one piece of work may wait in total."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from sync_core.clock import Clock
from sync_core.errors import Transient

_FIRST_WAIT, _LONGEST_WAIT = 2.0, 30.0
_DAY = 86_400


class WaitBudget:
    """The time that one piece of work may still wait."""

    def __init__(self, clock: Clock, budget: timedelta) -> None:
        self._clock = clock
        self._left = budget

    def need(self, pause: timedelta, spent: Transient) -> None:
        """Raise `spent` if `pause` is longer than the time left."""
        if pause > self._left:
            raise spent

    async def sleep(self, pause: timedelta, spent: Transient) -> None:
        """Wait for `pause`; raise `spent` at once if it is longer than the time left."""
        self.need(pause, spent)
        await self._clock.sleep(pause.total_seconds())
        self.waited(pause)

    def waited(self, pause: timedelta) -> None:
        self._left -= pause


def growing_wait(failures: int) -> timedelta:
    """The wait after `failures` in a row when the server names none."""
    return timedelta(seconds=min(_FIRST_WAIT * 2.0 ** (failures - 1), _LONGEST_WAIT))


def retry_after(headers: Mapping[str, str]) -> timedelta | None:
    """The wait in the Retry-After header, a day at most; None where it has no positive number of seconds."""
    seconds = headers.get("Retry-After", "")
    return timedelta(seconds=min(int(seconds), _DAY)) if seconds.isdecimal() and int(seconds) > 0 else None


def seconds_before_redelivery(deliveries: int) -> float:
    """How long to keep a failed message after `deliveries`, because the queue redelivers it without a pause.

    Ten deliveries outlast an outage of five minutes. The host renews the lock of the
    session meanwhile, and ends a function after 30 minutes (host.json).
    """
    return min(2.0**deliveries, 60.0)
