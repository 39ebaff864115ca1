"""The broker's time: the wall clock, moved ahead where nobody wants to wait for a lock to expire."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(slots=True)
class Clock:
    """Seconds since 1970."""

    ahead: float = 0.0

    def now(self) -> float:
        return time.time() + self.ahead

    def advance(self, seconds: float) -> None:
        self.ahead += seconds
