"""An event loop whose time runs faster than real time, so that waits of minutes in any library pass in seconds.

Code that takes the time from the loop keeps its proportions: sleeps, timeouts, the retries of the SDKs. Code that takes
it from the machine does not. The work of this machine does not get faster, so it takes `rate` times as many seconds of
the loop. A timeout must still be longer than the work that it waits for; hence no rate above FASTEST.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

FASTEST = 10.0
"""The plain script's httpx times out after 100 s (msgraph-sdk), ours after 45: in real time 10 s and 4.5 s."""

_Result = TypeVar("_Result")


class _FastSelector(selectors.DefaultSelector):
    """Converts the loop's timeouts to real seconds."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self._rate = rate

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return super().select(timeout if timeout is None else timeout / self._rate)


class FastLoop(asyncio.SelectorEventLoop):
    """`rate` seconds of this loop pass in each real second."""

    def __init__(self, rate: float) -> None:
        if not 0 < rate <= FASTEST:
            raise ValueError(f"the rate must be above 0 and at most {FASTEST:g}, not {rate:g}")
        self.rate = rate
        super().__init__(_FastSelector(rate))

    def time(self) -> float:
        return super().time() * self.rate


def run_fast(work: Coroutine[Any, Any, _Result], rate: float) -> _Result:
    """As asyncio.run does, on a loop of that rate."""
    with asyncio.Runner(loop_factory=lambda: FastLoop(rate)) as runner:
        return runner.run(work)
