"""One delivery of one change while it lasts: its ports, what it did in Graph and has not written down, how it waits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

from sync_core.domain.classes import ActualClass, AlreadySo, Applied, AppliedDelta, ClassRecord
from sync_core.graph.port import Tenant
from sync_core.messaging.messages import Change
from sync_core.services import Services

REPLICATION = timedelta(minutes=15)
"""While a class is younger, a 404 may mean that a replica has not heard of it yet (Graph: directory replication)."""

# Over a minute in all: replicas that hear of a class within that cost no attempt.
_LAG_WAITS = (1.0, 2.0, 4.0, 8.0, 15.0, 15.0, 20.0)


class Attempt:
    """What the halves of apply share. `touched` tells that Graph was written to."""

    def __init__(self, change: Change, tenant: Tenant, services: Services) -> None:
        self.change = change
        self.tenant = tenant
        self.classes = services.classes
        self.clock = services.clock
        self.touched = False
        self._undocumented = AppliedDelta(change.run, change.cause, self.clock.now())
        self._documented: list[AppliedDelta] = []
        self._waits = 0
        self._restored = False

    async def record(self) -> ClassRecord | None:
        return await self.classes.class_record(self.change.school, self.change.key)

    # --- what was done

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
        done = self._undocumented
        self.touched = True
        self._restored = self._restored or restored
        self._undocumented = replace(
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
        """Write the row, and with it whatever was done in Graph since the last write. Raises EtagConflict."""
        done = self._undocumented
        came = done.members_added | done.owners_granted
        reasons = {person: why for person, why in record.desired.reasons.items() if person in came}
        done = replace(done, at=self.clock.now(), reasons=reasons)
        written = await self.classes.write_actual(record, None if done.empty else done)
        self._documented.append(done)
        self._undocumented = AppliedDelta(done.run, done.cause, done.at)
        return written

    @property
    def undocumented(self) -> bool:
        return not self._undocumented.empty

    def applied(self) -> Applied:
        return Applied(
            created=any(delta.created for delta in self._documented),
            deleted=any(delta.deleted for delta in self._documented),
            restored=any(delta.restored for delta in self._documented),
            owners_granted=sum(len(delta.owners_granted) for delta in self._documented),
            owners_revoked=sum(len(delta.owners_revoked) for delta in self._documented),
            members_added=sum(len(delta.members_added) for delta in self._documented),
            members_removed=sum(len(delta.members_removed) for delta in self._documented),
        )

    def outcome(self) -> Applied | AlreadySo:
        return self.applied() if self.touched else AlreadySo()

    # --- waiting for the replicas

    def young(self, record: ClassRecord) -> bool:
        """Whether a 404 may be a replica's ignorance: the class was made, or restored, a moment ago."""
        return self._restored or self.clock.now() - actual_of(record).created_at < REPLICATION

    @property
    def may_wait(self) -> bool:
        return self._waits < len(_LAG_WAITS)

    async def wait_for_replication(self) -> bool:
        """Pause for longer each time; False when this delivery has waited long enough."""
        if not self.may_wait:
            return False
        await self.clock.sleep(_LAG_WAITS[self._waits])
        self._waits += 1
        return True


def actual_of(record: ClassRecord) -> ActualClass:
    assert record.actual is not None, "the class is ensured first"
    return record.actual
