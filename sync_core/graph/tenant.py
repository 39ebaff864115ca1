"""One Microsoft 365 tenant through Microsoft Graph: classes, their people, and the two deltas."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar
from urllib.parse import quote

from sync_core.domain.accounts import AccountChange, AccountChanges, AccountProperty
from sync_core.domain.classes.desired import ClassName
from sync_core.domain.classes.tenant_groups import FROM_MIS, GroupChange, GroupChanges, TenantClass
from sync_core.domain.ids import AccountId, ClassId, entra_id
from sync_core.domain.permissions import Grants
from sync_core.errors import (
    AlreadyThere,
    DeltaExpired,
    GraphDenied,
    GraphRefused,
    MembersHidden,
    NotThere,
    Permanent,
    SyncError,
    Transient,
)
from sync_core.graph.answers import (
    checked_items,
    created_at,
    delta_link_of,
    id_of,
    items_of,
    pages_from,
    text_of,
)
from sync_core.graph.client import GraphClient
from sync_core.graph.port import Additions, CreatedClass, Described, FoundGroup, NewClass, Removals, Told
from sync_core.graph.rate_limiter import Cost
from sync_core.graph.tenant_check import read_grants

R = TypeVar("R")
_GRAPH = "https://graph.microsoft.com/v1.0"
_ACCOUNTS = "/users/delta()"
_GROUPS = "/groups/delta()?$select=id,displayName,mailNickname,members,owners"
# No source says that Graph filters classes by externalSource.
_OF_CLASS = "$select=id,displayName,externalId,externalSource,mailNickname"
_CLASSES = f"/education/classes?{_OF_CLASS}"
# Graph's limit for one `in` of a filter.
_IDS_PER_FILTER = 15
_NOBODYS = "mailNickname eq 'mis-class-sync-health'"
"""A filter that no group fits: reading it takes one resource unit."""
_PART = 5_000
"""The accounts after which a first read may be interrupted and go on."""
# A page of members costs three units, less one for $select ("Identity and access service limits").
_MEMBERS_COST = Cost(units=2)
_DELTA_COST = Cost(units=5)


class GraphTenant:
    """Implements the ports Tenant and ProbedTenant. Delta tokens are Graph's own links below the base URL."""

    def __init__(self, client: GraphClient) -> None:
        self._client = client

    async def grants(self) -> Grants | None:
        return read_grants(await self._client.access_token())

    async def account_changes(self, token: str | None, properties: Set[AccountProperty]) -> AccountChanges:
        """The token includes its properties: Graph's link keeps those of the first request, whatever is asked later."""
        select, link = _continued(token, properties)
        items, link, full = await self._delta(f"{_ACCOUNTS}?$select={select}", link)
        return _account_changes(items, f"{select}|{link}", full=full)

    async def first_accounts(
        self, token: str | None, properties: Set[AccountProperty]
    ) -> AsyncIterator[AccountChanges]:
        select, link = _continued(token, properties)
        items: list[dict[str, Any]] = []
        async for page in self._pages(link or f"{_ACCOUNTS}?$select={select}", _DELTA_COST):
            items += items_of(page)
            following = page.get("@odata.nextLink")
            if not following or len(items) >= _PART:
                after = self._client.relative(following or delta_link_of(page))
                yield _account_changes(items, f"{select}|{after}", more=bool(following))
                items = []

    async def group_changes(self, token: str | None) -> GroupChanges:
        items, link, full = await self._delta(_GROUPS, token)
        groups: dict[ClassId, GroupChange] = {}
        for item in items:
            before = groups.get(item["id"]) or GroupChange(id=item["id"], nickname=None)
            groups[before.id] = _merged(before, item)
        return GroupChanges(full, tuple(groups.values()), link)

    async def changes_of(self, class_id: ClassId) -> GroupChange | None:
        only = quote(f"id eq '{entra_id(class_id)}'")
        items, _, _ = await self._delta(f"{_GROUPS}&$filter={only}", None)
        change = GroupChange(id=class_id, nickname=None)
        for item in items:
            change = _merged(change, item)
        return change if items else None

    async def find_groups(self, nickname: str) -> tuple[FoundGroup, ...]:
        groups = await self._find_groups("/groups", nickname)
        return tuple([replace(group, external_id=await self._external_id(group.id)) for group in groups])

    async def ping(self) -> Told:
        return await self._client.get_once(f"/groups?$filter={quote(_NOBODYS)}&$select=id")

    async def _external_id(self, group: ClassId) -> str | None:
        try:
            education_class = await self._client.get(f"/education/classes/{entra_id(group)}?$select=id,externalId")
        except NotThere:
            return None
        return text_of(education_class, "externalId") or None

    async def find_deleted(self, nickname: str) -> tuple[FoundGroup, ...]:
        return await self._find_groups("/directory/deletedItems/microsoft.graph.group", nickname)

    async def _find_groups(self, path: str, nickname: str) -> tuple[FoundGroup, ...]:
        literal = nickname.replace("'", "''")
        query = quote(f"mailNickname eq '{literal}'")
        answer = await self._client.get(f"{path}?$filter={query}&$select=id,displayName,mailNickname,createdDateTime")
        return tuple(
            FoundGroup(
                group["id"],
                ClassName(text_of(group, "displayName"), text_of(group, "mailNickname")),
                created_at(group),
            )
            for group in items_of(answer)
        )

    async def classes(self) -> tuple[TenantClass, ...]:
        return tuple(
            [_as_listed(item, item["id"]) async for page in self._pages(_CLASSES, Cost()) for item in items_of(page)]
        )

    async def create_class(self, new: NewClass) -> CreatedClass:
        body = {
            "displayName": new.name.display_name,
            "mailNickname": new.name.mail_nickname,
            "externalId": new.external_id,
            "externalName": new.external_name,
            "externalSource": FROM_MIS,
        }
        if new.description:
            body["description"] = new.description
        created = await self._client.create("/education/classes", body)
        display_name = text_of(created, "displayName") or new.name.display_name
        nickname = text_of(created, "mailNickname") or new.name.mail_nickname
        return CreatedClass(ClassId(id_of(created)), ClassName(display_name, nickname))

    async def class_exists(self, class_id: ClassId) -> bool:
        try:
            await self._client.get(f"/groups/{entra_id(class_id)}?$select=id")
        except NotThere:
            return False
        return True

    async def shown_class(self, class_id: ClassId) -> TenantClass:
        shown = await self._client.get(f"/education/classes/{entra_id(class_id)}?{_OF_CLASS}")
        return _as_listed(shown, class_id)

    async def rename_class(self, class_id: ClassId, display_name: str) -> None:
        await self._client.patch(f"/education/classes/{entra_id(class_id)}", {"displayName": display_name})

    async def described(self, class_id: ClassId) -> Described:
        group = await self._client.get(f"/groups/{entra_id(class_id)}?$select=id,visibility")
        return Described(text_of(group, "visibility"), await self._external_id(class_id))

    async def members(self, class_id: ClassId) -> frozenset[AccountId]:
        try:
            return await self._people_at(f"/groups/{entra_id(class_id)}/members", _MEMBERS_COST)
        except GraphDenied:
            raise MembersHidden from None

    async def owners(self, class_id: ClassId) -> frozenset[AccountId]:
        return await self._people_at(f"/groups/{entra_id(class_id)}/owners", Cost())

    async def members_and_owners(self, class_id: ClassId) -> tuple[frozenset[AccountId], frozenset[AccountId]]:
        read = await asyncio.gather(self.members(class_id), self.owners(class_id), return_exceptions=True)
        members, owners = map(_raised, read)
        return members, owners

    async def add_members(self, class_id: ClassId, people: Sequence[AccountId]) -> Additions:
        """One PATCH is all or nothing: one guest costs nineteen others, whom only requests of their own add.

        Sources disagree on the permissions for this PATCH; for the other request they do not.
        """
        try:
            await self.add_at_once(class_id, people)
        except GraphRefused as refusal:
            sent = await self._client.add_references(f"/groups/{entra_id(class_id)}/members", _references(people))
            if isinstance(sent.failure, Permanent):
                raise refusal from None
            return _additions({people[index]: error for index, error in sent.outcomes.items()}, sent.failure)
        return Additions(frozenset(people))

    async def add_at_once(self, class_id: ClassId, people: Sequence[AccountId]) -> Told:
        body = {"members@odata.bind": _references(people)}
        return await self._client.patch_people(f"/groups/{entra_id(class_id)}", body, len(people))

    async def remove_members(self, class_id: ClassId, people: Sequence[AccountId]) -> Removals:
        path = f"/groups/{entra_id(class_id)}/members"
        sent = await self._client.remove_references([f"{path}/{entra_id(person)}" for person in people])
        return _removals({people[index]: error for index, error in sent.outcomes.items()}, sent.failure)

    async def known_people(self, people: Sequence[AccountId]) -> frozenset[AccountId]:
        return frozenset([user["id"] async for user in self._users(people, "id")])

    async def display_names(self, people: Sequence[AccountId]) -> Mapping[AccountId, str]:
        """`getByIds` takes 1,000 ids at once, but needs Directory.Read.All ("directoryObject: getByIds")."""
        return {user["id"]: str(user.get("displayName") or "") async for user in self._users(people, "id,displayName")}

    async def _users(self, people: Sequence[AccountId], properties: str) -> AsyncIterator[dict[str, Any]]:
        for start in range(0, len(people), _IDS_PER_FILTER):
            ids = ",".join(f"'{entra_id(person)}'" for person in people[start : start + _IDS_PER_FILTER])
            answer = await self._client.get(f"/users?$filter={quote(f'id in ({ids})')}&$select={properties}")
            for user in items_of(answer):
                yield user

    async def find_principals(self, name: str) -> tuple[AccountId | ClassId, ...]:
        literal = name.replace("'", "''")
        found: list[AccountId | ClassId] = []
        for path, condition in (("/users", "userPrincipalName"), ("/groups", "displayName")):
            query = quote(f"{condition} eq '{literal}'")
            found += [
                item["id"]
                async for page in self._pages(f"{path}?$filter={query}&$select=id", Cost())
                for item in items_of(page)
            ]
        return tuple(found)

    async def add_owner(self, class_id: ClassId, person: AccountId) -> None:
        """How Graph refuses a person who is a teacher already, or who is no member yet, is not documented."""
        try:
            await self.add_teacher(class_id, person)
        except GraphDenied:
            raise
        except GraphRefused:
            if person in await self.owners(class_id):
                raise AlreadyThere from None
            if person in await self.members(class_id):
                raise
            with suppress(AlreadyThere):
                await self.add_members(class_id, [person])
            await self.add_teacher(class_id, person)

    async def add_teacher(self, class_id: ClassId, person: AccountId) -> None:
        reference = {"@odata.id": f"{_GRAPH}/education/users/{entra_id(person)}"}
        await self._client.repeatable_post(f"/education/classes/{entra_id(class_id)}/teachers/$ref", reference)

    async def remove_owner(self, class_id: ClassId, person: AccountId) -> None:
        await self._client.remove_reference(f"/education/classes/{entra_id(class_id)}/teachers/{entra_id(person)}")

    async def delete_class(self, class_id: ClassId) -> None:
        await self._client.delete_class(f"/education/classes/{entra_id(class_id)}")

    async def restore_class(self, class_id: ClassId) -> None:
        await self._client.repeatable_post(f"/directory/deletedItems/{entra_id(class_id)}/restore")

    async def _people_at(self, path: str, cost: Cost) -> frozenset[AccountId]:
        """Raises MembersHidden for an answer without a list, as an app was reported to get that may not see one."""
        people: set[AccountId] = set()
        async for page in self._pages(f"{path}?$select=id&$top=999", cost):
            if "value" not in page:
                raise MembersHidden
            people.update(person["id"] for person in items_of(page))
        return frozenset(people)

    async def _delta(self, start: str, token: str | None) -> tuple[list[dict[str, Any]], str, bool]:
        """The items of all pages, the link for the next delta, and whether the items are complete.

        A link that is too old, also one of a page in the middle, makes the delta start over.
        """
        for link in (token or start, start):
            try:
                items, after = await self._delta_pages(link)
            except DeltaExpired:
                continue
            return items, after, link == start
        raise Transient("Graph ended a delta that had just begun", "the queue redelivers the message")

    async def _delta_pages(self, link: str) -> tuple[list[dict[str, Any]], str]:
        pages = [page async for page in self._pages(link, _DELTA_COST)]
        items = [item for page in pages for item in items_of(page)]
        return items, self._client.relative(delta_link_of(pages[-1]))

    def _pages(self, link: str | None, cost: Cost) -> AsyncIterator[dict[str, Any]]:
        return pages_from(link, partial(self._client.get, cost=cost))


