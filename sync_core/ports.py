"""What the use cases need from the world, as Protocols: every adapter and every fake passes the same contract suite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from sync_core.announcements import Announcement
from sync_core.choices import FeedDrop, SchoolSettings
from sync_core.deltas import AccountChanges, Drift, GroupChanges
from sync_core.errors import SyncError
from sync_core.events import Change, Lane, Request
from sync_core.model import (
    Account,
    AccountProperty,
    AppliedDelta,
    ClassName,
    ClassRecord,
    ClassRequest,
    DesiredClass,
    Hold,
    Pin,
    RunRecord,
    Snapshot,
    SnapshotFigures,
)

MEMBERS_PER_WRITE = 20
"""People that one PATCH of a group may bind (Graph: "Add members", members@odata.bind)."""


REMOVALS_PER_REQUEST = 20
"""People whose memberships one request may end (Graph: 20 requests in one $batch)."""


class Clock(Protocol):
    """Time, so that nothing else asks the machine for it."""

    def now(self) -> datetime:
        """The moment, in UTC, with its time zone."""

    async def sleep(self, seconds: float) -> None: ...


class MisSource(Protocol):
    """Where a school's groups and people come from."""

    async def snapshot(self, settings: SchoolSettings) -> Snapshot:
        """The school as it is now, whole. Raises SnapshotRejected."""


@dataclass(frozen=True, slots=True)
class NewClass:
    """What a class is created with."""

    name: ClassName
    external_id: str
    external_name: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class FoundGroup:
    """The group that holds a nickname. `external_id` is None where it is no class, or one without an externalId."""

    id: str
    name: ClassName
    external_id: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class DeletedGroup:
    """A group among the deleted ones, where Graph does not tell whether it was a class, nor its externalId."""

    id: str
    name: ClassName
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Removals:
    """What came of each removal. `failure` is why those in neither set are left: a Transient, a GraphRefused."""

    removed: frozenset[str]
    not_there: frozenset[str] = frozenset()
    failure: SyncError | None = None


class Tenant(Protocol):
    """One Microsoft 365 tenant.

    Every method waits out throttling and passing faults, all of them together within a budget shorter than the queue's
    lock, and raises Transient past it, GraphRefused for a permanent no.
    """

    async def account_changes(self, token: str | None, properties: Set[AccountProperty]) -> AccountChanges:
        """Users delta since `token` of `properties`.

        All accounts without a token, with an expired one, or with one of other properties.
        """

    async def group_changes(self, token: str | None) -> GroupChanges:
        """Groups delta since `token`; all of it without one or with an expired one."""

    async def find_class(self, nickname: str) -> FoundGroup | None:
        """The group holding `nickname`; None if there is none, or if it is not visible yet (replication lag)."""

    async def find_deleted(self, nickname: str) -> DeletedGroup | None:
        """The deleted group that holds `nickname` and can be restored."""

    async def create_class(self, new: NewClass) -> str:
        """The new class's id. Not idempotent. Raises NicknameTaken; Transient if it is unknown whether it was made."""

    async def class_exists(self, class_id: str) -> bool: ...

    async def members(self, class_id: str) -> frozenset[str]:
        """All members. Raises NotThere."""

    async def owners(self, class_id: str) -> frozenset[str]:
        """All owners. Raises NotThere."""

    async def add_members(self, class_id: str, people: Sequence[str]) -> None:
        """At most MEMBERS_PER_WRITE people in one write, all or nothing.

        Raises AlreadyThere (none was added), NotThere (the class or one of the people).
        """

    async def remove_members(self, class_id: str, people: Sequence[str]) -> Removals:
        """At most REMOVALS_PER_REQUEST people, each for himself. Only the membership goes, never the person."""

    async def known_people(self, people: Sequence[str]) -> frozenset[str]:
        """Those of `people`, at most MEMBERS_PER_WRITE, who have an account."""

    async def add_owner(self, class_id: str, person: str) -> None:
        """Raises AlreadyThere, NotThere (the class or the person)."""

    async def remove_owner(self, class_id: str, person: str) -> None:
        """Only the ownership. Raises NotThere, GraphRefused for the last owner."""

    async def delete_class(self, class_id: str) -> None:
        """It can be restored for 30 days. Raises NotThere."""

    async def restore_class(self, class_id: str) -> None:
        """Raises NotThere where there is nothing to restore (any more)."""


