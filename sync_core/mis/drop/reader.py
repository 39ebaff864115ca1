"""Reads and archives the export sets of a file drop."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from sync_core.clock import Clock
from sync_core.domain.ids import SchoolId
from sync_core.domain.roster import Snapshot
from sync_core.domain.school.sources import AfterSync, FeedContainer, FileDrop
from sync_core.errors import SnapshotRejected
from sync_core.mis.academic_years import Calendar
from sync_core.mis.budget import Deadline, check_reading
from sync_core.mis.drop.container import ContainerDrop
from sync_core.mis.drop.export_sets import MANIFEST, DropFile, ExportSet, export_sets_of
from sync_core.mis.drop.folder import FolderDrop
from sync_core.mis.drop.readings import SharedReadings
from sync_core.mis.files.archive import FeedFiles, open_file, open_zip
from sync_core.mis.files.csv_file import CsvFile
from sync_core.mis.files.formats import is_full, missing_files, read_sets
from sync_core.mis.port import NewestExportSet
from sync_core.mis.rejection import rejection, shielded
from sync_core.mis.roster import Snapshots
from sync_core.mis.threads import InThread

if TYPE_CHECKING:
    from azure.storage.blob.aio import ContainerClient

_READS = 3
_MAX_CACHED_SETS = 10_000
# These show a set's format.
_FORMAT_FILES = (MANIFEST, "orgs.csv", "school.csv")
_INCOMPLETE = "the set in the file drop is incomplete"


@dataclass(frozen=True, slots=True)
class _Reason:
    """Why a set is incomplete. `shown` is the text for an admin, with the names of files."""

    text: str
    shown: str


_BEING_WRITTEN = _Reason("files are still being written", "files are still being written")


class FileDropStore(Protocol):
    """The files of one drop. Raises SnapshotRejected if waiting cannot help, Transient otherwise."""

    async def list_files(self) -> list[DropFile]:
        """All files of the drop that may belong to a set. Those in deeper folders may be left out."""

    async def fetch(self, files: Sequence[DropFile], folder: Path) -> dict[str, Path]:
        """A readable local path for each file, by its name. Copies go to `folder`, which the caller deletes."""

    async def copy(self, file: DropFile, name: str) -> None:
        """Copy the file to another name within the drop."""

    async def delete(self, file: DropFile) -> None:
        """Delete the file, unless it changed since it was listed."""


class FileDropReader:
    """Implements the port FileDrops. `store` opens a drop, or raises SnapshotRejected."""

    def __init__(
        self,
        store: Callable[[FileDrop], FileDropStore],
        settle: timedelta,
        clock: Clock,
        readings: SharedReadings,
        in_thread: InThread = asyncio.to_thread,
    ) -> None:
        self._store = store
        self._settle = settle
        self._clock = clock
        self._readings = readings
        self._in_thread = in_thread
        self._missing: dict[str, _Reason | None] = {}

    async def newest(self, drop: FileDrop) -> NewestExportSet:
        with shielded():
            store = self._store(drop)
            sets = export_sets_of(await store.list_files())
            newest = await anext(self._complete_sets(store, sets))
            reason = None if newest is sets[-1] else await self._why_incomplete(store, sets[-1])
            return NewestExportSet(newest.fingerprint, reason.text if reason else "")

    async def summary(self, drop: FileDrop) -> str:
        """How many sets the drop has, complete or not, and when the newest was written. Nothing is fetched."""
        sets = export_sets_of(await self._store(drop).list_files())
        if not sets:
            raise _no_sets()
        return f"export sets in the file drop: {len(sets)}, the newest of {sets[-1].written_at:%Y-%m-%d %H:%M} UTC"

    async def archive(self, drop: FileDrop, upto: str) -> int:
        with shielded():
            return await self._archive(drop, upto)

    async def _archive(self, drop: FileDrop, upto: str) -> int:
        store = self._store(drop)
        sets = export_sets_of(await store.list_files())
        last = max((index for index, export in enumerate(sets) if export.fingerprint == upto), default=-1)
        waiting = [export for export in sets[: last + 1] if not export.archived]
        complete = [export for export in waiting if not await self._why_incomplete(store, export)]
        all_sets = list(sets)
        for export in complete:
            archived = export.as_archived(all_sets)
            all_sets.append(archived)
            for file in export.files:
                await store.copy(file, f"{archived.path}/{file.base_name}")
        for file in (*_left_behind(sets), *(file for export in complete for file in export.files)):
            await store.delete(file)
        return len(complete)

    async def snapshots(self, drop: FileDrop, calendar: Calendar) -> Mapping[SchoolId, Snapshot]:
        """A snapshot for each school of the drop as it is today, by school id. Raises SnapshotRejected, Transient.

        The sets in use are read once for all schools, and again when one of their files, or the day, has changed. A
        school that waited for others, and has to read the sets itself, has the rest of its time for that.
        """
        deadline = Deadline.from_now(self._clock)
        async with self._readings.turn(drop):
            store = self._store(drop)
            last = self._readings.last(drop, calendar)
            if last and await self._newest_sets(store, len(last.sets)) == last.sets:
                return last.snapshots
            used, snapshots = await self._read(drop, store, calendar, deadline)
            return await self._readings.keep(drop, calendar, used, snapshots)

    async def _newest_sets(self, store: FileDropStore, count: int) -> list[ExportSet]:
        newest: list[ExportSet] = []
        async for export in self._complete_sets(store, export_sets_of(await store.list_files())):
            newest.append(export)
            if len(newest) == count:
                break
        return newest

    async def _read(
        self, drop: FileDrop, store: FileDropStore, calendar: Calendar, deadline: Deadline
    ) -> tuple[list[ExportSet], Snapshots]:
        """The sets in use, newest first, and the snapshots of their schools.

        An export may arrive, or a set be archived, during the read. The read is repeated if one of its files changed.
        """
        for _ in range(_READS):
            used: list[ExportSet] = []
            with tempfile.TemporaryDirectory(prefix="drop-") as folder:
                try:
                    sets = await self._open_sets(drop, store, used, Path(folder), deadline)
                    snapshots = await self._in_thread(read_sets, sets, calendar)
                except SnapshotRejected:
                    if await _are_unchanged(used, store):
                        raise
                    continue
            if await _are_unchanged(used, store):
                return used, snapshots
        raise rejection(
            f"the files in the file drop changed during each of {_READS} reads",
            "have the MIS export at a different time from the sync",
        )

    async def _open_sets(
        self, drop: FileDrop, store: FileDropStore, used: list[ExportSet], folder: Path, deadline: Deadline
    ) -> list[FeedFiles]:
        """The newest full set and those after it. Older sets are not fetched. Adds each of them to `used`."""
        sets: list[FeedFiles] = []
        size = 0
        async for export in self._complete_sets(store, export_sets_of(await store.list_files())):
            used.append(export)
            size += export.size
            check_reading(size, len(used))
            subfolder = folder / str(len(sets))
            subfolder.mkdir()
            deadline.check()
            files = _open_set(export, await store.fetch(export.files, subfolder)).within(deadline)
            sets.insert(0, files)
            size += max(files.size - export.size, 0)
            check_reading(size, len(used))
            if is_full(files):
                break
            if not export.path and drop.after_sync is AfterSync.KEEP:
                raise rejection(
                    "the set in the file drop has changes only, and the next export will overwrite it",
                    "set after_sync to archive, have the MIS export each set to its own folder, or all files as bulk",
                )
        return sets

    async def _complete_sets(self, store: FileDropStore, sets: Sequence[ExportSet]) -> AsyncIterator[ExportSet]:
        """The complete sets, newest first. Raises SnapshotRejected with the newest set's fault if there is none."""
        if not sets:
            raise _no_sets()
        reasons: list[_Reason] = []
        for export in reversed(sets):
            if reason := await self._why_incomplete(store, export):
                reasons.append(reason)
            else:
                yield export
        if len(reasons) == len(sets):
            raise rejection(
                f"{_INCOMPLETE}: {reasons[0].text}",
                "wait for the export to end, or have the MIS export all files",
                f"{_INCOMPLETE}: {reasons[0].shown}",
            )

    async def _why_incomplete(self, store: FileDropStore, export: ExportSet) -> _Reason | None:
        """Why a set is incomplete; None if it is complete. Fetches only the files that show its format."""
        if export.archived:
            return None
        # The answer is cached, so that a zip file that stays in the drop is fetched once and not every minute.
        if export.fingerprint not in self._missing:
            if len(self._missing) >= _MAX_CACHED_SETS:
                self._missing.clear()
            self._missing[export.fingerprint] = await _find_missing(store, export)
        settled = export.settled(self._clock.now(), self._settle)
        return self._missing[export.fingerprint] or (None if settled else _BEING_WRITTEN)