def _continued(token: str | None, properties: Set[AccountProperty]) -> tuple[str, str | None]:
    """The $select of these properties, and the link to go on with, if the token has it for the same ones."""
    select = ",".join(["id", "accountEnabled", *sorted(properties)])
    selected, _, link = (token or "").partition("|")
    return select, link if selected == select else None


def _account_changes(
    items: Iterable[dict[str, Any]], token: str, *, full: bool = False, more: bool = False
) -> AccountChanges:
    changes: dict[AccountId, AccountChange | None] = {}
    for item in items:
        changes[item["id"]] = None if "@removed" in item else _account(item, changes.get(item["id"]))
    accounts = tuple(change for change in changes.values() if change)
    removed = frozenset(account for account, change in changes.items() if change is None)
    return AccountChanges(full, accounts, removed, token, more)


def _account(item: dict[str, Any], earlier: AccountChange | None) -> AccountChange:
    """The change of an account. It may be split over several items; a property that an item omits is unchanged."""
    values = {name: text_of(item, name).strip().lower() for name in AccountProperty if name in item}
    enabled = item.get("accountEnabled")
    enabled = enabled if isinstance(enabled, bool) else None
    if earlier:
        values = {**earlier.values, **values}
        enabled = earlier.enabled if enabled is None else enabled
    return AccountChange(item["id"], values, enabled)


