"""`python -m local`: the command `mis-class-sync`, of which `check` and `doctor` are about the local world."""

from __future__ import annotations

import sys

from cli.app import run
from cli.session import WORLD
from local.processes import Spawn, spawn_interpreter


def main(spawn: Spawn = spawn_interpreter) -> int:
    """`spawn` starts the processes of a world that does not run already."""
    return run(sys.argv[1:], "python -m local", spawn, WORLD)


if __name__ == "__main__":
    sys.exit(main())
