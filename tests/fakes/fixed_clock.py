"""A clock that stands still until a test or a sleep advances it."""

from __future__ import annotations

from datetime import datetime, timedelta

from tests.builders import NOON


class FixedClock:
    def __init__(self, now: datetime = NOON) -> None:
        self._now = now
        self.slept: list[float] = []

    def now(self) -> datetime:
        return self._now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.advance(timedelta(seconds=seconds))

    def advance(self, by: timedelta) -> None:
        self._now += by
