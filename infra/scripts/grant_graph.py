"""Grants the app's identity the Graph permissions that it needs, and says why. With --revoke, it revokes them.

It is safe to run again. azd runs it after it has provisioned. By hand it also works in another tenant, where
--principal is the object id of the app "MIS Class Sync" under Enterprise applications.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection, Mapping

from azd import read_environment
from command import run, say
from permissions import LATER_GRANT, PERMISSIONS, GraphRoles, Need, read_roles
from services import Graph, access_token

ROLE = "a Privileged Role Administrator, who may consent to application permissions"


_STILL = "still granted: {}; to remove it, run this with --revoke and then once without it"
_NOT_GRANTED = {
    Need.RESTORE: (
        "not granted: {}; without it, admins restore deleted classes in Microsoft 365; to grant it, use --restore"
    ),
    Need.TEAMS: "not granted: {}; only schools that choose teams need it; to grant it, use --teams",
    Need.OPEN_TEAMS: "not granted: {}; only to activate or archive teams is it needed; to grant it, use --teams",
}


def main() -> None:
    environment = read_environment()
    parser = _parser()
    options = parser.parse_args()
    if options.revoke and (options.restore or options.teams):
        parser.error("--revoke takes all permissions away: use it without --restore and --teams")
    principal = options.principal or environment.get("IDENTITY_PRINCIPAL_ID")
    if not principal:
        parser.error("the app's identity is not known: run this from azd, or pass its object id with --principal")
    # An identity that azd does not name is in the tenant that the person signed in to.
    tenant = options.tenant or ("" if options.principal else environment.get("AZURE_TENANT_ID"))
    graph = Graph(access_token(tenant), ROLE)
    if options.revoke:
        found = read_roles(graph, ())
        revoke(graph, principal, read_granted(graph, principal, found))
        return
    needs = {Need.SYNC}
    needs |= {Need.RESTORE} if options.restore else set()
    needs |= {Need.TEAMS, Need.OPEN_TEAMS} if options.teams else set()
    wanted = [permission.name for permission in PERMISSIONS if permission.need in needs]
    found = read_roles(graph, wanted)
    grant(graph, principal, found, read_granted(graph, principal, found), wanted)
    say(f"wait: {LATER_GRANT}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="grant_graph.py", description="Grants the app's identity the Graph permissions that it needs."
    )
    parser.add_argument("--principal", default="", help="object id of the identity; the default is that of azd")
    parser.add_argument("--tenant", default="", help="id of its tenant; the default is that of azd's identity")
    parser.add_argument("--restore", action="store_true", help="grant the permission to restore classes too")
    parser.add_argument("--teams", action="store_true", help="grant the permissions for class teams too")
    parser.add_argument("--revoke", action="store_true", help="revoke the permissions instead")
    return parser


def read_granted(graph: Graph, principal: str, found: GraphRoles) -> dict[str, str]:
    """The ids of the assignments of the identity, by the name of the permission."""
    assignments = graph.pages(f"servicePrincipals/{principal}/appRoleAssignments")
    by_role = {one["appRoleId"]: one["id"] for one in assignments if one["resourceId"] == found.resource}
    return {name: by_role[role] for name, role in found.roles.items() if role in by_role}


def grant(graph: Graph, principal: str, found: GraphRoles, granted: Mapping[str, str], wanted: Collection[str]) -> None:
    for permission in PERMISSIONS:
        name = permission.name
        if name not in wanted:
            say(_STILL.format(name) if name in granted else _NOT_GRANTED[permission.need].format(name))
        elif name in granted:
            say(f"already granted: {name} ({permission.purpose})")
        else:
            body = {"principalId": principal, "resourceId": found.resource, "appRoleId": found.roles[name]}
            graph.post(f"servicePrincipals/{principal}/appRoleAssignments", body)
            say(f"granted: {name} ({permission.purpose})")


def revoke(graph: Graph, principal: str, granted: Mapping[str, str]) -> None:
    for permission in PERMISSIONS:
        if permission.name in granted:
            graph.delete(f"servicePrincipals/{principal}/appRoleAssignments/{granted[permission.name]}")
            say(f"revoked: {permission.name}")
        else:
            say(f"not granted: {permission.name}")


if __name__ == "__main__":
    run(main)
