"""New sets of files in the drops: each starts the sync of its schools once, and is put away where that is wanted."""

from __future__ import annotations

from sync_core.clock import Clock
from sync_core.domain.runs import Cause, Collected
from sync_core.domain.school import Afterwards, FeedContainer, FeedDrop, FeedFolder
from sync_core.errors import SnapshotRejected, SyncError
from sync_core.messaging.messages import SyncSchool
from sync_core.messaging.port import Outbox
from sync_core.mis.port import Drops
from sync_core.state.port import StateStore


async def collect_drops(
    run: str, drops: Drops, state: StateStore, outbox: Outbox, clock: Clock
) -> tuple[Collected, ...]:
    """Ask for a sync of each school for whose drop a new whole set has come. One drop's failure is not another's.

    A set is put away first, for nobody is to read it while it moves, and where it is then, it is still read and has the
    same fingerprint. The messages are sent before the set is on record as taken. So a crash at any step has it taken
    once more, which finds nothing to do, and never not at all.
    """
    schools: dict[FeedDrop, list[str]] = {}
    for settings in await state.schools():
        if settings.enabled and isinstance(settings.source, FeedFolder | FeedContainer):
            schools.setdefault(settings.source, []).append(settings.school)
    return tuple([await _collect(drop, of, run, drops, state, outbox, clock) for drop, of in schools.items()])


async def _collect(
    drop: FeedDrop, schools: list[str], run: str, drops: Drops, state: StateStore, outbox: Outbox, clock: Clock
) -> Collected:
    asked = moved = 0
    try:
        newest = await drops.newest(drop)
        if drop.afterwards is Afterwards.MOVE:
            moved = await drops.put_away(drop, newest.fingerprint)
        if newest.fingerprint != await state.taken_set(drop):
            await outbox.send_requests([SyncSchool(school, run, Cause.DROP) for school in schools])
            await state.write_taken_set(drop, newest.fingerprint, clock.now())
            asked = len(schools)
        if newest.lack:
            raise SnapshotRejected(
                f"a newer set in the drop is not whole: {newest.lack}",
                "wait for the export to end, or have the MIS export everything; the set before it counts until then",
            )
    except SyncError as failure:
        return Collected(drop, asked, moved, failure)
    return Collected(drop, asked, moved)
