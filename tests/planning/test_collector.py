"""The garbage collector while a plan is made: it pauses, and afterwards it is as it was."""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Iterator

import pytest

from sync_core.planning.collector import collector_paused


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    enabled = gc.isenabled()
    gc.enable()
    yield
    if not enabled:
        gc.disable()


def test_the_collector_pauses_until_the_work_ends_or_fails() -> None:
    with collector_paused():
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(ZeroDivisionError), collector_paused():
        raise ZeroDivisionError
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    with collector_paused(), collector_paused():
        pass
    assert not gc.isenabled()


def test_frozen_objects_stay_frozen() -> None:
    """Those of the tests are: tests/conftest.py. Some may come to their end meanwhile, in another thread."""
    frozen = gc.get_freeze_count()
    assert frozen
    with collector_paused():
        made: list[list[int]] = [[] for _ in range(150_000)]
    assert frozen - 100 < gc.get_freeze_count() <= frozen
    assert made


_MANY = """
import gc
from sync_core.planning.collector import collector_paused
with collector_paused():
    made = [[] for _ in range(150_000)]
print(len(gc.get_objects(generation=2)) > 150_000, gc.get_freeze_count())
"""


def test_many_new_objects_are_old_when_the_work_ends() -> None:
    assert subprocess.run([sys.executable, "-c", _MANY], capture_output=True, check=True).stdout == b"True 0\n"
