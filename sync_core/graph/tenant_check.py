"""Checks a tenant by the token that the app has for it, without a request to Graph."""

from __future__ import annotations

import base64
import binascii
import json

from sync_core.domain.permissions import Grants, TenantCheck, check_grants, unchecked, without_token
from sync_core.errors import GraphDenied, Permanent, SyncError, UnknownSetting
from sync_core.graph.port import Tenants
from sync_core.messaging.messages import Priority


async def check_tenant(tenants: Tenants, tenant: str) -> TenantCheck:
    """Whether the token of `tenant` carries every required permission.

    A tenant that gives the app no token is blocked too. A token that cannot be read, or fetched now, blocks nothing.
    """
    try:
        grants = await tenants.of(tenant, Priority.URGENT).grants()
    except GraphDenied as denied:
        return without_token(tenant, f"the app's identity got no token for tenant {tenant}", denied.remedy)
    except UnknownSetting as error:
        return without_token(tenant, error.message, error.remedy)
    except SyncError as error:
        return unchecked(tenant, error)
    if grants is None:
        unreadable = Permanent(
            f"the app's token for tenant {tenant} cannot be read, so its permissions are not known",
            "nothing to do: Graph itself refuses what is not granted",
        )
        return unchecked(tenant, unreadable)
    return check_grants(tenant, grants)


def read_grants(token: str) -> Grants | None:
    """What an access token for Graph carries, or None if it is no readable JWT of an app.

    The signature is not verified: the token is for Graph, which alone decides. A token without the claim `roles` was
    granted nothing. A user's token has `scp` in place of `roles` ("Access token claims reference").
    """
    try:
        _, payload, _ = token.split(".")
        claims = json.loads(base64.b64decode(payload + "=" * (-len(payload) % 4), altchars=b"-_", validate=True))
    except (ValueError, binascii.Error):
        return None
    if not isinstance(claims, dict) or "scp" in claims:
        return None
    roles, principal = claims.get("roles", []), claims.get("oid", "")
    if not isinstance(roles, list) or not all(isinstance(role, str) for role in roles):
        return None
    return Grants(frozenset(roles), principal if isinstance(principal, str) else "")
