"""Graph's deltas over users and groups: pages, expiring tokens, groups split into several objects, repeated events."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from local.tenant.directory import USER_PROPERTIES, Directory, Event, Group, Refusal
from local.tenant.odata import Entity, matcher, read_token, select, token

LINK_SECONDS = 7 * 86_400.0


@dataclass(slots=True)
class DeltaHabits:
    """How difficult the delta is: objects on a page, people in one object of a group, events repeated each time."""

    objects_per_page: int = 100
    people_per_object: int = 1000
    replayed_events: int = 0


def delta(directory: Directory, kind: str, query: dict[str, str], base: str, now: float, habits: DeltaHabits) -> Entity:
    """One page of the delta over `kind` (users or groups). Raises Refusal for an expired link."""
    cursor = _cursor(directory, kind, query, now)
    since, upto = cursor["since"], cursor["upto"]
    if since is None:
        objects = _everything(directory, kind, habits)
    else:
        objects = _changes(directory, kind, max(0, since - habits.replayed_events), upto, habits)
    if kind == "users":
        objects = [select(user, {"$select": f"{cursor['select']},@removed"}) for user in objects]
    matches = matcher(cursor["filter"], ["id"])
    objects = [entity for entity in objects if matches(entity)]
    end = cursor["at"] + habits.objects_per_page
    answer: Entity = {"value": objects[cursor["at"] : end]}
    if end < len(objects):
        answer["@odata.nextLink"] = f"{base}?$skiptoken={token({**cursor, 'at': end})}"
    else:
        after = {**cursor, "since": upto, "upto": None, "at": 0, "made": now}
        answer["@odata.deltaLink"] = f"{base}?$deltatoken={token(after)}"
    return answer


def _cursor(directory: Directory, kind: str, query: dict[str, str], now: float) -> dict[str, Any]:
    for unsupported in ("$expand", "$top", "$orderby"):
        if unsupported in query:
            raise Refusal(400, "Request_UnsupportedQuery", f"{unsupported} is not supported with delta query.")
    link = query.get("$skiptoken") or query.get("$deltatoken")
    cursor: dict[str, Any]
    if link is None:
        options = {"filter": query.get("$filter"), "select": query.get("$select", "")}
        cursor = {"kind": kind, "since": None, "upto": None, "at": 0, "made": now, **options}
    else:
        cursor = read_token(link)
        if now - cursor["made"] > LINK_SECONDS or cursor["kind"] != kind:
            raise Refusal(410, "syncStateNotFound", "The sync state generation is not found. Start a new delta query.")
    if cursor["upto"] is None:
        cursor["upto"] = len(directory.events)
    return cursor


def _everything(directory: Directory, kind: str, habits: DeltaHabits) -> list[Entity]:
    if kind == "users":
        return [_user(directory, id_) for id_, user in directory.users.items() if not user.deleted]
    objects = []
    for group in directory.groups.values():
        if group.deleted_at is None:
            people = {("members", person): True for person in group.members}
            people |= {("owners", person): True for person in group.owners}
            objects += _group(group, people, habits)
    return objects


def _changes(directory: Directory, kind: str, since: int, upto: int, habits: DeltaHabits) -> list[Entity]:
    events = directory.events[since:upto]
    if kind == "users":
        touched_users: dict[str, set[str]] = {}
        for event in events:
            if event.kind == "user":
                touched_users.setdefault(event.id, set()).update(event.properties)
        return [_user(directory, id_, properties) for id_, properties in touched_users.items()]
    touched: dict[str, list[Event]] = {}
    for event in events:
        if event.kind != "user":
            touched.setdefault(event.id, []).append(event)
    objects = []
    for id_, of_group in touched.items():
        group = directory.groups[id_]
        if group.deleted_at is not None:
            objects.append({"id": id_, "@removed": {"reason": "changed"}})
        else:
            people = {(event.kind, event.person): event.added for event in of_group if event.person}
            objects += _group(group, people, habits)
    return objects


def _user(directory: Directory, id_: str, properties: Collection[str] = USER_PROPERTIES) -> Entity:
    """A user with only those `properties`: a delta has only the properties that changed."""
    user = directory.users[id_]
    if user.deleted:
        return {"id": id_, "@removed": {"reason": "changed"}}
    return {"id": id_, **{name: getattr(user, name) for name in properties}}


def _group(group: Group, people: dict[tuple[str, str], bool], habits: DeltaHabits) -> list[Entity]:
    head = {"id": group.id, "displayName": group.displayName, "mailNickname": group.mailNickname}
    listed = list(people.items())
    objects = []
    for at in range(0, max(len(listed), 1), habits.people_per_object):
        entity: Entity = dict(head)
        for (collection, person), added in listed[at : at + habits.people_per_object]:
            entry: Entity = {"@odata.type": "#microsoft.graph.user", "id": person}
            if not added:
                entry["@removed"] = {"reason": "deleted"}
            entity.setdefault(f"{collection}@delta", []).append(entry)
        objects.append(entity)
    return objects
