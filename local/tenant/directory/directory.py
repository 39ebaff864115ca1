"""The directory of a tenant: users, groups and classes, and the changes that it refuses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from local.tenant.answers import Answers
from local.tenant.directory import rules
from local.tenant.directory.objects import (
    USER_PROPERTIES,
    Collection,
    Event,
    Group,
    User,
    loaded_group,
    stored_group,
    values_of,
)
from local.tenant.directory.refusals import (
    NICKNAME_TAKEN,
    already_there,
    bad_request,
    no_such_reference,
    not_found,
)

MEMBERS_PER_PATCH = 20
RESTORABLE_SECONDS = 30 * 86_400.0
_GROUP_PROPERTIES = ("displayName", "mailNickname", "description", "externalId", "externalName", "externalSource")
_ONLY_OF_CLASSES = {"externalId", "externalName", "externalSource"}


class Directory:
    """One tenant. `remember` is called with each changed object and each event before the change is answered."""

    def __init__(self, tenant_id: str, answers: Answers, remember: Callable[[dict[str, Any]], None]) -> None:
        self.tenant_id = tenant_id
        self.users: dict[str, User] = {}
        self.groups: dict[str, Group] = {}
        self.events: list[Event] = []
        self._answers = answers
        self._remember = remember
        self._upns: dict[str, str] = {}
        self._upn_of: dict[str, str] = {}
        self._nicknames: dict[str, dict[str, None]] = {}

    def load(self, line: dict[str, Any]) -> None:
        """Load one stored line."""
        if "user" in line:
            self._index_user(User(**line["user"]))
        elif "group" in line:
            self._index_group(loaded_group(line["group"]))
        else:
            self.events.append(Event(**line["event"]))

    def lines(self) -> Iterable[dict[str, Any]]:
        """The whole directory as lines for `load`."""
        yield from ({"user": values_of(user)} for user in self.users.values())
        yield from ({"group": stored_group(group)} for group in self.groups.values())
        yield from ({"event": values_of(event)} for event in self.events)

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
        if unknown := sorted(fields.keys() - {*USER_PROPERTIES, "licensed"}):
            raise bad_request(f"Invalid property '{unknown[0]}'.")
        upn = fields.get("userPrincipalName", user.userPrincipalName)
        if self._upns.get(upn.lower(), user.id) != user.id:
            raise bad_request("Another object with the same value for property userPrincipalName already exists.")
        for name, value in fields.items():
            setattr(user, name, value)
        self._save_user(user, tuple(name for name in fields if name in USER_PROPERTIES))

    def delete_user(self, user: User) -> None:
        """Delete a user with their memberships; the groups' delta does not report those."""
        user.deleted = True
        for group in self.groups.values():
            if user.id in group.members or user.id in group.owners:
                group.members.pop(user.id, None)
                group.owners.pop(user.id, None)
                self._remember({"group": stored_group(group)})
        self._save_user(user)

    def user(self, id_or_upn: str) -> User:
        user = self.users.get(self._upns.get(id_or_upn.lower(), id_or_upn))
        if user is None or user.deleted:
            raise not_found(id_or_upn)
        return user

    # --- groups and classes

    def create_group(self, fields: dict[str, Any], now: float, *, is_class: bool) -> Group:
        rules.check_required(fields)
        named = rules.named_by_policy(fields, self._answers.naming_policy)
        rules.check_values(named)
        self._check_nickname(named["mailNickname"], now)
        group = self._new_group(named, now, is_class=is_class)
        self._save_group(group, Event("group", group.id))
        return group

    def seed_group(
        self, fields: dict[str, Any], people: dict[Collection, list[str]], now: float, *, is_class: bool
    ) -> Group:
        """A group with its people at once, which Graph has no call for; its nickname may be that of another group.

        `people` are ids by collection.
        """
        rules.check_required(fields)
        rules.check_values(fields)
        for person in {person for listed in people.values() for person in listed}:
            self.user(person)
        group = self._new_group(fields, now, is_class=is_class)
        for collection, listed in people.items():
            group.people(collection).update(dict.fromkeys(listed))
        references = [Event(name, group.id, person) for name in people for person in people[name]]
        self._save_group(group, Event("group", group.id), *references)
        return group

    def update_group(self, group: Group, fields: dict[str, Any], now: float) -> None:
        rules.check_values(fields)
        nickname = fields.get("mailNickname", group.mailNickname)
        if nickname.lower() != group.mailNickname.lower():
            self._check_nickname(nickname, now)
        self._forget_nickname(group)
        for name in _GROUP_PROPERTIES:
            if name in fields:
                setattr(group, name, fields[name])
        self._save_group(group, Event("group", group.id))

    def group(self, id_: str) -> Group:
        group = self.groups.get(id_)
        if group is None or group.deleted_at is not None:
            raise not_found(id_)
        return group

    def by_nickname(self, nickname: str) -> Group | None:
        """The group with that nickname: the oldest that exists, or else the last one that was deleted."""
        groups = [self.groups[id_] for id_ in self._nicknames.get(nickname.lower(), ())]
        existing = [group for group in groups if group.deleted_at is None]
        return min(existing, key=_creation) if existing else max(groups, key=_deletion, default=None)

    def bind_members(self, group: Group, people: Sequence[str]) -> None:
        """Add all people, or none and raise Refusal."""
        if len(people) > MEMBERS_PER_PATCH:
            raise bad_request(f"A maximum of {MEMBERS_PER_PATCH} references can be bound in one request.")
        for person in people:
            rules.check_guest(self._bound(person))
        if len(set(people)) < len(people) or any(person in group.members for person in people):
            raise already_there("members")
        rules.check_quota(group, "members", len(people))
        group.members.update(dict.fromkeys(people))
        self._save_group(group, *(Event("members", group.id, person) for person in people))

    def add_member(self, group: Group, person: str) -> None:
        """Add a member as an app may: a guest is refused, whom an admin can add."""
        rules.check_guest(self.user(person))
        self.add(group, "members", person)

    def add_teacher(self, group: Group, person: str) -> None:
        """Add a teacher as an app may."""
        user = self.user(person)
        if user.id in group.owners and self._answers.teacher_twice == "other-text":
            raise bad_request("The user is already a teacher of this class.")
        if not user.licensed:
            self._admit_unlicensed(user)
        joins = user.id not in group.members
        if joins and self._answers.teacher_not_member == "refused":
            raise bad_request("A teacher of a class must be a member of it.")
        self.add(group, "owners", user.id)
        if joins and self._answers.teacher_not_member == "added":
            self.add(group, "members", user.id)

    def add(self, group: Group, collection: Collection, person: str) -> None:
        user, people = self.user(person), group.people(collection)
        if user.id in people:
            raise already_there(collection)
        rules.check_quota(group, collection, 1)
        people[user.id] = None
        self._save_group(group, Event(collection, group.id, user.id))

    def remove(self, group: Group, collection: Collection, person: str, *, in_delta: bool = True) -> None:
        """`in_delta` is whether the groups' delta reports the removal, which Graph's does not always do."""
        people = group.people(collection)
        if person not in people:
            raise not_found(person) if self._answers.removal_of_stranger == "404" else no_such_reference(collection)
        if collection == "owners" and len(people) == 1:
            raise bad_request("The group must have at least one owner, hence this owner cannot be removed.")
        del people[person]
        self._save_group(group, *([Event(collection, group.id, person, added=False)] if in_delta else []))

    def delete_group(self, group: Group, now: float) -> None:
        group.deleted_at = now
        self._save_group(group, Event("group", group.id))

    def purge(self, group: Group, now: float) -> None:
        """Delete a group permanently, as Graph does after 30 days: it cannot be restored, and its nickname is free."""
        self._forget_nickname(group)
        group.deleted_at, group.purged = now - RESTORABLE_SECONDS - 1, True
        self._save_group(group, Event("group", group.id))

    def deleted(self, now: float) -> list[Group]:
        """The deleted groups that can still be restored."""
        return [group for group in self.groups.values() if restorable(group, now)]

    def restore(self, id_: str, now: float) -> Group:
        group = self.groups.get(id_)
        if group is None or not restorable(group, now):
            raise not_found(id_)
        holder = self.by_nickname(group.mailNickname)
        if holder is not None and holder.deleted_at is None:
            raise bad_request(NICKNAME_TAKEN)
        group.deleted_at = None
        if self._answers.external_id_after_restore == "lost":
            group.externalId = None
        self._save_group(group, Event("group", group.id))
        return group

    # --- within

    def _new_group(self, fields: dict[str, Any], now: float, *, is_class: bool) -> Group:
        id_ = str(uuid5(NAMESPACE_URL, f"{self.tenant_id}/groups/{len(self.groups)}"))
        properties = [name for name in _GROUP_PROPERTIES if is_class or name not in _ONLY_OF_CLASSES]
        values = {name: fields[name] for name in properties if name in fields}
        return Group(id=id_, is_class=is_class, created_at=now, **values)

    def _bound(self, person: str) -> User:
        user = self.users.get(person)
        if user is not None and not user.deleted:
            return user
        if self._answers.unknown_member == "400":
            raise bad_request(f"Invalid object identifier '{person}'.")
        raise not_found(person)

    def _admit_unlicensed(self, user: User) -> None:
        if self._answers.unlicensed_teacher == "refused":
            raise bad_request("The user has no licence for education.")
        if self._answers.unlicensed_teacher == "not-found":
            raise not_found(user.id)

    def _check_nickname(self, nickname: str, now: float) -> None:
        holders = [self.groups[id_] for id_ in self._nicknames.get(nickname.lower(), ())]
        keeps = self._answers.nickname_of_deleted == "kept"
        if any(group.deleted_at is None or (keeps and restorable(group, now)) for group in holders):
            raise bad_request(NICKNAME_TAKEN)

    def _index_user(self, user: User) -> None:
        former = self._upn_of.pop(user.id, "")
        if self._upns.get(former) == user.id:
            del self._upns[former]
        self.users[user.id] = user
        if not user.deleted:
            self._upn_of[user.id] = user.userPrincipalName.lower()
            self._upns[user.userPrincipalName.lower()] = user.id

    def _index_group(self, group: Group) -> None:
        if before := self.groups.get(group.id):
            self._forget_nickname(before)
        self.groups[group.id] = group
        if not group.purged:
            self._nicknames.setdefault(group.mailNickname.lower(), {})[group.id] = None

    def _forget_nickname(self, group: Group) -> None:
        self._nicknames.get(group.mailNickname.lower(), {}).pop(group.id, None)

    def _save_user(self, user: User, properties: tuple[str, ...] = USER_PROPERTIES) -> None:
        self._index_user(user)
        self._remember({"user": values_of(user)})
        self._log(Event("user", user.id, properties=properties))

    def _save_group(self, group: Group, *events: Event) -> None:
        self._index_group(group)
        self._remember({"group": stored_group(group)})
        for event in events:
            self._log(event)

    def _log(self, event: Event) -> None:
        self.events.append(event)
        self._remember({"event": values_of(event)})


def restorable(group: Group, now: float) -> bool:
    return group.deleted_at is not None and now - group.deleted_at <= RESTORABLE_SECONDS


def _creation(group: Group) -> float:
    return group.created_at


def _deletion(group: Group) -> float:
    return group.deleted_at or 0.0