class Tenants(Protocol):
    """The tenants that this deployment may write to."""

    def of(self, tenant: str, lane: Lane) -> Tenant:
        """By tenant id, for one piece of work, which waits for the tenant no longer than it may.

        What is urgent does not wait for what is not.

        Raises UnknownSetting for a tenant that the app has no identity for.
        """


class DeltaKind(StrEnum):
    """The two deltas a tenant is followed by."""

    ACCOUNTS = "accounts"
    GROUPS = "groups"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that its queue gave up, as it lies there. `number` is its own within the queue's dead letters."""

    queue: str
    number: int
    message_id: str
    session: str
    body: bytes = field(repr=False)
    reason: str
    deliveries: int
    at: datetime


class DeadLetters(Protocol):
    """What the queues gave up. Raises Transient."""

    async def listed(self) -> tuple[DeadLetter, ...]:
        """Of all queues, in order of queue and number; nothing is taken."""

    async def replay(self, queue: str, numbers: Set[int]) -> frozenset[int]:
        """Put these back onto their queue, in order. Returns those that were still there.

        A crash between the two halves of one leaves it in both places: a message that comes twice does no harm.
        """


@dataclass(frozen=True, slots=True)
class MessageFault:
    """Why a queue message could not be applied, kept beside the queue because a dead letter does not tell."""

    queue: str
    message_id: str
    session: str
    deliveries: int
    what: str
    remedy: str
    at: datetime


class SchoolReader(Protocol):
    """What planning a school looks at: a preview has no more than this, and cannot write."""

    async def school(self, school: str) -> SchoolSettings | None: ...

    async def class_records(self, school: str) -> tuple[ClassRecord, ...]:
        """In order of key."""

    async def class_requests(self, school: str) -> Mapping[str, ClassRequest]:
        """By class key."""

    async def pins(self, school: str) -> Mapping[str, Pin]:
        """By class key."""

    async def accounts(self, tenant: str) -> tuple[Account, ...] | None:
        """The tenant's accounts, at the earliest as they were when its accounts' delta token was last written.

        None before that was ever written: what is there then may be a part of them.
        """

    async def holds(self, school: str) -> tuple[Hold, ...]:
        """What stands, in order of digest."""

    async def accepted_snapshot(self, school: str) -> SnapshotFigures | None:
        """The figures of the last feed that was trusted."""

    async def runs(self, school: str, since: datetime | None = None) -> tuple[RunRecord, ...]:
        """The school's runs, or those since then, oldest first."""


class StateStore(SchoolReader, Protocol):
    """The tables. Every write is durable when the method returns; every failure of the wire raises Transient."""

    async def schools(self, tenant: str | None = None) -> tuple[SchoolSettings, ...]:
        """The schools, or those of one tenant, in order of id."""

    async def save_school(self, settings: SchoolSettings) -> None: ...

    async def forget_school(self, school: str) -> None:
        """Drop the settings, not the classes. Nothing happens where there are none."""

    async def erase_school(self, school: str) -> None:
        """Drop every row that is about the school, but for its settings and what messages failed of it."""

    async def class_record(self, school: str, key: str) -> ClassRecord | None: ...

    async def write_desired(self, school: str, classes: Sequence[DesiredClass]) -> None:
        """Merge the desired columns into the rows, making those that lack; unconditional, every etag changes.

        Not atomic over many classes: a prefix may be written when it raises.
        """

    async def write_holds(self, school: str, holds: Sequence[Hold]) -> None:
        """These stand from now on, and no others."""

    async def write_accepted_snapshot(self, school: str, figures: SnapshotFigures | None) -> None:
        """Write or, with None, forget them: the next feed is taken as it comes."""

    async def write_class_request(self, school: str, request: ClassRequest) -> None: ...

    async def write_drift(self, school: str, drifts: Sequence[Drift]) -> None:
        """Merge stale and gone into rows that are there; unconditional. A row that is not there is passed over."""

    async def write_actual(self, record: ClassRecord, delta: AppliedDelta | None = None) -> ClassRecord:
        """Write what apply knows (intent, actual, stale, gone, life, former, error) if the row still has `record.etag`.

        Never the desired columns. The history row of a `delta` is written in the same transaction. Returns the record
        with its new etag. Raises EtagConflict.
        """

    async def history(self, school: str, key: str) -> tuple[AppliedDelta, ...]:
        """What was applied to the class, oldest first."""

    async def classes_of_run(self, school: str, run: str) -> tuple[str, ...]:
        """The keys of the classes to which something was applied in `run`, in order."""

    async def forget_history(self, school: str, before: datetime) -> None:
        """Drop what was applied, and the runs, before that moment."""

    async def write_pins(self, school: str, pins: Sequence[Pin]) -> None:
        """Each in place of one of its class; a prefix may be written when it raises."""

    async def forget_pin(self, school: str, key: str) -> None:
        """Nothing happens where there is none."""

    async def write_accounts(self, tenant: str, changes: AccountChanges) -> None:
        """Idempotent. With `changes.full`, accounts not named in it go."""

    async def delta_token(self, tenant: str, kind: DeltaKind) -> str | None: ...

    async def write_delta_token(self, tenant: str, kind: DeltaKind, token: str) -> None: ...

    async def swept_at(self, tenant: str) -> datetime | None:
        """When every class of the tenant was last compared with Graph."""

    async def write_swept(self, tenant: str, at: datetime) -> None: ...

    async def taken_set(self, drop: FeedDrop) -> str | None:
        """The fingerprint of the set that the schools of the drop were last synced for."""

    async def write_taken_set(self, drop: FeedDrop, fingerprint: str, at: datetime) -> None: ...

    async def write_run(self, run: RunRecord) -> None:
        """Write or overwrite the run's row."""

    async def run(self, school: str, run: str) -> RunRecord | None: ...

    async def write_message_fault(self, fault: MessageFault) -> None:
        """Write or overwrite what is known of a message's failure."""

    async def message_faults(self, queue: str) -> tuple[MessageFault, ...]: ...

    async def forget_message_faults(self, before: datetime) -> None: ...


