"""Graph's limits for one app in one tenant: resource units in 10 seconds and writes in 150 seconds."""

from __future__ import annotations

import math
import re
from collections import deque
from dataclasses import dataclass, field

UNITS_WINDOW, WRITES_WINDOW = 10.0, 150.0
UNITS = {"S": 3_500, "M": 5_000, "L": 8_000}
WRITES = 3_000
ROSTER_UNITS = 35_000
_WARNS_FROM = 0.8


@dataclass(slots=True)
class Window:
    """The amount spent in the last `seconds`."""

    seconds: float
    limit: int
    spent: deque[tuple[float, int]] = field(default_factory=deque)
    total: int = 0

    def room(self, cost: int, now: float) -> float:
        """The seconds until `cost` fits in; 0 if it fits now."""
        while self.spent and self.spent[0][0] <= now - self.seconds:
            self.total -= self.spent.popleft()[1]
        if self.total + cost <= self.limit:
            return 0.0
        return self.spent[0][0] + self.seconds - now if self.spent else self.seconds

    def spend(self, cost: int, now: float) -> None:
        self.spent.append((now, cost))
        self.total += cost

    @property
    def share(self) -> float:
        return self.total / self.limit


class Throttle:
    """`size` is S, M or L; with None it follows from the number of users, as in Graph."""

    def __init__(self) -> None:
        self.size: str | None = None
        self._units = Window(UNITS_WINDOW, UNITS["L"])
        self._roster = Window(UNITS_WINDOW, ROSTER_UNITS)
        self._writes = Window(WRITES_WINDOW, WRITES)

    def admit(self, cost: int, write: bool, roster: bool, users: int, now: float) -> float | None:
        """Spend the cost and return None, or return the seconds to wait."""
        self._units.limit = UNITS[self.size or ("S" if users < 50 else "M" if users <= 500 else "L")]
        windows = [(self._roster if roster else self._units, cost)]
        if write:
            windows.append((self._writes, 1))
        wait = max(window.room(price, now) for window, price in windows)
        if wait > 0:
            return math.ceil(wait)
        for window, price in windows:
            window.spend(price, now)
        return None

    def warning(self) -> str | None:
        """The x-ms-throttle-limit-percentage header; None below 80% of every limit."""
        share = max(self._units.share, self._writes.share, self._roster.share)
        return f"{share:.1f}" if share >= _WARNS_FROM else None


_MEMBERS = re.compile(r"/groups/[^/]+/members$")


def resource_units(method: str, path: str, query: dict[str, str]) -> int:
    """The resource units of a call, as Graph documents them."""
    if method != "GET":
        return 1
    cost = 3 if _MEMBERS.search(path) else 2 if path == "/users" else 1
    if "$select" in query:
        cost -= 1
    if query.get("$top", "100").isdecimal() and int(query.get("$top", "100")) < 20:
        cost -= 1
    if "$expand" in query:
        cost += 1
    return max(cost, 1)
