"""New sets of files in the drops: each starts the sync of its schools once, and is archived where that is wanted."""

from __future__ import annotations

from sync_core.clock import Clock
from sync_core.domain.runs import Cause, FileDropCheck
from sync_core.domain.school import AfterSync, FeedContainer, FeedFolder, FileDrop
from sync_core.errors import SnapshotRejected, SyncError
from sync_core.messaging.messages import SyncSchool
from sync_core.messaging.port import Outbox
from sync_core.mis.port import FileDrops
from sync_core.state.port import StateStore


async def check_file_drops(
    run: str, drops: FileDrops, state: StateStore, outbox: Outbox, clock: Clock
) -> tuple[FileDropCheck, ...]:
    """Ask for a sync of each school for whose drop a new whole set has come. One drop's failure is not another's.

    A set is archived first, for nobody is to read it while it moves, and where it is then, it is still read and has the
    same fingerprint. The messages are sent before the set is on record as taken. So a crash at any step has it taken
    once more, which finds nothing to do, and never not at all.
    """
    schools: dict[FileDrop, list[str]] = {}
    for settings in await state.schools():
        if settings.enabled and isinstance(settings.source, FeedFolder | FeedContainer):
            schools.setdefault(settings.source, []).append(settings.school)
    return tuple([await _check(drop, of, run, drops, state, outbox, clock) for drop, of in schools.items()])


async def _check(
    drop: FileDrop, schools: list[str], run: str, drops: FileDrops, state: StateStore, outbox: Outbox, clock: Clock
) -> FileDropCheck:
    asked = archived = 0
    try:
        newest = await drops.newest(drop)
        if drop.after_sync is AfterSync.ARCHIVE:
            archived = await drops.archive(drop, newest.fingerprint)
        if newest.fingerprint != await state.synced_set(drop):
            await outbox.send_requests([SyncSchool(school, run, Cause.DROP) for school in schools])
            await state.write_synced_set(drop, newest.fingerprint, clock.now())
            asked = len(schools)
        if newest.missing:
            raise SnapshotRejected(
                f"a newer set in the drop is not whole: {newest.missing}",
                "wait for the export to end, or have the MIS export everything; the set before it counts until then",
            )
    except SyncError as failure:
        return FileDropCheck(drop, asked, archived, failure)
    return FileDropCheck(drop, asked, archived)
