"""Calls about teams and their memberships."""

from __future__ import annotations

import re
from collections.abc import Callable

from local.tenant.graph.context import Answer, Entity, Graph, Request, Route
from local.tenant.graph.odata import page, select
from local.tenant.teams.objects import Team
from local.tenant.teams.refusals import bad_team_request, no_team

_TEMPLATE = re.compile(r"https://graph\.microsoft\.com/v1\.0/teamsTemplates\('educationClass'\)")
_GROUP = re.compile(r"https://graph\.microsoft\.com/v1\.0/groups\('([^']+)'\)")
_USER = re.compile(r"https://graph\.microsoft\.com/v1\.0/users\('([^']+)'\)")
_MEMBER = "microsoft.graph.aadUserConversationMember"
_PEOPLE_PER_WRITE = 200
_LONGEST_FILTER = 15
_CLAUSE = re.compile(rf"\(?{re.escape(_MEMBER)}/userId eq '([^']*)'\)?")
_IN = re.compile(rf"{re.escape(_MEMBER)}/userId in \(((?:[\"'][^\"']*[\"'],? ?)+)\)")


def _create(graph: Graph, request: Request, _: re.Match[str]) -> Answer:
    """A team of a class takes everything from the class: more in the request is an error."""
    if request.body.keys() != {"template@odata.bind", "group@odata.bind"}:
        raise bad_team_request("A team of a group takes nothing but its template and the group.")
    group = _GROUP.fullmatch(str(request.body["group@odata.bind"]))
    if not group or not _TEMPLATE.fullmatch(str(request.body["template@odata.bind"])):
        raise bad_team_request("Invalid bind property.")
    team = graph.teams.make(group[1])
    return Answer(202, headers={"Location": _operation(team), "Content-Location": f"/teams('{team.id}')"})


def _operation(team: Team) -> str:
    return f"/teams('{team.id}')/operations('{team.operation}')"


def _get_operation(graph: Graph, _: Request, match: re.Match[str]) -> Answer:
    team = graph.teams.teams.get(match[1])
    if team is None or team.operation != match[2]:
        raise no_team(match[1])
    status = "succeeded" if graph.now() >= team.shown_from else "inProgress"
    return Answer(200, {"id": team.operation, "operationType": "createTeam", "status": status})


def _get(graph: Graph, request: Request, match: re.Match[str]) -> Answer:
    team = graph.teams.shown(match[1])
    group = graph.directory.group(team.id)
    entity: Entity = {
        "id": team.id,
        "displayName": group.displayName,
        "description": group.description,
        "specialization": "educationClass",
        "visibility": "hiddenMembership" if graph.has_hidden_members(group) else "public",
        "isArchived": graph.teams.archived(team),
    }
    if graph.answers.team_lock_told == "told":
        entity["isMembershipLimitedToOwners"] = team.locked
    elif "isMembershipLimitedToOwners" in request.query.get("$select", ""):
        raise bad_team_request("Could not find a property named 'isMembershipLimitedToOwners' on type 'team'.")
    return Answer(200, select(entity, request.query))


def _patch(graph: Graph, request: Request, match: re.Match[str]) -> Answer:
    """An app's unlock turns the flag, and adds none of the pupils who wait."""
    team = graph.teams.shown(match[1])
    locked = request.body.get("isMembershipLimitedToOwners")
    if request.body.keys() != {"isMembershipLimitedToOwners"} or not isinstance(locked, bool):
        raise bad_team_request("The simulated tenant changes nothing else of a team.")
    team.locked = locked
    graph.teams.save(team)
    return Answer(204)


def _list_members(graph: Graph, request: Request, match: re.Match[str]) -> Answer:
    team = graph.teams.shown(match[1])
    wanted = _filter(request.query.get("$filter"))
    listed = [_membership(graph, team, person) for person in graph.teams.people(team) if wanted(person)]
    return Answer(200, page(listed, request.query, request.url))


