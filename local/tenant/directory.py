"""The directory of a tenant: users, groups and classes, and the changes that it refuses."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import NAMESPACE_URL, uuid5

_FORBIDDEN_IN_NICKNAME = set("@()\\/[]\"';:<>, ")
MEMBERS_PER_PATCH = 20
RESTORABLE_SECONDS = 30 * 86_400.0
USER_PROPERTIES = (
    "userPrincipalName",
    "displayName",
    "mail",
    "mailNickname",
    "employeeId",
    "onPremisesSamAccountName",
    "accountEnabled",
)


class Refusal(Exception):
    """An error answer, with Graph's code and message."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


def not_found(id_: str) -> Refusal:
    return Refusal(404, "Request_ResourceNotFound", f"Resource '{id_}' does not exist or is not available to you.")


def bad_request(message: str) -> Refusal:
    return Refusal(400, "Request_BadRequest", message)


@dataclass(slots=True)
class User:
    id: str
    userPrincipalName: str  # noqa: N815  named as Graph names it
    displayName: str = ""  # noqa: N815
    mail: str | None = None
    mailNickname: str | None = None  # noqa: N815
    employeeId: str | None = None  # noqa: N815
    onPremisesSamAccountName: str | None = None  # noqa: N815
    accountEnabled: bool = True  # noqa: N815
    deleted: bool = False


@dataclass(slots=True)
class Group:
    """A group; a class if `is_class`. A class's teachers are its owners."""

    id: str
    displayName: str  # noqa: N815
    mailNickname: str  # noqa: N815
    is_class: bool
    created_at: float
    description: str | None = None
    externalId: str | None = None  # noqa: N815
    externalName: str | None = None  # noqa: N815
    externalSource: str | None = None  # noqa: N815
    members: dict[str, None] = field(default_factory=dict)
    owners: dict[str, None] = field(default_factory=dict)
    deleted_at: float | None = None
    purged: bool = False


@dataclass(frozen=True, slots=True)
class Event:
    """One change, for the deltas: `kind` is user, group, members or owners; `properties` are those of a user."""

    kind: str
    id: str
    person: str = ""
    added: bool = True
    properties: tuple[str, ...] = ()


