"""The ports to Microsoft 365 tenants."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from sync_core.domain.accounts import AccountChanges, AccountProperty
from sync_core.domain.classes.desired import ClassName
from sync_core.domain.classes.tenant_groups import GroupChange, GroupChanges, TenantClass
from sync_core.domain.ids import AccountId, ClassId, MisId
from sync_core.domain.permissions import Grants
from sync_core.errors import GraphRefused, SyncError
from sync_core.messaging.messages import Priority

MEMBERS_PER_WRITE = 20
"""The most people that one PATCH of a group may add (Graph: "Add members", members@odata.bind)."""

REMOVALS_PER_REQUEST = 20
"""The most people that one request may remove (Graph: 20 requests in one $batch)."""


PEOPLE_PER_TEAM_WRITE = 200
"""The most people that one request may add to a team (Graph: "Add members in bulk to team")."""


@dataclass(frozen=True, slots=True)
class NewClass:
    """The properties of a class to create."""

    name: ClassName
    external_id: str
    external_name: MisId
    description: str = ""


@dataclass(frozen=True, slots=True)
class CreatedClass:
    """A new class. Its name is not the requested one if the tenant's group naming policy changed that."""

    id: ClassId
    name: ClassName


@dataclass(frozen=True, slots=True)
class FoundGroup:
    """A group that has a nickname: of several, one may be ours.

    `external_id` is None for a class without one, for a group that is no class, and for a deleted group: Graph reports
    neither whether that was a class nor its externalId.
    """

    id: ClassId
    name: ClassName
    created_at: datetime
    external_id: str | None = None


@dataclass(frozen=True, slots=True)
class Removals:
    """The result of each removal. `failure`, a Transient or a GraphRefused, is why people in neither set remain."""

    removed: frozenset[AccountId]
    not_there: frozenset[AccountId] = frozenset()
    failure: SyncError | None = None


@dataclass(frozen=True, slots=True)
class Additions:
    """The result of each addition. `already` were members before; `refused` has Graph's no to each person.

    `not_there`: Graph knows the class or the person not, or not yet. `failure`, a Transient or a GraphRefused, is why
    people in none of these are not added.
    """

    added: frozenset[AccountId] = frozenset()
    already: frozenset[AccountId] = frozenset()
    not_there: frozenset[AccountId] = frozenset()
    refused: Mapping[AccountId, GraphRefused] = field(default_factory=dict)
    failure: SyncError | None = None


@dataclass(frozen=True, slots=True)
class SeenTeam:
    """A team as Teams shows it. `locked`: its members wait until an owner activates it. `archived`: it is read-only."""

    locked: bool
    archived: bool


@dataclass(frozen=True, slots=True)
class TeamPeople:
    """The people whom a team shows: `owners` are no part of `members`, unlike those of a group."""

    members: frozenset[AccountId]
    owners: frozenset[AccountId]


class Teams(Protocol):
    """The class teams of one tenant. A team has the id of its class.

    Every method retries through throttling and temporary faults, within one wait budget. They raise Transient past the
    budget and GraphRefused for a permanent refusal.
    """

    async def team(self, class_id: ClassId) -> SeenTeam | None:
        """The team; None for none. It may be none for some minutes after it was made."""

    async def make_team(self, class_id: ClassId) -> bool:
        """Ask Teams to make the team of a class, which it does later. False if the team exists already.

        Raises TeamNotReady where Teams does not know the class, or one of its owners, yet.
        """

    async def open_team(self, class_id: ClassId) -> None:
        """Activate a locked team. The pupils who wait are not added by this. Raises NotThere."""

    async def team_people(self, class_id: ClassId) -> TeamPeople:
        """Everybody in the team. Raises NotThere."""

    async def add_to_team(
        self, class_id: ClassId, members: Sequence[AccountId], owners: Sequence[AccountId] = ()
    ) -> Additions:
        """Add at most PEOPLE_PER_TEAM_WRITE people. A member who is added as an owner becomes one. Raises NotThere."""

    async def remove_from_team(self, class_id: ClassId, people: Sequence[AccountId]) -> Removals:
        """Take people out of the team, whether they are members or owners; each independently.

        `not_there` are those whom Teams does not show in it, or not yet. Raises NotThere where there is no team.
        """

    async def archive_team(self, class_id: ClassId) -> None:
        """Make the team read-only; Teams may do so later. Raises NotThere."""

    async def unarchive_team(self, class_id: ClassId) -> None:
        """Make an archived team usable again; Teams may do so later. Raises NotThere."""


class TenantReader(Protocol):
    """What planning a school reads of a tenant. A preview is given nothing else, so it cannot write."""

    async def classes(self) -> tuple[TenantClass, ...]:
        """All classes, with those of other products. A class created in the last minutes may be missing."""

    async def members(self, class_id: ClassId) -> frozenset[AccountId]:
        """The members that Graph shows. Raises NotThere, and MembersHidden where Graph refuses to show any."""

    async def owners(self, class_id: ClassId) -> frozenset[AccountId]:
        """All owners. Raises NotThere."""