def _membership(graph: Graph, team: Team, person: str) -> Entity:
    user = graph.directory.users[person]
    return {
        "@odata.type": f"#{_MEMBER}",
        "id": team.memberships[person],
        "roles": ["owner"] if person in team.owners else [],
        "displayName": user.displayName,
        "userId": person,
        "email": user.mail or user.userPrincipalName,
        "tenantId": graph.directory.tenant_id,
    }


def _filter(text: str | None) -> Callable[[str], bool]:
    if not text:
        return lambda _: True
    if listed := _IN.fullmatch(text):
        ids = set(re.findall(r"[\"']([^\"']*)[\"']", listed[1]))
    else:
        clauses = [_CLAUSE.fullmatch(part.strip()) for part in text.split(" or ")]
        ids = {clause[1] for clause in clauses if clause}
        if None in clauses:
            raise bad_team_request("Unsupported or invalid query filter clause specified.")
    if len(ids) > _LONGEST_FILTER:
        raise bad_team_request("Too many child clauses specified in search filter expression.")
    return lambda person: person in ids


def _add_members(graph: Graph, request: Request, match: re.Match[str]) -> Answer:
    """200 if everybody was added, and 207 otherwise, with an error or null for each person."""
    team = graph.teams.shown(match[1])
    values = request.body.get("values")
    if not isinstance(values, list) or not 1 <= len(values) <= _PEOPLE_PER_WRITE:
        raise bad_team_request(f"Send 1 to {_PEOPLE_PER_WRITE} members.")
    results = []
    for value in values:
        user = _USER.fullmatch(str(value.get("user@odata.bind")))
        if value.get("@odata.type", "").lstrip("#") != _MEMBER or not user or value.get("roles") not in ([], ["owner"]):
            raise bad_team_request("Invalid member.")
        refusal = graph.teams.add_person(team, user[1], owner=bool(value["roles"]))
        error = {"code": refusal[0], "message": refusal[1]} if refusal else None
        results.append({"@odata.type": f"#{_MEMBER}Result", "userId": user[1], "error": error})
    graph.teams.save(team)
    return Answer(207 if any(result["error"] for result in results) else 200, {"value": results})


def _remove_member(graph: Graph, _: Request, match: re.Match[str]) -> Answer:
    graph.teams.remove_membership(graph.teams.shown(match[1]), match[2])
    return Answer(204)


def _patch_member(graph: Graph, request: Request, match: re.Match[str]) -> Answer:
    team = graph.teams.shown(match[1])
    person, roles = graph.teams.person_of(team, match[2]), request.body.get("roles")
    if roles not in ([], ["owner"]) or str(request.body.get("@odata.type")).lstrip("#") != _MEMBER:
        raise bad_team_request("Invalid member.")
    if not roles and team.owners == [person]:
        raise bad_team_request("The team must have at least one owner.")
    team.put(person, owner=bool(roles))
    graph.teams.write_group(team, person, owner=bool(roles))
    return Answer(200, _membership(graph, team, person))


def _archive(graph: Graph, request: Request, match: re.Match[str]) -> Answer:
    """The 404 of an archive that was done is the answer `archive-answer`."""
    team = graph.teams.shown(match[1])
    if request.body.get("shouldSetSpoSiteReadOnlyForMembers"):
        raise bad_team_request("shouldSetSpoSiteReadOnlyForMembers is not supported in application context.")
    graph.teams.archive(team, match[2] == "archive")
    if graph.answers.archive_answer == "404-though-done":
        raise no_team(team.id)
    return Answer(202, headers={"Location": _operation(team)})


ROUTES: tuple[Route, ...] = (
    ("POST", "/teams", _create),
    ("GET", r"/teams/([^/]+)", _get),
    ("PATCH", r"/teams/([^/]+)", _patch),
    ("GET", r"/teams\('([^']+)'\)/operations\('([^']+)'\)", _get_operation),
    ("GET", r"/teams/([^/]+)/members", _list_members),
    ("POST", r"/teams/([^/]+)/members/add", _add_members),
    ("PATCH", r"/teams/([^/]+)/members/(.+)", _patch_member),
    ("DELETE", r"/teams/([^/]+)/members/(.+)", _remove_member),
    ("POST", r"/teams/([^/]+)/(archive|unarchive)", _archive),
)