class Directory:
    """One tenant. `remember` is called with each changed object and each event before the change is answered."""

    def __init__(self, tenant_id: str, remember: Callable[[dict[str, Any]], None]) -> None:
        self.tenant_id = tenant_id
        self.users: dict[str, User] = {}
        self.groups: dict[str, Group] = {}
        self.events: list[Event] = []
        self._remember = remember
        self._upns: dict[str, str] = {}
        self._nicknames: dict[str, str] = {}

    def load(self, line: dict[str, Any]) -> None:
        """Load one stored line."""
        if "user" in line:
            self._index_user(User(**line["user"]))
        elif "group" in line:
            stored = dict(line["group"])
            stored["members"] = dict.fromkeys(stored["members"])
            stored["owners"] = dict.fromkeys(stored["owners"])
            self._index_group(Group(**stored))
        else:
            self.events.append(Event(**line["event"]))

    def lines(self) -> Iterable[dict[str, Any]]:
        """The whole directory as lines for `load`."""
        yield from ({"user": asdict(user)} for user in self.users.values())
        yield from ({"group": _stored(group)} for group in self.groups.values())
        yield from ({"event": asdict(event)} for event in self.events)

    # --- users

    def add_user(self, upn: str, display_name: str, **more: Any) -> User:
        """The user with this UPN: a new one, or the existing one unchanged."""
        known = self._upns.get(upn.lower())
        if known:
            return self.users[known]
        more.setdefault("id", str(uuid5(NAMESPACE_URL, f"{self.tenant_id}/users/{upn.lower()}/{len(self.users)}")))
        user = User(userPrincipalName=upn, displayName=display_name, **more)
        self._save_user(user)
        return user

    def update_user(self, user: User, fields: dict[str, Any]) -> None:
        """Raises Refusal for an unknown property, or a userPrincipalName that is taken."""
        if unknown := sorted(fields.keys() - set(USER_PROPERTIES)):
            raise bad_request(f"Invalid property '{unknown[0]}'.")
        upn = fields.get("userPrincipalName", user.userPrincipalName)
        if self._upns.get(upn.lower(), user.id) != user.id:
            raise bad_request("Another object with the same value for property userPrincipalName already exists.")
        del self._upns[user.userPrincipalName.lower()]
        for name, value in fields.items():
            setattr(user, name, value)
        self._save_user(user, tuple(fields))

    def delete_user(self, user: User) -> None:
        """Delete a user with their memberships; the groups' delta does not report those."""
        user.deleted = True
        for group in self.groups.values():
            if user.id in group.members or user.id in group.owners:
                group.members.pop(user.id, None)
                group.owners.pop(user.id, None)
                self._remember({"group": _stored(group)})
        del self._upns[user.userPrincipalName.lower()]
        self._save_user(user)

    def user(self, id_or_upn: str) -> User:
        user = self.users.get(self._upns.get(id_or_upn.lower(), id_or_upn))
        if user is None or user.deleted:
            raise not_found(id_or_upn)
        return user

    # --- groups and classes

    def create_group(self, fields: dict[str, Any], now: float, *, is_class: bool) -> Group:
        for required in ("displayName", "mailNickname"):
            if not isinstance(fields.get(required), str) or not fields[required]:
                raise bad_request(f"A value is required for property '{required}' of resource 'Group'.")
        self._check_name(fields)
        self._check_nickname(fields["mailNickname"])
        id_ = str(uuid5(NAMESPACE_URL, f"{self.tenant_id}/groups/{len(self.groups)}"))
        extra = ("description", "externalId", "externalName", "externalSource") if is_class else ("description",)
        more = {name: fields[name] for name in extra if name in fields}
        group = Group(
            id=id_,
            displayName=fields["displayName"],
            mailNickname=fields["mailNickname"],
            is_class=is_class,
            created_at=now,
            **more,
        )
        self._save_group(group, Event("group", id_))
        return group

    def seed_class(self, fields: dict[str, Any], people: dict[str, list[str]], now: float) -> Group:
        """A class with its people at once, which Graph has no call for; `people` are ids by collection."""
        for person in {person for listed in people.values() for person in listed}:
            self.user(person)
        group = self.create_group(fields, now, is_class=True)
        for collection, listed in people.items():
            setattr(group, collection, dict.fromkeys(listed))
        self._save_group(group, *(Event(name, group.id, person) for name in people for person in people[name]))
        return group

    def update_group(self, group: Group, fields: dict[str, Any]) -> None:
        self._check_name(fields)
        nickname = fields.get("mailNickname", group.mailNickname)
        if nickname.lower() != group.mailNickname.lower():
            self._check_nickname(nickname)
            del self._nicknames[group.mailNickname.lower()]
        for name in ("displayName", "mailNickname", "description", "externalId", "externalName", "externalSource"):
            if name in fields:
                setattr(group, name, fields[name])
        self._save_group(group, Event("group", group.id))

    def group(self, id_: str) -> Group:
        group = self.groups.get(id_)
        if group is None or group.deleted_at is not None:
            raise not_found(id_)
        return group

    def by_nickname(self, nickname: str) -> Group | None:
        """The group with that nickname, also if it is soft-deleted: it keeps its nickname."""
        id_ = self._nicknames.get(nickname.lower())
        return self.groups[id_] if id_ else None

    def bind_members(self, group: Group, people: list[str]) -> None:
        """Add all people, or none and raise Refusal."""
        if len(people) > MEMBERS_PER_PATCH:
            raise bad_request(f"A maximum of {MEMBERS_PER_PATCH} references can be bound in one request.")
        for person in people:
            self.user(person)
        if len(set(people)) < len(people) or any(person in group.members for person in people):
            raise bad_request(
                "One or more added object references already exist for the following modified properties: 'members'."
            )
        for person in people:
            group.members[person] = None
        self._save_group(group, *(Event("members", group.id, person) for person in people))

    def add(self, group: Group, collection: str, person: str) -> None:
        """`collection` is members or owners."""
        user = self.user(person)
        people: dict[str, None] = getattr(group, collection)
        if user.id in people:
            raise bad_request(
                "One or more added object references already exist for the following modified properties: "
                f"'{collection}'."
            )
        people[user.id] = None
        self._save_group(group, Event(collection, group.id, user.id))

    def remove(self, group: Group, collection: str, person: str, *, in_delta: bool = True) -> None:
        """`in_delta` is whether the groups' delta reports the removal, which Graph's does not always do."""
        people: dict[str, None] = getattr(group, collection)
        if person not in people:
            raise not_found(person)
        if collection == "owners" and len(people) == 1:
            raise bad_request("The group must have at least one owner, hence this owner cannot be removed.")
        del people[person]
        self._save_group(group, *([Event(collection, group.id, person, added=False)] if in_delta else []))

    def delete_group(self, group: Group, now: float) -> None:
        group.deleted_at = now
        self._save_group(group, Event("group", group.id))

    def purge(self, group: Group, now: float) -> None:
        """Delete a group permanently, as Graph does after 30 days: it cannot be restored, and its nickname is free."""
        group.deleted_at, group.purged = now - RESTORABLE_SECONDS - 1, True
        self._save_group(group, Event("group", group.id))

    def deleted(self, now: float) -> list[Group]:
        """The deleted groups that can still be restored."""
        return [
            group
            for group in self.groups.values()
            if group.deleted_at is not None and now - group.deleted_at <= RESTORABLE_SECONDS
        ]

    def restore(self, id_: str, now: float) -> Group:
        group = self.groups.get(id_)
        if group is None or group.deleted_at is None or now - group.deleted_at > RESTORABLE_SECONDS:
            raise not_found(id_)
        group.deleted_at = None
        self._save_group(group, Event("group", group.id))
        return group

    # --- within

    def _check_name(self, fields: dict[str, Any]) -> None:
        if len(fields.get("displayName", "")) > 256:
            raise bad_request("Invalid value specified for property 'displayName' of resource 'Group'.")

    def _check_nickname(self, nickname: str) -> None:
        if len(nickname) > 64 or not nickname.isascii() or _FORBIDDEN_IN_NICKNAME & set(nickname):
            raise bad_request("Invalid value specified for property 'mailNickname' of resource 'Group'.")
        if self.by_nickname(nickname):
            raise bad_request("Another object with the same value for property mailNickname already exists.")

    def _index_user(self, user: User) -> None:
        self.users[user.id] = user
        if not user.deleted:
            self._upns[user.userPrincipalName.lower()] = user.id

    def _index_group(self, group: Group) -> None:
        before = self.groups.get(group.id)
        if before:
            self._nicknames.pop(before.mailNickname.lower(), None)
        self.groups[group.id] = group
        if not group.purged:
            self._nicknames[group.mailNickname.lower()] = group.id

    def _save_user(self, user: User, properties: tuple[str, ...] = USER_PROPERTIES) -> None:
        self._index_user(user)
        self._remember({"user": asdict(user)})
        self._log(Event("user", user.id, properties=properties))

    def _save_group(self, group: Group, *events: Event) -> None:
        self._index_group(group)
        self._remember({"group": _stored(group)})
        for event in events:
            self._log(event)

    def _log(self, event: Event) -> None:
        self.events.append(event)
        self._remember({"event": asdict(event)})


def _stored(group: Group) -> dict[str, Any]:
    return asdict(group) | {"members": list(group.members), "owners": list(group.owners)}
