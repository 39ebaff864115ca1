"""Attempts of checks: some at once, each within its own time, and a failure is a finding."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from sync_core.admin.health.findings import Finding, failure
from sync_core.errors import SyncError, unexpected

_Read = TypeVar("_Read")


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """In seconds: the longest that one check may take, and the time after which no check begins or goes on.

    The client of Service Bus repeats a refused link for eight seconds. Azure's load balancer ends a request after 230.
    """

    each: float = 15.0
    all: float = 60.0


class Attempts:
    """The attempts of one health check, of which at most `places` are under way at once."""

    def __init__(self, times: Times, places: int = 16) -> None:
        self._times = times
        self._places = asyncio.Semaphore(places)
        self._end = asyncio.get_running_loop().time() + times.all

    async def __call__(self, work: Callable[[], Awaitable[_Read]]) -> _Read | Finding:
        """What `work` returns, or why there is nothing. Never raises an Exception."""
        begun = False
        try:
            async with asyncio.timeout_at(self._end), self._places:
                begun = True
                async with asyncio.timeout(self._times.each):
                    return await work()
        except SyncError as error:
            return failure(error)
        except TimeoutError:
            return _too_slow(self._times) if begun else _not_begun(self._times)
        except Exception as error:
            return Finding(f"the check failed: {unexpected(error)}", "look again, and report this error if it stays")


def _too_slow(times: Times) -> Finding:
    return Finding(
        f"no answer within {times.each:g} s",
        "check the network between the app and that server, and whether the server has an outage; then look again",
    )


def _not_begun(times: Times) -> Finding:
    return Finding(
        f"not checked, because the other checks took the {times.all:g} s that all have together",
        "correct what is wrong in the other lines, then look again",
    )
