"""One delivery of one change: its ports, its unrecorded work in Graph, and its waits for replication."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from datetime import timedelta
from typing import Any, Literal

from sync_core.domain.classes.outcomes import AlreadySo, Applied, AppliedDelta
from sync_core.domain.classes.record import ActualClass, ClassRecord
from sync_core.domain.ids import AccountId
from sync_core.graph.port import Tenant
from sync_core.messaging.messages import Change
from sync_core.services import Applying

Work = Literal[
    "created",
    "adopted",
    "deleted",
    "restored",
    "renamed",
    "members_added",
    "members_removed",
    "owners_granted",
    "owners_revoked",
    "team_made",
    "team_opened",
    "team_archived",
    "team_unarchived",
    "team_added",
    "team_removed",
]
"""The fields of AppliedDelta and Applied: steps, and changes of people (sets of Entra ids, and their counts)."""

REPLICATION = timedelta(minutes=15)
"""Until a class is this old, a 404 may come from a replica without it (Graph: directory replication)."""

# Seconds, over a minute in all: a replication that takes no longer costs no redelivery.
_LAG_WAITS = (1.0, 2.0, 4.0, 8.0, 15.0, 15.0, 20.0)
_NOBODY = frozenset[AccountId]()


class Attempt:
    """The state of a delivery that its parts share. `touched`: something was written to Graph.

    `tenant_id`: the tenant that the row named at first. `left_group`: who was removed from the group or from its
    owners. `waits`: those that are left.
    """

    def __init__(self, change: Change, tenant_id: str, tenant: Tenant, services: Applying) -> None:
        self.change = change
        self.tenant_id = tenant_id
        self.tenant = tenant
        self.classes = services.classes
        self.schools = services.schools
        self.clock = services.clock
        self.touched = False
        self._unrecorded: dict[Work, Any] = {}
        self._applied: dict[Work, Any] = {}
        self.left_group: frozenset[AccountId] = frozenset()
        self.waits = deque(_LAG_WAITS)

    async def record(self) -> ClassRecord | None:
        return await self.classes.class_record(self.change.school, self.change.key)

    def note(self, work: Work, people: Collection[AccountId] | None = None) -> None:
        """Note work that Graph did: a step, or a change of these people."""
        self.touched = True
        if work in ("members_removed", "owners_revoked"):
            self.left_group = self.left_group.union(people or ())
        if people is None:
            self._unrecorded[work] = self._applied[work] = True
        else:
            self._unrecorded[work] = self._unrecorded.get(work, _NOBODY).union(people)
            self._applied[work] = self._applied.get(work, 0) + len(people)

    @property
    def applied(self) -> Applied:
        """All work in Graph."""
        return Applied(**self._applied)

    @property
    def has_unrecorded(self) -> bool:
        """Whether there was work in Graph since the last write of the row."""
        return any(self._unrecorded.values())

    async def write(self, record: ClassRecord) -> ClassRecord:
        """Write the row together with the work in Graph since the last write. Raises EtagConflict."""
        if not self.has_unrecorded:
            return await self.classes.write_actual(record)
        work, change = self._unrecorded, self.change
        added = work.get("members_added", _NOBODY) | work.get("owners_granted", _NOBODY)
        reasons = {person: reason for person, reason in record.desired.reasons.items() if person in added}
        done = AppliedDelta(run=change.run, cause=change.cause, at=self.clock.now(), reasons=reasons, **work)
        written = await self.classes.write_actual(record, done)
        self._unrecorded = {}
        return written

    def outcome(self) -> Applied | AlreadySo:
        return self.applied if self.touched else AlreadySo()

    def young(self, record: ClassRecord) -> bool:
        """Whether replication lag may explain a 404: the class was created or restored a moment ago."""
        return "restored" in self._applied or self.clock.now() - actual_of(record).created_at < REPLICATION

    async def wait_for_replication(self) -> bool:
        """Wait, longer each time. False if this delivery has used all its waits."""
        if self.waits:
            await self.clock.sleep(self.waits.popleft())
            return True
        return False


def actual_of(record: ClassRecord) -> ActualClass:
    assert record.actual is not None, "apply creates or finds the class first"
    return record.actual
