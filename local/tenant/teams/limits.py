"""Teams' own limits on an app in one tenant: by kind of request and by team. They are no part of the identity quota."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from local.tenant.throttle import Window

PER_TEAM = 4
_KINDS = tuple(
    (name, re.compile(pattern), limit)
    for name, pattern, limit in (
        ("create", r"POST /teams", 10),
        ("team", r"(GET|PATCH) /teams/[^/]+", 30),
        ("members", r"GET /teams/[^/]+/members(/[^/]+)?", 60),
        ("other reads", r"GET /.*", 30),
        ("other writes", r"(POST|PATCH|PUT|DELETE) /.*", 30),
    )
)
_TEAM = re.compile(r"/teams/([^/]+)")
_BOUND = re.compile(r"groups\('([^']+)'\)")


def is_of_teams(path: str) -> bool:
    return path == "/teams" or path.startswith("/teams/")


class TeamsThrottle:
    """Requests a second: each kind has a limit in the tenant, and each team has one for all kinds."""

    def __init__(self) -> None:
        self._kinds = {name: Window(1.0, limit) for name, _, limit in _KINDS}
        self._teams: dict[str, Window] = {}

    def admit(self, method: str, path: str, body: Mapping[str, object], now: float) -> float | None:
        """Count the request and return None, or return the seconds to wait."""
        called = f"{method} {path}"
        kind = next((self._kinds[name] for name, pattern, _ in _KINDS if pattern.fullmatch(called)), None)
        match = _TEAM.match(path) or _BOUND.search(str(body.get("group@odata.bind", "")))
        team = self._teams.setdefault(match[1], Window(1.0, PER_TEAM)) if match else None
        windows = [window for window in (kind, team) if window]
        wait = max((window.room(1, now) for window in windows), default=0.0)
        if wait > 0:
            return math.ceil(wait)
        for window in windows:
            window.spend(1, now)
        return None
