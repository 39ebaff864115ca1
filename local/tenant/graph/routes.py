"""Which handler answers a call, after its permissions are checked."""

from __future__ import annotations

import re

from local.tenant import permissions
from local.tenant.directory.refusals import Refusal
from local.tenant.graph import delta, groups, people, teams, users
from local.tenant.graph.context import Answer, Graph, Request

_ROUTES = [
    (method, re.compile(pattern), handler)
    for method, pattern, handler in (
        *delta.ROUTES,
        *users.ROUTES,
        *groups.ROUTES,
        *people.ROUTES,
        *teams.ROUTES,
    )
]


def answer(graph: Graph, request: Request) -> Answer:
    """Raises Refusal."""
    for method, pattern, handler in _ROUTES:
        if method == request.method and (match := pattern.fullmatch(request.path)):
            permissions.check(request.method, request.path, request.body, request.roles, graph.answers)
            if request.path.startswith("/education/"):
                _check_education(graph)
            return handler(graph, request, match)
    raise Refusal(404, "BadRequest", f"Resource not found for the segment '{request.path.rsplit('/', 1)[-1]}'.")


def _check_education(graph: Graph) -> None:
    if graph.answers.education_tenant == "no":
        name = "extension_fe2174665583431c953114ff7268b7b3_Education_ObjectType"
        message = f"Property '{name}' does not exist as a declared property or extension property."
        raise Refusal(400, "Request_UnsupportedQuery", message)
