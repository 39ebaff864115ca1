"""The file of a tenant: a line for each change, written before the answer, so that a kill loses nothing answered."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any


class Journal:
    """An append-only file of JSON lines, compacted at each start. Without a path nothing is stored."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file: int | None = None

    def read(self) -> Iterator[dict[str, Any]]:
        """The stored lines. A torn last line was never answered, so it is skipped."""
        if self._path is None or not self._path.exists():
            return
        for line in self._path.read_text(encoding="utf-8").splitlines():
            try:
                yield json.loads(line)
            except json.JSONDecodeError:
                return

    def restart(self, lines: Iterable[dict[str, Any]]) -> None:
        """Replace the file by `lines`; `append` adds to those."""
        if self._path is None:
            return
        fresh = self._path.with_suffix(".fresh")
        fresh.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        fresh.replace(self._path)
        self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND)

    def append(self, line: dict[str, Any]) -> None:
        if self._file is not None:
            os.write(self._file, json.dumps(line).encode() + b"\n")
