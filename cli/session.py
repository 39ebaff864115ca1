"""What the commands share: how a world is started, and the options that several commands have."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from local.processes import Spawn


@dataclass(frozen=True, slots=True)
class Session:
    """One call of the command. `world` is the folder that `check` and `doctor` are about if nothing else is named."""

    spawn: Spawn
    world: Path | None


def session_of(context: typer.Context) -> Session:
    session: Session = context.obj
    return session


WORLD = Path(".world")
"""The usual folder of a local world."""

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout, and all else on stderr.")]
WorldFolder = Annotated[
    Path, typer.Option("--world", metavar="DIR", help="The folder of the local world, which keeps its state.")
]
SchoolId = Annotated[str, typer.Argument(metavar="SCHOOL", help="The school's id: 'schools' lists them.")]