def _as_listed(item: dict[str, Any], id_: ClassId) -> TenantClass:
    names = ("displayName", "externalId", "externalSource", "mailNickname")
    return TenantClass(id_, *(text_of(item, name) for name in names))


def _merged(before: GroupChange, item: dict[str, Any]) -> GroupChange:
    """The change of a group with one more item: a later one counts for a person that both have."""
    if "@removed" in item:
        return GroupChange(id=before.id, nickname=before.nickname, gone=True)
    added, removed = _people(item, "members@delta")
    owners_added, owners_removed = _people(item, "owners@delta")
    return GroupChange(
        id=before.id,
        nickname=text_of(item, "mailNickname") or before.nickname,
        members_added=before.members_added - removed | added,
        members_removed=before.members_removed - added | removed,
        owners_added=before.owners_added - owners_removed | owners_added,
        owners_removed=before.owners_removed - owners_added | owners_removed,
    )


def _people(item: dict[str, Any], collection: str) -> tuple[frozenset[AccountId], frozenset[AccountId]]:
    """Who was added and who was removed. Of several entries of one person, the last counts."""
    last = {person["id"]: "@removed" in person for person in checked_items(item.get(collection, []))}
    removed = frozenset(person for person, gone in last.items() if gone)
    return frozenset(last) - removed, removed


