"""Calls about groups and classes themselves, also deleted ones."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from local.tenant.directory.objects import Group
from local.tenant.directory.refusals import not_found
from local.tenant.directory.rules import gets_mailbox
from local.tenant.graph.context import Answer, Entity, Graph, Request, Route
from local.tenant.graph.odata import matcher, page, select

_NO_MAILBOX = "no mailbox is made for a group with this display name"


def _group_entity(graph: Graph, group: Group) -> Entity:
    return {
        "id": group.id,
        "displayName": group.displayName,
        "mailNickname": group.mailNickname,
        "description": group.description,
        "groupTypes": ["Unified"],
        "mailEnabled": True,
        "securityEnabled": False,
        "visibility": "HiddenMembership" if graph.has_hidden_members(group) else "Public",
        "createdDateTime": f"{datetime.fromtimestamp(group.created_at, UTC):%Y-%m-%dT%H:%M:%SZ}",
    }


def _class_entity(group: Group) -> Entity:
    shared = {"id": group.id, "displayName": group.displayName, "mailNickname": group.mailNickname}
    own = {"externalId": group.externalId, "externalName": group.externalName, "externalSource": group.externalSource}
    return {**shared, "description": group.description, **own}


def _create(graph: Graph, request: Request, _: re.Match[str]) -> Answer:
    is_class = request.path != "/groups"
    group = graph.directory.create_group(request.body, graph.now(), is_class=is_class)
    entity = _class_entity(group) if is_class else _group_entity(graph, group)
    return Answer(201, entity, note="" if gets_mailbox(group.displayName) else _NO_MAILBOX)


def _list(graph: Graph, request: Request, _: re.Match[str]) -> Answer:
    classes = request.path != "/groups"
    groups = graph.listed(only_classes=classes)
    entities = [_class_entity(group) if classes else _group_entity(graph, group) for group in groups]
    matches = matcher(request.query.get("$filter"), ["id", "mailNickname", "displayName", "externalId"])
    selected = [select(entity, request.query) for entity in entities if matches(entity)]
    return Answer(200, page(selected, request.query, request.url))


def _get(graph: Graph, request: Request, match: re.Match[str]) -> Answer:
    if match[1] == "groups":
        return Answer(200, select(_group_entity(graph, graph.visible(match[2])), request.query))
    return Answer(200, select(_class_entity(graph.visible(match[2], only_classes=True)), request.query))


def _patch(graph: Graph, request: Request, match: re.Match[str]) -> Answer:
    group = graph.visible(match[2], only_classes=match[1] != "groups")
    fields = dict(request.body)
    bound = fields.pop("members@odata.bind", None)
    if bound is not None:
        people = [re.sub(r"^https?://[^/]+/v1\.0/(?:directoryObjects|users)/", "", reference) for reference in bound]
        graph.directory.bind_members(group, people)
    if fields:
        graph.directory.update_group(group, fields, graph.now())
    return Answer(204)


def _delete(graph: Graph, _: Request, match: re.Match[str]) -> Answer:
    graph.directory.delete_group(graph.visible(match[1]), graph.now())
    return Answer(204)


def _list_deleted(graph: Graph, request: Request, _: re.Match[str]) -> Answer:
    deleted = [_group_entity(graph, group) for group in graph.directory.deleted(graph.now())]
    matches = matcher(request.query.get("$filter"), ["id", "mailNickname", "displayName"])
    selected = [select(entity, request.query) for entity in deleted if matches(entity)]
    return Answer(200, page(selected, request.query, request.url))


def _get_deleted(graph: Graph, request: Request, match: re.Match[str]) -> Answer:
    group = next((group for group in graph.directory.deleted(graph.now()) if group.id == match[1]), None)
    if group is None:
        raise not_found(match[1])
    return Answer(200, select(_group_entity(graph, group), request.query))


def _restore(graph: Graph, _: Request, match: re.Match[str]) -> Answer:
    group = graph.directory.restore(match[1], graph.now())
    graph.teams.class_restored(group)
    return Answer(200, _group_entity(graph, group))


ROUTES: tuple[Route, ...] = (
    ("POST", "/education/classes|/groups", _create),
    ("GET", "/education/classes|/groups", _list),
    ("GET", r"/(education/classes|groups)/([^/]+)", _get),
    ("PATCH", r"/(education/classes|groups)/([^/]+)", _patch),
    ("DELETE", r"/(?:education/classes|groups)/([^/]+)", _delete),
    ("GET", r"/directory/deletedItems/microsoft\.graph\.group", _list_deleted),
    ("GET", r"/directory/deletedItems/([^/]+)", _get_deleted),
    ("POST", r"/directory/deletedItems/([^/]+)/restore", _restore),
)
