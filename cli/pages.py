"""The help pages of the commands: what a command does, examples, and what its exit statuses mean."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence

import typer
from typer.core import TyperCommand

from local.exit_status import Status

NAME = "mis-class-sync"
_MEANINGS = {
    Status.GOOD: "done",
    Status.REFUSED: "the request, or your sign-in, was refused",
    Status.UNREACHABLE: "the app could not be reached",
}
Ends = Mapping[int, str]
"""What the exit statuses of a command mean."""
OF_DEPLOYMENT: Ends = {int(status): meaning for status, meaning in _MEANINGS.items()}


def add_command(
    app: typer.Typer,
    panel: str,
    function: Callable[..., int],
    examples: Sequence[str],
    ends: Ends,
    more: str = "",
    kind: type[TyperCommand] = TyperCommand,
) -> None:
    """Add a command that is named like its function. Its docstring is the help, and `more` the end of it."""
    name = function.__name__.strip("_")
    app.command(name, cls=kind, rich_help_panel=panel, help=help_of(function), epilog=end_of(examples, ends, more))(
        function
    )


def help_of(function: Callable[..., object]) -> str:
    """The paragraphs of the docstring, each on one line: a help page breaks lines where the terminal ends."""
    paragraphs = (inspect.getdoc(function) or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def end_of(examples: Sequence[str], ends: Ends, more: str = "") -> str:
    shown = [f"[dim]$[/dim] {NAME} {line}" for line in examples]
    listed = [f"[bold]{status}[/bold] {meaning}" for status, meaning in sorted({**ends, 130: "interrupted"}.items())]
    parts = ["[bold]Examples[/bold]", *shown] if shown else []
    return "\n\n".join([*parts, f"[bold]Exit status[/bold] {'; '.join(listed)}.", *([more] if more else [])])
