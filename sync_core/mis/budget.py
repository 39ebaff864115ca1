"""How much is read of what comes from outside: each limit on file drops and their files, once (docs/security.md)."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass

from sync_core.mis.rejection import rejection

MAX_READING = 2_000_000_000
"""Bytes of all the files that one reading uses, packed and unpacked."""
MAX_FILES = 50_000
"""Files in one drop."""
MAX_SETS = 400
"""Export sets in one reading: a full one, and the changes after it."""
MAX_NAME = 255
"""Characters in the name of a file, and of each folder above it."""
MAX_MEMBERS = 1_000
"""Files in a zip file."""
MAX_INDEX = 1_000_000
"""Bytes of the index of a zip file."""
SUSPECT_BYTES, SUSPECT_RATIO = 100_000_000, 100
"""A zip file may unpack to so many bytes, and beyond them to so many times its size. CSV shrinks to a tenth, and
repetitive CSV to a thirtieth."""
MAX_LINE = 1_000_000
"""Characters in a line, and in a record of several lines."""
MAX_BEFORE_HEADER = 1_000
"""Lines before the header."""
MAX_COLUMNS = 1_000
MAX_CELLS = 10_000
"""Cells in a line."""
MAX_TEXT = 255
"""Characters in an id, name, code, grade, address or date. OneRoster allows an id 255."""
MAX_ITEMS = 1_000
"""Ids in a cell that lists them."""
MAX_LEFT_OUT = 200_000
"""Rows of a feed that are left out."""
MAX_KEPT = 120_000_000
"""Bytes that a reading keeps in memory. A trust of 50,000 pupils takes 70,000,000 (measured)."""
FIRST_YEAR, LAST_YEAR = 1990, 2100
"""The academic years that a class may be of."""

ENTRY = 110
"""Bytes that a membership takes, and anything else in a table of ids (measured)."""
_ROW = 400
"""Bytes that a row takes, without its cells, with what is made of it."""
_UNREADABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


@dataclass(slots=True)
class Budget:
    """The bytes that one reading may still keep in memory."""

    left: int = MAX_KEPT

    def keep(self, size: int) -> None:
        """Count so many bytes as kept. Raises SnapshotRejected if no more are left."""
        self.left -= size
        if self.left < 0:
            raise rejection(
                f"the feed has more people, groups and memberships than fit into {MAX_KEPT:,} bytes of memory",
                "have the MIS export less, or split the export by school",
            )

    def keep_id(self, id_: str) -> None:
        """Count one more place of an id as kept, also as it is written to disk. Raises SnapshotRejected."""
        self.keep(ENTRY + len(id_))

    def keep_row(self, cells: Iterable[str]) -> None:
        """Count a row with these cells as kept. Raises SnapshotRejected."""
        self.keep(_ROW + sum(map(sys.getsizeof, filter(None, cells))))


def is_readable(path: str) -> bool:
    """Whether each name in a path can be written anywhere: at most MAX_NAME characters, none of them a control
    character or a byte that is not UTF-8."""
    return not _UNREADABLE.search(path) and all(len(name) <= MAX_NAME for name in path.split("/"))


def check_listing(files: int, drop: str) -> None:
    """Raises SnapshotRejected if the drop has more files than are listed."""
    if files > MAX_FILES:
        raise rejection(
            f"the file drop {drop} has more than {MAX_FILES:,} files",
            "delete old files there, or use a drop of its own",
        )


def check_reading(size: int, sets: int) -> None:
    """Raises SnapshotRejected if a reading uses more bytes, or more export sets, than it may."""
    if size > MAX_READING:
        raise rejection(
            f"the sets in use of the file drop have more than {MAX_READING:,} bytes",
            "have the MIS export less, or split the export by school",
        )
    if sets > MAX_SETS:
        raise rejection(
            f"the file drop has more than {MAX_SETS} sets since the last full one",
            "have the MIS export all files as bulk once, and then the changes",
        )


def some_of(names: Iterable[str], most: int = 20) -> str:
    """The names in a message, and how many more there are."""
    listed = list(names)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more
