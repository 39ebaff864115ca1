"""A command of this folder: what it prints, and how it ends."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The folder of the project: scripts read the names of permissions from it, and azd finds azure.yaml in it."""


class Failure(Exception):
    """What stopped a command, for the person who ran it: the cause, what was not changed, and the remedy."""


def say(line: str) -> None:
    """Print a line at once, so that azd shows it while the command still runs."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def run(main: Callable[[], None]) -> None:
    """Run a command. A failure ends it with exit status 1 and its sentences on standard error."""
    try:
        main()
    except Failure as failure:
        sys.exit(str(failure))
    except KeyboardInterrupt:
        sys.exit("stopped; what is printed above is done: run the same command again, and it continues from there")