class Announcements(Protocol):
    """What was announced of schools and waits for a plan, and what of it was taken. Raises as the StateStore."""

    async def add(self, school: str, announcement: Announcement) -> bool:
        """Have it wait, not sent. False where one of its id was sent or taken before: it is left as it is."""

    async def sent(self, school: str, id: str) -> None:
        """The message for its plan is on its way. Nothing happens where it does not wait any more."""

    async def waiting(self, school: str) -> tuple[Announcement, ...]:
        """What waits, sent or not, in order of id."""

    async def take(self, school: str, ids: Sequence[str], at: datetime) -> None:
        """These wait no longer, and their ids are remembered as of that moment. Not atomic over many."""

    async def planned(self, school: str) -> tuple[datetime, ...]:
        """When plans of announcements began, as last written."""

    async def write_planned(self, school: str, moments: Sequence[datetime]) -> None: ...

    async def forget(self, school: str, before: datetime) -> None:
        """Drop the ids that were taken before that moment."""


@dataclass(frozen=True, slots=True)
class NewestSet:
    """The newest whole set of a drop: its fingerprint, the same wherever it was put since.

    `lack` is why a newer one is not whole, and empty where there is none.
    """

    fingerprint: str
    lack: str = ""


class Drops(Protocol):
    """Where sets of files are dropped. Raises SnapshotRejected for what no waiting mends, else Transient."""

    async def newest(self, drop: FeedDrop) -> NewestSet: ...

    async def put_away(self, drop: FeedDrop, upto: str) -> int:
        """Move that set, and those before it that are whole, to where they are still read but not taken for new.

        What was overwritten meanwhile stays. Returns how many were moved.
        """


@dataclass(frozen=True, slots=True)
class Collected:
    """What became of one drop: for how many schools a new set was taken, how many were moved, and what failed."""

    drop: FeedDrop
    schools: int
    moved: int
    failure: SyncError | None = None


class Outbox(Protocol):
    """The way onto the queues. A message is on the queue when the method returns."""

    async def send_requests(self, requests: Sequence[Request]) -> None:
        """In order. Not atomic over many."""

    async def schedule_requests(self, requests: Sequence[tuple[datetime, Request]]) -> None:
        """Have the queue hold each until its moment; what is due already is sent. Not atomic over many."""

    async def schedule_once(self, at: datetime, request: Request) -> None:
        """As `schedule_requests`, but of all requests of one session for one moment the queue holds just one."""

    async def send_changes(self, changes: Sequence[Change], lane: Lane) -> None:
        """In order: those of one class stay in order. Not atomic over many."""
