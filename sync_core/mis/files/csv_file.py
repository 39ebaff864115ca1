"""Reads CSV row by row, with only the requested columns. A row that cannot be read is marked and does not stop others.

A file whose end is missing, or that is no CSV, is rejected with its line.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import IO

from sync_core.mis.budget import MAX_BEFORE_HEADER, MAX_CELLS, MAX_COLUMNS, MAX_ITEMS, MAX_LINE, MAX_TEXT
from sync_core.mis.files.text import one_word, read_lines, same_word, visible
from sync_core.mis.rejection import rejection
from sync_core.mis.rows import LIST_COLUMNS, Row, split_ids

_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
_LINE_ENDS = ("\n", "\r")
_NOTHING = frozenset(
    (
        *("NULL", "null", "(null)", "<NULL>", "<null>", "[NULL]", "\\N", "0000-00-00", "0000-00-00 00:00:00"),
        *("None", "nan", "NaN", "NaT", "#N/A", "N/A", "n/a"),
    )
)
"""What databases, scripts and spreadsheets write for a cell without a value."""
_ERROR = re.compile(r"#(?:REF!|VALUE!|NAME\?|DIV/0!|NUM!|NULL!|##+)")
"""What a spreadsheet writes where it has an error, or a column that is too narrow."""
_AROUND_ROWS = re.compile(r"[-+,;|\t\s]+|\(\d+ rows? affected\)|\x1a")
"""What a database's command line puts below the header and below the last row, and Windows after files that `copy`
joined."""


@dataclass(frozen=True, slots=True)
class CsvFile:
    """A CSV file by its name. Each call of `open` returns its bytes from the beginning.

    `max_text` is how many characters a cell may have that is read.
    """

    name: str
    open: Callable[[], AbstractContextManager[IO[bytes]]]
    max_text: int = MAX_TEXT

    def columns(self) -> tuple[str, ...]:
        """The names of the columns as they are written; empty if there is no header. Raises SnapshotRejected."""
        with self.open() as raw:
            return tuple(_Table(self.name, raw, _unnoted).header)

    def header(self) -> frozenset[str]:
        """The names of the columns as one word each; empty if there is no header. Raises SnapshotRejected."""
        return frozenset(map(one_word, self.columns()))

    def rows(
        self, columns: Iterable[str], optional: Iterable[str] = (), note: Callable[[str], None] | None = None
    ) -> Iterator[Row]:
        """The rows, read one by one. A missing `optional` column reads as empty. Raises SnapshotRejected.

        `note` gets what is unusual about the file.
        """
        with self.open() as raw:
            table = _Table(self.name, raw, note or _unnoted)
            if not any(table.header):
                raise rejection(f"{self.name} is empty and has no header")
            indexes = _indexes(table, tuple(columns), tuple(optional))
            places = {column: place for place, column in enumerate(indexes)}
            wanted, width = tuple(indexes.values()), len(table.header)
            for line, record in table.records():
                fault = ""
                if len(record) != width:
                    fault = f"has {len(record)} cells instead of {width}, or a quotation mark too many or too few"
                    record += [""] * (width - len(record))
                    del record[width:]
                record.append("")  # of a missing optional column
                cells, column = [record[index].strip() for index in wanted], ""
                text = "".join(cells)
                if not _NOTHING.isdisjoint(cells) or '="' in text:
                    cells = _cleaned(cells)
                if "#" in text and not fault:
                    fault, column = _without_error(tuple(indexes), cells)
                if table.characters > self.max_text and (too_long := _too_long(indexes, cells, self.max_text)):
                    fault, column = fault or too_long, ""
                    cells = [cell[: self.max_text] for cell in cells]
                yield Row(self.name, line, places, cells, fault, column)


def _cleaned(cells: list[str]) -> list[str]:
    """The cells as they are meant: databases write a word for nothing, and spreadsheets `="007"` to keep zeros."""
    cells = ["" if cell in _NOTHING else cell for cell in cells]
    return [cell[2:-1].strip() if cell.startswith('="') and cell.endswith('"') else cell for cell in cells]


def _without_error(columns: Sequence[str], cells: list[str]) -> tuple[str, str]:
    """Empties the first cell with an error of a spreadsheet. Returns the fault of the row, and the cell's column."""
    place = next((place for place, cell in enumerate(cells) if _ERROR.fullmatch(cell)), None)
    if place is None:
        return "", ""
    cells[place] = ""
    return "has an error of a spreadsheet instead of a value", columns[place]


