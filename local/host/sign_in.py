"""App Service authentication on this machine: named test users; a caller cannot set the identity headers."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from aiohttp import web

from local.host.refusal import StartRefused
from local.host.settings import Settings

_PRINCIPAL = "x-ms-client-principal"
_LOOPBACK = {"127.0.0.1", "::1"}
_SESSION = "AppServiceAuthSession"
_PAGE = """<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>Sign in</title>
<meta name="viewport" content="width=device-width">
<body style="font: 1.2rem system-ui; margin: 3rem auto; max-width: 30rem">
<h1>Sign in</h1><p>On this machine there are no passwords. Choose a test user:</p>
<form method="post" action="/.auth/login/aad"><input type="hidden" name="target" value="{target}">{buttons}</form>
</body></html>
"""
_BUTTON = '<p><button name="user" value="{0}" style="font: inherit; padding: .5rem 1rem">{0}</button> {1}</p>'


@dataclass(frozen=True, slots=True)
class SignIn:
    """The users of a JSON file: {name: {"id", "tenant", "roles", "groups"}}; the file is read at each call."""

    users: Path | None

    def headers(self, request: web.Request) -> dict[str, str]:
        """The headers that the app receives. The caller is a user's name, as the bearer token or in the session cookie.

        As in Azure, identity headers that the caller sends are removed, a request without either is anonymous, and
        a token counts before a session. Raises HTTPUnauthorized for an unknown token.
        """
        headers = {
            name.lower(): value for name, value in request.headers.items() if not name.lower().startswith(_PRINCIPAL)
        }
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        bearer = scheme.lower() == "bearer"
        name = token if bearer else request.cookies.get(_SESSION, "")
        if self.users is None or not name:
            return headers
        known = self._known()
        if name not in known or request.remote not in _LOOPBACK:
            if bearer:
                raise web.HTTPUnauthorized(text=f"the test users are {', '.join(sorted(known))}")
            return headers
        return {**headers, _PRINCIPAL: principal(name, known[name])}

    async def choose(self, request: web.Request) -> web.Response:
        """The page that stands for Microsoft's sign-in."""
        target = _own_path(request.query.get("post_login_redirect_uri", "/"))
        buttons = "".join(
            _BUTTON.format(escape(name), escape(", ".join(user.get("roles", [])) or "no role"))
            for name, user in self._known().items()
        )
        return web.Response(text=_PAGE.format(target=escape(target), buttons=buttons), content_type="text/html")

    async def sign_in(self, request: web.Request) -> web.Response:
        form = await request.post()
        response = web.Response(status=302, headers={"Location": _own_path(str(form.get("target", "/")))})
        # App Service's session goes with requests of other sites too: the app itself must refuse those.
        response.set_cookie(_SESSION, str(form.get("user", "")), secure=True, httponly=True, samesite="None")
        return response

    async def sign_out(self, request: web.Request) -> web.Response:
        target = _own_path(request.query.get("post_logout_redirect_uri", "/"))
        response = web.Response(status=302, headers={"Location": target})
        response.del_cookie(_SESSION)
        return response

    def _known(self) -> dict[str, Any]:
        known: dict[str, Any] = json.loads(self.users.read_text(encoding="utf-8")) if self.users else {}
        return known


def _own_path(target: str) -> str:
    """A path of this host: App Service leads nowhere else unless its settings allow the address."""
    return target if target.startswith("/") and not target.startswith(("//", "/\\")) else "/"


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
        {"typ": "http://schemas.microsoft.com/identity/claims/scope", "val": "user_impersonation"},
        {"typ": "name", "val": name},
        *({"typ": "roles", "val": role} for role in user.get("roles", [])),
        *({"typ": "groups", "val": group} for group in user.get("groups", [])),
    ]
    whole = {"auth_typ": "aad", "claims": claims, "name_typ": "name", "role_typ": "roles"}
    return base64.b64encode(json.dumps(whole).encode()).decode()
