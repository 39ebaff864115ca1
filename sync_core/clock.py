"""Time, so that nothing else asks the machine for it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Time, so that nothing else asks the machine for it."""

    def now(self) -> datetime:
        """The moment, in UTC, with its time zone."""

    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """Implements the port Clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
