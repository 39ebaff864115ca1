"""The ports to the tables: classes, schools, tenants, runs and webhook events.

A write is durable when its method returns, and replaces what was there unless its docstring says otherwise. To delete
what is not there does nothing. Every method raises Transient if Table storage fails or cannot be reached; of several
records, some may be written then.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from sync_core.domain.accounts import Account, AccountChanges, AccountTokens
from sync_core.domain.classes.choices import Choices, ClassChoice, OwnerRule
from sync_core.domain.classes.desired import ClassRequest, DesiredClass, Pin
from sync_core.domain.classes.outcomes import AppliedDelta, FirstChange
from sync_core.domain.classes.record import ClassOutline, ClassRecord
from sync_core.domain.classes.tenant_groups import Drift
from sync_core.domain.ids import ClassKey, RunId, SchoolId
from sync_core.domain.roster import FeedStatistics
from sync_core.domain.runs import Hold, LeftOutRows, RunRecord, SettingsChange
from sync_core.domain.school.settings import SchoolSettings
from sync_core.domain.school.sources import FileDrop
from sync_core.domain.tenants import Probe, TenantFacts
from sync_core.domain.webhooks import WebhookEvent
from sync_core.errors import UnknownSetting
from sync_core.messaging.port import MessageFault


@dataclass(frozen=True, slots=True)
class EverySchool:
    """The schools in order of id: the settings of those that can be read, and why those of the others cannot."""

    readable: tuple[SchoolSettings, ...]
    unreadable: Mapping[SchoolId, UnknownSetting]

    @property
    def enabled(self) -> tuple[SchoolId, ...]:
        return tuple(school.school for school in self.readable if school.enabled)


class ClassReader(Protocol):
    """The classes of a school in order of key; the requests for classes, and the pins, by class key; all choices.

    Every record is in the tenant that its class is wanted in.
    """

    async def class_record(self, school: SchoolId, key: ClassKey) -> ClassRecord | None: ...
    async def class_records(self, school: SchoolId) -> tuple[ClassRecord, ...]: ...
    async def class_requests(self, school: SchoolId) -> Mapping[ClassKey, ClassRequest]: ...
    async def pins(self, school: SchoolId) -> Mapping[ClassKey, Pin]: ...
    async def choices(self, school: SchoolId) -> Choices: ...


class HistoryReader(Protocol):
    """What was applied to classes."""

    async def history(self, school: SchoolId, key: ClassKey) -> tuple[AppliedDelta, ...]:
        """What was applied to the class, oldest first."""

    async def histories(
        self, school: SchoolId, keys: Collection[ClassKey], since: datetime
    ) -> Mapping[ClassKey, tuple[AppliedDelta, ...]]:
        """What was applied to each of the classes since then, oldest first."""

    async def classes_of_run(self, school: SchoolId, run: RunId) -> Mapping[ClassKey, FirstChange]:
        """The classes to which `run` applied something, in order of key, with the first that it did."""


class SettingsReader(Protocol):
    """A school's settings, its current holds in order of digest, and the statistics of the last accepted feed."""

    async def school(self, school: SchoolId) -> SchoolSettings | None: ...
    async def holds(self, school: SchoolId) -> tuple[Hold, ...]: ...
    async def accepted_statistics(self, school: SchoolId) -> FeedStatistics | None: ...


class AccountReader(Protocol):
    async def accounts(self, tenant: str) -> tuple[Account, ...] | None:
        """The tenant's accounts, no older than its accounts delta token.

        None until that token is first written, because only some of the accounts may be known until then. While nothing
        is written, the same tuple is returned again, if this process still has it.
        """


class RunReader(Protocol):
    async def runs(self, school: SchoolId, since: datetime | None = None) -> tuple[RunRecord, ...]:
        """The school's runs, or those since then, oldest first."""


class SchoolReader(ClassReader, SettingsReader, AccountReader, RunReader, Protocol):
    """What planning a school reads. A preview is given nothing else, so it cannot write."""


class ClassStore(ClassReader, HistoryReader, Protocol):
    """Class rows with their history, the requests for classes, pins, and what admins chose for classes."""

    async def class_outlines(self, school: SchoolId) -> tuple[ClassOutline, ...]:
        """The outlines of the records, in order of key."""

    async def pinned(self, school: SchoolId) -> frozenset[ClassKey]:
        """The keys of the classes that have a pin."""

    async def write_class_request(self, school: SchoolId, request: ClassRequest) -> None: ...
    async def write_pins(self, school: SchoolId, pins: Sequence[Pin]) -> None: ...
    async def forget_pin(self, school: SchoolId, key: ClassKey) -> None: ...
    async def write_choice(self, school: SchoolId, choice: ClassChoice) -> None: ...
    async def forget_choice(self, school: SchoolId, key: ClassKey) -> None: ...
    async def write_owner_rule(self, school: SchoolId, rule: OwnerRule) -> None: ...
    async def forget_owner_rule(self, school: SchoolId, rule: str) -> None: ...

    async def write_desired(self, school: SchoolId, classes: Sequence[DesiredClass]) -> tuple[ClassKey, ...]:
        """Merge the desired columns into the rows, and make missing rows. Unconditional: every etag changes.

        Returns the keys of classes that are too large, which stay as they are.
        """

    async def write_drift(self, school: SchoolId, drifts: Sequence[Drift]) -> None:
        """Merge stale and gone into the rows that are there. Unconditional. A missing row is skipped."""

    async def write_actual(self, record: ClassRecord, delta: AppliedDelta | None = None) -> ClassRecord:
        """Write what apply knows (intent, actual, stale, gone and so on) if the row still has `record.etag`.

        Never writes the desired columns. The history row of a `delta` is part of the same transaction. Returns the
        record with its new etag. Raises EtagConflict.
        """


