"""Opens the files of a feed, in a folder or an untrusted zip file, one by one. Nothing is unpacked to disk."""

from __future__ import annotations

import io
import stat
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, cast

from sync_core.errors import SnapshotRejected
from sync_core.mis.budget import (
    MAX_INDEX,
    MAX_MEMBERS,
    MAX_READING,
    SUSPECT_BYTES,
    SUSPECT_RATIO,
    Deadline,
    is_readable,
    some_of,
)
from sync_core.mis.files.csv_file import CsvFile
from sync_core.mis.rejection import CORRECT, rejection
from sync_core.mis.rows import Row

_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""The others unpack a few bytes to any number at once."""
REPACK = "deliver the CSV files themselves, in one folder or in one zip file"
_KNOWN = frozenset(
    f"{name}.csv"
    for name in (
        *("manifest", "orgs", "academicsessions", "courses", "classes", "users", "roles", "enrollments"),
        *("demographics", "relationships", "school", "section", "student", "teacher"),
        *("studentenrollment", "teacherroster"),
    )
)
"""The names, in lower case, that OneRoster and School Data Sync have for files."""


@dataclass(frozen=True, slots=True)
class FeedFiles:
    """The CSV files of a feed, by name in lower case. `taken_at` is when the newest of them or the zip was written.

    `size` is that of all files, unpacked, in bytes.
    """

    files: Mapping[str, CsvFile]
    taken_at: datetime
    size: int = 0

    @property
    def names(self) -> str:
        """The names of the files, for an admin alone: a file may be called after a pupil."""
        return some_of(sorted(file.name for file in self.files.values())) or "none"

    @property
    def known_names(self) -> str:
        """The names that a format has, and the number of the others."""
        known = sorted(file.name for name, file in self.files.items() if name in _KNOWN)
        others = len(self.files) - len(known)
        return ", ".join([*known, *([f"{others} with other names"] if others else [])]) or "none"

    def within(self, deadline: Deadline) -> FeedFiles:
        """The same files, which are read until then."""
        timed = {key: replace(file, open=partial(_open_timed, file.open, deadline)) for key, file in self.files.items()}
        return replace(self, files=timed)

    def has(self, *names: str) -> bool:
        return all(name.lower() in self.files for name in names)

    def read(
        self,
        name: str,
        columns: Iterable[str],
        optional: Iterable[str] = (),
        note: Callable[[str], None] | None = None,
    ) -> Iterator[Row]:
        """The rows of the file `name`, read one by one. `note` gets what is unusual. Raises SnapshotRejected."""
        if name.lower() not in self.files:
            missing = f"{name} is missing (files found: {{}})"
            raise rejection(missing.format(self.known_names), shown=missing.format(self.names))
        yield from self.files[name.lower()].rows(columns, optional, note)


class _Timed(io.RawIOBase):
    """A file that is open and is read until a deadline."""

    def __init__(self, stream: IO[bytes], deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]  # any buffer, in the typing of io
        """Raises SnapshotRejected once the time is over."""
        data = self._stream.read(len(buffer))
        self._deadline.check()
        buffer[: len(data)] = data
        return len(data)


@contextmanager
def _open_timed(opening: Callable[[], AbstractContextManager[IO[bytes]]], deadline: Deadline) -> Iterator[IO[bytes]]:
    with opening() as stream:
        yield cast(IO[bytes], _Timed(stream, deadline))


@dataclass(frozen=True, slots=True)
class _Zip:
    """A zip file on disk or in memory. `size` is in bytes."""

    name: str
    size: Callable[[], int]
    open: Callable[[], io.RawIOBase]


def open_zip(path: Path, taken_at: datetime) -> FeedFiles:
    """The CSV files in a zip file, at its top or in one folder in it. Raises SnapshotRejected."""
    return _open_zip(_Zip(path.name, lambda: path.stat().st_size, partial(io.FileIO, path)), taken_at)


def open_zip_in_memory(content: bytes, name: str, taken_at: datetime) -> FeedFiles:
    """The same of a zip file that is on no disk. `name` is what messages call it."""
    return _open_zip(_Zip(name, lambda: len(content), lambda: cast(io.RawIOBase, io.BytesIO(content))), taken_at)


def _open_zip(source: _Zip, taken_at: datetime) -> FeedFiles:
    files: dict[str, CsvFile] = {}
    members = _csv_members(source)
    for member in members:
        name = _name(member)
        if name.lower() in files:
            twice = "appears twice, with different capitals or in different folders"
            raise rejection(f"a file in the zip file {twice}", shown=f"{name} {twice}")
        files[name.lower()] = CsvFile(name, partial(_open_member, source, member))
    return FeedFiles(files, taken_at, sum(member.file_size for member in members))


def is_csv(name: str) -> bool:
    """Whether a file of this name is part of a feed. One whose name cannot be written everywhere is not."""
    return name.lower().endswith(".csv") and not name.startswith(".") and is_readable(name)


def is_packed(name: str) -> bool:
    """Whether a file of this name is an archive, or a CSV file that is packed by itself."""
    return name.lower().endswith((".zip", ".gz", ".tgz", ".7z", ".rar"))


def _path(member: zipfile.ZipInfo) -> PurePosixPath:
    """The path in the zip file. Older programs for Windows write it with backslashes."""
    return PurePosixPath(member.filename.replace("\\", "/"))


def _name(member: zipfile.ZipInfo) -> str:
    return _path(member).name


@contextmanager
def open_file(path: Path, name: str) -> Iterator[IO[bytes]]:
    """The file at `path`, called `name` in messages. Raises SnapshotRejected."""
    try:
        with path.open("rb") as stream:
            yield stream
    except OSError as error:
        remedy = "check that the file exists and that the app may read it"
        raise rejection(f"{name} cannot be read ({type(error).__name__})", remedy) from None


class _Index(io.BufferedReader):
    """A zip file whose index, and whatever else is read of it at once, has at most MAX_INDEX bytes."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Raises BadZipFile if more would be read."""
        wanted = MAX_INDEX + 1 if size is None or size < 0 else size
        data = super().read(min(wanted, MAX_INDEX + 1))
        if len(data) > MAX_INDEX:
            raise zipfile.BadZipFile("the index is too large")
        return data


