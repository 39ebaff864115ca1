"""A feed at a path, as the command line gets it: a folder with CSV files, or one zip file."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from sync_core.clock import SystemClock
from sync_core.domain.school.settings import SchoolChoices
from sync_core.mis.academic_years import Calendar, calendar_of
from sync_core.mis.budget import Deadline
from sync_core.mis.files.archive import REPACK, FeedFiles, is_csv, is_packed, open_file, open_zip
from sync_core.mis.files.csv_file import CsvFile
from sync_core.mis.files.formats import read_sets
from sync_core.mis.rejection import rejection, shielded
from sync_core.mis.roster import Snapshots


def read_feed(path: Path, calendar: Calendar) -> Snapshots:
    """The schools of a feed as they are today, by id. Raises SnapshotRejected with file, line, column and remedy."""
    with shielded():
        return read_sets([open_feed(path).within(Deadline.from_now(SystemClock()))], calendar)


def uk_today() -> Calendar:
    """Today in a school in the UK."""
    return calendar_of(SchoolChoices(), SystemClock().now())


def open_feed(path: Path) -> FeedFiles:
    """The CSV files in a folder or in a zip file. Raises SnapshotRejected."""
    if path.is_file() and is_csv(path.name):
        raise rejection(
            "the path names one CSV file, and a feed has several",
            "name the folder or the zip file that has them all",
        )
    if path.is_file():
        return open_zip(path, _written_at([path]))
    if not path.is_dir():
        raise rejection(f"there is no feed at {path}", "name the folder or the zip file of the export")
    names = [file.name for file in path.iterdir()]
    if not any(map(is_csv, names)) and any(map(is_packed, names)):
        raise rejection("the folder has a packed file (zip or gz), and no CSV file", f"name the zip file, or {REPACK}")
    paths = [file for file in sorted(path.iterdir()) if is_csv(file.name)]
    files: dict[str, CsvFile] = {}
    for file in paths:
        if file.name.lower() in files:
            raise rejection(f"{file.name} appears twice, with different capitals")
        files[file.name.lower()] = CsvFile(file.name, partial(open_file, file, file.name))
    return FeedFiles(files, _written_at(paths), sum(file.stat().st_size for file in paths))


def _written_at(paths: Iterable[Path]) -> datetime:
    """When the newest of the files was written."""
    newest = max((path.stat().st_mtime for path in paths), default=0)
    return datetime.fromtimestamp(newest, UTC)
