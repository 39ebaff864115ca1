"""The running loop's time as the port Clock, so that what the app waits for passes at the loop's rate."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta


class FastClock:
    """Implements the port Clock. It agrees with the machine's at the moment when it is made, on a running loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._made_at, self._began = datetime.now(UTC), self._loop.time()

    @property
    def elapsed(self) -> float:
        """Seconds of the loop since this clock was made."""
        return self._loop.time() - self._began

    def now(self) -> datetime:
        return self._made_at + timedelta(seconds=self.elapsed)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
