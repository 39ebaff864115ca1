"""Reads CSV strictly: row by row, with only the requested columns. A bad file is rejected with line and column."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, datetime
from itertools import islice
from typing import IO

from sync_core.errors import SnapshotRejected

_USE_UTF_8 = "export the feed as UTF-8"
_MAX_SHOWN_FAULTS = 10
_MAX_LINE = 1_000_000
"""In characters. Limits the memory that a file without line ends can take."""
_NOT_DECODED = re.compile("[\udc80-\udcff]")
"""A byte that is not UTF-8, as Python reads it with `surrogateescape`."""
_UTF_16_BOMS = ("\udcff\udcfe", "\udcfe\udcff")


class Faults:
    """Collects all faults of a feed, to report them together. Never holds a cell that could be a name or address."""

    def __init__(self) -> None:
        self._shown: list[str] = []
        self._count = 0

    def add(self, row: Row, column: str, detail: str) -> None:
        self._count += 1
        if self._count <= _MAX_SHOWN_FAULTS:
            self._shown.append(f'{row.location}, column "{column}": {detail}')

    def require(self, row: Row, column: str, condition: object, detail: str = "is empty") -> bool:
        """Whether the condition is true. It is a fault if not."""
        if not condition:
            self.add(row, column, detail)
        return bool(condition)

    def require_known(self, row: Row, column: str, known: Container[str], kind: str, file: str) -> bool:
        """Whether the id in this column is `known`. It is a fault if not."""
        # The detail is only worked out for a fault, because a feed has millions of references.
        if row[column] not in known:
            self.add(row, column, f"{kind} {row[column]} is not in {file}")
        return row[column] in known

    def raise_any(self) -> None:
        """Raises SnapshotRejected with the first faults and the number of the others."""
        if self._count:
            more = self._count - _MAX_SHOWN_FAULTS
            raise rejection("; ".join(self._shown) + (f"; and {more} more" if more > 0 else ""))


@dataclass(slots=True)
class Row:
    """One record: its location, and its stripped cells, at the places of `columns`. Not frozen: a feed has millions."""

    source: str
    number: int
    columns: Mapping[str, int]
    cells: Sequence[str]

    def __getitem__(self, column: str) -> str:
        return self.cells[self.columns[column]]

    @property
    def location(self) -> str:
        return f"{self.source} {self.number}"

    def ids(self, column: str) -> list[str]:
        """The ids in a column that lists them with commas."""
        return [id_.strip() for id_ in self[column].split(",") if id_.strip()]


@dataclass(frozen=True, slots=True)
class CsvFile:
    """A CSV file by its name. Each call of `open` returns its bytes from the beginning."""

    name: str
    open: Callable[[], AbstractContextManager[IO[bytes]]]

    def header(self) -> list[str]:
        """The column names; empty if there is no header to read."""
        with self.open() as raw:
            return next(csv.reader(io.TextIOWrapper(raw, "utf-8-sig", errors="replace", newline="")), [])

    def rows(self, columns: Iterable[str], optional: Iterable[str] = ()) -> Iterator[Row]:
        """The rows, read one by one. A missing `optional` column reads as empty. Raises SnapshotRejected."""
        with self.open() as raw:
            records = self._records(raw)
            header = [cell.strip() for _, record in islice(records, 1) for cell in record]
            if not header:
                raise rejection(f"{self.name} is empty and has no header")
            indexes = _indexes(self.name, header, tuple(columns), tuple(optional))
            source, places = f"{self.name} line", {column: place for place, column in enumerate(indexes)}
            for line, record in records:
                if len(record) != len(header):
                    raise rejection(f"{self.name} line {line}: {len(record)} columns instead of {len(header)}")
                record.append("")  # of a missing optional column
                yield Row(source, line, places, [record[index].strip() for index in indexes.values()])

    def _records(self, raw: IO[bytes]) -> Iterator[tuple[int, list[str]]]:
        """Each record with its first line. Blank lines are skipped."""
        reader = csv.reader(self._lines(raw), strict=True)
        line = 1
        try:
            for record in reader:
                if record:
                    yield line, record
                line = reader.line_num + 1
        except csv.Error as error:
            raise rejection(f"{self.name} line {line}: cut off or badly quoted ({error})") from None

    def _lines(self, raw: IO[bytes]) -> Iterator[str]:
        decoded = io.TextIOWrapper(raw, "utf-8-sig", errors="surrogateescape", newline="")
        number = 0
        while line := decoded.readline(_MAX_LINE):
            number += 1
            # Every other byte of English text in UTF-16 is NUL.
            if number == 1 and (line.startswith(_UTF_16_BOMS) or 2 * line.count("\0") >= len(line) - 1 > 0):
                raise rejection(f"{self.name}: is UTF-16", _USE_UTF_8)
            if "\0" in line:
                raise rejection(f"{self.name} line {number}: has a NUL character")
            if not line.isascii() and (wrong := _NOT_DECODED.search(line)):
                byte = len(line[: wrong.start()].encode()) + 1
                raise rejection(f"{self.name} line {number}, byte {byte}: not UTF-8", _USE_UTF_8)
            if len(line) == _MAX_LINE:
                raise rejection(f"{self.name} line {number}: is longer than {_MAX_LINE} characters")
            yield line


def rejection(message: str, remedy: str = "correct the export and deliver it again") -> SnapshotRejected:
    """The rejection of a feed. It says that nothing was changed, which holds because a feed is read before any plan."""
    return SnapshotRejected(message, f"nothing was changed; {remedy}")


def by_id(rows: Iterable[Row], column: str, faults: Faults) -> dict[str, Row]:
    """The rows by id. An empty or repeated id is a fault."""
    rows_by_id: dict[str, Row] = {}
    for row in rows:
        if faults.require(row, column, row[column]) and (first := rows_by_id.setdefault(row[column], row)) is not row:
            faults.add(row, column, f"id {row[column]} already appears in {first.location}")
    return rows_by_id


def find_cycles(rows: Mapping[str, Row], column: str, faults: Faults) -> None:
    """A row that is its own ancestor is a fault, reported once for each cycle. `column` holds the parent's id."""
    checked: set[str] = set()
    for start in rows:
        id_, path = start, dict[str, None]()
        while id_ in rows and id_ not in checked and id_ not in path:
            path[id_] = None
            id_ = rows[id_][column]
        if id_ in path:
            faults.add(rows[id_], column, f"{id_} is its own ancestor (cycle length {len(path) - [*path].index(id_)})")
        checked |= path.keys()


def read_date(row: Row, column: str, pattern: str, faults: Faults) -> date | None:
    try:
        return datetime.strptime(row[column], pattern).date()
    except ValueError:
        faults.add(row, column, "is not a date" if row[column] else "is empty")
        return None


def _indexes(file: str, header: list[str], columns: Sequence[str], optional: Sequence[str]) -> dict[str, int]:
    if repeated := sorted({column for column in (*columns, *optional) if header.count(column) > 1}):
        raise rejection(f'{file} line 1: column "{repeated[0]}" appears twice')
    if missing := [column for column in columns if column not in header]:
        names = ", ".join(f'"{column}"' for column in missing)
        raise rejection(f"{file} line 1: no column {names} (names are case-sensitive)")
    return {column: header.index(column) if column in header else len(header) for column in (*columns, *optional)}
