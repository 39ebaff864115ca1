"""The calls of Microsoft Graph v1.0 that the app makes, and a few it must never make, answered from a directory."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from local.tenant.delta import DeltaHabits, delta
from local.tenant.directory import Directory, Group, Refusal, User, bad_request, not_found
from local.tenant.odata import Entity, matcher, page, select


@dataclass(frozen=True, slots=True)
class Request:
    """One call; `base` is the URL up to /v1.0, and `path` the rest."""

    method: str
    path: str
    query: dict[str, str]
    body: Entity
    base: str


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: Entity | None = None
    headers: dict[str, str] = field(default_factory=dict)


_Handler = Callable[["Graph", Request, "re.Match[str]"], Answer]
_ROUTES: list[tuple[str, re.Pattern[str], _Handler]] = []


def _route(method: str, pattern: str) -> Callable[[_Handler], _Handler]:
    def register(handler: _Handler) -> _Handler:
        _ROUTES.append((method, re.compile(pattern), handler))
        return handler

    return register


class Graph:
    """One tenant's Graph. A new class is not visible to reads and references for `lag` seconds."""

    def __init__(self, directory: Directory, now: Callable[[], float]) -> None:
        self.directory = directory
        self.now = now
        self.lag = 0.0
        self.habits = DeltaHabits()
        self.forbidden_deletes = 0

    def answer(self, request: Request) -> Answer:
        """Raises Refusal."""
        for method, pattern, handler in _ROUTES:
            if method == request.method and (match := pattern.fullmatch(request.path)):
                return handler(self, request, match)
        raise Refusal(404, "BadRequest", f"Resource not found for the segment '{request.path.rsplit('/', 1)[-1]}'.")

    def visible(self, id_: str, *, only_classes: bool = False) -> Group:
        group = self.directory.group(id_)
        if self.now() < group.created_at + self.lag or (only_classes and not group.is_class):
            raise not_found(id_)
        return group

    def listed(self, *, only_classes: bool = False) -> list[Group]:
        return [
            group
            for group in self.directory.groups.values()
            if group.deleted_at is None
            and self.now() >= group.created_at + self.lag
            and (group.is_class or not only_classes)
        ]


def _group_entity(group: Group) -> Entity:
    return {
        "id": group.id,
        "displayName": group.displayName,
        "mailNickname": group.mailNickname,
        "description": group.description,
        "groupTypes": ["Unified"],
        "mailEnabled": True,
        "securityEnabled": False,
        "createdDateTime": f"{datetime.fromtimestamp(group.created_at, UTC):%Y-%m-%dT%H:%M:%SZ}",
    }


def _class_entity(group: Group) -> Entity:
    shared = {"id": group.id, "displayName": group.displayName, "mailNickname": group.mailNickname}
    own = {"externalId": group.externalId, "externalName": group.externalName, "externalSource": group.externalSource}
    return {**shared, "description": group.description, **own}


def _user_entity(user: User) -> Entity:
    return {name: value for name, value in asdict(user).items() if name != "deleted"}


def _referenced(request: Request) -> str:
    """The id at the end of an @odata.id; the host does not matter."""
    reference = request.body.get("@odata.id")
    match = re.fullmatch(r"https?://[^/]+/v1\.0/(?:education/users|users|directoryObjects)/([^/]+)", str(reference))
    if not match:
        raise bad_request("Invalid value for @odata.id.")
    return match[1]


# --- users


@_route("GET", "/users")
def _list_users(graph: Graph, request: Request, _: re.Match[str]) -> Answer:
    users = [_user_entity(user) for user in graph.directory.users.values() if not user.deleted]
    matches = matcher(request.query.get("$filter"), ["userPrincipalName", "mail", "displayName", "employeeId", "id"])
    selected = [select(user, request.query) for user in users if matches(user)]
    return Answer(200, page(selected, request.query, f"{request.base}/users"))


@_route("GET", r"/(users|groups)/delta(?:\(\))?")
def _delta(graph: Graph, request: Request, match: re.Match[str]) -> Answer:
    base = f"{request.base}{request.path}"
    return Answer(200, delta(graph.directory, match[1], request.query, base, graph.now(), graph.habits))


@_route("GET", r"/users/([^/]+)")
def _get_user(graph: Graph, request: Request, match: re.Match[str]) -> Answer:
    return Answer(200, select(_user_entity(graph.directory.user(match[1])), request.query))


# --- classes and groups


@_route("POST", "/education/classes")
def _create_class(graph: Graph, request: Request, _: re.Match[str]) -> Answer:
    return Answer(201, _class_entity(graph.directory.create_group(request.body, graph.now(), is_class=True)))


@_route("POST", "/groups")
def _create_group(graph: Graph, request: Request, _: re.Match[str]) -> Answer:
    return Answer(201, _group_entity(graph.directory.create_group(request.body, graph.now(), is_class=False)))


