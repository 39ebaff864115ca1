"""A class: its desired state, its state in Graph as far as known, and the outcome of one change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from enum import StrEnum

from sync_core.domain.ids import AccountId, AccountIds, ClassId, ClassKey, MisId, RunId, SchoolId
from sync_core.domain.roster import GroupType
from sync_core.domain.runs import Cause


@dataclass(frozen=True, slots=True)
class ClassName:
    """The display name and the mail nickname of a class."""

    display_name: str
    mail_nickname: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassRequest:
    """A request for one class. No plan removes its row. With an empty `display_name`, the naming rule applies.

    `generation` counts how often the class was requested again after it was gone.
    """

    key: ClassKey
    creator: AccountId
    requested_at: datetime
    display_name: str = ""
    description: str = ""
    required_until: date | None = None
    generation: int = 0


class Rule(StrEnum):
    """The rule that puts a person in a class."""

    STUDENT = "student"
    TEACHER = "teacher"
    ADMIN_OWNER = "admin_owner"
    CREATOR = "creator"
    IN_DOUBT = "in_doubt"
    UNDONE = "undone"


_RULES_OF_THE_MIS = frozenset({Rule.STUDENT, Rule.TEACHER, Rule.IN_DOUBT})


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a person belongs in a class. `record` is their MIS person id where the reason comes from the MIS.

    IN_DOUBT: several accounts could be theirs, and they were in the class before. UNDONE: they were in it before a run
    that an admin undid, and `record` is that run.
    """

    rule: Rule
    record: MisId | RunId = MisId("")

    @property
    def person(self) -> MisId:
        """The MIS person whom the reason names; empty if it names none."""
        return MisId(self.record) if self.rule in _RULES_OF_THE_MIS else MisId("")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """A class kept as it was before the run `undone` until an admin releases it; `run` is the run that undid it."""

    key: ClassKey
    members: frozenset[AccountId]
    owners: frozenset[AccountId]
    undone: RunId
    run: RunId


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredClass:
    """A class as the rules want it. `members` and `owners` are Entra user ids; every owner is a member too.

    `group_name` and `academic_year` come from the MIS; they identify a class to reuse in a new year. `revoke`: owners
    whom the sync granted and who are no longer in `owners` lose the ownership. `ended`: the group is no longer in the
    MIS, and the class stays as it is. `deleted`: an admin deleted it. `pinned`: an admin undid a run, and the class
    does not follow the MIS. `generation` is that of its request. `tenant` is the Entra id of the school's tenant when
    the class was planned: the only one in which anything is done for the class.
    """

    tenant: str
    key: ClassKey
    group_id: MisId
    group_type: GroupType
    name: ClassName
    members: frozenset[AccountId]
    owners: frozenset[AccountId]
    group_name: str = ""
    academic_year: int = 0
    description: str = ""
    revoke: bool = False
    ended: bool = False
    deleted: bool = False
    pinned: bool = False
    generation: int = 0
    reasons: Mapping[AccountId, Reason] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActualClass:
    """A class in Graph as far as known. Only apply writes it.

    `members` is None until the first membership change: the class was just created and is empty. `members` leaves out
    owners who were added by hand and are members too: the sync keeps them as they are. `owners` are the desired owners
    known to be owners; `granted` are all owners that the sync made owners.
    """

    class_id: ClassId
    name: ClassName
    created_at: datetime
    members: frozenset[AccountId] | None = None
    owners: frozenset[AccountId] = frozenset()
    granted: frozenset[AccountId] = frozenset()


