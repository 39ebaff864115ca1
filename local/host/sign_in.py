"""App Service authentication on this machine: named test users; a caller cannot set the identity headers."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from local.host.refusal import StartRefused
from local.host.settings import Settings

_PRINCIPAL = "x-ms-client-principal"
_LOOPBACK = {"127.0.0.1", "::1"}


@dataclass(frozen=True, slots=True)
class SignIn:
    """The users of a JSON file: {name: {"id", "tenant", "roles", "groups"}}; the file is read at each call."""

    users: Path | None

    def headers(self, request: web.Request) -> dict[str, str]:
        """The headers that the app receives. The bearer token is a user's name; raises HTTPUnauthorized if unknown.

        As in Azure, identity headers that the caller sends are removed, and a request without a token is anonymous.
        """
        headers = {
            name.lower(): value for name, value in request.headers.items() if not name.lower().startswith(_PRINCIPAL)
        }
        scheme, _, name = request.headers.get("Authorization", "").partition(" ")
        if self.users is None or scheme.lower() != "bearer":
            return headers
        known = json.loads(self.users.read_text(encoding="utf-8"))
        if name not in known or request.remote not in _LOOPBACK:
            raise web.HTTPUnauthorized(text=f"the test users are {', '.join(sorted(known))}")
        return {**headers, _PRINCIPAL: principal(name, known[name])}


def sign_in_of(settings: Settings) -> SignIn:
    """Raises StartRefused if the setting LOCAL_USERS names a file that does not exist."""
    named = settings.values.get("LOCAL_USERS", "")
    if named and not Path(named).is_file():
        raise StartRefused(
            f"the file {named} does not exist", "setting LOCAL_USERS", "Write the test users there as JSON."
        )
    return SignIn(Path(named) if named else None)


def principal(name: str, user: Mapping[str, Any]) -> str:
    """The header's value: base64 of the claims as App Service passes them on."""
    claims = [
        {"typ": "http://schemas.microsoft.com/identity/claims/objectidentifier", "val": user["id"]},
        {"typ": "http://schemas.microsoft.com/identity/claims/tenantid", "val": user["tenant"]},
        {"typ": "name", "val": name},
        *({"typ": "roles", "val": role} for role in user.get("roles", [])),
        *({"typ": "groups", "val": group} for group in user.get("groups", [])),
    ]
    whole = {"auth_typ": "aad", "claims": claims, "name_typ": "name", "role_typ": "roles"}
    return base64.b64encode(json.dumps(whole).encode()).decode()
