"""App registrations as Microsoft Graph stores, returns and changes them."""

from __future__ import annotations

from typing import Any

from tests.infra.scripts.tunnel import Entity, Refused

_READ_ONLY = {"origin", "redirectUriSettings"}


def blank() -> Entity:
    """What Graph returns of a registration with nothing but a name."""
    return {
        "passwordCredentials": [],
        "keyCredentials": [],
        "identifierUris": [],
        "appRoles": [],
        "groupMembershipClaims": None,
        "optionalClaims": None,
        "api": {
            "acceptMappedClaims": None,
            "knownClientApplications": [],
            "requestedAccessTokenVersion": None,
            "oauth2PermissionScopes": [],
            "preAuthorizedApplications": [],
        },
        "web": {
            "homePageUrl": None,
            "logoutUrl": None,
            "redirectUris": [],
            "implicitGrantSettings": {"enableAccessTokenIssuance": False, "enableIdTokenIssuance": False},
            "redirectUriSettings": [],
        },
        "spa": {"redirectUris": []},
        "publicClient": {"redirectUris": []},
    }


def change(application: Entity, body: Entity) -> None:
    """Write the properties of `body`, as PATCH does: what a resource within has and `body` does not say stays."""
    if _READ_ONLY & set(_names(body)):
        raise Refused(400, "Request_BadRequest", "Property is read-only and cannot be set.")
    api = body.get("api", {})
    roles: list[Entity] = application["appRoles"]
    _keeps_enabled(roles, body.get("appRoles", roles))
    before: list[Entity] = application["api"]["oauth2PermissionScopes"]
    _keeps_enabled(before, api.get("oauth2PermissionScopes", before))
    known = {scope["id"] for scope in before}
    for client in api.get("preAuthorizedApplications", []):
        if not known.issuperset(client["delegatedPermissionIds"]):
            raise Refused(
                400,
                "InvalidValue",
                "Property api.preAuthorizedApplications.delegatedPermissionIds has a Permission Id that cannot be "
                "found in the AppPermissions sets.",
            )
    for uri in body.get("identifierUris", []):
        if uri != f"api://{application['appId']}":
            raise Refused(400, "Request_BadRequest", "Values of identifierUris property must use a verified domain.")
    for name, value in body.items():
        application[name] = {**(application[name] or {}), **value} if isinstance(value, dict) else value
    for role in application["appRoles"]:
        role["origin"] = "Application"
    for scope in application["api"]["oauth2PermissionScopes"]:
        scope["origin"] = "Application"
    redirects = application["web"]["redirectUris"]
    application["web"]["redirectUriSettings"] = [{"uri": uri, "index": None} for uri in redirects]


def _keeps_enabled(before: list[Entity], after: list[Entity]) -> None:
    kept = {one["id"] for one in after}
    if any(one["isEnabled"] and one["id"] not in kept for one in before):
        text = "Permission (scope or role) cannot be deleted or updated unless disabled first."
        raise Refused(400, "CannotDeleteOrUpdateEnabledEntitlement", text)
    if len({one["value"] for one in after}) < len(after):
        raise Refused(400, "DuplicateValue", "Property value contains duplicates.")


def _names(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [*value, *(name for item in value.values() for name in _names(item))]
    return [name for item in value for name in _names(item)] if isinstance(value, list) else []
