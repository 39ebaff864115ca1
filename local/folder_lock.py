"""The lock of a world's folder, which its supervisor holds while the world runs. Only POSIX has it.

Imported where it is used, because `check` and `plan` run on Windows too.
"""

from __future__ import annotations

import fcntl
from typing import IO


def take(lock: IO[str]) -> None:
    """Hold the lock until the file is closed. Raises BlockingIOError if another process has it."""
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def look_at(lock: IO[str]) -> None:
    """Raises BlockingIOError if another process has the lock; processes that look are in nobody's way."""
    fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