def _no_sets() -> SnapshotRejected:
    return rejection(
        "the file drop has no set of CSV files", "have the MIS export there, or correct the school's source"
    )


async def _are_unchanged(sets: Iterable[ExportSet], store: FileDropStore) -> bool:
    return {file for export in sets for file in export.files} <= set(await store.list_files())


async def _find_missing(store: FileDropStore, export: ExportSet) -> _Reason | None:
    with tempfile.TemporaryDirectory(prefix="drop-") as folder:
        needed = [file for file in export.files if export.zipped or file.base_name.lower() in _FORMAT_FILES]
        paths = await store.fetch(needed, Path(folder))
        try:
            missing = missing_files(_open_set(export, paths))
        except SnapshotRejected as error:
            # Waiting does not correct a bad manifest. The set counts as complete, so that reading it names the fault.
            if any(file.base_name.lower() == MANIFEST for file in needed):
                return None
            return _Reason(error.message, error.for_admin().message)
        text = f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing"
        return _Reason(text, text) if missing else None


def _left_behind(sets: Sequence[ExportSet]) -> list[DropFile]:
    """Files that a crash kept from being deleted after their set was archived.

    They are no newer than the archived set, which has all of them. An incomplete rest would never be archived.
    """
    files: list[DropFile] = []
    new = [export for export in sets if not export.archived]
    for archived in (export for export in sets if export.archived):
        copies = {(file.base_name.lower(), file.size) for file in archived.files}
        for export in new:
            older = export.fingerprint != archived.fingerprint and export.written_at <= archived.written_at
            if older and all((file.base_name.lower(), file.size) in copies for file in export.files):
                files += export.files
    return files


def _open_set(export: ExportSet, paths: Mapping[str, Path]) -> FeedFiles:
    """The set's CSV files. A file that was not fetched has only its name."""
    if export.zipped:
        return open_zip(paths[export.files[0].name], export.written_at)
    files: dict[str, CsvFile] = {}
    for file in export.files:
        path, name = paths.get(file.name, Path("/nowhere")), file.base_name
        files[name.lower()] = CsvFile(name, partial(open_file, path, name))
    return FeedFiles(files, export.written_at, export.size)


def open_store(container: ContainerClient | None, drop: FileDrop) -> FileDropStore:
    """The store of a file drop. Raises SnapshotRejected for a container drop if the deployment has no `container`."""
    if not isinstance(drop, FeedContainer):
        return FolderDrop(drop.path)
    if container is None:
        raise rejection(
            "the school is read from a blob container, but this deployment has none",
            "set FILE_DROP_CONTAINER_URL (docs/operations.md)",
        )
    return ContainerDrop(container, drop.folder)
