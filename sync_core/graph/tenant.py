"""One Microsoft 365 tenant through Microsoft Graph: classes, their people, and the two deltas."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence, Set
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import quote
from uuid import UUID

from sync_core.domain.accounts import AccountChange, AccountChanges, AccountProperty
from sync_core.domain.classes import ClassName, GroupChange, GroupChanges
from sync_core.domain.ids import AccountId, ClassId
from sync_core.domain.permissions import Grants
from sync_core.errors import GraphRefused, NotThere
from sync_core.graph.client import GraphClient
from sync_core.graph.port import FoundGroup, NewClass, Removals
from sync_core.graph.rate_limiter import Cost
from sync_core.graph.tenant_check import read_grants

_GRAPH = "https://graph.microsoft.com/v1.0"
_ACCOUNTS = "/users/delta()"
_GROUPS = "/groups/delta()?$select=id,displayName,mailNickname,members,owners"
# Graph's limit for one `in` of a filter.
_IDS_PER_FILTER = 15
# A page of members costs three units, less one for $select ("Identity and access service limits").
_MEMBERS_COST = Cost(units=2)
# Graph rejects an old token with 400 or 410 and one of these codes. The delta then starts over.
_EXPIRED = {"syncStateNotFound", "syncStateInvalid", "resyncRequired"}


class GraphTenant:
    """Implements the port Tenant. Delta tokens are Graph's own links below the base URL."""

    def __init__(self, client: GraphClient) -> None:
        self._client = client

    async def grants(self) -> Grants | None:
        return read_grants(await self._client.access_token())

    async def account_changes(self, token: str | None, properties: Set[AccountProperty]) -> AccountChanges:
        """The token includes its properties: Graph's link keeps those of the first request, whatever is asked later."""
        select = ",".join(["id", "accountEnabled", *sorted(properties)])
        selected, _, link = (token or "").partition("|")
        items, link, full = await self._delta(f"{_ACCOUNTS}?$select={select}", link if selected == select else None)
        changes: dict[AccountId, AccountChange | None] = {}
        for item in items:
            changes[item["id"]] = None if "@removed" in item else _account(item, changes.get(item["id"]))
        accounts = tuple(change for change in changes.values() if change)
        removed = frozenset(account for account, change in changes.items() if change is None)
        return AccountChanges(full, accounts, removed, f"{select}|{link}")

    async def group_changes(self, token: str | None) -> GroupChanges:
        items, link, full = await self._delta(_GROUPS, token)
        groups: dict[ClassId, GroupChange] = {}
        for item in items:
            before = groups.get(item["id"]) or GroupChange(id=item["id"], nickname=None)
            groups[before.id] = _merged(before, item)
        return GroupChanges(full, tuple(groups.values()), link)

    async def find_class(self, nickname: str) -> FoundGroup | None:
        group = await self._find_group("/groups", nickname)
        if group is None:
            return None
        try:
            education_class = await self._client.get(f"/education/classes/{_id(group.id)}?$select=id,externalId")
        except NotThere:
            return group
        return replace(group, external_id=education_class.get("externalId"))

    async def find_deleted(self, nickname: str) -> FoundGroup | None:
        return await self._find_group("/directory/deletedItems/microsoft.graph.group", nickname)

    async def _find_group(self, path: str, nickname: str) -> FoundGroup | None:
        literal = nickname.replace("'", "''")
        query = quote(f"mailNickname eq '{literal}'")
        answer = await self._client.get(f"{path}?$filter={query}&$select=id,displayName,mailNickname,createdDateTime")
        if not answer["value"]:
            return None
        group = answer["value"][0]
        name = ClassName(group["displayName"], group["mailNickname"])
        return FoundGroup(group["id"], name, datetime.fromisoformat(group["createdDateTime"]))

    async def create_class(self, new: NewClass) -> ClassId:
        body = {
            "displayName": new.name.display_name,
            "mailNickname": new.name.mail_nickname,
            "externalId": new.external_id,
            "externalName": new.external_name,
            "externalSource": "sis",
        }
        if new.description:
            body["description"] = new.description
        created = await self._client.create("/education/classes", body)
        return ClassId(created["id"])

    async def class_exists(self, class_id: ClassId) -> bool:
        try:
            await self._client.get(f"/groups/{_id(class_id)}?$select=id")
        except NotThere:
            return False
        return True

    async def members(self, class_id: ClassId) -> frozenset[AccountId]:
        return await self._people_at(f"/groups/{_id(class_id)}/members", _MEMBERS_COST)

    async def owners(self, class_id: ClassId) -> frozenset[AccountId]:
        return await self._people_at(f"/groups/{_id(class_id)}/owners", Cost())

    async def add_members(self, class_id: ClassId, people: Sequence[AccountId]) -> None:
        references = [f"{_GRAPH}/directoryObjects/{_id(person)}" for person in people]
        await self._client.patch(f"/groups/{_id(class_id)}", {"members@odata.bind": references})

    async def remove_members(self, class_id: ClassId, people: Sequence[AccountId]) -> Removals:
        outcomes = await self._client.remove_references(
            [f"/groups/{_id(class_id)}/members/{_id(person)}" for person in people]
        )
        by_person = dict(zip(people, outcomes, strict=True))
        return Removals(
            frozenset(person for person, outcome in by_person.items() if outcome is None),
            frozenset(person for person, outcome in by_person.items() if isinstance(outcome, NotThere)),
            next((failure for failure in outcomes if failure and not isinstance(failure, NotThere)), None),
        )

    async def known_people(self, people: Sequence[AccountId]) -> frozenset[AccountId]:
        known: set[AccountId] = set()
        for start in range(0, len(people), _IDS_PER_FILTER):
            ids = ",".join(f"'{_id(person)}'" for person in people[start : start + _IDS_PER_FILTER])
            answer = await self._client.get(f"/users?$filter={quote(f'id in ({ids})')}&$select=id")
            known.update(user["id"] for user in answer["value"])
        return frozenset(known)

    async def add_owner(self, class_id: ClassId, person: AccountId) -> None:
        reference = {"@odata.id": f"{_GRAPH}/education/users/{_id(person)}"}
        await self._client.repeatable_post(f"/education/classes/{_id(class_id)}/teachers/$ref", reference)

    async def remove_owner(self, class_id: ClassId, person: AccountId) -> None:
        await self._client.remove_reference(f"/education/classes/{_id(class_id)}/teachers/{_id(person)}")

    async def delete_class(self, class_id: ClassId) -> None:
        await self._client.delete_class(f"/education/classes/{_id(class_id)}")

    async def restore_class(self, class_id: ClassId) -> None:
        await self._client.repeatable_post(f"/directory/deletedItems/{_id(class_id)}/restore")

    async def _people_at(self, path: str, cost: Cost) -> frozenset[AccountId]:
        pages = self._pages(f"{path}?$select=id&$top=999", cost)
        return frozenset([person["id"] async for page in pages for person in page["value"]])

    async def _delta(self, start: str, token: str | None) -> tuple[list[dict[str, Any]], str, bool]:
        """The items of all pages, the link for the next delta, and whether the items are complete."""
        try:
            return *await self._delta_pages(token or start), token is None
        except GraphRefused as refusal:
            if token is None or refusal.code not in _EXPIRED:
                raise
            return *await self._delta_pages(start), True

    async def _delta_pages(self, link: str) -> tuple[list[dict[str, Any]], str]:
        pages = [page async for page in self._pages(link, Cost())]
        items = [item for page in pages for item in page["value"]]
        return items, self._client.relative(pages[-1]["@odata.deltaLink"])

    async def _pages(self, link: str | None, cost: Cost) -> AsyncIterator[dict[str, Any]]:
        while link:
            page = await self._client.get(link, cost)
            yield page
            link = page.get("@odata.nextLink")


