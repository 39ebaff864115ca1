"""The queue contract: every message, its encoding, and the version by which an unknown one is recognised."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

from annotated_types import MaxLen, MinLen

from sync_core.domain.classes.year_end import YearEndChoice, YearEndFilter
from sync_core.domain.constraints import FORM, Checked, Text
from sync_core.domain.ids import AccountId, ClassKey, MisId, RunId, SchoolId
from sync_core.domain.runs import Cause
from sync_core.errors import Malformed, faults_of

if TYPE_CHECKING:
    from pydantic import TypeAdapter

SYNC_REQUESTS = "sync-requests"
CLASS_CHANGES = "class-changes"
URGENT_CHANGES = "urgent-changes"

LISTED_PEOPLE = 1000
"""The most people that a message lists. They are for information only, and a message holds 256 KB."""
MOST_DECIDED = 7000
"""The most classes that one decision is about: their digests take 35 bytes each of the 256 KB of a message."""
MOST_IDS, LONGEST_ID, _ALL_IDS = 1000, 200, 40_000
"""Of the groups or people that a request names: their number, and the characters of each and of all."""
MOST_TOLD = 2_000
"""The most classes whose digests a message has: a key has at most 80 characters, and a message 256 KB."""
_LONGEST_SESSION = 128
"""Of Service Bus, in characters."""


def _has_zone(moment: datetime | None) -> datetime | None:
    if moment and moment.tzinfo is None:
        raise ValueError("should have a time zone")
    return moment


_LINE = Text(r"^[^\x00-\x1f\x7f]*$", "text on one line, without control characters", strip=False)
_School = Annotated[SchoolId, _LINE, MinLen(1), MaxLen(500)]
_Tenant = Annotated[str, Text(r"^[A-Za-z0-9._-]+$", "the Entra id of a tenant", strip=False), MaxLen(100)]
_Key = Annotated[ClassKey, _LINE, MinLen(1), MaxLen(LONGEST_ID)]
_Run = Annotated[RunId, _LINE, MinLen(1), MaxLen(LONGEST_ID)]
_MisIds = Annotated[tuple[Annotated[MisId, MaxLen(LONGEST_ID)], ...], MaxLen(MOST_IDS)]
_Accounts = Annotated[tuple[Annotated[AccountId, _LINE, MaxLen(LONGEST_ID)], ...], MaxLen(LISTED_PEOPLE)]


def scope_of(groups: Iterable[MisId]) -> tuple[MisId, ...] | None:
    """The scope of a request for these groups: None, which is the whole school, if a message cannot name them."""
    ids = tuple(groups)
    lengths = [len(id_) for id_ in ids]
    fits = len(ids) <= MOST_IDS and max(lengths, default=0) <= LONGEST_ID and sum(lengths) <= _ALL_IDS
    return ids if fits else None


class Priority(StrEnum):
    """Which queue a change of a class takes: bulk for a night, urgent for a change that somebody waits for."""

    BULK = CLASS_CHANGES
    URGENT = URGENT_CHANGES


QUEUES = (CLASS_CHANGES, SYNC_REQUESTS, URGENT_CHANGES)
"""All queues, in order."""


@dataclass(frozen=True, slots=True)
class _Message:
    __pydantic_config__ = FORM
    version: Literal[1] = field(default=1, kw_only=True)


@dataclass(frozen=True, slots=True)
class RefreshTenant(_Message):
    """Bring a tenant's accounts and drift up to date, then sync its schools, spread over the time `until` then.

    `full_resync`: every class is compared with Graph, and not only those that Graph's delta names.
    """

    tenant: _Tenant
    run: _Run
    cause: Cause
    until: Annotated[datetime | None, Checked(_has_zone)] = None
    full_resync: bool = False
    kind: Literal["refresh-tenant"] = "refresh-tenant"

    @property
    def session(self) -> str:
        return self.tenant


def _session(of: str) -> str:
    return of if len(of) <= _LONGEST_SESSION else sha256(of.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class _SchoolRequest(_Message):
    """A request that is handled in its school's turn: one session is one school."""

    school: _School

    @property
    def session(self) -> str:
        return _session(self.school)