def _removals(outcomes: Mapping[AccountId, SyncError | None], failure: SyncError | None) -> Removals:
    others = [error for error in outcomes.values() if error and not isinstance(error, NotThere)]
    return Removals(_people_with(None, outcomes), _people_with(NotThere, outcomes), failure or next(iter(others), None))


def _additions(outcomes: Mapping[AccountId, SyncError | None], failure: SyncError | None) -> Additions:
    """A refusal is the person's own, but for one that denies the app."""
    refused = {person: error for person, error in outcomes.items() if isinstance(error, GraphRefused)}
    denied = [refused.pop(person) for person in _people_with(GraphDenied, outcomes)]
    return Additions(
        _people_with(None, outcomes),
        _people_with(AlreadyThere, outcomes),
        _people_with(NotThere, outcomes),
        refused,
        failure or next(iter(denied), None),
    )


def _raised(result: R | BaseException) -> R:
    if isinstance(result, BaseException):
        raise result
    return result


def _people_with(kind: type[SyncError] | None, outcomes: Mapping[AccountId, SyncError | None]) -> frozenset[AccountId]:
    """Those whose outcome is an error of this kind, or is no error."""
    return frozenset(
        person for person, error in outcomes.items() if (isinstance(error, kind) if kind else error is None)
    )


def _references(people: Iterable[AccountId]) -> list[str]:
    return [f"{_GRAPH}/directoryObjects/{entra_id(person)}" for person in people]
