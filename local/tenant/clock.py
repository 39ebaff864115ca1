"""The simulated tenant's time: it can be moved ahead, so that links expire and limits refill without waiting."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime


@dataclass(slots=True)
class Clock:
    """Time in seconds since 1970. It runs at `rate` times the speed of the machine's clock."""

    rate: float = 1.0
    _from: float = field(default_factory=time.time)
    _at: float = field(default_factory=time.time)

    def now(self) -> float:
        return self._at + (time.time() - self._from) * self.rate

    def advance(self, seconds: float) -> None:
        self._at += seconds

    def run_at(self, rate: float) -> None:
        self._at, self._from, self.rate = self.now(), time.time(), rate

    def text(self) -> str:
        return datetime.fromtimestamp(self.now(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
