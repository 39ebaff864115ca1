"""One Microsoft 365 tenant through Microsoft Graph: classes, their people, and the two deltas."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence, Set
from datetime import datetime
from typing import Any
from urllib.parse import quote
from uuid import UUID

from sync_core.domain.accounts import AccountChange, AccountChanges, AccountProperty
from sync_core.domain.classes import ClassName, GroupChange, GroupChanges
from sync_core.errors import GraphRefused, NotThere
from sync_core.graph.client import GraphClient
from sync_core.graph.port import DeletedGroup, FoundGroup, NewClass, Removals
from sync_core.graph.rate_limiter import Cost

_GRAPH = "https://graph.microsoft.com/v1.0"
_ACCOUNTS = "/users/delta()"
_GROUPS = "/groups/delta()?$select=id,displayName,mailNickname,members,owners"
# Graph takes no more in one `in` of a filter.
_IDS_PER_FILTER = 15
# A page of members costs three units, less one for $select ("Identity and access service limits").
_MEMBERS_COST = Cost(units=2)
# An old token comes back as 400 or 410, with one of these codes; the answer to each is to start over.
_EXPIRED = {"syncStateNotFound", "syncStateInvalid", "resyncRequired"}


class GraphTenant:
    """Implements the port Tenant. Delta tokens are Graph's own links below the base URL."""

    def __init__(self, wire: GraphClient) -> None:
        self._wire = wire

    async def account_changes(self, token: str | None, properties: Set[AccountProperty]) -> AccountChanges:
        """The token carries its properties: Graph's link goes on with those it was begun with, whatever is asked."""
        select = ",".join(["id", "accountEnabled", *sorted(properties)])
        before, _, link = (token or "").partition("|")
        objects, link, full = await self._delta(f"{_ACCOUNTS}?$select={select}", link if before == select else None)
        said: dict[str, AccountChange] = {}
        removed: set[str] = set()
        for found in objects:
            if "@removed" in found:
                removed.add(found["id"])
                said.pop(found["id"], None)
            else:
                said[found["id"]] = _account(found, said.get(found["id"]))
                removed.discard(found["id"])
        return AccountChanges(full, tuple(said.values()), frozenset(removed), f"{select}|{link}")

    async def group_changes(self, token: str | None) -> GroupChanges:
        objects, link, full = await self._delta(_GROUPS, token)
        groups: dict[str, GroupChange] = {}
        for found in objects:
            groups[found["id"]] = _merge(groups.get(found["id"]), found)
        return GroupChanges(full, tuple(groups.values()), link)

    async def find_class(self, nickname: str) -> FoundGroup | None:
        query = _nickname_filter(nickname)
        answer = await self._wire.get(f"/groups?$filter={query}&$select=id,displayName,mailNickname,createdDateTime")
        if not answer["value"]:
            return None
        group = answer["value"][0]
        try:
            of_class = await self._wire.get(f"/education/classes/{_id(group['id'])}?$select=id,externalId")
        except NotThere:
            of_class = {}
        name = ClassName(group["displayName"], group["mailNickname"])
        made = datetime.fromisoformat(group["createdDateTime"])
        return FoundGroup(group["id"], name, of_class.get("externalId"), made)

    async def find_deleted(self, nickname: str) -> DeletedGroup | None:
        query = f"$filter={_nickname_filter(nickname)}&$select=id,displayName,mailNickname,createdDateTime"
        answer = await self._wire.get(f"/directory/deletedItems/microsoft.graph.group?{query}")
        if not answer["value"]:
            return None
        group = answer["value"][0]
        name = ClassName(group["displayName"], group["mailNickname"])
        return DeletedGroup(group["id"], name, datetime.fromisoformat(group["createdDateTime"]))

    async def create_class(self, new: NewClass) -> str:
        described = {"description": new.description} if new.description else {}
        made = await self._wire.create(
            "/education/classes",
            described
            | {
                "displayName": new.name.display_name,
                "mailNickname": new.name.mail_nickname,
                "externalId": new.external_id,
                "externalName": new.external_name,
                "externalSource": "sis",
            },
        )
        return str(made["id"])

    async def class_exists(self, class_id: str) -> bool:
        try:
            await self._wire.get(f"/groups/{_id(class_id)}?$select=id")
        except NotThere:
            return False
        return True

    async def members(self, class_id: str) -> frozenset[str]:
        pages = self._pages(f"/groups/{_id(class_id)}/members", _MEMBERS_COST)
        return frozenset([found["id"] async for found in pages])

    async def owners(self, class_id: str) -> frozenset[str]:
        return frozenset([found["id"] async for found in self._pages(f"/groups/{_id(class_id)}/owners", Cost())])

    async def add_members(self, class_id: str, people: Sequence[str]) -> None:
        references = [f"{_GRAPH}/directoryObjects/{_id(person)}" for person in people]
        await self._wire.patch(f"/groups/{_id(class_id)}", {"members@odata.bind": references})

    async def remove_members(self, class_id: str, people: Sequence[str]) -> Removals:
        outcomes = await self._wire.remove_references(
            [f"/groups/{_id(class_id)}/members/{_id(person)}" for person in people]
        )
        came = dict(zip(people, outcomes, strict=True))
        return Removals(
            frozenset(person for person, outcome in came.items() if outcome is None),
            frozenset(person for person, outcome in came.items() if isinstance(outcome, NotThere)),
            next((failure for failure in outcomes if failure and not isinstance(failure, NotThere)), None),
        )

    async def known_people(self, people: Sequence[str]) -> frozenset[str]:
        found: set[str] = set()
        for at in range(0, len(people), _IDS_PER_FILTER):
            ids = ",".join(f"'{_id(person)}'" for person in people[at : at + _IDS_PER_FILTER])
            answer = await self._wire.get(f"/users?$filter={quote(f'id in ({ids})')}&$select=id")
            found.update(user["id"] for user in answer["value"])
        return frozenset(found)

    async def add_owner(self, class_id: str, person: str) -> None:
        reference = {"@odata.id": f"{_GRAPH}/education/users/{_id(person)}"}
        await self._wire.add_reference(f"/education/classes/{_id(class_id)}/teachers/$ref", reference)

    async def remove_owner(self, class_id: str, person: str) -> None:
        await self._wire.remove_reference(f"/education/classes/{_id(class_id)}/teachers/{_id(person)}")

    async def delete_class(self, class_id: str) -> None:
        await self._wire.delete_class(f"/education/classes/{_id(class_id)}")

    async def restore_class(self, class_id: str) -> None:
        await self._wire.restore(f"/directory/deletedItems/{_id(class_id)}/restore")

    async def _pages(self, path: str, cost: Cost) -> AsyncIterator[dict[str, Any]]:
        link: str | None = f"{path}?$select=id&$top=999"
        while link:
            page = await self._wire.get(link, cost)
            for found in page["value"]:
                yield found
            link = page.get("@odata.nextLink")

    async def _delta(self, start: str, token: str | None) -> tuple[list[dict[str, Any]], str, bool]:
        """The objects of all pages, the link to go on with, and whether it is everything there is."""
        try:
            objects, link = await self._delta_pages(token or start)
        except GraphRefused as refusal:
            if token is None or refusal.code not in _EXPIRED:
                raise
            objects, link = await self._delta_pages(start)
            return objects, link, True
        return objects, link, token is None

    async def _delta_pages(self, link: str) -> tuple[list[dict[str, Any]], str]:
        objects: list[dict[str, Any]] = []
        while True:
            page = await self._wire.get(link)
            objects.extend(page["value"])
            if "@odata.deltaLink" in page:
                return objects, self._wire.relative(page["@odata.deltaLink"])
            link = page["@odata.nextLink"]


