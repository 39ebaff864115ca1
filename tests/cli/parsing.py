"""What a command line means, without doing it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup

from cli.app import build_app


def parse(arguments: Sequence[str]) -> dict[str, Any]:
    """The parameters of the innermost command that these words name, as the command receives them."""
    command, rest = typer.main.get_command(build_app()), list(arguments)
    while True:
        name = rest.pop(0) if isinstance(command, TyperGroup) else ""
        assert isinstance(command, TyperGroup)
        command = command.commands[name]
        if not isinstance(command, TyperGroup) or rest[0].startswith("-"):
            return dict(command.make_context(name, rest, resilient_parsing=isinstance(command, TyperGroup)).params)