@_route("GET", r"/education/classes|/groups")
def _list_groups(graph: Graph, request: Request, _: re.Match[str]) -> Answer:
    classes = request.path != "/groups"
    entities = map(_class_entity if classes else _group_entity, graph.listed(only_classes=classes))
    matches = matcher(request.query.get("$filter"), ["id", "mailNickname", "displayName", "externalId"])
    selected = [select(entity, request.query) for entity in entities if matches(entity)]
    return Answer(200, page(selected, request.query, f"{request.base}{request.path}"))


@_route("GET", r"/(education/classes|groups)/([^/]+)")
def _get_group(graph: Graph, request: Request, match: re.Match[str]) -> Answer:
    if match[1] == "groups":
        return Answer(200, select(_group_entity(graph.visible(match[2])), request.query))
    return Answer(200, select(_class_entity(graph.visible(match[2], only_classes=True)), request.query))


@_route("PATCH", r"/(education/classes|groups)/([^/]+)")
def _patch_group(graph: Graph, request: Request, match: re.Match[str]) -> Answer:
    group = graph.visible(match[2], only_classes=match[1] != "groups")
    fields = dict(request.body)
    bound = fields.pop("members@odata.bind", None)
    if bound is not None:
        people = [re.sub(r"^https?://[^/]+/v1\.0/(?:directoryObjects|users)/", "", reference) for reference in bound]
        graph.directory.bind_members(group, people)
    if fields:
        graph.directory.update_group(group, fields)
    return Answer(204)


@_route("DELETE", r"/(?:education/classes|groups)/([^/]+)")
def _delete_group(graph: Graph, _: Request, match: re.Match[str]) -> Answer:
    graph.directory.delete_group(graph.visible(match[1]), graph.now())
    return Answer(204)


@_route("GET", r"/directory/deletedItems/microsoft\.graph\.group")
def _list_deleted(graph: Graph, request: Request, _: re.Match[str]) -> Answer:
    deleted = [_group_entity(group) for group in graph.directory.deleted(graph.now())]
    matches = matcher(request.query.get("$filter"), ["id", "mailNickname", "displayName"])
    selected = [select(entity, request.query) for entity in deleted if matches(entity)]
    return Answer(200, page(selected, request.query, f"{request.base}{request.path}"))


@_route("GET", r"/directory/deletedItems/([^/]+)")
def _get_deleted(graph: Graph, request: Request, match: re.Match[str]) -> Answer:
    group = next((group for group in graph.directory.deleted(graph.now()) if group.id == match[1]), None)
    if group is None:
        raise not_found(match[1])
    return Answer(200, select(_group_entity(group), request.query))


@_route("POST", r"/directory/deletedItems/([^/]+)/restore")
def _restore(graph: Graph, _: Request, match: re.Match[str]) -> Answer:
    return Answer(200, _group_entity(graph.directory.restore(match[1], graph.now())))


# --- the people of a group

_PEOPLE = r"/(education/classes|groups)/([^/]+)/(members|teachers|owners)"


def _collection(match: re.Match[str]) -> str:
    """A class's teachers are its group's owners; a group has no teachers and a class no owners by that name."""
    if match[3] == ("teachers" if match[1] == "groups" else "owners"):
        raise Refusal(404, "BadRequest", f"Resource not found for the segment '{match[3]}'.")
    return "members" if match[3] == "members" else "owners"


@_route("GET", _PEOPLE)
def _list_people(graph: Graph, request: Request, match: re.Match[str]) -> Answer:
    group = graph.visible(match[2], only_classes=match[1] != "groups")
    people = [graph.directory.users[person] for person in getattr(group, _collection(match))]
    selected = [select(_user_entity(user), request.query) for user in people]
    return Answer(200, page(selected, request.query, f"{request.base}{request.path}"))


@_route("POST", rf"{_PEOPLE}/\$ref")
def _add_person(graph: Graph, request: Request, match: re.Match[str]) -> Answer:
    group = graph.visible(match[2], only_classes=match[1] != "groups")
    graph.directory.add(group, _collection(match), _referenced(request))
    return Answer(204)


@_route("DELETE", rf"{_PEOPLE}/([^/]+)/\$ref")
def _remove_person(graph: Graph, _: Request, match: re.Match[str]) -> Answer:
    group = graph.visible(match[2], only_classes=match[1] != "groups")
    graph.directory.remove(group, _collection(match), match[4])
    return Answer(204)


@_route("DELETE", rf"{_PEOPLE}/([^/]+)|/users/([^/]+)")
def _delete_person(graph: Graph, _: Request, __: re.Match[str]) -> Answer:
    """In Microsoft 365 this deletes the user. Here it is refused, and counted so that a test can fail on it."""
    graph.forbidden_deletes += 1
    raise Refusal(403, "Authorization_RequestDenied", "Without /$ref this would delete the user.")


def decode_body(raw: bytes) -> Entity:
    """The JSON object of a request. Raises Refusal if the body is anything else."""
    if not raw:
        return {}
    try:
        body: Any = json.loads(raw)
    except ValueError:
        raise bad_request("Unable to read JSON request payload.") from None
    if not isinstance(body, dict):
        raise bad_request("Unable to read JSON request payload.")
    return body
