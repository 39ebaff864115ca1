"""Strict CSV: a file of a feed is read whole, with only the columns asked for, or refused with line and column."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from sync_core.errors import SnapshotRejected

_REMEDY = "correct the export and hand it in again; nothing was changed"
_SHOWN_FAULTS = 10
_NEVER = datetime(1980, 1, 1, tzinfo=UTC)
_LARGEST_FEED = 2_000_000_000


class Faults:
    """Everything wrong with a feed, for an admin to hear at once; never a cell that could be a name or address."""

    def __init__(self) -> None:
        self._found: list[str] = []

    def add(self, row: Row, column: str, what: str) -> None:
        self._found.append(f'{row.where}, column "{column}": {what}')

    def raise_any(self) -> None:
        """Raises SnapshotRejected with the first faults and their number."""
        if self._found:
            more = len(self._found) - _SHOWN_FAULTS
            shown = "; ".join(self._found[:_SHOWN_FAULTS]) + (f"; and {more} more" if more > 0 else "")
            raise SnapshotRejected(shown, _REMEDY)


@dataclass(frozen=True, slots=True)
class Row:
    """One record: the cells of the columns asked for, stripped, and its file and the line it starts on."""

    where: str
    cells: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        return self.cells[column]


@dataclass(frozen=True, slots=True)
class FeedFiles:
    """The CSV files of a feed by name in lower case, each with its name as it is and its bytes.

    `taken_at` is when the newest of them was written.
    """

    files: Mapping[str, tuple[str, bytes]]
    taken_at: datetime

    @property
    def names(self) -> str:
        return ", ".join(sorted(name for name, _ in self.files.values())) or "none"

    def has(self, *names: str) -> bool:
        return all(name.lower() in self.files for name in names)

    def header(self, name: str) -> list[str]:
        """The column names of a file that is there; empty if it cannot be read."""
        text = self.files[name.lower()][1].split(b"\n", 1)[0].decode("utf-8-sig", errors="replace")
        return next(csv.reader([text]), [])

    def read(self, name: str, columns: Sequence[str], optional: Sequence[str] = ()) -> list[Row]:
        """The rows of file `name`; a column of `optional` that is not there reads as empty. Raises SnapshotRejected."""
        if name.lower() not in self.files:
            raise rejected(f"{name} is missing (files found: {self.names})")
        shown, raw = self.files[name.lower()]
        reader = _records(shown, _decode(shown, raw))
        first = next(reader, None)
        if first is None:
            raise rejected(f"{shown} is empty, without even a header")
        header = [cell.strip() for cell in first[1]]
        places = _places(shown, header, columns, optional)
        rows: list[Row] = []
        for line, record in reader:
            if len(record) != len(header):
                raise rejected(f"{shown} line {line}: {len(record)} columns instead of {len(header)}")
            cells = {column: record[place].strip() if place is not None else "" for column, place in places.items()}
            rows.append(Row(f"{shown} line {line}", cells))
        return rows


def open_feed(path: Path) -> FeedFiles:
    """The CSV files in a folder or a zip file (at its top or in one folder in it). Raises SnapshotRejected."""
    if path.is_dir():
        listed = [file for file in sorted(path.iterdir()) if _is_csv(file.name)]
        found = [(file.name, file.read_bytes()) for file in listed]
        moments = [datetime.fromtimestamp(file.stat().st_mtime, UTC) for file in listed]
    elif path.is_file():
        found, moments = _unzip(path)
    else:
        raise SnapshotRejected(
            f"there is no feed at {path}", "correct the path of the school's source, or have the MIS export there"
        )
    files: dict[str, tuple[str, bytes]] = {}
    for name, content in found:
        if name.lower() in files:
            raise rejected(f"{name} is there twice, with different capitals or folders")
        files[name.lower()] = (name, content)
    return FeedFiles(files, max(moments, default=_NEVER))


def rejected(what: str) -> SnapshotRejected:
    """A refusal with the usual remedy."""
    return SnapshotRejected(what, _REMEDY)


def by_id(rows: Sequence[Row], column: str, faults: Faults) -> dict[str, Row]:
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


def read_date(row: Row, column: str, pattern: str, faults: Faults) -> date | None:
    try:
        return datetime.strptime(row[column], pattern).date()
    except ValueError:
        faults.add(row, column, "is not a date" if row[column] else "is empty")
        return None


def _is_csv(name: str) -> bool:
    return name.lower().endswith(".csv") and not name.startswith(".")


def _unzip(path: Path) -> tuple[list[tuple[str, bytes]], list[datetime]]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = [
                member
                for member in archive.infolist()
                if _is_csv(Path(member.filename).name) and not member.filename.startswith("__MACOSX/")
            ]
            if sum(member.file_size for member in members) > _LARGEST_FEED:
                raise rejected(f"{path.name} unpacks to more than {_LARGEST_FEED} bytes")
            if len({Path(member.filename).parent for member in members}) > 1:
                raise rejected(f"{path.name} has CSV files in more than one folder")
            found = [(Path(member.filename).name, archive.read(member)) for member in members]
            # A zip file keeps local time without its zone; the same machine writes the next one.
            return found, [datetime(*member.date_time, tzinfo=UTC) for member in members]
    except (zipfile.BadZipFile, EOFError, OSError) as error:
        raise rejected(f"{path.name} is no whole zip file ({type(error).__name__})") from None
    except RuntimeError:
        raise SnapshotRejected(f"{path.name} is encrypted", "hand the feed in without a password") from None


def _decode(name: str, raw: bytes) -> str:
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        line = before.count(b"\n") + 1
        place = error.start - (before.rfind(b"\n") + 1) + 1
        raise SnapshotRejected(
            f"{name} line {line}, byte {place}: not UTF-8", "export the feed as UTF-8; nothing was changed"
        ) from None
    if "\0" in text:
        raise rejected(f"{name} line {text[: text.index(chr(0))].count(chr(10)) + 1}: holds a NUL character")
    return text


def _records(name: str, text: str) -> Iterator[tuple[int, list[str]]]:
    """Each record with the line it starts on; blank lines are passed over."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    line = 1
    try:
        for record in reader:
            if record:
                yield line, record
            line = reader.line_num + 1
    except csv.Error as error:
        raise rejected(f"{name} line {line}: torn or badly quoted ({error})") from None


def _places(name: str, header: Sequence[str], columns: Sequence[str], optional: Sequence[str]) -> dict[str, int | None]:
    twice = sorted({column for column in (*columns, *optional) if header.count(column) > 1})
    if twice:
        raise rejected(f'{name} line 1: column "{twice[0]}" is there twice')
    missing = [column for column in columns if column not in header]
    if missing:
        listed = ", ".join(f'"{column}"' for column in missing)
        raise rejected(f"{name} line 1: no column {listed} (capitals count)")
    return {column: header.index(column) if column in header else None for column in (*columns, *optional)}