def _too_long(columns: Iterable[str], cells: Iterable[str], max_text: int) -> str:
    """What is too long in a row with these columns; empty if nothing is."""
    for column, cell in zip(columns, cells, strict=True):
        items = split_ids(cell) if column in LIST_COLUMNS else [cell]
        if len(items) > MAX_ITEMS:
            return f'has more than {MAX_ITEMS:,} ids in the column "{column}"'
        if max(map(len, items), default=0) > max_text:
            return f'has more than {max_text} characters in the column "{column}"'
    return ""


class _Table:
    """A CSV file that is open: its header without unnamed columns at the end, and its records.

    `characters` are those of the lines of the record that was read last.
    """

    def __init__(self, name: str, raw: IO[bytes], note: Callable[[str], None]) -> None:
        self.name = name
        self.note = note
        self._taken: list[str] = []
        self.characters = 0
        self._lines = self._tapped(read_lines(name, raw, note))
        self._separator = ","
        self._first = 1
        self.header: list[str] = []
        for line in self._lines:
            text = visible(line)
            if text.lstrip('"')[:4].lower() == "sep=" or text.startswith("#TYPE") or not text.strip(",;|\t"):
                self._first += self._clear()
                if self._first > MAX_BEFORE_HEADER:
                    raise rejection(f"{name} has no header in its first {MAX_BEFORE_HEADER:,} lines")
                continue
            self._separator = max(_SEPARATORS, key=text.count)
            self.header = self._parse_header(line)
            break
        while self.header and not self.header[-1]:
            self.header.pop()
        if len(self.header) > MAX_COLUMNS:
            raise rejection(f"{self.location}: has more than {MAX_COLUMNS:,} columns")
        if self.header and self._separator != ",":
            note(f"{name} separates its cells with {_SEPARATORS[self._separator]}, and was read so")

    @property
    def location(self) -> str:
        """That of the header."""
        return f"{self.name} line {self._first}"

    def records(self) -> Iterator[tuple[int, list[str]]]:
        """Each record with its first line. A record of empty cells is skipped, and surplus empty cells are cut off.

        A record that has another number of cells than the header was not read right.
        """
        reader = csv.reader(self._lines, delimiter=self._separator, strict=True)
        width, taken, number = len(self.header), self._taken, self._first
        while True:
            number += self._clear()
            try:
                record = next(reader)
            except StopIteration:
                return
            except csv.Error:
                yield from self._line_by_line(number)
                continue
            if _is_around_rows(record) or self._is_header(number, record):
                continue
            if len(record) == width:
                if record[0] or any(record):
                    yield number, record
            elif any(map(visible, record)):
                if len(record) > width and not any(map(visible, record[width:])):
                    yield number, record[:width]
                elif len(taken) > 1:
                    yield from self._line_by_line(number)
                else:
                    yield number, self._not_cut_off(number, taken[0], record)

    def _is_header(self, number: int, record: Sequence[str]) -> bool:
        """Whether the header is there again, as in files that were joined. Raises SnapshotRejected for another one."""
        if not record or record[0] != self.header[0]:
            return False
        cells = list(map(visible, record))
        while cells and not cells[-1]:
            cells.pop()
        if cells == self.header:
            self.note(
                f"{self.name} has its header more than once, as joined files have, and was read without the repetitions"
            )
        elif sorted(cells) == sorted(self.header):
            remedy = "deliver each file of the MIS by itself, or join files with the same columns in the same order"
            raise rejection(f"{self.name} line {number}: a second header has the columns in another order", remedy)
        return cells == self.header

    def _parse_header(self, line: str) -> list[str]:
        try:
            return list(map(visible, next(csv.reader([line], delimiter=self._separator, strict=True), [])))
        except csv.Error as error:
            raise rejection(f"{self.location}: badly quoted header ({error})") from None

    def _line_by_line(self, first: int) -> Iterator[tuple[int, list[str]]]:
        """The records of lines that a wrong quotation mark made one. The line with the mark was not read right."""
        width = len(self.header)
        for number, line in enumerate(list(self._taken), start=first):
            try:
                record = next(csv.reader([line], delimiter=self._separator, strict=True), [])
            except csv.Error:
                record = [cell.strip('"') for cell in line.strip().split(self._separator)]
                record += [""] * (width + 1 - len(record))
            if len(record) > width and not any(map(visible, record[width:])) and '"' not in line:
                record = record[:width]
            if any(map(visible, record)):
                yield number, record if len(record) == width else self._not_cut_off(number, line, record)

    def _not_cut_off(self, number: int, line: str, record: list[str]) -> list[str]:
        """Raises SnapshotRejected if the record is the end of a file that goes on: nobody knows what is missing."""
        if not line.endswith(_LINE_ENDS):
            raise rejection(f"{self.name} line {number}: the file is cut off", "export the feed again")
        return record

    def _tapped(self, lines: Iterator[str]) -> Iterator[str]:
        for number, line in enumerate(lines, start=1):
            self._taken.append(line)
            self.characters += len(line)
            if self.characters > MAX_LINE:
                raise rejection(f"{self.name} line {number}: ends a record of more than {MAX_LINE} characters")
            if len(line) > MAX_CELLS and line.count(self._separator) >= MAX_CELLS:
                raise rejection(f"{self.name} line {number}: has more than {MAX_CELLS:,} cells")
            yield line

    def _clear(self) -> int:
        """Forget the lines that were taken. Returns their number."""
        number = len(self._taken)
        self._taken.clear()
        self.characters = 0
        return number


