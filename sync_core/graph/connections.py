"""The connections to Graph: one identity, one request adapter and one rate limiter for each tenant.

Importing the first model of the SDK costs seconds and 45 MiB; raw JSON through its adapter keeps authentication and
middleware and costs neither.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import httpx
from azure.core.credentials import AccessToken
from azure.core.credentials_async import AsyncTokenCredential
from azure.identity.aio import ClientAssertionCredential
from kiota_authentication_azure.azure_identity_authentication_provider import AzureIdentityAuthenticationProvider
from kiota_http.middleware.options import RedirectHandlerOption, RetryHandlerOption
from msgraph.graph_request_adapter import GraphRequestAdapter
from msgraph.graph_request_adapter import options as sdk_options
from msgraph_core import GraphClientFactory

from sync_core.backoff import WaitBudget
from sync_core.clock import Clock
from sync_core.errors import UnknownSetting
from sync_core.graph.answer_limit import limit_answer
from sync_core.graph.client import GraphClient
from sync_core.graph.port import ProbedTenant, Tenant
from sync_core.graph.rate_limiter import WAITING_BUDGET, RateLimiter, never_probed
from sync_core.graph.tenant import GraphTenant
from sync_core.messaging.messages import Priority

_TIMEOUT = httpx.Timeout(45.0, connect=20.0)
"""The wait for an answer, in seconds: the SDK's default of 100 is a third of a message's lock."""

_SCOPE = "https://graph.microsoft.com/.default"
_EXCHANGE_SCOPE = "api://AzureADTokenExchange/.default"


def graph_request_adapter(credential: AsyncTokenCredential, base_url: str) -> GraphRequestAdapter:
    """An adapter that sends to `base_url` (with its version, without a trailing slash).

    The SDK's retry handler is off: it sleeps inside one call and knows nothing of the others (see rate_limiter). No
    redirect is followed.
    """
    host = urlsplit(base_url).hostname or ""
    authentication = AzureIdentityAuthenticationProvider(credential, scopes=[_SCOPE], allowed_hosts=[host])
    no_retry = RetryHandlerOption(max_retries=0, should_retry=False)
    no_redirect = RedirectHandlerOption(should_redirect=False)
    client = GraphClientFactory.create_with_default_middleware(
        options={
            **sdk_options,
            RetryHandlerOption.get_key(): no_retry,
            RedirectHandlerOption.get_key(): no_redirect,
        }
    )
    client.timeout = _TIMEOUT
    client.headers["Accept-Encoding"] = "gzip"
    client.event_hooks["response"].append(limit_answer)
    adapter = GraphRequestAdapter(authentication, client)
    adapter.base_url = base_url
    return adapter


def tenant_credential(
    home: str, client: str, managed_identity: AsyncTokenCredential, tenant: str
) -> AsyncTokenCredential:
    """The credential for `tenant`. The managed identity belongs to the tenant `home`.

    In other tenants, the multi-tenant app `client` signs in with a token of that identity in place of a secret (Entra:
    "workload identity federation"). Raises UnknownSetting where there is no such app.
    """
    if tenant == home:
        return managed_identity
    if not client:
        raise UnknownSetting(
            f"tenant {tenant} is not the home tenant of the app's identity",
            "set GRAPH_CLIENT_ID to a multi-tenant app that trusts the identity, and have that tenant consent to it",
        )
    return _Federated(tenant, client, managed_identity)


class _Federated(ClientAssertionCredential):
    """Signs in with the managed identity's token, fetched first because the client's callback cannot await."""

    def __init__(self, tenant: str, client: str, managed_identity: AsyncTokenCredential) -> None:
        super().__init__(tenant, client, lambda: self._assertion)
        self._managed_identity = managed_identity
        self._assertion = ""

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        self._assertion = (await self._managed_identity.get_token(_EXCHANGE_SCOPE)).token
        return await super().get_token(*scopes, **options)


class GraphTenants:
    """Implements the port Tenants. `credential` returns the identity for a tenant or raises UnknownSetting.

    `unit_price` is what a probe of the tenant saw that adding one person costs, if there was one.
    """

    def __init__(
        self,
        credential: Callable[[str], AsyncTokenCredential],
        base_url: str,
        clock: Clock,
        unit_price: Callable[[str], Awaitable[float | None]] = never_probed,
    ) -> None:
        self._credential = credential
        self._unit_price = unit_price
        self._base_url = base_url
        self._clock = clock
        self._adapters: dict[str, GraphRequestAdapter] = {}
        self._rate_limiters: dict[str, RateLimiter] = {}

    def of(self, tenant: str, priority: Priority) -> Tenant:
        return self._of(tenant, priority)

    def probed(self, tenant: str) -> ProbedTenant:
        return self._of(tenant, Priority.URGENT)

    def adapter(self, tenant: str) -> GraphRequestAdapter:
        """The one connection to a tenant. Raises UnknownSetting."""
        if tenant not in self._adapters:
            self._adapters[tenant] = graph_request_adapter(self._credential(tenant), self._base_url)
        return self._adapters[tenant]

    def _of(self, tenant: str, priority: Priority) -> GraphTenant:
        adapter = self.adapter(tenant)
        if tenant not in self._rate_limiters:
            probed_price = partial(self._unit_price, tenant)
            self._rate_limiters[tenant] = RateLimiter(self._clock, probed_price=probed_price)
        rate_limiter = self._rate_limiters[tenant]
        return GraphTenant(GraphClient(adapter, rate_limiter, priority, WaitBudget(self._clock, WAITING_BUDGET)))