class Tenant(TenantReader, Protocol):
    """One Microsoft 365 tenant.

    Every method retries through throttling and temporary faults. All methods share one wait budget, shorter than the
    queue's lock. They raise Transient past the budget and GraphRefused for a permanent refusal.
    """

    async def members_and_owners(self, class_id: ClassId) -> tuple[frozenset[AccountId], frozenset[AccountId]]:
        """Both, read at one time. Raises what `members` and `owners` raise."""

    async def grants(self) -> Grants | None:
        """What the app's token carries, without a request to Graph. None if the token does not say."""

    async def account_changes(self, token: str | None, properties: Set[AccountProperty]) -> AccountChanges:
        """The users delta of `properties` since `token`.

        Returns all accounts without a token, with an expired one, or with one for other properties.
        """

    def first_accounts(self, token: str | None, properties: Set[AccountProperty]) -> AsyncIterator[AccountChanges]:
        """All accounts in parts, for a tenant whose accounts nobody has read yet.

        The token of the last part is for `account_changes`; that of another one makes a later call go on after it.
        Raises DeltaExpired for a token that is too old.
        """

    async def group_changes(self, token: str | None) -> GroupChanges:
        """The groups delta since `token`; all groups without a token or with an expired one."""

    async def find_groups(self, nickname: str) -> tuple[FoundGroup, ...]:
        """The groups that have `nickname`; none too if they are not visible yet (replication lag)."""

    async def find_deleted(self, nickname: str) -> tuple[FoundGroup, ...]:
        """The deleted groups that have `nickname` and can be restored. Raises GraphDenied."""

    async def create_class(self, new: NewClass) -> CreatedClass:
        """Create a class. Not idempotent. Raises NicknameTaken; Transient if the result is unknown."""

    async def class_exists(self, class_id: ClassId) -> bool: ...

    async def shown_class(self, class_id: ClassId) -> TenantClass:
        """The class as Graph shows it now. Raises NotThere."""

    async def rename_class(self, class_id: ClassId, display_name: str) -> None:
        """Change the display name of a class, and never its address. Raises NotThere."""

    async def add_members(self, class_id: ClassId, people: Sequence[AccountId]) -> Additions:
        """Add at most MEMBERS_PER_WRITE people in one write or, where Graph refuses that, each on their own.

        Raises AlreadyThere (none was added), NotThere (the class or one of the people).
        """

    async def remove_members(self, class_id: ClassId, people: Sequence[AccountId]) -> Removals:
        """Remove at most REMOVALS_PER_REQUEST people, each independently. Only memberships go, never a person."""

    async def known_people(self, people: Sequence[AccountId]) -> frozenset[AccountId]:
        """The people, out of at most MEMBERS_PER_WRITE, who have an account."""

    async def display_names(self, people: Sequence[AccountId]) -> Mapping[AccountId, str]:
        """What Microsoft 365 calls these people now, for a page that an admin asked for. Nobody keeps the answer.

        Who has no account is missing.
        """

    async def find_principals(self, name: str) -> tuple[AccountId | ClassId, ...]:
        """The ids of the users with this user principal name and of the groups with this display name."""

    async def add_owner(self, class_id: ClassId, person: AccountId) -> None:
        """Raises AlreadyThere, and NotThere for the class or the person."""

    async def remove_owner(self, class_id: ClassId, person: AccountId) -> None:
        """Remove only the ownership. Raises NotThere, and GraphRefused for the last owner."""

    async def delete_class(self, class_id: ClassId) -> None:
        """Delete a class; it can be restored for 30 days. Raises NotThere."""

    async def restore_class(self, class_id: ClassId) -> None:
        """Restore a deleted class. Raises NotThere where it can no longer be restored."""


@dataclass(frozen=True, slots=True)
class Told:
    """What Graph tells of a request: its resource units, and the used share of a limit. None where it does not say."""

    units: float | None = None
    share: float | None = None


@dataclass(frozen=True, slots=True)
class Described:
    """`visibility` is Graph's word for who sees the members."""

    visibility: str
    external_id: str | None


class ProbedTenant(Tenant, Protocol):
    """A tenant whose answers themselves are of interest, to a probe or to a health check."""

    async def ping(self) -> Told:
        """One read of no group, neither waited for nor repeated. Raises Transient, also if throttled; GraphRefused."""

    async def described(self, class_id: ClassId) -> Described:
        """A class as Graph made it. Raises NotThere."""

    async def add_at_once(self, class_id: ClassId, people: Sequence[AccountId]) -> Told:
        """Add at most MEMBERS_PER_WRITE people in one write, and in no other way. Raises as `add_members` does."""

    async def add_teacher(self, class_id: ClassId, person: AccountId) -> None:
        """Add a teacher, and raise whatever Graph answers."""

    async def changes_of(self, class_id: ClassId) -> GroupChange | None:
        """The class as a first delta of it alone reports it; None while the delta has no such class."""


class TenantReaders(Protocol):
    """The tenants that this deployment may read."""

    def of(self, tenant: str, priority: Priority) -> TenantReader:
        """As in Tenants."""


class Tenants(Protocol):
    """The tenants that this deployment may write to. Raises UnknownSetting for one that the app has no identity for."""

    def of(self, tenant: str, priority: Priority) -> Tenant:
        """A tenant by id, for one piece of work with its own wait budget. Urgent work does not wait for bulk work."""

    def probed(self, tenant: str) -> ProbedTenant:
        """A tenant by id, for a probe or a health check."""


class TenantTeams(Protocol):
    """The class teams of the tenants that this deployment may write to. Raises UnknownSetting, as Tenants does."""

    def of(self, tenant: str, priority: Priority) -> Teams:
        """The class teams of a tenant, for one piece of work with its own wait budget."""
