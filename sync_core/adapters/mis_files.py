"""MIS feeds as files: which format it is, by its files and headers, and the snapshot of one school from it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sync_core.adapters.mis_feed_files import FeedFiles, open_feed
from sync_core.adapters.mis_oneroster import read_oneroster
from sync_core.adapters.mis_sds_v1 import read_sds_v1
from sync_core.adapters.mis_sds_v2 import read_sds_v2
from sync_core.choices import FeedFolder
from sync_core.errors import SnapshotRejected
from sync_core.model import Snapshot

ONEROSTER = "OneRoster 1.1 or 1.2 CSV"
SDS_V2 = "SDS v2.1 CSV"
SDS_V1 = "SDS v1 CSV, UK form"


@dataclass(frozen=True, slots=True)
class Feed:
    """What a folder or zip file holds: its format, and a snapshot for each school by school id."""

    format: str
    snapshots: Mapping[str, Snapshot]


def read_feed(path: Path) -> Feed:
    """Read a whole feed. Raises SnapshotRejected with file, line, column and remedy."""
    files = open_feed(path)
    format_ = _recognise(files)
    read = {ONEROSTER: read_oneroster, SDS_V2: read_sds_v2, SDS_V1: read_sds_v1}[format_]
    return Feed(format_, read(files))


async def read_folder(folder: FeedFolder) -> Mapping[str, Snapshot]:
    """A snapshot for each school of the feed, by school id. Raises SnapshotRejected."""
    return (await asyncio.to_thread(read_feed, Path(folder.path))).snapshots


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