@dataclass(frozen=True, slots=True)
class SyncSchool(_SchoolRequest):
    """Sync one school. `scope` is None for everything, else the MIS ids of the groups: no other group is touched.

    With a scope, the groups of `people` (MIS ids) count as named too: those they are in now, and those they were in
    when their classes were last planned. `until` is the end of the time over which a night spreads the school's teams.
    """

    run: _Run
    cause: Cause
    scope: _MisIds | None = None
    people: _MisIds = ()
    until: Annotated[datetime | None, Checked(_has_zone)] = None
    kind: Literal["sync-school"] = "sync-school"


@dataclass(frozen=True, slots=True)
class SyncWebhookEvents(_SchoolRequest):
    """Sync what the school's waiting webhook events name: one message and one plan, however many events."""

    run: _Run
    cause: Cause = Cause.WEBHOOK
    kind: Literal["sync-webhook-events"] = "sync-webhook-events"


class Action(StrEnum):
    """What an admin may do to an existing class without the MIS being read."""

    DELETE = "delete"
    RESTORE = "restore"


@dataclass(frozen=True, slots=True)
class ActOnClass(_SchoolRequest):
    """An admin's request about one class."""

    key: _Key
    action: Action
    run: _Run
    cause: Cause = Cause.ADMIN
    kind: Literal["act-on-class"] = "act-on-class"


class Decision(StrEnum):
    """An admin's answer to a hold."""

    APPROVE = "approve"
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class DecideHold(_SchoolRequest):
    """An admin's decision on classes of a hold. The school is synced with it.

    `held` are the digests of what was shown of each class: at most MOST_DECIDED.
    """

    held: Annotated[tuple[str, ...], MaxLen(MOST_DECIDED)]
    decision: Decision
    run: _Run
    cause: Cause = Cause.ADMIN
    kind: Literal["decide-hold"] = "decide-hold"


@dataclass(frozen=True, slots=True)
class ApplyPlan(_SchoolRequest):
    """An admin's request to sync the school if its plan still has this digest, and else to change nothing.

    `classes` has the key and the digest of each class that the plan changes, as `KEY DIGEST`, if the plan was approved
    for later: a refusal then names what differs. It is empty if there are more than MOST_TOLD, or else not known.
    """

    digest: Annotated[str, _LINE, MaxLen(LONGEST_ID)]
    run: _Run
    cause: Cause = Cause.ADMIN
    classes: Annotated[tuple[Annotated[str, _LINE, MaxLen(LONGEST_ID)], ...], MaxLen(MOST_TOLD)] = ()
    kind: Literal["apply-plan"] = "apply-plan"


@dataclass(frozen=True, slots=True)
class UndoRun(_SchoolRequest):
    """An admin's request to restore each class of the run `undone` to what it was before, and to keep it so."""

    undone: _Run
    run: _Run
    cause: Cause = Cause.ADMIN
    kind: Literal["undo-run"] = "undo-run"


@dataclass(frozen=True, slots=True)
class EndYear(_SchoolRequest):
    """An admin's request to end the year of classes, if that still does what the preview `digest` showed."""

    digest: Annotated[str, _LINE, MaxLen(LONGEST_ID)]
    filter: YearEndFilter
    choice: YearEndChoice
    run: _Run
    cause: Cause = Cause.ADMIN
    kind: Literal["end-year"] = "end-year"


@dataclass(frozen=True, slots=True)
class TakeBackYearEnd(_SchoolRequest):
    """An admin's request to take the year end of classes back, by the digest of its preview as in EndYear."""

    digest: Annotated[str, _LINE, MaxLen(LONGEST_ID)]
    filter: YearEndFilter
    run: _Run
    cause: Cause = Cause.ADMIN
    kind: Literal["take-back-year-end"] = "take-back-year-end"


