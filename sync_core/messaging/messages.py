"""The queue contract: every message, its encoding, and the version by which an unknown one is recognised."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

from sync_core.domain.runs import Cause
from sync_core.errors import Malformed, faults_of

if TYPE_CHECKING:
    from pydantic import ConfigDict, TypeAdapter


SYNC_REQUESTS = "sync-requests"


CLASS_CHANGES = "class-changes"


URGENT_CHANGES = "urgent-changes"


LISTED_PEOPLE = 1000
"""People of a delta listed in a message at the most: they are for the reader, and a message holds 256 KB."""


_LONGEST_SESSION = 128


class Priority(StrEnum):
    """Which queue changes of classes travel on: what a night found, or what somebody waits for."""

    BULK = CLASS_CHANGES
    URGENT = URGENT_CHANGES


_STRICT: ConfigDict = {"extra": "forbid"}


@dataclass(frozen=True, slots=True)
class RefreshTenant:
    """Bring a tenant's accounts and drift up to date, then sync its schools, spread over the time `until` then.

    `full_resync`: every class is compared with Graph, and not only those that Graph's delta names.
    """

    __pydantic_config__ = _STRICT
    tenant: str
    run: str
    cause: Cause
    until: datetime | None = None
    full_resync: bool = False
    kind: Literal["refresh-tenant"] = "refresh-tenant"
    version: Literal[1] = 1

    @property
    def session(self) -> str:
        return self.tenant


@dataclass(frozen=True, slots=True)
class SyncSchool:
    """Sync one school. `scope` is None for everything, else the MIS ids of the groups: no other group is touched.

    Beside a scope, the groups in which `people` (MIS ids) are, or were when their classes were last planned, count as
    named.
    """

    __pydantic_config__ = _STRICT
    school: str
    run: str
    cause: Cause
    scope: tuple[str, ...] | None = None
    people: tuple[str, ...] = ()
    kind: Literal["sync-school"] = "sync-school"
    version: Literal[1] = 1

    @property
    def session(self) -> str:
        return self.school


@dataclass(frozen=True, slots=True)
class SyncWebhookEvents:
    """Sync what of a school was announced and waits in the tables: however many webhooks, one message and one plan."""

    __pydantic_config__ = _STRICT
    school: str
    run: str
    cause: Cause = Cause.WEBHOOK
    kind: Literal["sync-webhook-events"] = "sync-webhook-events"
    version: Literal[1] = 1

    @property
    def session(self) -> str:
        return self.school


class Action(StrEnum):
    """What an admin may do to a class that exists, without the MIS being asked."""

    DELETE = "delete"
    RESTORE = "restore"


@dataclass(frozen=True, slots=True)
class ActOnClass:
    """An admin's word on one class, taken in turn with the school's plans."""

    __pydantic_config__ = _STRICT
    school: str
    key: str
    action: Action
    run: str
    cause: Cause = Cause.ADMIN
    kind: Literal["act-on-class"] = "act-on-class"
    version: Literal[1] = 1

    @property
    def session(self) -> str:
        return self.school


class Decision(StrEnum):
    """What an admin says to a hold."""

    APPROVE = "approve"
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class DecideHold:
    """An admin's word on what was held, by the digest of what was shown; the school is synced right after."""

    __pydantic_config__ = _STRICT
    school: str
    digest: str
    decision: Decision
    run: str
    cause: Cause = Cause.ADMIN
    kind: Literal["decide-hold"] = "decide-hold"
    version: Literal[1] = 1

    @property
    def session(self) -> str:
        return self.school


@dataclass(frozen=True, slots=True)
class UndoRun:
    """An admin wants each class of the run `undone` as it was before, and kept so."""

    __pydantic_config__ = _STRICT
    school: str
    undone: str
    run: str
    cause: Cause = Cause.ADMIN
    kind: Literal["undo-run"] = "undo-run"
    version: Literal[1] = 1

    @property
    def session(self) -> str:
        return self.school


@dataclass(frozen=True, slots=True)
class _ClassChange:
    """Which class is out of step, and what told us; what to do stands on the class row."""

    __pydantic_config__ = _STRICT
    tenant: str
    school: str
    key: str
    run: str
    cause: Cause
    version: Literal[1] = 1

    @property
    def session(self) -> str:
        whole = f"{self.school}|{self.key}"
        return whole if len(whole) <= _LONGEST_SESSION else sha256(whole.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class CreateClass(_ClassChange):
    """Make the class if it is not there."""

    kind: Literal["create-class"] = "create-class"


@dataclass(frozen=True, slots=True)
class GrantOwners(_ClassChange):
    """Make the wanted owners owners. `owners` is as planned, for the reader: Entra ids."""

    owners: tuple[str, ...] = ()
    kind: Literal["grant-owners"] = "grant-owners"


@dataclass(frozen=True, slots=True)
class ChangeMembers(_ClassChange):
    """Bring the members to what is wanted.

    `added` and `removed` are as planned, for the reader: Entra ids, cut at LISTED_PEOPLE.
    """

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    kind: Literal["change-members"] = "change-members"


@dataclass(frozen=True, slots=True)
class RevokeOwners(_ClassChange):
    """Take the ownership from owners whom we granted and who are not wanted any more. `owners` is for the reader."""

    owners: tuple[str, ...] = ()
    kind: Literal["revoke-owners"] = "revoke-owners"


@dataclass(frozen=True, slots=True)
class DeleteClass(_ClassChange):
    """Delete the class, as an admin said."""

    kind: Literal["delete-class"] = "delete-class"


@dataclass(frozen=True, slots=True)
class RestoreClass(_ClassChange):
    """Restore the deleted class, as an admin said, and bring its members up to date."""

    kind: Literal["restore-class"] = "restore-class"


Request = RefreshTenant | SyncSchool | SyncWebhookEvents | ActOnClass | DecideHold | UndoRun


Change = CreateClass | GrantOwners | RevokeOwners | ChangeMembers | DeleteClass | RestoreClass


_M = TypeVar("_M")


_REMEDY = "see 'A message nobody can read' in docs/operations.md; if a newer version sent it, deploy that and replay it"


# Building these takes a twentieth of a second, which a worker that only indexes its functions need not pay.
@cache
def _requests() -> TypeAdapter[Request]:
    from pydantic import Field, TypeAdapter

    return TypeAdapter(Annotated[Request, Field(discriminator="kind")])


@cache
def _changes() -> TypeAdapter[Change]:
    from pydantic import Field, TypeAdapter

    return TypeAdapter(Annotated[Change, Field(discriminator="kind")])


def encode(message: Request | Change) -> bytes:
    """The message as UTF-8 JSON."""
    adapter: TypeAdapter[Request] | TypeAdapter[Change] = _requests() if isinstance(message, Request) else _changes()
    return adapter.dump_json(message)  # type: ignore[arg-type]  # the adapter was chosen by the message's type


def decode_request(body: bytes) -> Request:
    """Raises Malformed with the fields at fault, never their values."""
    return _decode(_requests(), body)


def decode_change(body: bytes) -> Change:
    """Raises Malformed with the fields at fault, never their values."""
    return _decode(_changes(), body)


def _decode(adapter: TypeAdapter[_M], body: bytes) -> _M:
    from pydantic import ValidationError

    try:
        return adapter.validate_json(body)
    except ValidationError as error:
        raise Malformed(f"the message cannot be read ({faults_of(error)})", _REMEDY) from None
