"""How much is read of what comes from outside: each limit on file drops and on servers, once (docs/security.md)."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sync_core.clock import Clock
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
MAX_SECONDS = 900
"""Seconds that one reading takes with all its waiting. The host ends a function after 1,800."""
FIRST_YEAR, LAST_YEAR = 1990, 2100
"""The academic years that a class may be of."""
MAX_WAITS = 120
"""Seconds of waits between attempts in one reading of a server that is busy. With the work of a plan they stay far
below the 30 minutes of a function."""
MAX_REQUESTS = 10_000
"""Requests of one reading of a server, its token server included."""
MAX_ANSWER = 64_000_000
"""Bytes of one answer, unpacked."""
MAX_ANSWERS = 4_000_000_000
"""Bytes of all answers of one reading of a server, unpacked."""
MAX_FIELDS = 1_000
"""Fields of the object that an answer is."""
MAX_RECORD = 2_000_000
"""Characters of one record of an answer, and of all that is not in its lists. A group of 2,000 people takes 1,500,000.
"""
MAX_VALUES = 100_000
"""Values of one record of an answer: how often it has a comma, a bracket or a brace."""
MAX_DEPTH = 20
"""Lists and objects within each other in one record of an answer."""
MAX_DIGITS = 9
"""Digits of a total or a count."""
MAX_HEADER = 16_000
"""Characters of a link to a next page, of the header that has it, and of an access token."""
MAX_CACHED = 20_000_000
"""Bytes of memory that the schools take that are cached after they were read from servers."""
MAX_PLACES = 40_000_000
"""Bytes of memory that the places of records take in the lists that schools of a server share on disk."""

LONGEST_READING = timedelta(seconds=MAX_SECONDS)

ENTRY = 110
"""Bytes that a membership takes, and anything else in a table of ids (measured)."""
_ROW = 400
"""Bytes that a row takes, without its cells, with what is made of it."""
_UNREADABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


def whole_number(text: object) -> int | None:
    """The number that a text of at most MAX_DIGITS decimal digits has. None for anything else."""
    if not isinstance(text, str) or len(text) > MAX_DIGITS or not text.isascii() or not text.isdecimal():
        return None
    return int(text)


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

    @contextmanager
    def loan(self) -> Iterator[Callable[[int], None]]:
        """`keep` for bytes that are kept until the end of the block."""
        taken = 0

        def keep(size: int) -> None:
            nonlocal taken
            taken += size
            self.keep(size)

        try:
            yield keep
        finally:
            self.left += taken

    def keep_id(self, id_: str) -> None:
        """Count one more place of an id as kept, also as it is written to disk. Raises SnapshotRejected."""
        self.keep(ENTRY + len(id_))

    def keep_row(self, cells: Iterable[str]) -> None:
        """Count a row with these cells as kept. Raises SnapshotRejected."""
        self.keep(_ROW + sum(map(sys.getsizeof, filter(None, cells))))


@dataclass(slots=True)
class ServerBudget:
    """What one reading of a server may still take: memory, requests, bytes of answers, and waits between attempts."""

    memory: Budget = field(default_factory=Budget)
    requests: int = MAX_REQUESTS
    answers: int = MAX_ANSWERS
    waits: timedelta = timedelta(seconds=MAX_WAITS)

    def request(self) -> None:
        """Count one more request. Raises SnapshotRejected if no more are left."""
        self.requests -= 1
        if self.requests < 0:
            raise rejection(
                f"one reading of the server takes more than {MAX_REQUESTS:,} requests",
                "have the vendor allow larger pages, and end its lists",
            )

    def receive(self, size: int) -> None:
        """Count so many bytes of answers. Raises SnapshotRejected if no more are left."""
        self.answers -= size
        if self.answers < 0:
            raise rejection(
                f"the answers of the server in one reading have more than {MAX_ANSWERS:,} bytes",
                "have the vendor leave out what the app does not request, and other schools",
            )


@dataclass(frozen=True, slots=True)
class Deadline:
    """The end of the time that one reading may take, on this clock."""

    clock: Clock
    end: datetime

    @classmethod
    def from_now(cls, clock: Clock) -> Deadline:
        return cls(clock, clock.now() + LONGEST_READING)

    def check(self) -> None:
        """Raises SnapshotRejected if the time is over."""
        if self.clock.now() > self.end:
            raise rejection(
                f"the feed was not read within {MAX_SECONDS} seconds",
                "have the MIS export less, or split the export by school",
            )


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