@dataclass(frozen=True, slots=True)
class _ClassChange(_Message):
    """Which class is out of step, and why this was noticed. The class row says what to do, and in which tenant."""

    school: _School
    key: _Key
    run: _Run
    cause: Cause

    @property
    def session(self) -> str:
        return _session(f"{self.school}|{self.key}")


@dataclass(frozen=True, slots=True)
class CreateClass(_ClassChange):
    """Make the class if it does not exist."""

    kind: Literal["create-class"] = "create-class"


@dataclass(frozen=True, slots=True)
class GrantOwners(_ClassChange):
    """Make the wanted people owners. `owners` are those of the plan, for information: Entra ids."""

    owners: _Accounts = ()
    kind: Literal["grant-owners"] = "grant-owners"


@dataclass(frozen=True, slots=True)
class ChangeMembers(_ClassChange):
    """Bring the members to what is wanted. `added` and `removed` are those of the plan: at most LISTED_PEOPLE ids."""

    added: _Accounts = ()
    removed: _Accounts = ()
    kind: Literal["change-members"] = "change-members"


@dataclass(frozen=True, slots=True)
class RevokeOwners(_ClassChange):
    """Take the ownership from people whom the sync granted it and who should no longer have it."""

    owners: _Accounts = ()
    kind: Literal["revoke-owners"] = "revoke-owners"


@dataclass(frozen=True, slots=True)
class DeleteClass(_ClassChange):
    """Delete the class, as an admin requested."""

    kind: Literal["delete-class"] = "delete-class"


@dataclass(frozen=True, slots=True)
class RestoreClass(_ClassChange):
    """Restore the deleted class, as an admin requested, and bring its members up to date."""

    kind: Literal["restore-class"] = "restore-class"


@dataclass(frozen=True, slots=True)
class ChangeTeam(_ClassChange):
    """Bring the team of the class to what is wanted: make, open or archive it, and compare its people."""

    kind: Literal["change-team"] = "change-team"


@dataclass(frozen=True, slots=True)
class ChangeForYearEnd(_ClassChange):
    """Carry out the year end of the class, or take it back: its display name, and the pupils who leave or return."""

    kind: Literal["change-for-year-end"] = "change-for-year-end"


SchoolRequest = (
    SyncSchool | SyncWebhookEvents | ActOnClass | DecideHold | ApplyPlan | UndoRun | EndYear | TakeBackYearEnd
)
Request = RefreshTenant | SchoolRequest
Change = (
    CreateClass
    | GrantOwners
    | RevokeOwners
    | ChangeMembers
    | DeleteClass
    | RestoreClass
    | ChangeTeam
    | ChangeForYearEnd
)

_REMEDY = "see 'A message nobody can read' in docs/operations.md; if a newer version sent it, deploy that and replay it"


@cache
def _adapter(kinds: Any) -> TypeAdapter[Any]:
    """The encoding of a union of messages, built (50 ms) with the first one: indexing functions does not need it."""
    from pydantic import Field, TypeAdapter

    return TypeAdapter(Annotated[kinds, Field(discriminator="kind")])


def encode(message: Request | Change) -> bytes:
    """The message as UTF-8 JSON."""
    return _adapter(Request if isinstance(message, Request) else Change).dump_json(message)


def decode_request(body: bytes) -> Request:
    """Raises Malformed with the fields at fault, never their values."""
    return cast(Request, _decode(Request, body))


def decode_change(body: bytes) -> Change:
    """Raises Malformed with the fields at fault, never their values."""
    return cast(Change, _decode(Change, body))


def _decode(kinds: Any, body: bytes) -> Any:
    from pydantic import ValidationError

    try:
        return _adapter(kinds).validate_json(body)
    except ValidationError as error:
        raise Malformed(f"the message cannot be read ({faults_of(error.errors())})", _REMEDY) from None
