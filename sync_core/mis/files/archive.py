"""Opens the files of a feed, in a folder or an untrusted zip file, one by one. Nothing is unpacked to disk."""

from __future__ import annotations

import stat
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from sync_core.mis.files.csv_file import CsvFile
from sync_core.mis.rejection import rejection
from sync_core.mis.rows import Row

_MAX_BYTES = 2_000_000_000
_MAX_MEMBERS = 1_000
# CSV shrinks to a tenth, and repetitive CSV to a thirtieth.
_SUSPECT_BYTES, _SUSPECT_RATIO = 100_000_000, 100


@dataclass(frozen=True, slots=True)
class FeedFiles:
    """The CSV files of a feed, by name in lower case. `taken_at` is when the newest of them or the zip was written."""

    files: Mapping[str, CsvFile]
    taken_at: datetime

    @property
    def names(self) -> str:
        return ", ".join(sorted(file.name for file in self.files.values())) or "none"

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
            raise rejection(f"{name} is missing (files found: {self.names})")
        yield from self.files[name.lower()].rows(columns, optional, note)


def open_zip(path: Path, taken_at: datetime) -> FeedFiles:
    """The CSV files in a zip file, at its top or in one folder in it. Raises SnapshotRejected."""
    files: dict[str, CsvFile] = {}
    for member in _csv_members(path):
        name = _name(member)
        if name.lower() in files:
            raise rejection(f"{name} appears twice, with different capitals or in different folders")
        files[name.lower()] = CsvFile(name, partial(_open_member, path, member))
    return FeedFiles(files, taken_at)


def is_csv(name: str) -> bool:
    return name.lower().endswith(".csv") and not name.startswith(".")


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


@contextmanager
def _open_member(path: Path, member: zipfile.ZipInfo) -> Iterator[IO[bytes]]:
    with _damage_rejected(path), zipfile.ZipFile(path) as archive, archive.open(member) as stream:
        yield stream


@contextmanager
def _damage_rejected(path: Path) -> Iterator[None]:
    """Damage to a zip file shows when it is opened, or when a member is read to its end. It may also vanish."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        raise rejection(f"{path.name} is not a complete zip file ({type(error).__name__})") from None
    except (NotImplementedError, RuntimeError):
        raise rejection(f"{path.name} uses an unsupported zip format", "deliver a plain zip file") from None


def _csv_members(path: Path) -> list[zipfile.ZipInfo]:
    """The CSV files in a zip file. Raises SnapshotRejected if the file is damaged or suspicious."""
    with _damage_rejected(path), zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    if len(members) > _MAX_MEMBERS:
        raise rejection(f"{path.name} contains more than {_MAX_MEMBERS} files")
    if any(_is_unsafe(member) for member in members):
        raise rejection(f"{path.name} contains a path that leads outside it, or a link")
    csvs = [member for member in members if is_csv(_name(member)) and "__MACOSX" not in _path(member).parts]
    if any(member.flag_bits & 1 for member in csvs):
        raise rejection(f"{path.name} is encrypted", "deliver the feed without a password")
    unpacked = sum(member.file_size for member in csvs)
    if unpacked > _MAX_BYTES:
        raise rejection(f"{path.name} unpacks to more than {_MAX_BYTES} bytes")
    if unpacked > _SUSPECT_BYTES and unpacked > _SUSPECT_RATIO * path.stat().st_size:
        raise rejection(f"{path.name} unpacks to more than {_SUSPECT_RATIO} times its size")
    if len({_path(member).parent for member in csvs}) > 1:
        raise rejection(f"{path.name} has CSV files in more than one folder")
    return csvs


def _is_unsafe(member: zipfile.ZipInfo) -> bool:
    path = _path(member)
    absolute = path.is_absolute() or member.filename[1:2] == ":"
    return absolute or ".." in path.parts or stat.S_ISLNK(member.external_attr >> 16)
