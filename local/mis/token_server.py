"""A vendor's token server: OAuth 2 client credentials, with the habits of real ones."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field

from aiohttp import web

TOKEN, CLIENT, SECRET = "a static bearer", "client", "a client's secret"


@dataclass(slots=True)
class TokenServer:
    """Gives TOKEN to CLIENT with SECRET.

    - `secret_in` is where it reads the client and the secret: "header" or "form"; it accepts nobody's elsewhere.
    - `scopes` are those that it knows; None if it ignores scopes.
    - `refusal` is its error for a client that it does not recognise, and `description` what it adds to an error.
    - `lasts` is how many requests a token is accepted for; None for any number. Those after the
      first `tokens` have expired already.
    - `requests` are the forms so far.
    """

    secret_in: str = "header"
    scopes: frozenset[str] | None = None
    refusal: tuple[int, str] = (401, "invalid_client")
    description: str = ""
    lasts: int | None = None
    tokens: int | None = None
    requests: list[dict[str, str]] = field(default_factory=list)
    _given: int = 0
    _used: int = 0

    def accepts(self, request: web.Request) -> bool:
        """Whether a request to the roster's server has a token that has not expired."""
        self._used += 1
        expired = self.lasts is not None and self._used > self.lasts
        return request.headers.get("Authorization") == f"Bearer {TOKEN}" and not expired

    async def token(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.requests.append(form)
        basic = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        in_header = request.headers.get("Authorization") == f"Basic {basic}"
        in_form = (form.get("client_id"), form.get("client_secret")) == (CLIENT, SECRET)
        if not {"header": in_header, "form": in_form}.get(self.secret_in):
            return self._error(*self.refusal)
        if form.get("grant_type") != "client_credentials":
            return self._error(400, "unsupported_grant_type")
        if self.scopes is not None and not set(form.get("scope", "").split()) <= self.scopes:
            return self._error(400, "invalid_scope")
        self._given += 1
        if self.tokens is None or self._given <= self.tokens:
            self._used = 0
        return web.json_response({"access_token": TOKEN, "token_type": "Bearer", "expires_in": 3600})

    def _error(self, status: int, error: str) -> web.Response:
        described = {"error_description": self.description} if self.description else {}
        return web.json_response({"error": error, **described}, status=status)
