"""Strict CSV: a file is read row by row, with only the columns asked for, or refused with line and column."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, datetime
from typing import IO

from sync_core.errors import SnapshotRejected

_REMEDY = "correct the export and hand it in again; nothing was changed"
_AS_UTF_8 = "export the feed as UTF-8; nothing was changed"
_SHOWN_FAULTS = 10
_LONGEST_LINE = 1_000_000
"""Characters: of what has no line ends no more is held at once."""
_CHUNK = 1_000_000
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class Faults:
    """Everything wrong with a feed, for an admin to hear at once; never a cell that could be a name or address."""

    def __init__(self) -> None:
        self._shown: list[str] = []
        self._count = 0

    def add(self, row: Row, column: str, what: str) -> None:
        self._count += 1
        if self._count <= _SHOWN_FAULTS:
            self._shown.append(f'{row.where}, column "{column}": {what}')

    def raise_any(self) -> None:
        """Raises SnapshotRejected with the first faults and their number."""
        if self._count:
            more = self._count - _SHOWN_FAULTS
            raise SnapshotRejected("; ".join(self._shown) + (f"; and {more} more" if more > 0 else ""), _REMEDY)


@dataclass(frozen=True, slots=True)
class Row:
    """One record: the cells of the columns asked for, stripped, and its file and the line it starts on."""

    where: str
    cells: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        return self.cells[column]


@dataclass(frozen=True, slots=True)
class CsvFile:
    """A file by its name. `opened` gives its bytes from the beginning, each time anew."""

    name: str
    opened: Callable[[], AbstractContextManager[IO[bytes]]]

    def header(self) -> list[str]:
        """The column names; empty if there are none to read."""
        with self.opened() as raw:
            return next(csv.reader(io.TextIOWrapper(raw, "utf-8-sig", errors="replace", newline="")), [])

    def rows(self, columns: Iterable[str], optional: Iterable[str] = ()) -> Iterator[Row]:
        """A column of `optional` that is not there reads as empty. Raises SnapshotRejected, at the place at fault."""
        with self.opened() as raw:
            records = self._records(raw)
            first = next(records, None)
            if first is None:
                raise rejected(f"{self.name} is empty, without even a header")
            header = [cell.strip() for cell in first[1]]
            places = _places(self.name, header, tuple(columns), tuple(optional))
            for line, record in records:
                if len(record) != len(header):
                    raise rejected(f"{self.name} line {line}: {len(record)} columns instead of {len(header)}")
                cells = {column: record[place].strip() if place is not None else "" for column, place in places.items()}
                yield Row(f"{self.name} line {line}", cells)

    def _records(self, raw: IO[bytes]) -> Iterator[tuple[int, list[str]]]:
        """Each record with the line it starts on; blank lines are passed over."""
        reader = csv.reader(self._lines(raw), strict=True)
        line = 1
        try:
            for record in reader:
                if record:
                    yield line, record
                line = reader.line_num + 1
        except csv.Error as error:
            raise rejected(f"{self.name} line {line}: torn or badly quoted ({error})") from None

    def _lines(self, raw: IO[bytes]) -> Iterator[str]:
        text = io.TextIOWrapper(raw, "utf-8-sig", newline="")
        number = 0
        try:
            while line := text.readline(_LONGEST_LINE):
                number += 1
                if "\0" in line:
                    # Every other byte of UTF-16 is NUL, where the text is English.
                    utf_16 = number == 1 and 2 * line.count("\0") >= len(line) - 1
                    raise self._utf_16() if utf_16 else rejected(f"{self.name} line {number}: holds a NUL character")
                if len(line) == _LONGEST_LINE:
                    raise rejected(f"{self.name} line {number}: is longer than {_LONGEST_LINE} characters")
                yield line
        except UnicodeDecodeError:
            raise self._not_utf_8() from None

    def _utf_16(self) -> SnapshotRejected:
        return SnapshotRejected(f"{self.name}: is UTF-16", _AS_UTF_8)

    def _not_utf_8(self) -> SnapshotRejected:
        """Read twice more, for the line and the byte."""
        wrong = self._first_wrong_byte()
        line, begins, at = 1, 0, 0
        with self.opened() as raw:
            if raw.read(2) in _UTF_16:
                return self._utf_16()
        with self.opened() as raw:
            while chunk := raw.read(min(_CHUNK, wrong - at)):
                line += chunk.count(b"\n")
                begins = at + chunk.rfind(b"\n") + 1 if b"\n" in chunk else begins
                at += len(chunk)
        return SnapshotRejected(f"{self.name} line {line}, byte {wrong - begins + 1}: not UTF-8", _AS_UTF_8)

    def _first_wrong_byte(self) -> int:
        """How many bytes are before it."""
        decoder, at, last = codecs.getincrementaldecoder("utf-8")(), 0, False
        with self.opened() as raw:
            while not last:
                chunk = raw.read(_CHUNK)
                last, held = not chunk, len(decoder.getstate()[0])
                try:
                    decoder.decode(chunk, final=last)
                except UnicodeDecodeError as error:
                    return at - held + error.start
                at += len(chunk)
        return at


def rejected(what: str) -> SnapshotRejected:
    """A refusal with the usual remedy."""
    return SnapshotRejected(what, _REMEDY)


def by_id(rows: Iterable[Row], column: str, faults: Faults) -> dict[str, Row]:
    """The rows by their id; an empty or a repeated id is a fault."""
    found: dict[str, Row] = {}
    for row in rows:
        id_ = row[column]
        if not id_:
            faults.add(row, column, "is empty")
        elif id_ in found:
            faults.add(row, column, f"id {id_} stands already in {found[id_].where}")
        else:
            found[id_] = row
    return found


def find_circles(rows: Mapping[str, Row], column: str, faults: Faults) -> None:
    """Whoever is his own ancestor by `column`, which names a parent, is a fault; one of each circle is named."""
    known: set[str] = set()
    for id_ in rows:
        path: dict[str, None] = {}
        at = id_
        while at in rows and at not in known and at not in path:
            path[at] = None
            at = rows[at][column]
        if at in path:
            faults.add(rows[at], column, f"{at} is above itself, by way of {len(path) - list(path).index(at)} rows")
        known |= path.keys()


def read_date(row: Row, column: str, pattern: str, faults: Faults) -> date | None:
    try:
        return datetime.strptime(row[column], pattern).date()
    except ValueError:
        faults.add(row, column, "is not a date" if row[column] else "is empty")
        return None


def _places(name: str, header: Sequence[str], columns: Sequence[str], optional: Sequence[str]) -> dict[str, int | None]:
    twice = sorted({column for column in (*columns, *optional) if header.count(column) > 1})
    if twice:
        raise rejected(f'{name} line 1: column "{twice[0]}" is there twice')
    missing = [column for column in columns if column not in header]
    if missing:
        listed = ", ".join(f'"{column}"' for column in missing)
        raise rejected(f"{name} line 1: no column {listed} (capitals count)")
    return {column: header.index(column) if column in header else None for column in (*columns, *optional)}
