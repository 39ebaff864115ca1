"""A Microsoft 365 tenant in memory, with Graph's refusals and deltas, and edits by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from uuid import UUID

from sync_core.clock import Clock
from sync_core.domain.accounts import Account, AccountChange, AccountChanges, AccountProperty
from sync_core.domain.classes.desired import ClassName
from sync_core.domain.classes.tenant_groups import GroupChange, GroupChanges, TenantClass
from sync_core.domain.ids import AccountId, ClassId
from sync_core.domain.permissions import PERMISSIONS, Grants
from sync_core.errors import AlreadyThere, DeltaExpired, GraphDenied, GraphRefused, NicknameTaken, NotThere, SyncError
from sync_core.graph.port import (
    MEMBERS_PER_WRITE,
    Additions,
    CreatedClass,
    Described,
    FoundGroup,
    NewClass,
    Removals,
    Told,
)
from tests.fakes.fixed_clock import FixedClock
from tests.fakes.steps import Step, no_step

_IDS = count(1)
"""No two tenants have a group with one id."""
LONGEST_LAG = timedelta(minutes=10)
"""After this time every replica knows a new group."""

GUEST_REFUSED = GraphRefused("Authorization_RequestDenied", "guests are not allowed", "give the person an account")


@dataclass(slots=True)
class MemoryGroup:
    """A group, or a class if `external_id` is not None."""

    id: ClassId
    name: ClassName
    external_id: str | None
    created_at: datetime
    members: set[AccountId] = field(default_factory=set)
    owners: set[AccountId] = field(default_factory=set)
    deleted: bool = False
    description: str = ""
    external_source: str = ""


class MemoryTenant:
    """`step` is awaited before and after each effect. `lags` is whether a look-up misses a new class."""

    def __init__(
        self, step: Step = no_step, lags: Callable[[], bool] = lambda: False, clock: Clock | None = None
    ) -> None:
        self._clock = clock or FixedClock()
        self._step = step
        self._lags = lags
        self._log: list[tuple[ClassId, str, str, str]] = []
        self._account_log: list[AccountId] = []
        self.accounts: dict[AccountId, Account] = {}
        self.hides_members = False
        self.delta_tells_members = True
        self.shows_deleted = True
        self.guests: set[AccountId] = set()
        self.groups: dict[ClassId, MemoryGroup] = {}
        self.granted: Grants | None = Grants(frozenset(permission.name for permission in PERMISSIONS))
        self.no_token: SyncError | None = None
        self.silent: SyncError | None = None
        self.told = Told()
        self.refused_names: dict[str, GraphRefused] = {}
        self.creates = 0
        self.writes = 0

    # --- the port

    async def grants(self) -> Grants | None:
        if self.no_token:
            raise self.no_token
        return self.granted

    async def ping(self) -> Told:
        if self.silent:
            raise self.silent
        return self.told

    async def account_changes(self, token: str | None, properties: Set[AccountProperty]) -> AccountChanges:
        await self._step("account_changes")
        select = ",".join(sorted(properties))
        before, _, at = (token or "").partition("|")
        full = before != select
        since = 0 if full else int(at)
        changed = list(self.accounts) if full else list(dict.fromkeys(self._account_log[since:]))
        changes = AccountChanges(
            full=full,
            accounts=tuple(_account_change(self.accounts[id], properties) for id in changed if id in self.accounts),
            removed=frozenset(id for id in changed if id not in self.accounts),
            token=f"{select}|{len(self._account_log)}",
        )
        await self._step("account_changes answered")
        return changes

    async def first_accounts(
        self, token: str | None, properties: Set[AccountProperty]
    ) -> AsyncIterator[AccountChanges]:
        """Two accounts in each part. A part's token is the place after it, or expired."""
        if token == "expired":
            raise DeltaExpired
        whole = await self.account_changes(None, properties)
        for at in range(int(token or 0), max(len(whole.accounts), 1), 2):
            more = at + 2 < len(whole.accounts)
            part = whole.accounts[at : at + 2]
            yield AccountChanges(False, part, frozenset(), str(at + 2) if more else whole.token, more)
            await self._step("first_accounts answered")

    async def group_changes(self, token: str | None) -> GroupChanges:
        await self._step("group_changes")
        since = int(token) if token else None
        seen = (
            dict.fromkeys(id for id, group in self.groups.items() if not group.deleted)
            if since is None
            else dict.fromkeys(id for id, *_ in self._log[since:])
        )
        changes = GroupChanges(token is None, tuple(self._delta(id, since) for id in seen), str(len(self._log)))
        await self._step("group_changes answered")
        return changes

    async def changes_of(self, class_id: ClassId) -> GroupChange | None:
        await self._step("changes_of")
        group = self.groups.get(class_id)
        return None if group is None or group.deleted else self._delta(class_id, None)

    async def find_groups(self, nickname: str) -> tuple[FoundGroup, ...]:
        await self._step("find_groups")
        found = tuple(
            FoundGroup(group.id, group.name, group.created_at, group.external_id)
            for group in self._named(nickname)
            if not group.deleted and not (self._lags() and self._young(group))
        )
        await self._step("find_groups answered")
        return found

    async def find_deleted(self, nickname: str) -> tuple[FoundGroup, ...]:
        await self._step("find_deleted")
        if not self.shows_deleted:
            raise GraphDenied("Authorization_RequestDenied", "insufficient privileges", "grant the permission")
        return tuple(
            FoundGroup(group.id, group.name, group.created_at) for group in self._named(nickname) if group.deleted
        )

    async def classes(self) -> tuple[TenantClass, ...]:
        await self._step("classes")
        return tuple(
            _shown(group)
            for group in self.groups.values()
            if group.external_id is not None and not group.deleted and not (self._lags() and self._young(group))
        )

    async def create_class(self, new: NewClass) -> CreatedClass:
        await self._step("create_class")
        if self._named(new.name.mail_nickname):
            raise NicknameTaken
        group = self._add_group(new.name, new.external_id, "sis")
        group.description = new.description
        self.creates += 1
        self.writes += 1
        await self._step("create_class answered")
        return CreatedClass(group.id, group.name)

    async def class_exists(self, class_id: ClassId) -> bool:
        await self._step("class_exists")
        group = self.groups.get(class_id)
        return group is not None and not group.deleted

    async def shown_class(self, class_id: ClassId) -> TenantClass:
        await self._step("shown_class")
        group = self._group(class_id)
        if group.external_id is None:
            raise NotThere
        return _shown(group)

    async def rename_class(self, class_id: ClassId, display_name: str) -> None:
        await self._step("rename_class")
        group = self._group(class_id)
        if display_name in self.refused_names:
            raise self.refused_names[display_name]
        self.hand_rename(class_id, display_name, group.name.mail_nickname)
        self.writes += 1
        await self._step("rename_class answered")

    async def described(self, class_id: ClassId) -> Described:
        await self._step("described")
        group = self._group(class_id)
        return Described("HiddenMembership", group.external_id)

    async def members(self, class_id: ClassId) -> frozenset[AccountId]:
        await self._step("members")
        members = frozenset() if self.hides_members else frozenset(self._group(class_id).members)
        await self._step("members answered")
        return members

    async def owners(self, class_id: ClassId) -> frozenset[AccountId]:
        await self._step("owners")
        owners = frozenset(self._group(class_id).owners)
        await self._step("owners answered")
        return owners

    async def members_and_owners(self, class_id: ClassId) -> tuple[frozenset[AccountId], frozenset[AccountId]]:
        return await self.members(class_id), await self.owners(class_id)

    async def add_at_once(self, class_id: ClassId, people: Sequence[AccountId]) -> Told:
        await self._step("add_at_once")
        if self.guests.intersection(people):
            raise GUEST_REFUSED
        group = self._group_for(class_id, people)
        if group.members & set(people):
            raise AlreadyThere
        self.writes += 1
        for person in sorted(people):
            self._change(group, "members", "+", person)
        await self._step("add_at_once answered")
        return Told(units=1.0)

    async def add_members(self, class_id: ClassId, people: Sequence[AccountId]) -> Additions:
        await self._step("add_members")
        group = self._group_for(class_id, people)
        if self.guests.isdisjoint(people):
            if group.members & set(people):
                raise AlreadyThere
            self.writes += 1
        else:
            self.writes += len(people)
        added = frozenset(people) - group.members - self.guests
        for person in sorted(added):
            self._change(group, "members", "+", person)
        await self._step("add_members answered")
        refused = dict.fromkeys(self.guests.intersection(people), GUEST_REFUSED)
        return Additions(added, frozenset(people) - added - self.guests, refused=refused)

    async def remove_members(self, class_id: ClassId, people: Sequence[AccountId]) -> Removals:
        """Removes one person at a time: a crash may leave some of them."""
        removed: set[AccountId] = set()
        for person in people:
            await self._step("remove_members")
            group = self.groups.get(class_id)
            if group and not group.deleted and person in group.members:
                self._change(group, "members", "-", person)
                self.writes += 1
                removed.add(person)
        await self._step("remove_members answered")
        return Removals(frozenset(removed), frozenset(people) - removed)

    async def known_people(self, people: Sequence[AccountId]) -> frozenset[AccountId]:
        await self._step("known_people")
        return frozenset(people) & self.accounts.keys()

    async def display_names(self, people: Sequence[AccountId]) -> dict[AccountId, str]:
        await self._step("display_names")
        upns = {
            person: self.accounts[person].values[AccountProperty.UPN] for person in people if person in self.accounts
        }
        return {person: upn.partition("@")[0] for person, upn in upns.items()}

    async def add_teacher(self, class_id: ClassId, person: AccountId) -> None:
        await self.add_owner(class_id, person)

    async def find_principals(self, name: str) -> tuple[AccountId | ClassId, ...]:
        await self._step("find_principals")
        users = [id for id, account in self.accounts.items() if account.values[AccountProperty.UPN] == name.lower()]
        named = [group for group in self.groups.values() if group.name.display_name.lower() == name.lower()]
        return (*users, *(group.id for group in named if not group.deleted))

    async def add_owner(self, class_id: ClassId, person: AccountId) -> None:
        await self._step("add_owner")
        group = self._group(class_id)
        if person not in self.accounts:
            raise NotThere
        if person in self.guests:
            raise GUEST_REFUSED
        if person in group.owners:
            raise AlreadyThere
        self._change(group, "owners", "+", person)
        self.writes += 1
        await self._step("add_owner answered")

    async def remove_owner(self, class_id: ClassId, person: AccountId) -> None:
        await self._step("remove_owner")
        group = self._group(class_id)
        if person not in group.owners:
            raise NotThere
        if len(group.owners) == 1:
            raise GraphRefused("Request_BadRequest", "the last owner", "add another owner first")
        self._change(group, "owners", "-", person)
        self.writes += 1
        await self._step("remove_owner answered")

    async def delete_class(self, class_id: ClassId) -> None:
        await self._step("delete_class")
        self._group(class_id)
        self.hand_delete(class_id)
        self.writes += 1
        await self._step("delete_class answered")

    async def restore_class(self, class_id: ClassId) -> None:
        await self._step("restore_class")
        group = self.groups.get(class_id)
        if group is None or not group.deleted:
            raise NotThere
        self.hand_delete(class_id, deleted=False)
        self.writes += 1
        await self._step("restore_class answered")

    # --- edits by hand, and accounts

    def add_account(self, id: AccountId, upn: str, enabled: bool = True) -> None:
        self.accounts[id] = Account(id, {AccountProperty.UPN: upn.lower()}, enabled)
        self._account_log.append(id)

    def remove_account(self, id: AccountId) -> None:
        """As in Entra, this ends the account's memberships, and the delta of groups may not report it."""
        del self.accounts[id]
        self._account_log.append(id)
        for group in self.groups.values():
            group.members.discard(id)
            group.owners.discard(id)

    def add_foreign_group(self, nickname: str, external_id: str | None = None) -> ClassId:
        return self._add_group(ClassName(nickname, nickname), external_id).id

    def add_foreign_class(self, display_name: str, nickname: str, external_id: str, source: str) -> ClassId:
        return self._add_group(ClassName(display_name, nickname), external_id, source).id

    def hand_member(self, class_id: ClassId, person: AccountId, present: bool) -> None:
        self._hand(class_id, "members", person, present)

    def hand_owner(self, class_id: ClassId, person: AccountId, present: bool) -> None:
        self._hand(class_id, "owners", person, present)

    def hand_delete(self, class_id: ClassId, deleted: bool = True) -> None:
        self.groups[class_id].deleted = deleted
        self._log.append((class_id, "", "", ""))

    def hand_rename(self, class_id: ClassId, display_name: str, nickname: str) -> None:
        self.groups[class_id].name = ClassName(display_name, nickname)
        self._log.append((class_id, "", "", ""))

    # --- internals

    def _hand(self, class_id: ClassId, collection: str, person: AccountId, present: bool) -> None:
        group = self.groups[class_id]
        if (person in getattr(group, collection)) is not present:
            self._change(group, collection, "+" if present else "-", person)

    def _change(self, group: MemoryGroup, collection: str, sign: str, person: AccountId) -> None:
        people: set[AccountId] = getattr(group, collection)
        (people.add if sign == "+" else people.discard)(person)
        self._log.append((group.id, collection, sign, person))

    def _add_group(self, name: ClassName, external_id: str | None, external_source: str = "") -> MemoryGroup:
        id_ = ClassId(str(UUID(int=next(_IDS))))
        group = MemoryGroup(id_, name, external_id, self._clock.now(), external_source=external_source)
        self.groups[group.id] = group
        self._log.append((group.id, "", "", ""))
        return group

    def _group(self, class_id: ClassId) -> MemoryGroup:
        group = self.groups.get(class_id)
        if group is None or group.deleted:
            raise NotThere
        return group

    def _group_for(self, class_id: ClassId, people: Sequence[AccountId]) -> MemoryGroup:
        """The group, for an addition of these people."""
        if len(people) > MEMBERS_PER_WRITE:
            raise GraphRefused("Request_BadRequest", "too many references", "send at most 20")
        group = self._group(class_id)
        if any(person not in self.accounts for person in people):
            raise NotThere
        return group

    def _young(self, group: MemoryGroup) -> bool:
        return self._clock.now() - group.created_at < LONGEST_LAG

    def _named(self, nickname: str) -> list[MemoryGroup]:
        """A soft-deleted group keeps its nickname, and several groups may have come to one."""
        wanted = nickname.lower()
        return [group for group in self.groups.values() if group.name.mail_nickname.lower() == wanted]

    def _delta(self, class_id: ClassId, since: int | None) -> GroupChange:
        group = self.groups[class_id]
        if group.deleted:
            return GroupChange(id=class_id, nickname=None, gone=True)
        if since is None:
            return GroupChange(
                id=class_id,
                nickname=group.name.mail_nickname,
                members_added=frozenset(group.members) if self.delta_tells_members else frozenset(),
                owners_added=frozenset(group.owners),
            )
        told = ("members", "owners") if self.delta_tells_members else ("owners",)
        last = {(kind, person): sign for id, kind, sign, person in self._log[since:] if id == class_id and kind in told}

        def people(kind: str, sign: str) -> frozenset[AccountId]:
            return frozenset(
                AccountId(person) for (of, person), last_sign in last.items() if (of, last_sign) == (kind, sign)
            )

        return GroupChange(
            id=class_id,
            nickname=group.name.mail_nickname,
            members_added=people("members", "+"),
            members_removed=people("members", "-"),
            owners_added=people("owners", "+"),
            owners_removed=people("owners", "-"),
        )


def _shown(group: MemoryGroup) -> TenantClass:
    name, external_id = group.name, group.external_id or ""
    return TenantClass(group.id, name.display_name, external_id, group.external_source, name.mail_nickname)


def _account_change(account: Account, properties: Set[AccountProperty]) -> AccountChange:
    return AccountChange(account.id, {name: account.values.get(name, "") for name in properties}, account.enabled)
