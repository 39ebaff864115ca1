"""Creates and keeps the app registration with which App Service signs admins in, and makes the first admin.

azd runs it before and after it provisions: the app has no address and no identity before. It is safe to run again.

    python infra/scripts/register_admins.py [--admin PERSON] [--client ID] [--app-url URL] [--identity ID --tenant ID]
    python infra/scripts/register_admins.py --undo
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import quote

from admin_registration import ADMIN_ROLE, admin_role_id, changes, name_of, redirect_of
from app_registrations import Identity, Registration, create_registration, find_registration, keep_trust
from azd import Environment, read_environment
from command import Failure, run, say
from services import GRAPH_V1, Graph, RequestRefused, access_token, tenant_of

_CLIENT, _EVERYWHERE = "ADMIN_CLIENT_ID", "ALL_SCHOOLS_ACCESS"
_COMMAND = "python infra/scripts/register_admins.py"
_MAY = "a person who may register applications, such as an Application Developer or a Cloud Application Administrator"


@dataclass(frozen=True, slots=True)
class Request:
    """What the command was told. `client_id`, `app_url` and `admin` may be empty, and azd may have no `identity` yet.

    `admin` is the object id or the sign-in name of a person to make an admin of all schools. Without it, the person who
    runs the command becomes one, if there is none yet.
    """

    environment: str
    client_id: str
    app_url: str
    identity: Identity | None
    admin: str

    @property
    def name(self) -> str:
        return name_of(self.environment)

    @property
    def redirects(self) -> list[str]:
        return [redirect_of(self.app_url)] if self.app_url else []

    @property
    def trusted(self) -> list[str]:
        return [self.identity.trust] if self.identity else []

    def command(self, client_id: str, admin: str) -> str:
        """The command with which another person does the same, without this environment."""
        told = {"client": client_id, "app-url": self.app_url}
        if self.identity:
            told |= {"identity": self.identity.principal, "tenant": self.identity.tenant}
        return " ".join([_COMMAND, *(f"--{name}={value}" for name, value in {**told, "admin": admin}.items() if value)])


def main() -> None:
    options = _options()
    environment = read_environment()
    tenant = options.tenant or tenant_of(environment)
    principal = options.identity or environment.get("IDENTITY_PRINCIPAL_ID")
    if principal and not tenant:
        raise Failure("nothing says which tenant the app's identity belongs to, so nothing was changed: add --tenant")
    request = Request(
        environment=environment.name,
        client_id=options.client or environment.get(_CLIENT),
        app_url=options.app_url or environment.get("APP_URL"),
        identity=Identity(principal, tenant) if principal else None,
        admin=options.admin,
    )
    if environment.name and not tenant:
        say(
            "not registered yet: azd has not chosen a subscription, whose tenant is that of the registration; this "
            "command runs again after the provisioning"
        )
        return
    graph = Graph(access_token(tenant), _MAY)
    if options.undo:
        remove(graph, environment, request)
    else:
        register(graph, environment, request)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--admin", default="", metavar="PERSON", help="object id or sign-in name of an admin to add")
    parser.add_argument("--client", default="", metavar="ID", help=f"its client id (default: {_CLIENT})")
    parser.add_argument("--app-url", default="", metavar="URL", help="address of the app (default: APP_URL)")
    parser.add_argument("--identity", default="", metavar="ID", help="app's identity (default: IDENTITY_PRINCIPAL_ID)")
    parser.add_argument("--tenant", default="", metavar="ID", help="tenant of the app (default: AZURE_TENANT_ID)")
    parser.add_argument("--undo", action="store_true", help="remove the registration, its roles and their assignments")
    return parser.parse_args()


def register(graph: Graph, environment: Environment, request: Request) -> None:
    """Create or complete the registration, its enterprise application and the first admin; say each step."""
    registration = _registration(graph, request)
    _write(environment, _CLIENT, registration.client_id)
    missing = changes(registration.properties, request.app_url)
    for change in missing:
        with completing(registration, request, change.part):
            graph.patch(f"applications/{registration.object_id}", change.properties)
        say(f"set: {change.part}")
    if not missing:
        say("already there: all that it must contain")
    if request.app_url:
        for other in sorted(registration.redirects - set(request.redirects)):
            say(f"it also redirects to {other}: if you do not know that address, remove it under Authentication")
    else:
        say("not set yet: the redirect URI, because the app has no address before azd provisions it")
    if request.identity:
        with completing(registration, request, "the trust in the app's identity"):
            keep_trust(graph, registration, request.identity)
    else:
        say("not set yet: the trust in the app's identity, because azd has not provisioned it")
    with completing(registration, request, "an enterprise application"):
        principal = _principal(graph, registration)
    _admins(graph, environment, request, registration, principal)
    say(f"to undo all of this: {_COMMAND} --undo")
    if environment.name and request.app_url and environment.get(_CLIENT) != registration.client_id:
        say("next: azd provision, because the app was provisioned without this registration")


def _find(graph: Graph, request: Request) -> Registration | None:
    return find_registration(graph, request.name, _CLIENT, request.client_id, request.redirects, request.trusted)


def _registration(graph: Graph, request: Request) -> Registration:
    found = _find(graph, request)
    if found and request.client_id:
        say(f"already there: the app registration {found.properties['displayName']}, client id {found.client_id}")
        return found
    if found:
        say(f"recognised: the app registration {request.name}, client id {found.client_id}; you alone own it")
        return found
    try:
        created = create_registration(graph, {"displayName": request.name, "signInAudience": "AzureADMyOrg"})
    except RequestRefused as refusal:
        if refusal.status != HTTPStatus.FORBIDDEN:
            raise
        raise Failure(
            "you may not register applications in this tenant, so there is no registration for the sign-in of admins; "
            "azd can deploy the app without it, and the admin API rejects every call until there is one. Ask "
            f"{_MAY}, to run '{request.command('', graph.me())}', then run the commands that it prints, and "
            "'azd provision'"
        ) from None
    say(f"created: the app registration {request.name}, client id {created.client_id}; it has no secret")
    return created


@contextmanager
def completing(registration: Registration, request: Request, part: str, admin: str = "") -> Iterator[None]:
    """Where the person may not make a part of the registration, say who may, and the command that they run."""
    try:
        yield
    except RequestRefused as refusal:
        if refusal.status != HTTPStatus.FORBIDDEN:
            raise
        owners = ", ".join(sorted(registration.owners)) or "nobody"
        raise Failure(
            f"the app registration with the client id {registration.client_id} lacks {part}, and you may not change "
            "it, so admins may be unable to sign in. Ask an owner of it "
            f"({owners}) or a Cloud Application Administrator to run '{request.command(registration.client_id, admin)}'"
        ) from None


def _principal(graph: Graph, registration: Registration) -> str:
    """The object id of the enterprise application, which has the assignments of the roles."""
    found = graph.find(f"servicePrincipals(appId='{registration.client_id}')", select="id")
    if found:
        say("already there: its enterprise application")
        return str(found["id"])
    created = graph.post_about_new("servicePrincipals", {"appId": registration.client_id})
    say("created: its enterprise application")
    return str(created["id"])


def _admins(
    graph: Graph, environment: Environment, request: Request, registration: Registration, principal: str
) -> None:
    """Give the role to the first admin, or to the person of the request, and make it apply to all schools."""
    role = admin_role_id(registration.properties)
    listed = graph.pages(f"servicePrincipals/{principal}/appRoleAssignedTo")
    holders = {one["principalId"] for one in listed if one["appRoleId"] == role}
    admin = _person(graph, request.admin)
    if admin in holders or (holders and not request.admin):
        say(f"already there: the app role {ADMIN_ROLE}, assigned to people or groups ({len(holders)})")
    else:
        body = {"principalId": admin, "resourceId": principal, "appRoleId": role}
        with completing(registration, request, f"an admin with the app role {ADMIN_ROLE}", admin):
            assigned = graph.post_about_new(f"servicePrincipals/{principal}/appRoleAssignedTo", body)
        say(f"assigned: the app role {ADMIN_ROLE} to {admin}")
        address = f"{GRAPH_V1}/servicePrincipals/{principal}/appRoleAssignedTo/{assigned['id']}"
        say(f"to undo this assignment: az rest --method DELETE --url {address}")
    everywhere = _ids(environment.get(_EVERYWHERE))
    if request.admin or not everywhere:
        _write(environment, _EVERYWHERE, ",".join(dict.fromkeys([*everywhere, admin])))
    else:
        say(f"already there: {_EVERYWHERE}, the ids whose app roles apply to every school ({len(everywhere)})")


def _person(graph: Graph, named: str) -> str:
    """The object id of a person by id or sign-in name, or of the person who is signed in."""
    if not named:
        return graph.me()
    found = graph.find(f"users/{quote(named)}", select="id")
    if found is None:
        raise Failure(f"there is no user {named} in this tenant, so nobody was made an admin: check --admin")
    return str(found["id"])


def _ids(listed: str) -> list[str]:
    return listed.lower().replace(",", " ").split()


def _write(environment: Environment, name: str, value: str) -> None:
    """Into the azd environment; without one, say what the person who deploys must run."""
    if environment.get(name) == value:
        return
    if environment.name:
        environment.set(name, value)
        say(f"azd environment: {name} is {value or 'empty'}")
    else:
        say(f"the person who deploys runs: azd env set {name} {value}")


def remove(graph: Graph, environment: Environment, request: Request) -> None:
    """Delete the registration, and with it the enterprise application and all assignments of its roles."""
    registration = _find(graph, request)
    if registration is None:
        raise Failure(f"there is no app registration {request.name}, so there is nothing to undo")
    if ADMIN_ROLE not in [role["value"] for role in registration.properties["appRoles"]]:
        raise Failure(
            f"the app registration with the client id {registration.client_id} has no app role {ADMIN_ROLE}, so this "
            f"command did not make it, and nothing was changed: correct {_CLIENT} or --client"
        )
    graph.delete(f"applications/{registration.object_id}")
    say(f"removed: the app registration {registration.properties['displayName']}, with its roles and their assignments")
    address = f"{GRAPH_V1}/directory/deletedItems/{registration.object_id}/restore"
    say(f"to undo this within 30 days: az rest --method POST --url {address}")
    if environment.get(_CLIENT) == registration.client_id:
        _write(environment, _CLIENT, "")
    say("nobody can use the admin API now; azd provision makes a new registration")


if __name__ == "__main__":
    run(main)
