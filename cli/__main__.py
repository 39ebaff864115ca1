"""The installed command: `mis-class-sync`, or `python -m cli` in a checkout."""

from __future__ import annotations

import sys

from cli.app import run
from cli.pages import NAME
from local.processes import Spawn, spawn_interpreter


def main(spawn: Spawn = spawn_interpreter) -> int:
    """`spawn` starts the processes of a world that does not run already."""
    return run(sys.argv[1:], NAME, spawn, None)


if __name__ == "__main__":
    sys.exit(main())
