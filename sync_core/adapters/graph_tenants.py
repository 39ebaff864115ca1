"""The tenants of a deployment, each with a connection and a governor of its own: one never slows another."""

from __future__ import annotations

from collections.abc import Callable

from azure.core.credentials_async import AsyncTokenCredential
from msgraph.graph_request_adapter import GraphRequestAdapter

from sync_core.adapters.graph_client import graph_request_adapter
from sync_core.adapters.graph_governor import WAITING_BUDGET, Governor
from sync_core.adapters.graph_tenant import GraphTenant
from sync_core.adapters.graph_wire import GraphWire
from sync_core.adapters.patience import Patience
from sync_core.events import Lane
from sync_core.ports import Clock, Tenant


class GraphTenants:
    """Implements the port Tenants. `credential` gives the identity for a tenant, or raises UnknownSetting."""

    def __init__(self, credential: Callable[[str], AsyncTokenCredential], base_url: str, clock: Clock) -> None:
        self._credential = credential
        self._base_url = base_url
        self._clock = clock
        self._known: dict[str, tuple[GraphRequestAdapter, Governor]] = {}

    def of(self, tenant: str, lane: Lane) -> Tenant:
        if tenant not in self._known:
            adapter = graph_request_adapter(self._credential(tenant), self._base_url)
            self._known[tenant] = (adapter, Governor(self._clock))
        adapter, governor = self._known[tenant]
        return GraphTenant(GraphWire(adapter, governor, lane, Patience(self._clock, WAITING_BUDGET)))
