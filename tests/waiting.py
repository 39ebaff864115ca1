"""Waiting for another process to get somewhere, without taking its processor meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable

_POLL = 0.05


def wait_until(condition: Callable[[], object], seconds: float = 60) -> None:
    """Ask again and again until the condition is true. Raises AssertionError after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(_POLL)
