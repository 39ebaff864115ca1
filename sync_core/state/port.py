"""What the use cases need of the tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from sync_core.domain.accounts import Account, AccountChanges
from sync_core.domain.classes import AppliedDelta, ClassRecord, ClassRequest, DesiredClass, Drift, Pin
from sync_core.domain.roster import FeedStatistics
from sync_core.domain.runs import Hold, RunRecord
from sync_core.domain.school import FileDrop, SchoolSettings
from sync_core.domain.webhooks import WebhookEvent
from sync_core.messaging.port import MessageFault


class DeltaKind(StrEnum):
    """The two deltas a tenant is followed by."""

    ACCOUNTS = "accounts"
    GROUPS = "groups"


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

    async def accepted_statistics(self, school: str) -> FeedStatistics | None:
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

    async def write_accepted_statistics(self, school: str, statistics: FeedStatistics | None) -> None:
        """Write or, with None, forget them: the next feed is taken as it comes."""

    async def write_class_request(self, school: str, request: ClassRequest) -> None: ...

    async def write_drift(self, school: str, drifts: Sequence[Drift]) -> None:
        """Merge stale and gone into rows that are there; unconditional. A row that is not there is passed over."""

    async def write_actual(self, record: ClassRecord, delta: AppliedDelta | None = None) -> ClassRecord:
        """Write what apply knows (intent, actual, stale, gone and so on) if the row still has `record.etag`.

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

    async def last_full_resync(self, tenant: str) -> datetime | None:
        """When every class of the tenant was last compared with Graph."""

    async def write_full_resync(self, tenant: str, at: datetime) -> None: ...

    async def synced_set(self, drop: FileDrop) -> str | None:
        """The fingerprint of the set that the schools of the drop were last synced for."""

    async def write_synced_set(self, drop: FileDrop, fingerprint: str, at: datetime) -> None: ...

    async def write_run(self, run: RunRecord) -> None:
        """Write or overwrite the run's row."""

    async def run(self, school: str, run: str) -> RunRecord | None: ...

    async def write_message_fault(self, fault: MessageFault) -> None:
        """Write or overwrite what is known of a message's failure."""

    async def message_faults(self, queue: str) -> tuple[MessageFault, ...]: ...

    async def forget_message_faults(self, before: datetime) -> None: ...


class WebhookInbox(Protocol):
    """What was announced of schools and waits for a plan, and what of it was taken. Raises as the StateStore."""

    async def add(self, school: str, event: WebhookEvent) -> bool:
        """Have it wait, not sent. False where one of its id was sent or taken before: it is left as it is."""

    async def sent(self, school: str, id: str) -> None:
        """The message for its plan is on its way. Nothing happens where it does not wait any more."""

    async def waiting(self, school: str) -> tuple[WebhookEvent, ...]:
        """What waits, sent or not, in order of id."""

    async def take(self, school: str, ids: Sequence[str], at: datetime) -> None:
        """These wait no longer, and their ids are remembered as of that moment. Not atomic over many."""

    async def planned(self, school: str) -> tuple[datetime, ...]:
        """When plans of webhook events began, as last written."""

    async def write_planned(self, school: str, moments: Sequence[datetime]) -> None: ...

    async def forget(self, school: str, before: datetime) -> None:
        """Drop the ids that were taken before that moment."""
