"""The tenants of a deployment, each with a connection of its own: throttling in one never slows another."""

from __future__ import annotations

from collections.abc import Callable

from azure.core.credentials_async import AsyncTokenCredential

from sync_core.adapters.graph_client import graph_request_adapter
from sync_core.adapters.graph_tenant import GraphTenant
from sync_core.adapters.graph_wire import GraphWire
from sync_core.ports import Clock, Tenant


class GraphTenants:
    """Implements the port Tenants. `credential` gives the identity for a tenant, or raises UnknownSetting."""

    def __init__(self, credential: Callable[[str], AsyncTokenCredential], base_url: str, clock: Clock) -> None:
        self._credential = credential
        self._base_url = base_url
        self._clock = clock
        self._tenants: dict[str, GraphTenant] = {}

    def of(self, tenant: str) -> Tenant:
        if tenant not in self._tenants:
            adapter = graph_request_adapter(self._credential(tenant), self._base_url)
            self._tenants[tenant] = GraphTenant(GraphWire(adapter, self._clock))
        return self._tenants[tenant]
