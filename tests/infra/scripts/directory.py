"""The part of Microsoft Graph that the scripts use: app registrations, service principals and app role assignments."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from tests.infra.scripts.registrations import blank, change
from tests.infra.scripts.tunnel import Entity, Query, Refused

HOST = "graph.microsoft.com"
GRAPH_APP_ID = "00000003-0000-0000-c000-000000000000"
PAGE = 2
"""Entries of a page: small, so that every list of more is read in pages."""


def id_of(name: str) -> str:
    """A GUID that is the same for a name in each run."""
    return str(uuid5(NAMESPACE_URL, name))


ME, GRAPH_OBJECT = id_of("me"), id_of("Microsoft Graph")


@dataclass(slots=True)
class Directory:
    """A tenant. `refuse` are methods, alone or with the first part of a path, that the admin may not use.

    `late` counts the answers 404 about each new registration before Graph knows it, and `throttled` the answers 429
    that come first. `users` are object ids by sign-in name. `owner_by_itself` says whether a creator becomes an owner
    without a request.
    """

    applications: dict[str, Entity] = field(default_factory=dict)
    owners: dict[str, list[str]] = field(default_factory=dict)
    credentials: dict[str, list[Entity]] = field(default_factory=dict)
    principals: dict[str, Entity] = field(default_factory=dict)
    users: dict[str, str] = field(default_factory=dict)
    assignments: list[Entity] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    refuse: set[str] = field(default_factory=set)
    late: int = 0
    throttled: int = 0
    owner_by_itself: bool = True
    me: str = ME
    _unknown: dict[str, int] = field(default_factory=dict)

    @property
    def changes(self) -> list[str]:
        return [call for call in self.calls if not call.startswith("GET")]

    def add_principal(self, name: str, app_id: str = "", roles: tuple[str, ...] = ()) -> str:
        """A service principal named `name`, with application permissions of these names; its object id."""
        id_ = id_of(name)
        # A delegated permission has the name of the application permission.
        listed = [
            {"id": id_of(f"{kind} {role}"), "value": role, "allowedMemberTypes": [kind]}
            for role in roles
            for kind in ("User", "Application", "User")
        ]
        app_id = app_id or id_of(f"app {name}")
        self.principals[id_] = {"id": id_, "appId": app_id, "displayName": name, "appRoles": listed}
        return id_

    def add_application(self, **properties: Any) -> Entity:
        """An app registration as the directory stores it, with the owners `owners` (object ids)."""
        owners = properties.pop("owners", [self.me] if self.owner_by_itself else [])
        number = len(self.applications) + 1
        id_ = id_of(f"application {number}")
        self.applications[id_] = {**blank(), "id": id_, "appId": id_of(f"client {number}"), **properties}
        self.owners[id_], self.credentials[id_], self._unknown[id_] = list(owners), [], self.late
        return self.applications[id_]

    def answer(self, method: str, path: str, query: Query, body: Entity) -> Entity | None:
        path = path.removeprefix("/v1.0/")
        self.calls.append(f"{method} {path}")
        if self.throttled:
            self.throttled -= 1
            raise Refused(429, "TooManyRequests", "Too many requests.")
        if self.refuse & {"all", method, f"{method} {path.partition('/')[0]}"}:
            raise Refused(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")
        for pattern, verb, handler in _ROUTES:
            found = re.fullmatch(pattern, path)
            if found and verb == method:
                answer = handler(self, found.groups(), query, body)
                if answer and "next" in answer:
                    options = "&".join(f"{name}={value}" for name, value in query.items() if name != "$skiptoken")
                    answer["@odata.nextLink"] = f"https://{HOST}/v1.0/{path}?{options}&$skiptoken={answer.pop('next')}"
                return answer
        raise Refused(400, "BadRequest", f"Resource not found for the segment '{path}'.")

    def application(self, id_: str) -> Entity:
        if id_ not in self.applications or self._unknown.get(id_, 0) > 0:
            self._unknown[id_] = self._unknown.get(id_, 0) - 1
            raise _missing(id_)
        return self.applications[id_]

    def by_client(self, client_id: str) -> Entity:
        for one in self.applications.values():
            if one["appId"] == client_id:
                return self.application(one["id"])
        raise _missing(client_id)

    def principal(self, id_: str) -> Entity:
        if id_ not in self.principals:
            raise _missing(id_)
        return self.principals[id_]


def _missing(id_: str) -> Refused:
    message = f"Resource '{id_}' does not exist or one of its queried reference-property objects are not present."
    return Refused(404, "Request_ResourceNotFound", message)


Groups = tuple[str, ...]


def _selected(entity: Entity, query: Query) -> Entity:
    names = query.get("$select", "").split(",")
    return {name: value for name, value in entity.items() if name in names} if names != [""] else entity


def _listed(entities: list[Entity], query: Query) -> Entity:
    """One page of a list, and the number of the entry that begins the next."""
    start = int(query.get("$skiptoken", "0"))
    page: Entity = {"value": [_selected(one, query) for one in entities[start : start + PAGE]]}
    return page | ({"next": start + PAGE} if len(entities) > start + PAGE else {})


def _me(directory: Directory, groups: Groups, query: Query, body: Entity) -> Entity:
    return _selected({"id": directory.me, "displayName": "An admin"}, query)


def _user(directory: Directory, groups: Groups, query: Query, body: Entity) -> Entity:
    id_ = directory.users.get(groups[0], groups[0])
    if id_ not in (directory.me, *directory.users.values()):
        raise _missing(groups[0])
    return _selected({"id": id_, "displayName": "A person"}, query)


def _applications(directory: Directory, groups: Groups, query: Query, body: Entity) -> Entity:
    name = re.fullmatch(r"displayName eq '(.*)'", query.get("$filter", ""))
    if not name:
        raise Refused(400, "BadRequest", "Invalid filter clause")
    return _listed([one for one in directory.applications.values() if one["displayName"] == name[1]], query)


def _create_application(directory: Directory, groups: Groups, query: Query, body: Entity) -> Entity:
    return directory.add_application(**body)


def _by_client(directory: Directory, groups: Groups, query: Query, body: Entity) -> Entity:
    return _selected(directory.by_client(groups[0]), query)


def _application(directory: Directory, groups: Groups, query: Query, body: Entity) -> Entity:
    return _selected(directory.application(groups[0]), query)


def _change_application(directory: Directory, groups: Groups, query: Query, body: Entity) -> None:
    application = directory.application(groups[0])
    change(application, body)
    for one in directory.principals.values():
        if one["appId"] == application["appId"]:
            one["appRoles"] = application["appRoles"]


def _delete_application(directory: Directory, groups: Groups, query: Query, body: Entity) -> None:
    del directory.applications[directory.application(groups[0])["id"]]


def _owners(directory: Directory, groups: Groups, query: Query, body: Entity) -> Entity:
    return _listed([{"id": owner} for owner in directory.owners[directory.application(groups[0])["id"]]], query)


def _add_owner(directory: Directory, groups: Groups, query: Query, body: Entity) -> None:
    owners = directory.owners[directory.application(groups[0])["id"]]
    owner = body["@odata.id"].removeprefix(f"https://{HOST}/v1.0/users/")
    if owner in owners:
        text = "One or more added object references already exist for the following modified properties: 'owners'."
        raise Refused(400, "Request_BadRequest", text)
    owners.append(owner)


def _credentials(directory: Directory, groups: Groups, query: Query, body: Entity) -> Entity:
    return _listed(directory.credentials[directory.application(groups[0])["id"]], query)


def _add_credential(directory: Directory, groups: Groups, query: Query, body: Entity) -> Entity:
    credentials = directory.credentials[directory.application(groups[0])["id"]]
    if any(one["name"] == body["name"] for one in credentials):
        raise Refused(409, "Request_MultipleObjectsWithSameKeyValue", "A credential with this name exists.")
    credentials.append({"id": id_of(body["name"]), **body})
    return credentials[-1]


def _principal_by_client(directory: Directory, groups: Groups, query: Query, body: Entity) -> Entity:
    for one in directory.principals.values():
        if one["appId"] == groups[0]:
            return _selected(one, query)
    raise _missing(groups[0])


def _principal(directory: Directory, groups: Groups, query: Query, body: Entity) -> Entity:
    return _selected(directory.principal(groups[0]), query)


def _create_principal(directory: Directory, groups: Groups, query: Query, body: Entity) -> Entity:
    application = directory.by_client(body["appId"])
    if any(one["appId"] == body["appId"] for one in directory.principals.values()):
        raise Refused(409, "Request_MultipleObjectsWithSameKeyValue", "The service principal name is already in use.")
    id_ = directory.add_principal(application["displayName"], body["appId"])
    directory.principals[id_] |= body | {"appRoles": application["appRoles"]}
    return directory.principals[id_]


def _change_principal(directory: Directory, groups: Groups, query: Query, body: Entity) -> None:
    directory.principal(groups[0]).update(body)


def _assignments(directory: Directory, groups: Groups, query: Query, body: Entity) -> Entity:
    """Those of a principal (appRoleAssignments), or on a resource (appRoleAssignedTo)."""
    end = "principalId" if groups[1] == "appRoleAssignments" else "resourceId"
    directory.principal(groups[0])
    return _listed([one for one in directory.assignments if one[end] == groups[0]], query)


def _assign(directory: Directory, groups: Groups, query: Query, body: Entity) -> Entity:
    resource = directory.principal(body["resourceId"])
    end = "principalId" if groups[1] == "appRoleAssignments" else "resourceId"
    if body[end] != groups[0] or body["appRoleId"] not in [role["id"] for role in resource["appRoles"]]:
        raise Refused(400, "Request_BadRequest", "Not a valid reference update.")
    if any(body.items() <= one.items() for one in directory.assignments):
        raise Refused(400, "Request_BadRequest", "Permission being assigned already exists on the object")
    directory.assignments.append({"id": f"assignment-{len(directory.assignments) + 1}", **body})
    return directory.assignments[-1]


def _unassign(directory: Directory, groups: Groups, query: Query, body: Entity) -> None:
    kept = [one for one in directory.assignments if one["id"] != groups[2]]
    if len(kept) == len(directory.assignments):
        raise _missing(groups[2])
    directory.assignments = kept


_ROUTES: list[tuple[str, str, Callable[[Directory, Groups, Query, Entity], Entity | None]]] = [
    (r"me", "GET", _me),
    (r"users/(.*)", "GET", _user),
    (r"applications", "GET", _applications),
    (r"applications", "POST", _create_application),
    (r"applications\(appId='(.*)'\)", "GET", _by_client),
    (r"applications/([0-9a-f-]+)", "GET", _application),
    (r"applications/([0-9a-f-]+)", "PATCH", _change_application),
    (r"applications/([0-9a-f-]+)", "DELETE", _delete_application),
    (r"applications/([0-9a-f-]+)/owners", "GET", _owners),
    (r"applications/([0-9a-f-]+)/owners/\$ref", "POST", _add_owner),
    (r"applications/([0-9a-f-]+)/federatedIdentityCredentials", "GET", _credentials),
    (r"applications/([0-9a-f-]+)/federatedIdentityCredentials", "POST", _add_credential),
    (r"servicePrincipals", "POST", _create_principal),
    (r"servicePrincipals\(appId='(.*)'\)", "GET", _principal_by_client),
    (r"servicePrincipals/([0-9a-f-]+)", "GET", _principal),
    (r"servicePrincipals/([0-9a-f-]+)", "PATCH", _change_principal),
    (r"servicePrincipals/([0-9a-f-]+)/(appRoleAssignments|appRoleAssignedTo)", "GET", _assignments),
    (r"servicePrincipals/([0-9a-f-]+)/(appRoleAssignments|appRoleAssignedTo)", "POST", _assign),
    (r"servicePrincipals/([0-9a-f-]+)/(appRoleAssignments|appRoleAssignedTo)/(.+)", "DELETE", _unassign),
]
