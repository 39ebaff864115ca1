"""What the use cases need of a Microsoft 365 tenant."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from sync_core.domain.accounts import AccountChanges, AccountProperty
from sync_core.domain.classes import ClassName, GroupChanges
from sync_core.errors import SyncError
from sync_core.messaging.messages import Priority

MEMBERS_PER_WRITE = 20
"""People that one PATCH of a group may bind (Graph: "Add members", members@odata.bind)."""


REMOVALS_PER_REQUEST = 20
"""People whose memberships one request may end (Graph: 20 requests in one $batch)."""


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

    def of(self, tenant: str, priority: Priority) -> Tenant:
        """By tenant id, for one piece of work, which waits for the tenant no longer than it may.

        What is urgent does not wait for what is not.

        Raises UnknownSetting for a tenant that the app has no identity for.
        """
