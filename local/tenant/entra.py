"""Who may call Graph, and in which tenant: the managed identity at home, and an app with consent elsewhere."""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from aiohttp import web

from local.tenant.clock import Clock
from local.tenant.names import CLIENT_ID, IDENTITY_HEADER
from local.tenant.options import TenantOptions
from local.tenant.server import TenantServer
from local.tenant.throttle import AppLimits

_TOKEN_SECONDS = 86_400
_GRAPH = "https://graph.microsoft.com"
_EXCHANGE = "api://AzureADTokenExchange"
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@dataclass(frozen=True, slots=True)
class _Token:
    """An issued token; `roles` are the permissions that were granted when it was issued."""

    tenant: str
    audience: str
    until: int
    roles: frozenset[str]


class Entra:
    """The tenants by id. Each has its own directory, limits and faults; all share one clock and the app's limits."""

    def __init__(self, home: str, state: Path | None, options: TenantOptions) -> None:
        self.clock = Clock()
        self._state = state
        self._options = options
        self._app_limits = AppLimits()
        self.home = self._tenant_server(home, state)
        self._tenants = {home: self.home}
        self._tokens: dict[str, _Token] = {}

    def tenant(self, tenant: str) -> TenantServer | None:
        """The tenant, if it is the home tenant or has consented to the app."""
        return self._tenants.get(tenant)

    def consent(self, tenant: str) -> None:
        """Record that an admin of `tenant` consents to the app. The tenant is stored next to the home tenant."""
        if tenant not in self._tenants:
            state = self._state.with_name(f"tenant {tenant}.jsonl") if self._state else None
            self._tenants[tenant] = self._tenant_server(tenant, state)

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/msi/token", self._managed_identity)
        app.router.add_post("/{tenant}/oauth2/v2.0/token", self._client_credentials)
        app.router.add_route("*", "/v1.0/{path:.*}", self._graph)

    async def _graph(self, request: web.Request) -> web.StreamResponse:
        """Graph has one address for all tenants: the token determines the tenant."""
        token = self._valid(request.headers.get("Authorization", "").removeprefix("Bearer "), _GRAPH)
        if token is None:
            return await self.home.serve(request, None)
        return await self._tenants[token.tenant].serve(request, token.roles)

    async def _managed_identity(self, request: web.Request) -> web.Response:
        """As the identity endpoint of App Service answers. Without a resource, the token is for Graph."""
        if request.headers.get("X-IDENTITY-HEADER") != IDENTITY_HEADER:
            return web.json_response({"error": "the identity header is wrong"}, status=401)
        resource = request.query.get("resource") or _GRAPH
        text, token = self._issue(self.home.directory.tenant_id, resource)
        return web.json_response(
            {"access_token": text, "expires_on": str(token.until), "resource": resource, "token_type": "Bearer"}
        )

    async def _client_credentials(self, request: web.Request) -> web.Response:
        """As the token endpoint answers an app that sends a managed identity's token in place of a secret."""
        tenant, form = request.match_info["tenant"], await request.post()
        assertion = self._valid(str(form.get("client_assertion", "")), _EXCHANGE)
        if form.get("client_assertion_type") != _ASSERTION or assertion is None:
            return _no_token("invalid_client", "AADSTS70021: No matching federated identity record found.")
        if form.get("client_id") != CLIENT_ID or tenant not in self._tenants:
            return _no_token("unauthorized_client", "AADSTS700016: The application was not found in the directory.")
        text, _ = self._issue(tenant, str(form.get("scope", "")))
        return web.json_response({"access_token": text, "expires_in": _TOKEN_SECONDS, "token_type": "Bearer"})

    def _valid(self, text: str, audience: str) -> _Token | None:
        token = self._tokens.get(text)
        return token if token and token.audience == audience and token.until >= self.clock.now() else None

    def _issue(self, tenant: str, resource: str) -> tuple[str, _Token]:
        audience = resource.removesuffix("/.default").rstrip("/")
        issued_at = int(self.clock.now())
        roles = self._tenants[tenant].granted if audience == _GRAPH else frozenset[str]()
        token = _Token(tenant, audience, issued_at + _TOKEN_SECONDS, roles)
        claims = {"aud": audience, "tid": tenant, "iat": issued_at, "exp": token.until, "uti": uuid4().hex}
        text = _jwt(claims | ({"roles": sorted(roles)} if roles else {}))
        self._tokens[text] = token
        return text, token

    def _tenant_server(self, tenant: str, state: Path | None) -> TenantServer:
        return TenantServer(tenant, state, self.clock, self._app_limits, self._options)


def _jwt(claims: dict[str, object]) -> str:
    """A token as callers see it. Its signature is random: this process knows the tokens that it issued."""
    header = {"typ": "JWT", "alg": "RS256", "kid": "simulated"}
    parts = [json.dumps(header).encode(), json.dumps(claims).encode(), secrets.token_bytes(32)]
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


def _no_token(error: str, description: str) -> web.Response:
    return web.json_response({"error": error, "error_description": description}, status=400)
