"""Graph's deltas over users and groups: pages, expiring tokens, groups split into several objects, repeated events."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any

from local.tenant.directory.directory import restorable
from local.tenant.directory.objects import USER_PROPERTIES, Event, Group
from local.tenant.directory.refusals import Refusal
from local.tenant.graph.context import Answer, Entity, Graph, Request, Route
from local.tenant.graph.odata import matcher, read_token, select, token

LINK_SECONDS = 7 * 86_400.0
_MOST_IDS = 50

_Person = tuple[str, str, bool]
"""The collection, the person's id, and whether the person was added."""


def _delta(graph: Graph, request: Request, match: re.Match[str]) -> Answer:
    """One page of the delta over users or groups. Raises Refusal for an expired link."""
    kind = match[1]
    cursor = _cursor(graph, kind, request)
    objects = _Objects(graph, request.roles).changed(kind, cursor["since"], cursor["upto"])
    if kind == "users":
        objects = [select(user, {"$select": f"{cursor['select']},@removed"}) for user in objects]
    matches = matcher(cursor["filter"], ["id"])
    objects = [entity for entity in objects if matches(entity)]
    end = cursor["at"] + (1 if graph.answers.delta_events == "each" else graph.habits.objects_per_page)
    page: Entity = {"value": objects[cursor["at"] : end]}
    if end < len(objects):
        page["@odata.nextLink"] = f"{request.url}?$skiptoken={token({**cursor, 'at': end})}"
    else:
        after = {**cursor, "since": cursor["upto"], "upto": None, "at": 0, "made": graph.now()}
        page["@odata.deltaLink"] = f"{request.url}?$deltatoken={token(after)}"
    return Answer(200, page)


def _cursor(graph: Graph, kind: str, request: Request) -> dict[str, Any]:
    query = request.query
    for unsupported in ("$expand", "$top", "$orderby"):
        if unsupported in query:
            raise Refusal(400, "Request_UnsupportedQuery", f"{unsupported} is not supported with delta query.")
    link = query.get("$skiptoken") or query.get("$deltatoken")
    cursor: dict[str, Any]
    if link is None:
        wanted = query.get("$filter")
        if wanted and len(wanted.split(" or ")) > _MOST_IDS:
            raise Refusal(400, "Request_UnsupportedQuery", f"A delta query can filter at most {_MOST_IDS} ids.")
        options = {"filter": wanted, "select": query.get("$select", "")}
        cursor = {"kind": kind, "since": None, "upto": None, "at": 0, "made": graph.now(), **options}
    else:
        cursor = read_token(link)
        if graph.now() - cursor["made"] > LINK_SECONDS or cursor["kind"] != kind:
            raise _expired(graph, request)
    if cursor["upto"] is None:
        cursor["upto"] = len(graph.directory.events)
    return cursor


def _expired(graph: Graph, request: Request) -> Refusal:
    status, _, code = graph.answers.delta_expiry.partition("-")
    headers = {"Location": f"{request.url}?$deltatoken="} if status == "410" else {}
    message = "The sync state generation is not found. Start a new delta query."
    return Refusal(int(status), code, message, headers)


