"""The admins' app registration: what it contains, and what an existing one lacks. Pure functions over Graph's JSON.

Sources: Microsoft Graph, "application resource type"; App Service, "Use Microsoft Entra sign-in".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

NAME = "MIS Class Sync admins"
ADMIN_ROLE = "GroupSync.Admin"
AZURE_CLI = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
"""The client id of the Azure CLI, the same in every tenant."""

Entity = Mapping[str, Any]
"""A resource of Graph as JSON."""

_ROLES = (
    {
        "id": "8f2c1f0e-6d0b-4c53-9d1b-3a4f5e7b1c01",
        "value": ADMIN_ROLE,
        "displayName": "Admin of classes",
        "description": "Changes settings, classes and holds of the schools that grant access",
        "allowedMemberTypes": ["User"],
        "isEnabled": True,
    },
    {
        "id": "8f2c1f0e-6d0b-4c53-9d1b-3a4f5e7b1c02",
        "value": "GroupSync.Teacher",
        "displayName": "Teacher",
        "description": "Creates and resyncs classes of the schools that grant access",
        "allowedMemberTypes": ["User"],
        "isEnabled": True,
    },
)
_SCOPE = {
    "id": "8f2c1f0e-6d0b-4c53-9d1b-3a4f5e7b1c03",
    "value": "user_impersonation",
    "type": "User",
    "adminConsentDisplayName": "Use MIS Class Sync",
    "adminConsentDescription": "Calls the admin API of MIS Class Sync as the person who is signed in",
    "userConsentDisplayName": "Use MIS Class Sync",
    "userConsentDescription": "Calls the admin API of MIS Class Sync as you",
    "isEnabled": True,
}
_OF_GROUPS = {"ApplicationGroup", "SecurityGroup", "All"}
"""The values of groupMembershipClaims with which a token lists security groups."""
_GROUPS_CLAIM: Entity = {"name": "groups", "source": None, "essential": False, "additionalProperties": []}


@dataclass(frozen=True, slots=True)
class Change:
    """A part of the registration that is not as it must be: `properties` is the body of the PATCH that corrects it."""

    part: str
    properties: Mapping[str, Any]


def name_of(environment: str) -> str:
    """The display name of the registration of an azd environment. Each environment of a tenant has its own."""
    return f"{NAME} ({environment})" if environment else NAME


def admin_role_id(application: Entity) -> str:
    """The id of the admins' app role, in the registration as it is after `changes`."""
    return str(next(role["id"] for role in (*application["appRoles"], *_ROLES) if role["value"] == ADMIN_ROLE))


def redirect_of(app_url: str) -> str:
    """Where App Service authentication receives a person who has signed in."""
    return f"{app_url.rstrip('/')}/.auth/login/aad/callback"


def changes(application: Entity, app_url: str) -> list[Change]:
    """What must be written to `application`, in this order. `app_url` is empty before the app has an address.

    What others added stays: roles, scopes, clients, redirect URIs, and a wider groups claim.
    """
    parts: list[tuple[str, Callable[[Entity], Entity]]] = [
        (f"the app roles {' and '.join(str(role['value']) for role in _ROLES)}", _roles),
        ("the groups claim, for the groups that are assigned to the application", _groups_claim),
        (f"the scope {_SCOPE['value']}, and tokens of version 2", _scope),
        # After the scope: Graph refuses a client whose scope comes in the same request.
        ("the Azure CLI as a client that needs no consent", _client),
        ("the identifier by which clients request tokens", _identifier),
    ]
    if app_url:
        parts.append((f"the redirect URI {redirect_of(app_url)}", lambda current: _redirect(current, app_url)))
    found: list[Change] = []
    current = dict(application)
    for part, complete in parts:
        wanted = complete(current)
        if any(current.get(name) != value for name, value in wanted.items()):
            found.append(Change(part, _writable(wanted)))
            current.update(wanted)
    return found


def _roles(application: Entity) -> Entity:
    return {"appRoles": _with_each(application["appRoles"], _ROLES)}


def _groups_claim(application: Entity) -> Entity:
    """Both properties, as the portal writes them: which groups, and in which tokens."""
    value = str(application.get("groupMembershipClaims") or "")
    optional = application.get("optionalClaims") or {}
    with_groups = {}
    for token in ("idToken", "accessToken"):
        claims = optional.get(token) or []
        has_groups = any(claim["name"] == "groups" for claim in claims)
        with_groups[token] = claims if has_groups else [*claims, _GROUPS_CLAIM]
    return {
        "groupMembershipClaims": value if _OF_GROUPS & set(value.replace(" ", "").split(",")) else "ApplicationGroup",
        "optionalClaims": {**optional, **with_groups},
    }


def _scope(application: Entity) -> Entity:
    api = application["api"]
    scopes = _with_each(api["oauth2PermissionScopes"], [_SCOPE])
    return {"api": {**api, "requestedAccessTokenVersion": 2, "oauth2PermissionScopes": scopes}}


def _client(application: Entity) -> Entity:
    api = application["api"]
    (scope,) = (one["id"] for one in api["oauth2PermissionScopes"] if one["value"] == _SCOPE["value"])
    clients = list(api["preAuthorizedApplications"])
    if not any(one["appId"] == AZURE_CLI and scope in one["delegatedPermissionIds"] for one in clients):
        others = [one for one in clients if one["appId"] != AZURE_CLI]
        clients = [*others, {"appId": AZURE_CLI, "delegatedPermissionIds": [scope]}]
    return {"api": {**api, "preAuthorizedApplications": clients}}


def _identifier(application: Entity) -> Entity:
    uris, ours = list(application["identifierUris"]), f"api://{application['appId']}"
    return {"identifierUris": uris if ours in uris else [*uris, ours]}


def _redirect(application: Entity, app_url: str) -> Entity:
    """App Service asks for an ID token on the way back from the sign-in page, alone or with a code."""
    web = application["web"]
    uris, ours = list(web["redirectUris"]), redirect_of(app_url)
    grants = {**(web.get("implicitGrantSettings") or {}), "enableIdTokenIssuance": True}
    return {"web": {**web, "redirectUris": uris if ours in uris else [*uris, ours], "implicitGrantSettings": grants}}


def _with_each(existing: Sequence[Entity], wanted: Sequence[Entity]) -> list[Entity]:
    """`existing`, with each role or scope of `wanted` enabled in it. One that was there keeps its id and its texts."""
    values = {one["value"]: one for one in wanted}
    kept = [_enabled(one) if one["value"] in values else one for one in existing]
    return [*kept, *(one for value, one in values.items() if value not in {item["value"] for item in existing})]


def _enabled(existing: Entity) -> Entity:
    members = existing.get("allowedMemberTypes")
    if members is None or "User" in members:
        return {**existing, "isEnabled": True}
    return {**existing, "isEnabled": True, "allowedMemberTypes": [*members, "User"]}


def _writable(properties: Entity) -> Entity:
    """Without what Graph returns and does not accept: the origin of roles and scopes, the order of redirect URIs."""

    def without(name: str, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: without(name, item) for key, item in value.items() if key != name}
        return [without(name, item) for item in value] if isinstance(value, list) else value

    return {name: without("redirectUriSettings", without("origin", value)) for name, value in properties.items()}