def _is_around_rows(record: list[str]) -> bool:
    return len(record) > 0 and record[0][:1] in "-(\x1a" and all(map(_AROUND_ROWS.fullmatch, filter(None, record)))


def _unnoted(_: str) -> None:
    """Nobody asks for notes."""


def _indexes(table: _Table, columns: Sequence[str], optional: Sequence[str]) -> dict[str, int]:
    """The place of each column; for an optional one that is missing, that of the cell after the last.

    A column that has only other signs or another number, such as `class_sourced_id` or `grade`, is read with a note.
    Raises SnapshotRejected.
    """
    words = list(map(same_word, table.header))
    loose = list(map(_loosely, table.header))
    places: dict[str, list[int]] = {}
    for column in (*columns, *optional):
        wanted = same_word(column)
        places[column] = [place for place, word in enumerate(words) if word == wanted]
    exact = {place for found in places.values() for place in found}
    for column, found in places.items():
        if not found:
            wanted = _loosely(column)
            found += [place for place, word in enumerate(loose) if word == wanted and place not in exact]
            for place in found:
                table.note(f'{table.name} has a column "{table.header[place]}", which was read as "{column}"')
    if repeated := sorted(column for column, found in places.items() if len(found) > 1):
        raise rejection(f'{table.location}: column "{repeated[0]}" appears twice')
    if missing := [column for column in columns if not places[column]]:
        names = ", ".join(f'"{column}"' for column in missing)
        raise rejection(f"{table.location}: no column {names}")
    return {column: next(iter(found), len(table.header)) for column, found in places.items()}


def _loosely(column: str) -> str:
    return one_word(column).removesuffix("s")
