"""Print the path of the python3 that makes .venv: the first one on the PATH, unless another is much faster.

A Python that was compiled without optimisation, as pyenv's are by default, takes almost half as long again for the same
work. This file runs before anything is installed, with whatever python3 there is.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

_MUCH_FASTER = 0.85
"""Another one takes less than this share of the time that the first takes."""

_TURNS = 5
"""They are measured by turns, because the speed of a machine may change from one second to the next."""

# The best of several, because other processes use the processor too. Without ensurepip there is no virtual environment.
_MEASURE = """
import ensurepip, sys, time, venv
assert sys.version_info >= (3, 11)
def take():
    began = time.process_time()
    for number in range(20_000):
        str((number, [number]))
    return time.process_time() - began
print(min(take() for _ in range(4)))
"""


def fastest(pythons: Iterable[str]) -> str | None:
    """None if none of them is Python 3.11 or later that can make a virtual environment."""
    seconds: dict[str, float] = {}
    for python in [*pythons] * _TURNS:
        measured = subprocess.run([python, "-I", "-c", _MEASURE], capture_output=True, check=False)
        if measured.returncode == 0:
            seconds[python] = min(float(measured.stdout), seconds.get(python, math.inf))
    if not seconds:
        return None
    first = next(iter(seconds))
    best = min(seconds, key=lambda python: seconds[python])
    return best if seconds[best] < _MUCH_FASTER * seconds[first] else first


def in_path() -> list[str]:
    """Every python3 on the PATH, in its order. One with two names, as in /bin and /usr/bin, comes once."""
    found: dict[Path, str] = {}
    for folder in os.get_exec_path():
        path = Path(folder, "python3")
        if os.access(path, os.X_OK):
            found.setdefault(path.resolve(), str(path))
    return list(found.values())


if __name__ == "__main__":
    sys.stdout.write(fastest(in_path()) or "")
