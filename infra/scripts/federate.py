"""Creates the multi-tenant app registration that trusts the app's identity, for schools in other tenants.

It has no secret. It is safe to run again: then it requests the permissions that this release needs.
"""

from __future__ import annotations

import argparse

from app_registrations import Identity, Registration, create_registration, find_registration, keep_trust
from azd import Environment, read_environment
from command import run, say
from permissions import LATER_GRANT, REQUIRED, read_roles
from services import GRAPH_APP_ID, Entity, Graph, access_token

NAME = "MIS Class Sync"
VARIABLE = "GRAPH_CLIENT_ID"
ROLE = "a person who may register applications, such as an Application Administrator"


def main() -> None:
    environment = read_environment()
    parser = argparse.ArgumentParser(prog="federate.py", description="Creates the app registration for other tenants.")
    parser.parse_args()
    principal, tenant = (environment.get(name) for name in ("IDENTITY_PRINCIPAL_ID", "AZURE_TENANT_ID"))
    if not principal or not tenant:
        parser.error("set IDENTITY_PRINCIPAL_ID and AZURE_TENANT_ID, as 'azd env get-values' prints them")
    graph = Graph(access_token(tenant), ROLE)
    identity = Identity(principal, tenant)
    registration = keep_registration(graph, environment.get(VARIABLE), identity)
    keep_trust(graph, registration, identity)
    keep_client_id(environment, registration.client_id)
    consent = f"https://login.microsoftonline.com/TENANT/adminconsent?client_id={registration.client_id}"
    say(f"each further tenant consents at {consent}")
    say(
        "the consent page ends with the error AADSTS500113, because there is no page to return to: "
        "the consent is given all the same"
    )
    say("a tenant that consented to an earlier release consents again: it has not granted a permission that is new")
    say(f"wait: {LATER_GRANT}")


def keep_registration(graph: Graph, client_id: str, identity: Identity) -> Registration:
    """The registration, which requests the permissions that this release needs."""
    roles = read_roles(graph, REQUIRED).roles
    access = [{"id": roles[name], "type": "Role"} for name in REQUIRED]
    requested = {"requiredResourceAccess": [{"resourceAppId": GRAPH_APP_ID, "resourceAccess": access}]}
    registration = find_registration(graph, NAME, VARIABLE, client_id, redirects=(), trusted=(identity.trust,))
    if registration and not client_id:
        say(f"recognised: the app registration {NAME} ({registration.client_id}); you alone own it and can use it")
    if registration is None:
        body = {"displayName": NAME, "signInAudience": "AzureADMultipleOrgs", **requested}
        registration = create_registration(graph, body)
        say(f"created: the app registration {NAME} ({registration.client_id})")
    elif requests(registration.properties) == requests(requested):
        say(f"already there: the app registration {NAME}; it requests the permissions that this release needs")
    else:
        graph.patch(f"applications/{registration.object_id}", requested)
        say(f"already there: the app registration {NAME}; it now requests the permissions that this release needs")
    return registration


def requests(properties: Entity) -> frozenset[tuple[str, str, str]]:
    """The permissions that a registration requests: the app that has them, their id and type."""
    return frozenset(
        (resource["resourceAppId"], permission["id"], permission["type"])
        for resource in properties.get("requiredResourceAccess") or ()
        for permission in resource["resourceAccess"]
    )


def keep_client_id(environment: Environment, client_id: str) -> None:
    """Write the client id into the azd environment, or say how to if the command runs without one."""
    if not environment.name:
        say(f"next: azd env set {VARIABLE} {client_id} && azd provision")
        return
    if environment.get(VARIABLE) != client_id:
        environment.set(VARIABLE, client_id)
        say(f"set: {VARIABLE} in the azd environment {environment.name}")
    say("next: azd provision")


if __name__ == "__main__":
    run(main)
