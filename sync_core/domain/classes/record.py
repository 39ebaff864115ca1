"""A class row: the desired state of a class, its state in Graph as far as known, and the work between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from sync_core.domain.classes.desired import ClassName, DesiredClass
from sync_core.domain.classes.row_error import RowError
from sync_core.domain.classes.teams import ActualTeam, TeamState
from sync_core.domain.ids import AccountId, ClassId, ClassKey, RunId, SchoolId
from sync_core.domain.roster import GroupType


@dataclass(frozen=True, slots=True, kw_only=True)
class ActualClass:
    """A class in Graph as far as known. Only apply writes it.

    `members` is None until the first membership change: the class was just created and is empty. `members` leaves out
    owners who were added by hand and are members too: the sync keeps them as they are. `owners` are the desired owners
    known to be owners; `granted` are all owners that the sync made owners. `team` is None until a team was asked for.
    `year_end` is the run of the year end that was carried out last.
    """

    class_id: ClassId
    name: ClassName
    created_at: datetime
    members: frozenset[AccountId] | None = None
    owners: frozenset[AccountId] = frozenset()
    granted: frozenset[AccountId] = frozenset()
    team: ActualTeam | None = None
    year_end: RunId = RunId("")


class ClassState(StrEnum):
    """The state of a class. GONE and DELETED are not in Microsoft 365; only DELETED is the result of a request here."""

    MAKING = "making"
    LIVE = "live"
    CHANGED_BY_HAND = "changed_by_hand"
    ENDED = "ended"
    PINNED = "pinned"
    DELETING = "deleting"
    DELETED = "deleted"
    GONE = "gone"


WITHOUT_CLASS = frozenset({ClassState.GONE, ClassState.DELETING, ClassState.DELETED})
"""The states of a row whose class was deleted, or is to be: no group continues it, and it gets no people."""
NOT_IN_MICROSOFT_365 = WITHOUT_CLASS | {ClassState.MAKING}
"""The same, and those whose class is not made yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassOutline:
    """A class row without its people: a list of classes needs no more, and a table answers that much sooner.

    `display_name` is that in Graph, or the one wanted if the class is not made. `members` and `owners` count those who
    are wanted. `retired`: an admin ended its year. `begun`: its creation was begun. `made`: it was created. `renewed`:
    it was requested again since it was gone. `refused`: Graph refused the last change. The others are as on the row.
    """

    key: ClassKey
    group_name: str
    group_type: GroupType
    academic_year: int
    display_name: str
    members: int
    owners: int
    ended: bool
    deleted: bool
    pinned: bool
    retired: bool
    begun: bool
    made: bool
    stale: bool
    gone: bool
    renewed: bool
    refused: bool

    @property
    def state(self) -> ClassState:
        return _state(self, made=self.made, stale=self.stale, gone=self.gone, renewed=self.renewed)


def _state(wanted: ClassOutline | DesiredClass, *, made: bool, stale: bool, gone: bool, renewed: bool) -> ClassState:
    if wanted.deleted:
        return ClassState.DELETED if gone else ClassState.DELETING
    if gone and not renewed:
        return ClassState.GONE
    if wanted.ended:
        return ClassState.ENDED
    if not made or gone:
        return ClassState.MAKING
    if wanted.pinned:
        return ClassState.PINNED
    return ClassState.CHANGED_BY_HAND if stale else ClassState.LIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassRecord:
    """A class row: what the plan wants (`desired`), what is known of Graph (`actual`), and the work between them.

    `intent` is the nickname of a create under way, written at `intent_at`, before the request to Graph. `stale`:
    somebody changed the class in Microsoft 365 since `actual` was written. `gone`: it is no longer in Graph.
    `generation` is the `desired.generation` that `intent` and `actual` belong to, and `tenant` the tenant that all of
    it is known of, empty until apply wrote. `previous_ids` are the class ids of earlier generations, and of classes in
    tenants that the school left. Only the store reads `etag`.
    """

    school: SchoolId
    desired: DesiredClass
    tenant: str = ""
    actual: ActualClass | None = None
    intent: str | None = None
    intent_at: datetime | None = None
    stale: bool = False
    gone: bool = False
    generation: int = 0
    previous_ids: frozenset[ClassId] = frozenset()
    error: RowError | None = None
    etag: str = ""

    @property
    def key(self) -> ClassKey:
        return self.desired.key

    @property
    def state(self) -> ClassState:
        return self.state_if(self.desired)

    def state_if(self, desired: DesiredClass) -> ClassState:
        """The state if the row wanted this."""
        made, renewed = self.actual is not None, desired.generation > self.generation
        return _state(desired, made=made, stale=self.stale, gone=self.gone, renewed=renewed)

    @property
    def outline(self) -> ClassOutline:
        desired = self.desired
        return ClassOutline(
            key=desired.key,
            group_name=desired.group_name,
            group_type=desired.group_type,
            academic_year=desired.academic_year,
            display_name=(self.actual.name if self.actual else desired.name).display_name,
            members=len(desired.members),
            owners=len(desired.owners),
            ended=desired.ended,
            deleted=desired.deleted,
            pinned=desired.pinned,
            retired=desired.retired,
            begun=self.intent is not None,
            made=self.actual is not None,
            stale=self.stale,
            gone=self.gone,
            renewed=desired.generation > self.generation,
            refused=self.error is not None,
        )

    @property
    def adopts(self) -> ClassId:
        """The class in Microsoft 365 that is still to be taken for this one; empty for none, or after a refusal."""
        waits = self.actual is None and self.error is None and not self.gone
        return self.desired.adopts if waits else ClassId("")

    @property
    def year_end_waits(self) -> bool:
        """Whether what an admin decided at the end of its year is not yet carried out in Microsoft 365."""
        ending, actual = self.desired.year_end, self.actual
        return ending is not None and actual is not None and not self.gone and actual.year_end != ending.run

    @property
    def team_of_year_end_waits(self) -> bool:
        """Whether its team is not yet archived as an admin decided, or not yet usable after that was taken back."""
        ending, team = self.desired.year_end, self.actual.team if self.actual else None
        if ending is None or ending.team_before is None or team is None or self.gone:
            return False
        if ending.taken_back:
            return team.state is TeamState.ARCHIVED
        return team.state not in (TeamState.ARCHIVED, TeamState.MISSING, TeamState.GONE)

    def in_wanted_tenant(self) -> ClassRecord:
        """The record with what is known of the tenant that the class is wanted in.

        That is nothing if the school has moved there since: its class in the other tenant stays as it is, and only its
        id is kept.
        """
        if self.tenant == self.desired.tenant:
            return self
        if not self.tenant:
            return replace(self, tenant=self.desired.tenant)
        return ClassRecord(
            school=self.school,
            desired=self.desired,
            tenant=self.desired.tenant,
            previous_ids=self.class_ids,
            etag=self.etag,
        )

    @property
    def class_ids(self) -> frozenset[ClassId]:
        """The ids of its class, and of those of earlier generations and tenants."""
        return self.previous_ids | ({self.actual.class_id} if self.actual else frozenset())

    @property
    def external_id(self) -> str:
        """The externalId of the class in Graph. A class without it is taken only if an admin approved exactly that."""
        return f"{self.school}|{self.desired.key}"


def outline_of(record: ClassRecord | None) -> ClassOutline | None:
    return record.outline if record else None


Records = Mapping[ClassKey, ClassRecord]
"""The rows of a school's classes, by class key."""