def _account(found: dict[str, Any], before: AccountChange | None) -> AccountChange:
    """One account may be spread over several objects; what an object does not name is unchanged."""
    values = {name: (found[name] or "").strip().lower() for name in AccountProperty if name in found}
    enabled = found.get("accountEnabled")
    if before:
        values = {**before.values, **values}
        enabled = before.enabled if enabled is None else enabled
    return AccountChange(found["id"], values, enabled)


def _merge(known: GroupChange | None, found: dict[str, Any]) -> GroupChange:
    """One group may be spread over several objects, in any order."""
    before = known or GroupChange(found["id"], None)
    if "@removed" in found:
        return GroupChange(before.id, before.nickname, gone=True)
    return GroupChange(
        id=before.id,
        nickname=found.get("mailNickname") or before.nickname,
        members_added=before.members_added | _people(found, "members@delta", removed=False),
        members_removed=before.members_removed | _people(found, "members@delta", removed=True),
        owners_added=before.owners_added | _people(found, "owners@delta", removed=False),
        owners_removed=before.owners_removed | _people(found, "owners@delta", removed=True),
    )


def _people(found: dict[str, Any], collection: str, *, removed: bool) -> frozenset[str]:
    return frozenset(person["id"] for person in found.get(collection, ()) if ("@removed" in person) is removed)


def _nickname_filter(nickname: str) -> str:
    return quote("mailNickname eq '{}'".format(nickname.replace("'", "''")))


def _id(text: str) -> str:
    """An Entra id and nothing else: what goes into a path must not be able to change the path."""
    return str(UUID(text))