class SchoolStore(SettingsReader, Protocol):
    """Schools' settings, the holds of their plans, and what is known of their feeds."""

    async def save_school(self, settings: SchoolSettings) -> None: ...

    async def replace_school(self, before: SchoolSettings | None, settings: SchoolSettings) -> None:
        """Write the settings if the school's are exactly `before` now; None is a school without settings.

        Raises EtagConflict, also if another school of the tenant has the name identifier, even since a moment ago.
        """

    async def write_synced_set(self, drop: FileDrop, fingerprint: str, at: datetime) -> None: ...

    async def schools(self, tenant: str | None = None) -> tuple[SchoolSettings, ...]:
        """All schools, or those of one tenant, in order of id, without those whose settings cannot be read."""

    async def every_school(self, tenant: str | None = None) -> EverySchool:
        """As `schools`, with those whose settings this version of the app cannot read."""

    async def forget_school(self, school: SchoolId) -> None:
        """Delete the settings, not the classes."""

    async def erase_school(self, school: SchoolId) -> None:
        """Delete every row about the school except its settings and its message faults."""

    async def open_holds(self, schools: Collection[SchoolId]) -> Mapping[SchoolId, int]:
        """How many holds of each of the schools wait for a decision."""

    async def replace_holds(self, school: SchoolId, before: Sequence[Hold], after: Sequence[Hold]) -> None:
        """Replace the holds `before`, as the caller read them, with `after`."""

    async def write_accepted_statistics(self, school: SchoolId, statistics: FeedStatistics | None) -> None:
        """None deletes the statistics, and the next feed is accepted without a comparison."""

    async def left_out(self, school: SchoolId) -> LeftOutRows | None:
        """The rows that the last plan left out of the school's feed. None if no plan ever left any out."""

    async def write_left_out(self, school: SchoolId, left_out: LeftOutRows) -> None: ...
    async def write_settings_change(self, change: SettingsChange) -> None: ...

    async def settings_changes(self, school: SchoolId) -> tuple[SettingsChange, ...]:
        """Oldest first."""

    async def synced_set(self, drop: FileDrop) -> str | None:
        """The fingerprint of the export set for which the schools of the drop were last synced."""


class TenantStore(AccountReader, Protocol):
    """A tenant's accounts, how far its two deltas were followed, what was learnt of it, and its probes."""

    async def account_tokens(self, tenant: str) -> AccountTokens: ...

    async def write_accounts(self, tenant: str, changes: AccountChanges) -> None:
        """Write the changes with their token: both or neither. Idempotent.

        With `changes.full`, accounts that it does not name are gone.
        """

    async def groups_token(self, tenant: str) -> str | None: ...
    async def write_groups_token(self, tenant: str, token: str) -> None: ...
    async def facts(self, tenant: str) -> TenantFacts: ...
    async def write_facts(self, tenant: str, facts: TenantFacts) -> None: ...
    async def write_probe(self, probe: Probe) -> None: ...

    async def probes(self, tenant: str) -> tuple[Probe, ...]:
        """All probes of the tenant, in the order in which they began."""


class RunStore(RunReader, Protocol):
    """Runs, and the last failure of each queue message."""

    async def run(self, school: SchoolId, run: RunId) -> RunRecord | None: ...
    async def write_run(self, run: RunRecord) -> None: ...
    async def message_faults(self, queue: str) -> tuple[MessageFault, ...]: ...
    async def write_message_fault(self, fault: MessageFault) -> None: ...
    async def forget_message_faults(self, before: datetime) -> None: ...

    async def forget_history(self, school: SchoolId, before: datetime) -> None:
        """Delete the school's runs, its changes of settings, and what was applied to its classes, before then."""


class TableCheck(Protocol):
    """Whether the tables can be used. Every method raises AccessDenied, and Transient as above; none changes a row."""

    async def missing_tables(self) -> tuple[str, ...]:
        """The names of the tables that are not there."""

    async def check_write(self) -> None:
        """Ask for a write that has nothing to do: it is denied to an identity that may only read."""


class WebhookInbox(Protocol):
    """Webhook events of schools: those that wait, the ids of those that were planned, and when plans for them began."""

    async def add(self, school: SchoolId, event: WebhookEvent) -> bool:
        """Store the event as waiting. False if its id was sent or planned before: nothing is changed then."""

    async def mark_sent(self, school: SchoolId, id: str) -> None:
        """Mark the event's message as sent. Does nothing if the event is no longer waiting."""

    async def waiting(self, school: SchoolId) -> tuple[WebhookEvent, ...]:
        """The events that wait, sent or not, in order of id."""

    async def others_wait(self, school: SchoolId, id: str) -> bool:
        """Whether an event with another id waits."""

    async def mark_planned(self, school: SchoolId, ids: Sequence[str], at: datetime) -> None:
        """Mark the events as planned at that time, and keep their ids."""

    async def plan_times(self, school: SchoolId) -> tuple[datetime, ...]: ...
    async def write_plan_times(self, school: SchoolId, moments: Sequence[datetime]) -> None: ...

    async def forget(self, school: SchoolId, before: datetime) -> None:
        """Delete the ids of events that were planned before that moment."""
