"""Graph's limits: for the app in one tenant, for the app in all its tenants, and for all apps of a tenant."""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from local.tenant.answers import Answers

UNITS_WINDOW, WRITES_WINDOW = 10.0, 150.0
UNITS = {"S": 3_500, "M": 5_000, "L": 8_000}
WRITES = 3_000
ROSTER_UNITS = 35_000
APP_UNITS, APP_UNITS_WINDOW = 150_000, 20.0
APP_WRITES, APP_WRITES_WINDOW = 70_000, 300.0
TENANT_WRITES, TENANT_WRITES_WINDOW = 18_000, 300.0
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


@dataclass(frozen=True, slots=True)
class Price:
    """What a call takes from the limits."""

    units: int
    writes: int


class AppLimits:
    """The limits of the app that all its tenants share."""

    def __init__(self) -> None:
        self.units = Window(APP_UNITS_WINDOW, APP_UNITS)
        self.writes = Window(APP_WRITES_WINDOW, APP_WRITES)


class Throttle:
    """`size` is S, M or L; with None it follows from the number of users, as in Graph."""

    def __init__(self, app: AppLimits) -> None:
        self.size: str | None = None
        self._app = app
        self._units = Window(UNITS_WINDOW, UNITS["L"])
        self._roster = Window(UNITS_WINDOW, ROSTER_UNITS)
        self._writes = Window(WRITES_WINDOW, WRITES)
        self._tenant_writes = Window(TENANT_WRITES_WINDOW, TENANT_WRITES)

    def admit(self, cost: Price, roster: bool, users: int, now: float) -> float | None:
        """Spend the cost and return None, or return the seconds to wait."""
        self._units.limit = UNITS[self.size or ("S" if users < 50 else "M" if users <= 500 else "L")]
        windows = [(self._roster if roster else self._units, cost.units), (self._app.units, cost.units)]
        if cost.writes:
            windows += [(window, cost.writes) for window in (self._writes, self._tenant_writes, self._app.writes)]
        wait = max(window.room(amount, now) for window, amount in windows)
        if wait > 0:
            return math.ceil(wait)
        for window, amount in windows:
            window.spend(amount, now)
        return None

    def spend_by_others(self, writes: int, now: float) -> None:
        """Writes of other apps, which count for the limit of the tenant alone."""
        self._tenant_writes.spend(writes, now)

    def warning(self) -> str | None:
        """The x-ms-throttle-limit-percentage header; None below 80% of every limit of the app in the tenant."""
        share = max(self._units.share, self._writes.share, self._roster.share)
        return f"{share:.1f}" if share >= _WARNS_FROM else None


_LIST = re.compile(r"/groups/[^/]+/(members|owners)$")
_DELTA = re.compile(r"/(users|groups)/delta(\(\))?$")
_PEOPLE_PER_WRITE = 3


@dataclass(frozen=True, slots=True)
class Call:
    """What the price of a call depends on."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Mapping[str, object]


def price(call: Call, answers: Answers) -> Price:
    """The price of a call, as Graph documents it, or as `answers` say where it does not."""
    if call.method != "GET":
        amount = _people_price(call.body.get("members@odata.bind")) if answers.patch_price == "third" else 1
        return Price(amount, amount)
    units = _read_units(call.path, answers)
    if "$select" in call.query:
        units -= 1
    top = call.query.get("$top", "100")
    if top.isdecimal() and int(top) < 20:
        units -= 1
    if "$expand" in call.query:
        units += 1
    return Price(max(units, 1), 0)


def _people_price(bound: object) -> int:
    return max(1, math.ceil(len(bound) / _PEOPLE_PER_WRITE)) if isinstance(bound, list) else 1


def _read_units(path: str, answers: Answers) -> int:
    if match := _LIST.search(path):
        return 3 if match[1] == "members" else 2 if answers.owners_price == "two" else 1
    if _DELTA.fullmatch(path):
        return 5 if answers.delta_price == "five" else 1
    return 2 if path == "/users" else 1
