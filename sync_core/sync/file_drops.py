"""New export sets in the file drops: each starts the sync of its schools once, and is archived if they want that."""

from __future__ import annotations

from sync_core.domain.ids import RunId, SchoolId
from sync_core.domain.runs import Cause, FileDropCheck
from sync_core.domain.school.sources import AfterSync, FeedContainer, FeedFolder, FileDrop
from sync_core.errors import SnapshotRejected, SyncError
from sync_core.messaging.messages import SyncSchool
from sync_core.services import Services


async def check_file_drops(run: RunId, services: Services) -> tuple[FileDropCheck, ...]:
    """Request a sync of each school whose drop has a new complete set. One drop's failure does not stop another.

    A set is archived first, because nothing may read it while it moves; its archived copy is still read and has the
    same fingerprint. The messages are sent before the set is recorded as synced. So after a crash at any step the set
    is synced once more, which finds nothing to do. It is never skipped.
    """
    schools: dict[FileDrop, list[SchoolId]] = {}
    for settings in await services.schools.schools():
        if settings.enabled and isinstance(settings.source, FeedFolder | FeedContainer):
            schools.setdefault(settings.source, []).append(settings.school)
    return tuple([await _check(drop, ids, run, services) for drop, ids in schools.items()])


async def _check(drop: FileDrop, schools: list[SchoolId], run: RunId, services: Services) -> FileDropCheck:
    requested = archived = 0
    try:
        newest = await services.file_drops.newest(drop)
        if drop.after_sync is AfterSync.ARCHIVE:
            archived = await services.file_drops.archive(drop, newest.fingerprint)
        if newest.fingerprint != await services.schools.synced_set(drop):
            await services.outbox.send_requests([SyncSchool(school, run, Cause.FILE_DROP) for school in schools])
            await services.schools.write_synced_set(drop, newest.fingerprint, services.clock.now())
            requested = len(schools)
        if newest.missing:
            raise SnapshotRejected(
                f"a newer set in the file drop is incomplete: {newest.missing}",
                "wait for the export to end, or have the MIS export all files; the set before it is used until then",
            )
    except SyncError as failure:
        return FileDropCheck(drop, requested, archived, failure)
    return FileDropCheck(drop, requested, archived)