@dataclass(frozen=True, slots=True)
class RowError:
    """The last permanent refusal by Graph, in Graph's words, with the remedy."""

    code: str
    message: str
    remedy: str


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassOutline:
    """A class row without its people: a list of classes needs no more, and a table answers that much sooner.

    `display_name` is that in Graph, or the one wanted if the class is not made. `members` and `owners` count those who
    are wanted. `begun`: its creation was begun. `made`: it was created. `renewed`: it was requested again since it was
    gone. `refused`: Graph refused the last change. The others are as on the row.
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
    begun: bool
    made: bool
    stale: bool
    gone: bool
    renewed: bool
    refused: bool

    @property
    def state(self) -> ClassState:
        if self.deleted:
            return ClassState.DELETED if self.gone else ClassState.DELETING
        if self.gone and not self.renewed:
            return ClassState.GONE
        if self.ended:
            return ClassState.ENDED
        if not self.made or self.gone:
            return ClassState.MAKING
        if self.pinned:
            return ClassState.PINNED
        return ClassState.CHANGED_BY_HAND if self.stale else ClassState.LIVE


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
        return self.outline.state

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
            begun=self.intent is not None,
            made=self.actual is not None,
            stale=self.stale,
            gone=self.gone,
            renewed=desired.generation > self.generation,
            refused=self.error is not None,
        )

    def in_wanted_tenant(self) -> ClassRecord:
        """The record with what is known of the tenant that the class is wanted in.

        That is nothing if the school has moved there since: its class in the other tenant stays as it is, and only its
        id is kept.
        """
        if self.tenant in ("", self.desired.tenant):
            return replace(self, tenant=self.desired.tenant)
        left_behind = {self.actual.class_id} if self.actual else frozenset()
        return ClassRecord(
            school=self.school,
            desired=self.desired,
            tenant=self.desired.tenant,
            previous_ids=self.previous_ids | left_behind,
            etag=self.etag,
        )

    @property
    def external_id(self) -> str:
        """The externalId of the class in Graph; a class is adopted only by this id."""
        return f"{self.school}|{self.desired.key}"


def outline_of(record: ClassRecord | None) -> ClassOutline | None:
    return record.outline if record else None


Records = Mapping[ClassKey, ClassRecord]
"""The rows of a school's classes, by class key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedDelta:
    """What one change did in Graph, for the history: Entra ids only. `reasons` cover the people who were added."""

    run: RunId
    cause: Cause
    at: datetime
    created: bool = False
    members_added: AccountIds = frozenset()
    members_removed: AccountIds = frozenset()
    owners_granted: AccountIds = frozenset()
    owners_revoked: AccountIds = frozenset()
    deleted: bool = False
    restored: bool = False
    reasons: Mapping[AccountId, Reason] = field(default_factory=dict, repr=False)

    @property
    def empty(self) -> bool:
        people = self.members_added or self.members_removed or self.owners_granted or self.owners_revoked
        return not (people or self.created or self.deleted or self.restored)


@dataclass(frozen=True, slots=True)
class FirstChange:
    """When a run first changed a class. `created`: the run made the class, then or later."""

    at: datetime
    created: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupChange:
    """A change to one group in a delta. A person may be both added and removed; `gone` means deleted."""

    id: ClassId
    nickname: str | None  # None where the delta does not repeat it
    members_added: frozenset[AccountId] = frozenset()
    members_removed: frozenset[AccountId] = frozenset()
    owners_added: frozenset[AccountId] = frozenset()
    owners_removed: frozenset[AccountId] = frozenset()
    gone: bool = False


@dataclass(frozen=True, slots=True)
class GroupChanges:
    """The groups delta since a token. `full` means the whole tenant: a group that is not listed does not exist."""

    full: bool
    groups: tuple[GroupChange, ...]
    token: str


@dataclass(frozen=True, slots=True)
class TenantClass:
    """A class in the list of all classes of a tenant; a text is empty where Graph has none.

    `external_source` says who made it: `sis` for a product that reads an MIS, also for this app, or `manual`.
    """

    id: ClassId
    display_name: str
    external_id: str = ""
    external_source: str = ""
    mail_nickname: str = ""


@dataclass(frozen=True, slots=True)
class Drift:
    """What a refresh changes on one class row; None leaves the column as it is."""

    key: ClassKey
    stale: bool | None = None
    gone: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """The change is made in Graph; the counts cover this delivery."""

    created: bool = False
    deleted: bool = False
    restored: bool = False
    owners_granted: int = 0
    owners_revoked: int = 0
    members_added: int = 0
    members_removed: int = 0


@dataclass(frozen=True, slots=True)
class AlreadySo:
    """Graph already agreed; nothing was written there."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Graph refused permanently; the class row has the remedy. `done` is the part that succeeded."""

    code: str
    remedy: str
    done: Applied = Applied()


Outcome = Applied | AlreadySo | Refused
