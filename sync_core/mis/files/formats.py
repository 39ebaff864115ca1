"""Recognises the format of an MIS feed by its files and headers, and reads the snapshots of its schools."""

from __future__ import annotations

from collections.abc import Sequence

from sync_core.mis.academic_years import Calendar
from sync_core.mis.files.archive import FeedFiles
from sync_core.mis.files.oneroster_sets import WITHOUT_FILE, describe_oneroster, is_full_set, read_modes, read_oneroster
from sync_core.mis.files.sds_v1 import describe_sds_v1, is_sds_v1, read_sds_v1
from sync_core.mis.files.sds_v2 import describe_sds_v2, read_sds_v2
from sync_core.mis.rejection import rejection
from sync_core.mis.roster import Snapshots, with_format

ONEROSTER = "OneRoster 1.1 or 1.2 CSV"
SDS_V2 = "School Data Sync v2 CSV"
SDS_V1 = "School Data Sync v1 CSV"

# Those that the format demands: a set may have more.
_SDS_FILES = {
    SDS_V2: ("orgs", "classes", "users", "enrollments"),
    SDS_V1: ("School", "Section", "Student", "Teacher", "StudentEnrollment", "TeacherRoster"),
}
_ONEROSTER_ORGS = ({"datelastmodified"}, {"status", "identifier"})
"""Columns of orgs.csv that show a set without a manifest to be OneRoster. School Data Sync v2 has none of them."""


def read_sets(sets: Sequence[FeedFiles], calendar: Calendar) -> Snapshots:
    """The schools, by id, of a full set and the sets exported after it, in that order, as they are today.

    Raises SnapshotRejected with file, line, column and remedy.
    """
    format_ = recognise(sets[-1])
    if format_ == ONEROSTER:
        changes = f", with {len(sets) - 1} later sets of changes" if len(sets) > 1 else ""
        return with_format(read_oneroster(sets, calendar), describe_oneroster(sets[-1]) + changes, calendar)
    if format_ == SDS_V2:
        return with_format(read_sds_v2(sets[-1], calendar), describe_sds_v2(sets[-1]), calendar)
    return with_format(read_sds_v1(sets[-1], calendar), describe_sds_v1(sets[-1]), calendar)


def is_full(files: FeedFiles) -> bool:
    """Whether the set has everything, and not only changes. Raises SnapshotRejected for an unknown format."""
    return recognise(files) != ONEROSTER or is_full_set(files)


def missing_files(files: FeedFiles) -> list[str]:
    """The files that a set of this format should have but does not. Raises SnapshotRejected for an unknown format."""
    format_ = recognise(files)
    if format_ == ONEROSTER:
        required = [name for name, mode in read_modes(files).items() if mode not in WITHOUT_FILE]
    else:
        required = [f"{name}.csv" for name in _SDS_FILES[format_]]
    return [name for name in required if not files.has(name)]


def recognise(files: FeedFiles) -> str:
    """The format of a set. Raises SnapshotRejected for an unknown one."""
    if files.has("manifest.csv"):
        return ONEROSTER
    if files.has("orgs.csv"):
        header = files.files["orgs.csv"].header()
        return ONEROSTER if any(columns <= header for columns in _ONEROSTER_ORGS) else SDS_V2
    if files.has("School.csv", "Section.csv"):
        if is_sds_v1(files.files["school.csv"].header()):
            return SDS_V1
        raise rejection(
            'School.csv has neither a column "DfE Number" nor "SIS ID"', "have the MIS export one of them as the id"
        )
    unknown = "unknown format (CSV files found: {})"
    remedy = f"deliver {ONEROSTER}, {SDS_V2}, or {SDS_V1}"
    raise rejection(unknown.format(files.known_names), remedy, unknown.format(files.names))
