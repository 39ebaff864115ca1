"""An event loop whose time passes only while it waits, and then at once: a day of locks takes a second."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import TypeVar

_T = TypeVar("_T")


class _Selector(selectors.DefaultSelector):
    """Lets the time of a wait pass instead of waiting."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "every task waits for something that nobody will do"
            self.now += timeout
        return ready


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._clock = _Selector()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now


def run_in_virtual_time(work: Coroutine[None, None, _T]) -> _T:
    """The result of `work`, whose loop begins at second 0."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        return runner.run(work)