def _account(item: dict[str, Any], earlier: AccountChange | None) -> AccountChange:
    """The change of an account. It may be split over several items; a property that an item omits is unchanged."""
    values = {name: (item[name] or "").strip().lower() for name in AccountProperty if name in item}
    enabled = item.get("accountEnabled")
    if earlier:
        values = {**earlier.values, **values}
        enabled = earlier.enabled if enabled is None else enabled
    return AccountChange(item["id"], values, enabled)


def _merged(before: GroupChange, item: dict[str, Any]) -> GroupChange:
    """The change of a group with one more item. It may be split over several items, in any order."""
    if "@removed" in item:
        return GroupChange(id=before.id, nickname=before.nickname, gone=True)
    return GroupChange(
        id=before.id,
        nickname=item.get("mailNickname") or before.nickname,
        members_added=before.members_added | _people(item, "members@delta", removed=False),
        members_removed=before.members_removed | _people(item, "members@delta", removed=True),
        owners_added=before.owners_added | _people(item, "owners@delta", removed=False),
        owners_removed=before.owners_removed | _people(item, "owners@delta", removed=True),
    )


def _people(item: dict[str, Any], collection: str, *, removed: bool) -> frozenset[AccountId]:
    return frozenset(person["id"] for person in item.get(collection, ()) if ("@removed" in person) is removed)


def _id(text: str) -> str:
    """`text` as an Entra id. Raises ValueError for anything else, which could change the path it goes into."""
    return str(UUID(text))
