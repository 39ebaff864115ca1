"""The files of a feed, in a folder or a zip file, which may be anybody's: opened one by one, never unpacked to disk."""

from __future__ import annotations

import stat
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import IO

from sync_core.errors import SnapshotRejected
from sync_core.mis.files.strict_csv import CsvFile, Row, rejected

_NEVER = datetime(1980, 1, 1, tzinfo=UTC)
_LARGEST_FEED = 2_000_000_000
_MOST_MEMBERS = 1_000
# CSV shrinks to a tenth, and one that repeats itself to a thirtieth.
_SUSPECT_FEED, _SUSPECT_RATIO = 100_000_000, 100


@dataclass(frozen=True, slots=True)
class FeedFiles:
    """The CSV files of a feed by name in lower case. `taken_at` is when the newest of them was written."""

    files: Mapping[str, CsvFile]
    taken_at: datetime

    @property
    def names(self) -> str:
        return ", ".join(sorted(file.name for file in self.files.values())) or "none"

    def has(self, *names: str) -> bool:
        return all(name.lower() in self.files for name in names)

    def header(self, name: str) -> list[str]:
        """The column names of a file that is there; empty if it cannot be read."""
        return self.files[name.lower()].header()

    def read(self, name: str, columns: Iterable[str], optional: Iterable[str] = ()) -> Iterator[Row]:
        """The rows of file `name`, as they are read. Raises SnapshotRejected."""
        if name.lower() not in self.files:
            raise rejected(f"{name} is missing (files found: {self.names})")
        yield from self.files[name.lower()].rows(columns, optional)


def open_feed(path: Path) -> FeedFiles:
    """The CSV files in a folder or a zip file (at its top or in one folder in it). Raises SnapshotRejected."""
    if path.is_dir():
        listed = [file for file in sorted(path.iterdir()) if _is_csv(file.name)]
        found = [csv_file(file.name, file) for file in listed]
        moments = [datetime.fromtimestamp(file.stat().st_mtime, UTC) for file in listed]
    elif path.is_file():
        members = _members(path)
        found = [CsvFile(_name(member), _unzipped(path, member)) for member in members]
        moments = [_moment(path, member) for member in members]
    else:
        raise SnapshotRejected(
            f"there is no feed at {path}", "correct the path of the school's source, or have the MIS export there"
        )
    files: dict[str, CsvFile] = {}
    for file in found:
        if file.name.lower() in files:
            raise rejected(f"{file.name} is there twice, with different capitals or folders")
        files[file.name.lower()] = file
    return FeedFiles(files, max(moments, default=_NEVER))


def csv_file(name: str, path: Path) -> CsvFile:
    """The file at `path`, which is called `name` in messages."""
    return CsvFile(name, _opened(path, name))


def _is_csv(name: str) -> bool:
    return name.lower().endswith(".csv") and not name.startswith(".")


def _name(member: zipfile.ZipInfo) -> str:
    return PurePosixPath(member.filename).name


def _moment(path: Path, member: zipfile.ZipInfo) -> datetime:
    """A zip file keeps local time without its zone; the same machine writes the next one."""
    try:
        return datetime(*member.date_time, tzinfo=UTC)
    except ValueError:
        raise rejected(f"{path.name} is no whole zip file (a date that is none)") from None


def _opened(path: Path, name: str) -> Callable[[], AbstractContextManager[IO[bytes]]]:
    @contextmanager
    def opened() -> Iterator[IO[bytes]]:
        try:
            with path.open("rb") as stream:
                yield stream
        except OSError as error:
            raise rejected(f"{name} cannot be read ({type(error).__name__})") from None

    return opened


def _unzipped(path: Path, member: zipfile.ZipInfo) -> Callable[[], AbstractContextManager[IO[bytes]]]:
    @contextmanager
    def opened() -> Iterator[IO[bytes]]:
        with _whole(path), zipfile.ZipFile(path) as archive, archive.open(member) as stream:
            yield stream

    return opened


@contextmanager
def _whole(path: Path) -> Iterator[None]:
    """A zip file that is torn shows that when it is opened, or when a member is read to its end."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        raise rejected(f"{path.name} is no whole zip file ({type(error).__name__})") from None
    except (NotImplementedError, RuntimeError):
        raise SnapshotRejected(
            f"{path.name} is packed in a way that is not read here", "hand in a plain zip file; nothing was changed"
        ) from None


def _members(path: Path) -> list[zipfile.ZipInfo]:
    """Its CSV files, of an archive in which nothing is suspicious. Raises SnapshotRejected."""
    with _whole(path), zipfile.ZipFile(path) as archive:
        everything = archive.infolist()
    if len(everything) > _MOST_MEMBERS:
        raise rejected(f"{path.name} has more than {_MOST_MEMBERS} files in it")
    if any(_leads_out(member) for member in everything):
        raise rejected(f"{path.name} names a place outside of it, or has a link in it")
    members = [
        member for member in everything if _is_csv(_name(member)) and not member.filename.startswith("__MACOSX/")
    ]
    if any(member.flag_bits & 1 for member in members):
        raise SnapshotRejected(f"{path.name} is encrypted", "hand the feed in without a password; nothing was changed")
    unpacked = sum(member.file_size for member in members)
    if unpacked > _LARGEST_FEED:
        raise rejected(f"{path.name} unpacks to more than {_LARGEST_FEED} bytes")
    if unpacked > _SUSPECT_FEED and unpacked > _SUSPECT_RATIO * path.stat().st_size:
        raise rejected(f"{path.name} unpacks to more than {_SUSPECT_RATIO} times its size")
    if len({PurePosixPath(member.filename).parent for member in members}) > 1:
        raise rejected(f"{path.name} has CSV files in more than one folder")
    return members


def _leads_out(member: zipfile.ZipInfo) -> bool:
    place = PurePosixPath(member.filename)
    absolute = place.is_absolute() or "\\" in member.filename or member.filename[1:2] == ":"
    return absolute or ".." in place.parts or stat.S_ISLNK(member.external_attr >> 16)
