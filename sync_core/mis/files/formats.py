"""MIS feeds as files: which format they are, by their files and headers, and the snapshots of the schools in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sync_core.domain.roster import Snapshot
from sync_core.errors import SnapshotRejected
from sync_core.mis.files.archive import FeedFiles, open_feed
from sync_core.mis.files.oneroster import files_of, is_whole, read_oneroster
from sync_core.mis.files.sds_v1 import read_sds_v1
from sync_core.mis.files.sds_v2 import read_sds_v2

ONEROSTER = "OneRoster 1.1 or 1.2 CSV"
SDS_V2 = "SDS v2.1 CSV"
SDS_V1 = "SDS v1 CSV, UK form"

_SDS_FILES = {
    SDS_V2: ("orgs", "academicSessions", "classes", "users", "roles", "enrollments"),
    SDS_V1: ("School", "Section", "Student", "Teacher", "StudentEnrollment", "TeacherRoster"),
}


@dataclass(frozen=True, slots=True)
class Feed:
    """What sets of files tell: their format, and a snapshot for each school by school id."""

    format: str
    snapshots: Mapping[str, Snapshot]


def read_feed(path: Path) -> Feed:
    """Read a set in a folder or a zip file. Raises SnapshotRejected with file, line, column and remedy."""
    return read_sets([open_feed(path)])


def read_sets(sets: Sequence[FeedFiles]) -> Feed:
    """Read a set that tells of everything, with those that came after it, in order. Raises SnapshotRejected."""
    format_ = _recognise(sets[-1])
    if format_ == ONEROSTER:
        return Feed(format_, read_oneroster(sets))
    return Feed(format_, {SDS_V2: read_sds_v2, SDS_V1: read_sds_v1}[format_](sets[-1]))


def stands_alone(files: FeedFiles) -> bool:
    """Whether the set needs none before it. Raises SnapshotRejected for one of no format that is read here."""
    return _recognise(files) != ONEROSTER or is_whole(files)


def missing_files(files: FeedFiles) -> list[str]:
    """What a set of its format still lacks. Raises SnapshotRejected for one of no format that is read here."""
    format_ = _recognise(files)
    needed = files_of(files) if format_ == ONEROSTER else [f"{name}.csv" for name in _SDS_FILES[format_]]
    return [name for name in needed if not files.has(name)]


def _recognise(files: FeedFiles) -> str:
    if files.has("manifest.csv") or (files.has("orgs.csv") and "dateLastModified" in files.header("orgs.csv")):
        return ONEROSTER
    if files.has("orgs.csv"):
        return SDS_V2
    if files.has("School.csv", "Section.csv"):
        if "DfE Number" in files.header("School.csv"):
            return SDS_V1
        raise SnapshotRejected(
            'School.csv line 1: no column "DfE Number": an SDS v1 set, but not in its UK form',
            "have the MIS export the UK form, or OneRoster CSV; nothing was changed",
        )
    raise SnapshotRejected(
        f"unknown format (CSV files found: {files.names})",
        f"hand in one of {ONEROSTER}, {SDS_V2}, {SDS_V1}; nothing was changed",
    )
