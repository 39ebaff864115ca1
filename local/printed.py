"""Where the result of a command goes: to the terminal as text, or as JSON to stdout and to a file."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console, RenderableType


@dataclass(frozen=True, slots=True, kw_only=True)
class Printed:
    """Where a result goes: to `console` as text, or to stdout as JSON; and as JSON to a file, if there is one."""

    console: Console
    as_json: bool = False
    out: Path | None = None

    def show(self, document: str, text: RenderableType | None = None) -> None:
        """Print the JSON `document`, or else the text."""
        if self.out:
            _write(self.out, document.encode())
        if self.as_json:
            sys.stdout.write(document + "\n")
        elif text is not None:
            self.console.print(text, soft_wrap=True, highlight=False, markup=False)


def _write(path: Path, report: bytes) -> None:
    """Raises OSError with the path, which a failed write does not name."""
    try:
        path.write_bytes(report + b"\n")
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
