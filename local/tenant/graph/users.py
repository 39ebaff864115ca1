"""Calls that read users."""

from __future__ import annotations

import re

from local.tenant.directory.objects import User, values_of
from local.tenant.graph.context import Answer, Entity, Graph, Request, Route
from local.tenant.graph.odata import matcher, page, select

_NOT_IN_GRAPH = {"deleted", "licensed"}


def user_entity(user: User) -> Entity:
    return {name: value for name, value in values_of(user).items() if name not in _NOT_IN_GRAPH}


def _list_users(graph: Graph, request: Request, _: re.Match[str]) -> Answer:
    users = [user_entity(user) for user in graph.directory.users.values() if not user.deleted]
    matches = matcher(request.query.get("$filter"), ["userPrincipalName", "mail", "displayName", "employeeId", "id"])
    selected = [select(user, request.query) for user in users if matches(user)]
    return Answer(200, page(selected, request.query, request.url))


def _get_user(graph: Graph, request: Request, match: re.Match[str]) -> Answer:
    return Answer(200, select(user_entity(graph.directory.user(match[1])), request.query))


ROUTES: tuple[Route, ...] = (
    ("GET", "/users", _list_users),
    ("GET", r"/users/([^/]+)", _get_user),
)
