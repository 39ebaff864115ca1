"""One delivery of one change: its ports, its unrecorded work in Graph, and its waits for replication."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

from sync_core.domain.classes import ActualClass, AlreadySo, Applied, AppliedDelta, ClassRecord
from sync_core.graph.port import Tenant
from sync_core.messaging.messages import Change
from sync_core.services import Services

REPLICATION = timedelta(minutes=15)
"""Until a class is this old, a 404 may come from a replica without it (Graph: directory replication)."""

# Seconds, over a minute in all: a replication that takes no longer costs no redelivery.
_LAG_WAITS = (1.0, 2.0, 4.0, 8.0, 15.0, 15.0, 20.0)


class Attempt:
    """The state of a delivery that its parts share. `touched`: something was written to Graph."""

    def __init__(self, change: Change, tenant: Tenant, services: Services) -> None:
        self.change = change
        self.tenant = tenant
        self.classes = services.classes
        self.clock = services.clock
        self.touched = False
        self._unrecorded = AppliedDelta(run=change.run, cause=change.cause, at=self.clock.now())
        self._recorded: list[AppliedDelta] = []
        self._waits = 0

    async def record(self) -> ClassRecord | None:
        return await self.classes.class_record(self.change.school, self.change.key)

    def note(
        self,
        *,
        created: bool = False,
        deleted: bool = False,
        restored: bool = False,
        members_added: Iterable[str] = (),
        members_removed: Iterable[str] = (),
        owners_granted: Iterable[str] = (),
        owners_revoked: Iterable[str] = (),
    ) -> None:
        done = self._unrecorded
        self.touched = True
        self._unrecorded = replace(
            done,
            created=done.created or created,
            deleted=done.deleted or deleted,
            restored=done.restored or restored,
            members_added=done.members_added | frozenset(members_added),
            members_removed=done.members_removed | frozenset(members_removed),
            owners_granted=done.owners_granted | frozenset(owners_granted),
            owners_revoked=done.owners_revoked | frozenset(owners_revoked),
        )

    async def write(self, record: ClassRecord) -> ClassRecord:
        """Write the row together with the work in Graph since the last write. Raises EtagConflict."""
        done = self._unrecorded
        added = done.members_added | done.owners_granted
        reasons = {person: reason for person, reason in record.desired.reasons.items() if person in added}
        done = replace(done, at=self.clock.now(), reasons=reasons)
        written = await self.classes.write_actual(record, None if done.empty else done)
        self._recorded.append(done)
        self._unrecorded = AppliedDelta(run=done.run, cause=done.cause, at=done.at)
        return written

    @property
    def has_unrecorded(self) -> bool:
        return not self._unrecorded.empty

    def applied(self) -> Applied:
        return Applied(
            created=any(delta.created for delta in self._recorded),
            deleted=any(delta.deleted for delta in self._recorded),
            restored=any(delta.restored for delta in self._recorded),
            owners_granted=sum(len(delta.owners_granted) for delta in self._recorded),
            owners_revoked=sum(len(delta.owners_revoked) for delta in self._recorded),
            members_added=sum(len(delta.members_added) for delta in self._recorded),
            members_removed=sum(len(delta.members_removed) for delta in self._recorded),
        )

    def outcome(self) -> Applied | AlreadySo:
        return self.applied() if self.touched else AlreadySo()

    def young(self, record: ClassRecord) -> bool:
        """Whether replication lag may explain a 404: the class was created or restored a moment ago."""
        restored = any(delta.restored for delta in (*self._recorded, self._unrecorded))
        return restored or self.clock.now() - actual_of(record).created_at < REPLICATION

    @property
    def may_wait(self) -> bool:
        return self._waits < len(_LAG_WAITS)

    async def wait_for_replication(self) -> bool:
        """Wait, longer each time. False if this delivery has used all its waits."""
        if not self.may_wait:
            return False
        await self.clock.sleep(_LAG_WAITS[self._waits])
        self._waits += 1
        return True


def actual_of(record: ClassRecord) -> ActualClass:
    assert record.actual is not None, "apply creates or finds the class first"
    return record.actual
