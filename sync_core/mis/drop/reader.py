"""Export sets in a file drop: the newest complete one, its schools, and the archive."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from sync_core.clock import Clock
from sync_core.domain.roster import Snapshot
from sync_core.domain.school import AfterSync, FeedContainer, FileDrop
from sync_core.errors import SnapshotRejected
from sync_core.mis.drop.container import ContainerDrop
from sync_core.mis.drop.export_sets import MANIFEST, DropFile, ExportSet, export_sets_of
from sync_core.mis.drop.folder import FolderDrop
from sync_core.mis.files.archive import FeedFiles, csv_file, open_feed
from sync_core.mis.files.formats import missing_files, read_sets, stands_alone
from sync_core.mis.files.strict_csv import CsvFile
from sync_core.mis.port import NewestExportSet

if TYPE_CHECKING:
    from azure.storage.blob.aio import ContainerClient


_READINGS = 3
_MOST_REMEMBERED = 10_000
"""Sets of which it is held what they lack, by fingerprint."""
_TELLING = (MANIFEST, "orgs.csv", "school.csv")


class FileDropStore(Protocol):
    """Where a drop is. Raises SnapshotRejected for what no waiting mends, else Transient."""

    async def listed(self) -> list[DropFile]:
        """All files, in all folders of the drop."""

    async def brought(self, files: Sequence[DropFile], folder: Path) -> dict[str, Path]:
        """Where each can be read on this machine, by its name; `folder` may be filled, and is emptied afterwards."""

    async def copy(self, file: DropFile, name: str) -> None:
        """Beside itself, within the drop."""

    async def delete(self, file: DropFile) -> None:
        """If it is as it was listed; else it stays."""


class FileDropReader:
    """Implements the port Drops. `store` finds a drop, or raises SnapshotRejected."""

    def __init__(self, store: Callable[[FileDrop], FileDropStore], settle: timedelta, clock: Clock) -> None:
        self._store = store
        self._settle = settle
        self._clock = clock
        self._known_missing: dict[str, str] = {}

    async def newest(self, drop: FileDrop) -> NewestExportSet:
        store = self._store(drop)
        sets = export_sets_of(await store.listed())
        async for one in self._whole_sets(store, sets):
            return NewestExportSet(
                one.fingerprint, "" if one is sets[-1] else await self._why_incomplete(store, sets[-1])
            )
        raise AssertionError("there is one, or it was rejected")

    async def archive(self, drop: FileDrop, upto: str) -> int:
        store = self._store(drop)
        sets = export_sets_of(await store.listed())
        taken = [place for place, one in enumerate(sets) if one.fingerprint == upto]
        waiting = [one for one in sets[: max(taken, default=-1) + 1] if not one.archived]
        done = [one for one in waiting if not await self._why_incomplete(store, one)]
        beside = list(sets)
        for one in done:
            archived = one.as_archived(beside)
            beside.append(archived)
            for file in one.files:
                await store.copy(file, f"{archived.place}/{file.name.rpartition('/')[2]}")
        for file in (*_left_behind(sets), *(file for one in done for file in one.files)):
            await store.delete(file)
        return len(done)

    async def snapshots(self, drop: FileDrop) -> Mapping[str, Snapshot]:
        """A snapshot for each school of the drop, by school id. Raises SnapshotRejected, Transient.

        While it is read, an export may come, or a set be archived: what is not there any more as it was is read anew.
        """
        store = self._store(drop)
        for _ in range(_READINGS):
            used: list[DropFile] = []
            with tempfile.TemporaryDirectory(prefix="drop-") as folder:
                try:
                    found = await self._read(drop, store, used, Path(folder))
                except SnapshotRejected:
                    if set(used) <= set(await store.listed()):
                        raise
                    continue
            if set(used) <= set(await store.listed()):
                return found
        raise SnapshotRejected(
            "the files of the drop changed whenever they were read",
            "have the MIS export at another time than the sync; nothing was changed",
        )

    async def _read(
        self, drop: FileDrop, store: FileDropStore, used: list[DropFile], folder: Path
    ) -> Mapping[str, Snapshot]:
        """From the newest set that tells of everything on; older ones are not even fetched. `used` is filled."""
        sets: list[FeedFiles] = []
        async for one in self._whole_sets(store, export_sets_of(await store.listed())):
            used += one.files
            place = folder / str(len(sets))
            place.mkdir()
            files = await _opened(store, one, place)
            sets.insert(0, files)
            if stands_alone(files):
                break
            if one.overwritten and drop.after_sync is AfterSync.KEEP:
                raise SnapshotRejected(
                    "the set in the drop tells of changes alone, and the next export overwrites it",
                    "choose after_sync archive, have each set exported into a folder of its own, or all files as bulk; "
                    "nothing was changed",
                )
        return (await asyncio.to_thread(read_sets, sets)).snapshots

    async def _whole_sets(self, store: FileDropStore, sets: Sequence[ExportSet]) -> AsyncIterator[ExportSet]:
        """Those that are whole, the newest first. Raises SnapshotRejected with what the newest lacks if none is."""
        if not sets:
            raise SnapshotRejected(
                "there is no set of CSV files in the drop",
                "have the MIS export there, or correct the school's source; nothing was changed",
            )
        reasons: list[str] = []
        for one in reversed(sets):
            if reason := await self._why_incomplete(store, one):
                reasons.append(reason)
            else:
                yield one
        if len(reasons) == len(sets):
            raise SnapshotRejected(
                f"the set in the drop is not whole: {reasons[0]}",
                "wait for the export to end, or have the MIS export everything; nothing was changed",
            )

    async def _why_incomplete(self, store: FileDropStore, one: ExportSet) -> str:
        """Why a set is not whole, or nothing. Of its CSV files those alone are fetched that tell what it is."""
        if one.archived:
            return ""
        # A kept zip file lies there each minute: it is fetched once and not each time.
        if one.fingerprint not in self._known_missing:
            if len(self._known_missing) >= _MOST_REMEMBERED:
                self._known_missing.clear()
            self._known_missing[one.fingerprint] = await _known_missing(store, one)
        if missing := self._known_missing[one.fingerprint]:
            return missing
        return "" if one.settled(self._clock.now(), self._settle) else "files are still being written"


async def _known_missing(store: FileDropStore, one: ExportSet) -> str:
    with tempfile.TemporaryDirectory(prefix="drop-") as folder:
        told = [file for file in one.files if one.zipped or _base(file) in _TELLING]
        brought = await store.brought(told, Path(folder))
        try:
            files = open_feed(brought[told[0].name]) if one.zipped else _files(one, brought)
            missing = missing_files(files)
        except SnapshotRejected as rejection:
            # What its manifest cannot be right about is no matter of waiting: reading it says so.
            return "" if MANIFEST in map(_base, told) else rejection.message
        return f"{', '.join(missing)} is missing" if missing else ""


def _left_behind(sets: Sequence[ExportSet]) -> list[DropFile]:
    """Files of a set that was moved, of which a crash had some not deleted: no younger than it, and all of it is there.

    They are no set any more, so nobody would ever take them.
    """
    found: list[DropFile] = []
    for archived in (one for one in sets if one.archived):
        there = {(_base(file), file.size) for file in archived.files}
        for one in sets:
            if not one.archived and one.fingerprint != archived.fingerprint and one.moment <= archived.moment:
                found += one.files if all((_base(file), file.size) in there for file in one.files) else ()
    return found


async def _opened(store: FileDropStore, one: ExportSet, folder: Path) -> FeedFiles:
    brought = await store.brought(one.files, folder)
    if one.zipped:
        return replace(open_feed(brought[one.files[0].name]), taken_at=one.moment)
    return _files(one, brought)


def _files(one: ExportSet, brought: Mapping[str, Path]) -> FeedFiles:
    """The set's CSV files; of those that were not brought only the names are of use."""
    files: dict[str, CsvFile] = {}
    for file in one.files:
        name = file.name.rpartition("/")[2]
        files[name.lower()] = csv_file(name, brought.get(file.name, Path("/nowhere")))
    return FeedFiles(files, one.moment)


def _base(file: DropFile) -> str:
    return file.name.rpartition("/")[2].lower()


class FileDropStores:
    """Finds a drop. `container` is the deployment's."""

    def __init__(self, container: ContainerClient | None) -> None:
        self._container = container

    def of(self, drop: FileDrop) -> FileDropStore:
        """Raises SnapshotRejected for a container where there is none."""
        if not isinstance(drop, FeedContainer):
            return FolderDrop(drop.path)
        if self._container is None:
            raise SnapshotRejected(
                "the school is read from a blob container, and this deployment has none",
                "set FILE_DROP_CONTAINER_URL (docs/operations.md); nothing was changed",
            )
        return ContainerDrop(self._container, drop.folder)
