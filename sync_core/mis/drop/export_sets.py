"""Finds the export sets in the file listing of a drop, each with its time and its fingerprint."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from sync_core.mis.budget import is_readable
from sync_core.mis.files.archive import is_csv

ARCHIVE = "processed"
MANIFEST = "manifest.csv"
_ARCHIVED = re.compile(ARCHIVE + r"/([0-9]{8}T[0-9]{6}\.[0-9]{6}Z)-([0-9a-f]{16})")
_TIME = "%Y%m%dT%H%M%S.%fZ"


@dataclass(frozen=True, slots=True)
class DropFile:
    """A file in a listing. `name` includes the folders within the drop; `version` changes with each write."""

    name: str
    size: int
    modified: datetime
    version: str

    @property
    def base_name(self) -> str:
        """The name without its folders."""
        return self.name.rpartition("/")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportSet:
    """Files that were exported together. `path` is their folder in the drop (empty for its top), or the zip file.

    `written_at` is when the newest of them was written. An archived set keeps its time and its fingerprint.
    """

    path: str
    files: tuple[DropFile, ...]
    written_at: datetime
    fingerprint: str
    archived: bool

    @property
    def size(self) -> int:
        """In bytes, as the files are in the drop."""
        return sum(file.size for file in self.files)

    @property
    def zipped(self) -> bool:
        return len(self.files) == 1 and _is_zip(self.files[0].name)

    def as_archived(self, sets: Iterable[ExportSet]) -> ExportSet:
        """The set as it will be in the archive, a microsecond later than any other archived set of the same time."""
        times = {other.written_at for other in sets if other.archived and other.fingerprint != self.fingerprint}
        written_at = self.written_at
        while written_at in times:
            written_at += timedelta(microseconds=1)
        path = f"{ARCHIVE}/{written_at.astimezone(UTC).strftime(_TIME)}-{self.fingerprint}"
        return replace(self, path=path, written_at=written_at, archived=True)

    def settled(self, now: datetime, settle: timedelta) -> bool:
        """Whether the export has ended: nothing was written for `settle`, or the manifest was written last."""
        if not settle or self.archived or now - self.written_at >= settle:
            return True
        manifest = [file.modified for file in self.files if file.base_name.lower() == MANIFEST]
        others = [file.modified for file in self.files if file.base_name.lower() != MANIFEST]
        return bool(manifest and others) and manifest[0] > max(others)


def export_sets_of(files: Iterable[DropFile]) -> list[ExportSet]:
    """The sets, oldest first. A set is the CSV files directly in the drop or in one of its folders, or a zip file.

    An archived set lies two folders deep. Any other file that deep belongs to no set, nor does one whose name cannot be
    written everywhere.
    """
    by_path: dict[str, list[DropFile]] = {}
    for file in files:
        folder, _, name = file.name.rpartition("/")
        archived, zipped = _archived(folder), _is_zip(name)
        if not is_readable(file.name):
            continue
        path = file.name if zipped and not archived else folder
        if (zipped or is_csv(name)) and (archived or ("/" not in path and path != ARCHIVE)):
            by_path.setdefault(path, []).append(file)
    sets = [_export_set(path, members) for path, members in by_path.items()]
    return sorted(sets, key=_order)


def _order(export: ExportSet) -> tuple[datetime, str]:
    """A container lists times in whole seconds: a new set sorts after a set archived within the same second."""
    exact = export.archived or export.written_at.microsecond
    return export.written_at if exact else export.written_at.replace(microsecond=999_999), export.path


def _export_set(path: str, members: Iterable[DropFile]) -> ExportSet:
    files = tuple(sorted(members, key=lambda file: file.name))
    if archived := _archived(path):
        written_at, fingerprint = archived
    else:
        written_at = max(file.modified for file in files)
        listing = "\n".join(f"{file.name}\t{file.size}\t{file.version}" for file in files)
        fingerprint = sha256(listing.encode()).hexdigest()[:16]
    return ExportSet(path=path, files=files, written_at=written_at, fingerprint=fingerprint, archived=bool(archived))


def _archived(folder: str) -> tuple[datetime, str] | None:
    """The time and the fingerprint of the archived set in a folder of this name; None if it is no such name."""
    name = _ARCHIVED.fullmatch(folder)
    try:
        return (datetime.strptime(name[1], _TIME).replace(tzinfo=UTC), name[2]) if name else None
    except ValueError:
        return None


def _is_zip(name: str) -> bool:
    return name.lower().endswith(".zip")
