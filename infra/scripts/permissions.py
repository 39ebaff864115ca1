"""The Graph permissions that the app needs, with their ids in a tenant."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from command import ROOT, Failure
from services import GRAPH_APP_ID, Entity, Graph

sys.path.append(str(ROOT))
# The list of the app itself: both modules need Python and no package.
from sync_core.domain.permissions import PERMISSIONS, Need
from sync_core.errors import LATER_GRANT

__all__ = ["LATER_GRANT", "PERMISSIONS", "REQUIRED", "GraphRoles", "Need", "read_roles"]

REQUIRED = tuple(permission.name for permission in PERMISSIONS if permission.required)


@dataclass(frozen=True, slots=True)
class GraphRoles:
    """Microsoft Graph in a tenant: its object id there, and the ids of application permissions by name."""

    resource: str
    roles: Mapping[str, str]


def read_roles(graph: Graph, needed: Collection[str]) -> GraphRoles:
    """Microsoft Graph in the tenant, which must have the permissions named in `needed`."""
    found = graph.get(f"servicePrincipals(appId='{GRAPH_APP_ID}')", select="id,appRoles")
    roles = application_roles(found["appRoles"])
    missing = [name for name in needed if name not in roles]
    if missing:
        raise Failure(
            f"Microsoft Graph has no application permission {', '.join(missing)} in this tenant: it belongs to another "
            "cloud, and the app works in the global cloud alone; nothing was changed; sign in to a tenant of that cloud"
        )
    return GraphRoles(found["id"], roles)


def application_roles(roles: Collection[Entity]) -> dict[str, str]:
    """The ids of the roles that apps can have, by name. Graph lists those of people with the same names."""
    return {role["value"]: role["id"] for role in roles if "Application" in role["allowedMemberTypes"]}
