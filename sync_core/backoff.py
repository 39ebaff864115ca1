"""How long to wait for a server that is busy or out of order, and how much waiting one piece of work may do."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from sync_core.clock import Clock
from sync_core.errors import Transient

_FIRST_WAIT, _LONGEST_WAIT = 2.0, 30.0


_DAY = 86_400


class WaitBudget:
    """The waiting that one piece of work has left."""

    def __init__(self, clock: Clock, budget: timedelta) -> None:
        self._clock = clock
        self._left = budget

    def need(self, pause: timedelta, spent: Transient) -> None:
        """Raises `spent` where that is longer than what is left."""
        if pause > self._left:
            raise spent

    async def sleep(self, pause: timedelta, spent: Transient) -> None:
        """Raises as `need`, without waiting for it."""
        self.need(pause, spent)
        await self._clock.sleep(pause.total_seconds())
        self.waited(pause)

    def waited(self, pause: timedelta) -> None:
        self._left -= pause


def growing_wait(failures: int) -> timedelta:
    """How long to wait after so many failures in a row of which the server does not say for how long."""
    return timedelta(seconds=min(_FIRST_WAIT * 2.0 ** (failures - 1), _LONGEST_WAIT))


def retry_after(headers: Mapping[str, str]) -> timedelta | None:
    """What the server asks for; some answers say nothing, or nothing of use."""
    said = headers.get("Retry-After", "")
    return timedelta(seconds=min(int(said), _DAY)) if said.isdecimal() and int(said) > 0 else None


def seconds_before_redelivery(deliveries: int) -> float:
    """How long a message that failed is held after so many deliveries, for the queue delivers it again at once.

    Ten deliveries outlast an outage of five minutes; each pause is much shorter than the five minutes for which a
    message's lock is renewed (host.json, maxAutoLockRenewalDuration).
    """
    return min(2.0**deliveries, 60.0)
