"""Python's garbage collector, while much is made that has no cycles."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_MANY = 100_000


@contextmanager
def collector_paused() -> Iterator[None]:
    """Work that waits for nothing, without the collector: each object still goes when nothing refers to it any more.

    The plan of a large school has a million objects and no cycle of them, and the collector looks at all of them again
    and again while more are made: a third of the time of a plan. If they are many, all that is new counts as old in
    the end. So the next full collection looks at them, with the cycles that anything else left, and no earlier one.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            new, _, _ = gc.get_count()
            # Nothing is released that somebody else froze.
            if new > _MANY and not gc.get_freeze_count():
                gc.freeze()
                gc.unfreeze()
            gc.enable()
