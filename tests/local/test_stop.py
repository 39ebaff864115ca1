"""A process that is stopped at any moment says what the person reads, and nothing of how Python was stopped."""

from __future__ import annotations

import subprocess
import sys

from local.world import REPOSITORY

_STOPPED = """
import gc, os, signal
from local.processes import Stopped, stop_on_signals

async def work():
    pass

def begin():
    made = work()
    os.kill(os.getpid(), signal.SIGTERM)  # SIGINT may be ignored, as in the background of a shell
    return made

stop_on_signals()
try:
    begin()
except Stopped as stopped:
    print(stopped)
gc.collect()
"""


def test_a_coroutine_that_was_just_made_is_not_mentioned() -> None:
    done = subprocess.run([sys.executable, "-c", _STOPPED], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("SIGTERM\n", "")