class _Objects:
    """The objects of a delta for a caller with these roles."""

    def __init__(self, graph: Graph, roles: frozenset[str]) -> None:
        self._graph = graph
        self._directory = graph.directory
        self._roles = roles

    def changed(self, kind: str, since: int | None, upto: int) -> list[Entity]:
        """The objects of a first delta, or those that the events from `since` up to `upto` changed."""
        if since is not None:
            events = self._directory.events[max(0, since - self._graph.habits.replayed_events) : upto]
            return self._changed_users(events) if kind == "users" else self._changed_groups(events)
        if kind == "users":
            return [self._user(id_) for id_, user in self._directory.users.items() if not user.deleted]
        return self._all_groups(upto)

    def _all_groups(self, upto: int) -> list[Entity]:
        removed = self._removed(upto) if self._graph.answers.first_delta == "present-and-removed" else {}
        objects = []
        for group in self._directory.groups.values():
            if group.deleted_at is None:
                people: list[_Person] = [("members", person, True) for person in group.members]
                people += [("owners", person, True) for person in group.owners]
                objects += self._group(group, people + removed.get(group.id, []))
        return objects

    def _removed(self, upto: int) -> dict[str, list[_Person]]:
        """The people who left each group: with their addition before it, if each event is told."""
        left: dict[str, list[_Person]] = {}
        for event in self._directory.events[:upto]:
            gone = event.person and event.person not in self._present(event)
            if gone and not event.added:
                told = left.setdefault(event.id, [])
                if self._graph.answers.delta_events == "each":
                    told.append((event.kind, event.person, True))
                told.append((event.kind, event.person, False))
        return left

    def _present(self, event: Event) -> Collection[str]:
        group = self._directory.groups[event.id]
        return group.members if event.kind == "members" else group.owners

    def _changed_users(self, events: Sequence[Event]) -> list[Entity]:
        touched: dict[str, set[str]] = {}
        for event in events:
            if event.kind == "user":
                touched.setdefault(event.id, set()).update(event.properties)
        return [self._user(id_, properties) for id_, properties in touched.items()]

    def _changed_groups(self, events: Sequence[Event]) -> list[Entity]:
        touched: dict[str, list[Event]] = {}
        for event in events:
            if event.kind != "user" and self._tells(event):
                touched.setdefault(event.id, []).append(event)
        objects = []
        for id_, of_group in touched.items():
            group = self._directory.groups[id_]
            if group.deleted_at is not None:
                reason = "changed" if restorable(group, self._graph.now()) else "deleted"
                objects.append({"id": id_, "@removed": {"reason": reason}})
            else:
                people = [(event.kind, event.person, event.added) for event in of_group if event.person]
                objects += self._group(group, people)
        return objects

    def _tells(self, event: Event) -> bool:
        return event.kind != "members" or self._tells_members(self._directory.groups[event.id])

    def _tells_members(self, group: Group) -> bool:
        if self._graph.answers.delta_members == "omitted" and self._graph.has_hidden_members(group):
            return False
        return self._graph.shows_members(group, self._roles)

    def _user(self, id_: str, properties: Collection[str] = USER_PROPERTIES) -> Entity:
        """A user with only those `properties`: a delta has only the properties that changed."""
        user = self._directory.users[id_]
        if user.deleted:
            return {"id": id_, "@removed": {"reason": "changed"}}
        return {"id": id_, **{name: getattr(user, name) for name in properties}}

    def _group(self, group: Group, people: Sequence[_Person]) -> list[Entity]:
        head = {"id": group.id, "displayName": group.displayName, "mailNickname": group.mailNickname}
        told = [person for person in people if person[0] != "members" or self._tells_members(group)]
        parts = self._parts(told) or [[]]
        return [head | _references(part) for part in parts]

    def _parts(self, people: Sequence[_Person]) -> list[list[_Person]]:
        """The people of each object of a group. A person is in one object once."""
        if self._graph.answers.delta_events == "last":
            people = list({entry[:2]: entry for entry in people}.values())
        parts: list[list[_Person]] = []
        in_part: set[tuple[str, str]] = set()
        for entry in people:
            full = not parts or len(parts[-1]) == self._graph.habits.people_per_object
            if full or entry[:2] in in_part:
                parts.append([])
                in_part.clear()
            parts[-1].append(entry)
            in_part.add(entry[:2])
        return parts


def _references(people: Sequence[_Person]) -> Entity:
    entity: Entity = {}
    for collection, person, added in people:
        entry: Entity = {"@odata.type": "#microsoft.graph.user", "id": person}
        if not added:
            entry["@removed"] = {"reason": "deleted"}
        entity.setdefault(f"{collection}@delta", []).append(entry)
    return entity


ROUTES: tuple[Route, ...] = (("GET", r"/(users|groups)/delta(?:\(\))?", _delta),)
