"""Calls about the members, owners and teachers of a group, and the deletions of people that no app may send."""

from __future__ import annotations

import re

from local.tenant.directory.objects import Collection, Group
from local.tenant.directory.refusals import Refusal, bad_request, denied
from local.tenant.graph.context import Answer, Graph, Request, Route
from local.tenant.graph.odata import page, select
from local.tenant.graph.users import user_entity

_PEOPLE = r"/(education/classes|groups)/([^/]+)/(members|teachers|owners)"
_REFERENCE = re.compile(r"https?://[^/]+/v1\.0/(education/users|users|directoryObjects)/([^/]+)")


def _found(graph: Graph, match: re.Match[str]) -> tuple[Group, Collection]:
    """A class's teachers are its group's owners; a group has no teachers and a class no owners by that name."""
    if match[3] == ("teachers" if match[1] == "groups" else "owners"):
        raise Refusal(404, "BadRequest", f"Resource not found for the segment '{match[3]}'.")
    group = graph.visible(match[2], only_classes=match[1] != "groups")
    return group, "members" if match[3] == "members" else "owners"


def _list(graph: Graph, request: Request, match: re.Match[str]) -> Answer:
    group, collection = _found(graph, match)
    if collection == "members" and not graph.shows_members(group, request.roles):
        return _hidden(graph, request)
    people = [graph.directory.users[person] for person in group.people(collection)]
    selected = [select(user_entity(user), request.query) for user in people]
    return Answer(200, page(selected, request.query, request.url))


def _hidden(graph: Graph, request: Request) -> Answer:
    match graph.answers.hidden_members:
        case "forbidden":
            raise denied()
        case "omitted":
            return Answer(200, {"@odata.context": f"{request.base}/$metadata#directoryObjects"})
        case _:
            return Answer(200, {"value": []})


def _add(graph: Graph, request: Request, match: re.Match[str]) -> Answer:
    group, collection = _found(graph, match)
    reference = _REFERENCE.fullmatch(str(request.body.get("@odata.id")))
    if not reference:
        raise bad_request("Invalid value for @odata.id.")
    if match[1] != "groups" and reference[1] != "education/users":
        raise Refusal(500, "UnknownError", "Unable to find target address")
    if match[3] == "teachers":
        graph.directory.add_teacher(group, reference[2])
    elif collection == "members":
        graph.directory.add_member(group, reference[2])
    else:
        graph.directory.add(group, collection, reference[2])
    return Answer(204)


def _remove(graph: Graph, _: Request, match: re.Match[str]) -> Answer:
    group, collection = _found(graph, match)
    graph.directory.remove(group, collection, match[4])
    return Answer(204)


def _delete_person(graph: Graph, _: Request, __: re.Match[str]) -> Answer:
    """In Microsoft 365 this deletes the user. Here it is refused, and counted so that a test can fail on it."""
    graph.forbidden_deletes += 1
    raise Refusal(403, "Authorization_RequestDenied", "Without /$ref this would delete the user.")


ROUTES: tuple[Route, ...] = (
    ("GET", _PEOPLE, _list),
    ("POST", rf"{_PEOPLE}/\$ref", _add),
    ("DELETE", rf"{_PEOPLE}/([^/]+)/\$ref", _remove),
    ("DELETE", rf"{_PEOPLE}/([^/]+)|/users/([^/]+)", _delete_person),
)
