"""Settings to a working app: the only place that chooses adapters."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from azure.identity.aio import DefaultAzureCredential

from sync_core import telemetry
from sync_core.adapters.graph_client import graph_request_adapter
from sync_core.adapters.graph_tenant import GraphTenant
from sync_core.adapters.graph_wire import GraphWire
from sync_core.adapters.mis_files import MisFiles
from sync_core.adapters.service_bus import ServiceBusOutbox
from sync_core.adapters.system_clock import SystemClock
from sync_core.adapters.tables import TableState
from sync_core.apply import apply_change
from sync_core.errors import Outcome
from sync_core.events import Cause, Change, RefreshTenant, Request, SyncSchool
from sync_core.ports import Clock, MisSource, Outbox, StateStore, Tenant
from sync_core.refresh import refresh_tenant
from sync_core.settings import Settings, parse_settings
from sync_core.sync import sync_school


@dataclass(frozen=True, slots=True)
class App:
    """The use cases with their ports filled in: what the triggers call."""

    settings: Settings
    tenant: Tenant
    mis: MisSource
    state: StateStore
    outbox: Outbox
    clock: Clock

    async def start_night(self) -> RefreshTenant:
        """Ask for a refresh of the tenant, under a new run id."""
        run = f"{self.clock.now():%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
        request = RefreshTenant(self.settings.tenant, run, Cause.NIGHTLY)
        await self.outbox.send_requests([request])
        return request

    async def handle_request(self, request: Request) -> None:
        match request:
            case RefreshTenant():
                schools = await refresh_tenant(
                    request, self.tenant, self.state, self.outbox, self.clock, self.settings.sync_window
                )
                telemetry.tenant_refreshed(request, schools)
            case SyncSchool():
                telemetry.school_synced(await sync_school(request, self.mis, self.state, self.outbox, self.clock))

    async def handle_change(self, change: Change) -> Outcome:
        outcome = await apply_change(change, self.state, self.tenant, self.clock)
        telemetry.change_settled(change, outcome)
        return outcome


class LazyApp:
    """The app of this process, made at first use: clients want a running loop, and a failed start is tried again."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._lock = asyncio.Lock()
        self._app: App | None = None

    async def get(self) -> App:
        """Raises UnknownSetting, Transient."""
        async with self._lock:
            if self._app is None:
                self._app = await _build(parse_settings(self._environment))
            return self._app


async def _build(settings: Settings) -> App:
    credential = DefaultAzureCredential()
    clock = SystemClock()
    state = (
        TableState.from_connection_string(settings.tables_connection)
        if settings.tables_connection
        else TableState.from_endpoint(settings.tables_endpoint, credential)
    )
    await state.ensure_tables()
    outbox = (
        ServiceBusOutbox.from_connection_string(settings.service_bus_connection)
        if settings.service_bus_connection
        else ServiceBusOutbox.from_namespace(settings.service_bus_namespace, credential)
    )
    tenant = GraphTenant(GraphWire(graph_request_adapter(credential, settings.graph_base_url), clock))
    return App(settings, tenant, MisFiles(), state, outbox, clock)
