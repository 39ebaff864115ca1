"""What the commands print: text for people or one JSON document, tables, and the ends of help pages."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from local.printed import Printed


def console_of(as_json: bool) -> Console:
    """Where text for people goes. Rich shows colour on a terminal alone, and none if NO_COLOR is set."""
    return Console(stderr=as_json, soft_wrap=True)


def print_json(document: Any) -> None:
    sys.stdout.write(json.dumps(document, indent=2) + "\n")


def printed_to(as_json: bool, out: Path | None = None) -> Printed:
    """Where a result goes: to the terminal as text or JSON, and as JSON to the file `out` too."""
    return Printed(console=console_of(as_json), as_json=as_json, out=out)


def show(as_json: bool, document: Any, text: RenderableType, out: Path | None = None) -> None:
    """Print the document as JSON, or else the text as it is; `out` is a file for the JSON too."""
    printed_to(as_json, out).show(json.dumps(document, indent=2), text)


def table(columns: Sequence[str], rows: Sequence[Sequence[str | Text]]) -> Table:
    """A table of text that is shown as it is."""
    shown = Table(box=None, pad_edge=False)
    for column in columns:
        shown.add_column(column, overflow="fold")
    for row in rows:
        shown.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in row))
    return shown


def counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
