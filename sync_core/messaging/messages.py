"""The queue contract: every message, its encoding and its version."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

from sync_core.domain.runs import Cause
from sync_core.errors import Malformed

if TYPE_CHECKING:
    from pydantic import ConfigDict, TypeAdapter


SYNC_REQUESTS = "sync-requests"
CLASS_CHANGES = "class-changes"
URGENT_CHANGES = "urgent-changes"

LISTED_PEOPLE = 1000
"""The most people that a message lists: they are for the reader only, and a message holds 256 KB."""


_LONGEST_SESSION = 128


class Priority(StrEnum):
    """The queue for changes of classes: bulk for a night's changes, urgent for those that somebody waits for."""

    BULK = CLASS_CHANGES
    URGENT = URGENT_CHANGES


_STRICT: ConfigDict = {"extra": "forbid"}


@dataclass(frozen=True, slots=True)
class RefreshTenant:
    """Update a tenant's accounts and drift, then sync its schools, spread over the time until `until`.

    `full_resync`: compare every class with Graph, not only those in Graph's delta.
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
    """Sync one school. `scope` is None for all groups, else the MIS ids of those to sync; no other group is touched.

    With a scope, the groups of `people` (MIS ids) are synced too: those that they are in now, and those that they were
    in at the last plan.
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
    """Sync the webhook events of a school that wait in the tables: one message and one plan for any number of them."""

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
    """What an admin may do to an existing class without reading the MIS."""

    DELETE = "delete"
    RESTORE = "restore"


@dataclass(frozen=True, slots=True)
class ActOnClass:
    """An admin's request for one class, carried out in order with the school's plans."""

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
    """An admin's decision on a hold."""

    APPROVE = "approve"
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class DecideHold:
    """An admin's decision on a hold, identified by its digest. A sync of the school follows at once."""

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
    """Put each class of the run `undone` back as it was before, and keep it so."""

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
    """A class that is out of step, and the run that found it. The class row says what to do."""

    __pydantic_config__ = _STRICT
    tenant: str
    school: str
    key: str
    run: str
    cause: Cause
    version: Literal[1] = 1

    @property
    def session(self) -> str:
        session = f"{self.school}|{self.key}"
        return session if len(session) <= _LONGEST_SESSION else sha256(session.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class CreateClass(_ClassChange):
    """Create the class if it does not exist."""

    kind: Literal["create-class"] = "create-class"


@dataclass(frozen=True, slots=True)
class GrantOwners(_ClassChange):
    """Make the desired owners owners. `owners` lists the planned ones for the reader: Entra ids."""

    owners: tuple[str, ...] = ()
    kind: Literal["grant-owners"] = "grant-owners"


@dataclass(frozen=True, slots=True)
class ChangeMembers(_ClassChange):
    """Make the members match the desired ones.

    `added` and `removed` list the planned changes for the reader: Entra ids, at most LISTED_PEOPLE.
    """

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    kind: Literal["change-members"] = "change-members"


@dataclass(frozen=True, slots=True)
class RevokeOwners(_ClassChange):
    """Revoke owners whom the sync granted and who are no longer desired. `owners` is for the reader."""

    owners: tuple[str, ...] = ()
    kind: Literal["revoke-owners"] = "revoke-owners"


@dataclass(frozen=True, slots=True)
class DeleteClass(_ClassChange):
    """Delete the class, as an admin requested."""

    kind: Literal["delete-class"] = "delete-class"


@dataclass(frozen=True, slots=True)
class RestoreClass(_ClassChange):
    """Restore the deleted class, as an admin requested, and update its members."""

    kind: Literal["restore-class"] = "restore-class"


Request = RefreshTenant | SyncSchool | SyncWebhookEvents | ActOnClass | DecideHold | UndoRun
Change = CreateClass | GrantOwners | RevokeOwners | ChangeMembers | DeleteClass | RestoreClass


_M = TypeVar("_M")

_REMEDY = "see 'A message nobody can read' in docs/operations.md; if a newer version sent it, deploy that and replay it"


# Building an adapter takes a twentieth of a second, so a worker that only indexes its functions builds none.
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
    """Parse a message. Raises Malformed with the faulty fields, never their values."""
    return _decode(_requests(), body)


def decode_change(body: bytes) -> Change:
    """Parse a message. Raises Malformed with the faulty fields, never their values."""
    return _decode(_changes(), body)


def _decode(adapter: TypeAdapter[_M], body: bytes) -> _M:
    from pydantic import ValidationError

    try:
        return adapter.validate_json(body)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in fault['loc']) or 'body'}: {fault['type']}"
            for fault in error.errors(include_input=False, include_url=False, include_context=False)
        )
        raise Malformed(f"the message cannot be read ({faults})", _REMEDY) from None
