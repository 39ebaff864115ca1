"""An event loop whose time runs faster than the wall, so that waits of minutes in any library pass in seconds.

Everything that asks the loop for the time keeps its proportions: sleeps, timeouts, the retries of the SDKs. What asks
the machine does not, and the work of this machine takes its time whatever the rate: in the loop's seconds, `rate` times
as much. So a timeout of a hundred seconds must still be longer than the work behind it; hence no rate above FASTEST.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

FASTEST = 10.0
"""The plain script's httpx gives up after 100 s (msgraph-sdk), ours after 45: ten and four and a half on the wall."""

_Result = TypeVar("_Result")


class _FastSelector(selectors.DefaultSelector):
    """Waits on the wall for what the loop asks in its own seconds."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self._rate = rate

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return super().select(timeout if timeout is None else timeout / self._rate)


class FastLoop(asyncio.SelectorEventLoop):
    """`rate` seconds pass in this loop for each on the wall."""

    def __init__(self, rate: float) -> None:
        if not 0 < rate <= FASTEST:
            raise ValueError(f"a rate above 0 and up to {FASTEST:g}, not {rate:g}")
        self.rate = rate
        super().__init__(_FastSelector(rate))

    def time(self) -> float:
        return super().time() * self.rate


def run_fast(work: Coroutine[Any, Any, _Result], rate: float) -> _Result:
    """As asyncio.run does, on a loop of that rate."""
    with asyncio.Runner(loop_factory=lambda: FastLoop(rate)) as runner:
        return runner.run(work)
