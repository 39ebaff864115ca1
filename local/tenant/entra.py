"""Who may call Graph, and in which tenant: the managed identity at home, and an app with consent elsewhere."""

from __future__ import annotations

import secrets
from pathlib import Path

from aiohttp import web

from local.tenant.clock import Clock
from local.tenant.server import TenantServer

IDENTITY_HEADER = "local"
CLIENT_ID = "c0000000-0000-4000-8000-000000000001"
"""The multi-tenant app that trusts the managed identity."""

_TOKEN_SECONDS = 86_400
_EXCHANGE = "api://AzureADTokenExchange"
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class Entra:
    """The tenants by id. Each has its own directory, limits and faults; all share one clock."""

    def __init__(self, home: str, state: Path | None) -> None:
        self.clock = Clock()
        self._state = state
        self.home = TenantServer(home, state, self.clock)
        self._tenants = {home: self.home}
        self._tokens: dict[str, tuple[str, str, float]] = {}

    def tenant(self, tenant: str) -> TenantServer | None:
        """The tenant, if it is the home tenant or has consented to the app."""
        return self._tenants.get(tenant)

    def consent(self, tenant: str) -> None:
        """Record that an admin of `tenant` consents to the app. The tenant is stored next to the home tenant."""
        if tenant not in self._tenants:
            state = self._state.with_name(f"tenant {tenant}.jsonl") if self._state else None
            self._tenants[tenant] = TenantServer(tenant, state, self.clock)

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/msi/token", self._managed_identity)
        app.router.add_post("/{tenant}/oauth2/v2.0/token", self._client_credentials)
        app.router.add_route("*", "/v1.0/{path:.*}", self._graph)

    async def _graph(self, request: web.Request) -> web.StreamResponse:
        """Graph has one address for all tenants: the token determines the tenant."""
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        tenant, resource, until = self._tokens.get(bearer, ("", "", 0.0))
        signed_in = until >= self.clock.now() and resource != _EXCHANGE
        return await self._tenants.get(tenant, self.home).serve(request, signed_in=signed_in)

    async def _managed_identity(self, request: web.Request) -> web.Response:
        """As the identity endpoint of App Service answers."""
        if request.headers.get("X-IDENTITY-HEADER") != IDENTITY_HEADER:
            return web.json_response({"error": "the identity header is wrong"}, status=401)
        resource = request.query.get("resource", "")
        token = self._issue(self.home.directory.tenant_id, resource)
        until = str(int(self.clock.now()) + _TOKEN_SECONDS)
        return web.json_response(
            {"access_token": token, "expires_on": until, "resource": resource, "token_type": "Bearer"}
        )

    async def _client_credentials(self, request: web.Request) -> web.Response:
        """As the token endpoint answers an app that sends a managed identity's token in place of a secret."""
        tenant, form = request.match_info["tenant"], await request.post()
        _, resource, until = self._tokens.get(str(form.get("client_assertion", "")), ("", "", 0.0))
        if form.get("client_assertion_type") != _ASSERTION or resource != _EXCHANGE or until < self.clock.now():
            return _no_token("invalid_client", "AADSTS70021: No matching federated identity record found.")
        if form.get("client_id") != CLIENT_ID or tenant not in self._tenants:
            return _no_token("unauthorized_client", "AADSTS700016: The application was not found in the directory.")
        token = self._issue(tenant, str(form.get("scope", "")))
        return web.json_response({"access_token": token, "expires_in": _TOKEN_SECONDS, "token_type": "Bearer"})

    def _issue(self, tenant: str, resource: str) -> str:
        token = f"simulated.{secrets.token_hex(16)}"
        self._tokens[token] = (tenant, resource, self.clock.now() + _TOKEN_SECONDS)
        return token


def _no_token(error: str, description: str) -> web.Response:
    return web.json_response({"error": error, "error_description": description}, status=400)