class _Member(io.RawIOBase):
    """A file in a zip file that is open. Any error of unpacking is raised as SnapshotRejected."""

    def __init__(self, source: _Zip, stream: IO[bytes]) -> None:
        self._source = source
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]  # any buffer, in the typing of io
        with _damage_rejected(self._source):
            data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


@contextmanager
def _open_member(source: _Zip, member: zipfile.ZipInfo) -> Iterator[IO[bytes]]:
    with ExitStack() as opened:
        with _damage_rejected(source):
            archive = opened.enter_context(_open_archive(source))
            stream = opened.enter_context(archive.open(member))
        yield cast(IO[bytes], _Member(source, stream))


@contextmanager
def _open_archive(source: _Zip) -> Iterator[zipfile.ZipFile]:
    with _Index(source.open()) as file, zipfile.ZipFile(file) as archive:
        yield archive


def _rejected(source: _Zip, message: str, remedy: str = CORRECT) -> SnapshotRejected:
    """`message` continues a sentence that begins with the zip file, whose name only an admin sees."""
    return rejection(f"the export {message}", remedy, f"{source.name} {message}")


@contextmanager
def _damage_rejected(source: _Zip) -> Iterator[None]:
    """Within it only zipfile works. Damage may show as any error of it, or of the modules that it unpacks with."""
    try:
        yield
    except (NotImplementedError, RuntimeError):
        raise _rejected(source, "uses an unsupported zip format", "deliver a plain zip file") from None
    except Exception as error:
        raise _rejected(source, f"is not a complete zip file ({type(error).__name__})") from None


def _csv_members(source: _Zip) -> list[zipfile.ZipInfo]:
    """The CSV files in a zip file. Raises SnapshotRejected if the file is damaged or suspicious."""
    with _damage_rejected(source), _open_archive(source) as archive:
        members = archive.infolist()
    if len(members) > MAX_MEMBERS:
        raise _rejected(source, f"contains more than {MAX_MEMBERS} files")
    if any(_is_unsafe(member) for member in members):
        raise _rejected(source, "contains a path that leads outside it, or a link")
    csvs = [member for member in members if is_csv(_name(member)) and "__MACOSX" not in _path(member).parts]
    if not csvs and any(is_packed(_name(member)) for member in members):
        raise _rejected(source, "contains a packed file (zip or gz), and no CSV file", REPACK)
    if any(member.flag_bits & 1 for member in csvs):
        raise _rejected(source, "is encrypted", "deliver the feed without a password")
    if any(member.compress_type not in _COMPRESSIONS for member in csvs):
        raise _rejected(source, "is compressed in a way that is not read", "deliver a zip file made with Deflate")
    unpacked = sum(member.file_size for member in csvs)
    if unpacked > MAX_READING:
        raise _rejected(source, f"unpacks to more than {MAX_READING} bytes")
    if unpacked > SUSPECT_BYTES and unpacked > SUSPECT_RATIO * source.size():
        raise _rejected(source, f"unpacks to more than {SUSPECT_RATIO} times its size")
    if len({_path(member).parent for member in csvs}) > 1:
        raise _rejected(source, "has CSV files in more than one folder")
    return csvs


def _is_unsafe(member: zipfile.ZipInfo) -> bool:
    path = _path(member)
    absolute = path.is_absolute() or member.filename[1:2] == ":"
    return absolute or ".." in path.parts or stat.S_ISLNK(member.external_attr >> 16)
