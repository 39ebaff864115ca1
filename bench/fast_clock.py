"""The time of the running loop as the port Clock, so that the app's waits pass at the rate of the loop."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta


class FastClock:
    """Implements the port Clock. It starts at the time of the machine; create it on a running loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._created_at, self._began = datetime.now(UTC), self._loop.time()

    @property
    def elapsed(self) -> float:
        """Seconds of the loop since this clock was created."""
        return self._loop.time() - self._began

    def now(self) -> datetime:
        return self._created_at + timedelta(seconds=self.elapsed)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
