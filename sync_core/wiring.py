"""Settings to a working app: the only place that chooses adapters."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from azure.identity.aio import DefaultAzureCredential
from azure.servicebus.aio import ServiceBusClient

from sync_core import telemetry
from sync_core.adapters.graph_identity import tenant_credential
from sync_core.adapters.graph_tenants import GraphTenants
from sync_core.adapters.mis_files import MisFiles
from sync_core.adapters.service_bus import ServiceBusOutbox
from sync_core.adapters.service_bus_dead_letters import ServiceBusDeadLetters
from sync_core.adapters.system_clock import SystemClock
from sync_core.adapters.tables import TableState
from sync_core.admin.class_actions import act_on_class
from sync_core.admin.holds import decide_hold
from sync_core.admin.undo import undo_run
from sync_core.apply import apply_change
from sync_core.errors import Outcome
from sync_core.events import ActOnClass, Cause, Change, DecideHold, RefreshTenant, Request, SyncSchool, UndoRun
from sync_core.ports import Clock, DeadLetters, MisSource, Outbox, StateStore, Tenants
from sync_core.refresh import refresh_tenant
from sync_core.settings import Settings, parse_settings
from sync_core.sync import sync_school


@dataclass(frozen=True, slots=True)
class App:
    """The use cases with their ports filled in: what the triggers call."""

    settings: Settings
    tenants: Tenants
    mis: MisSource
    state: StateStore
    outbox: Outbox
    dead_letters: DeadLetters
    clock: Clock

    def new_run(self) -> str:
        """An id by which a person can tell when it was, and which no other run has."""
        return f"{self.clock.now():%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"

    async def start_night(self) -> None:
        """Ask for a refresh of every tenant that has a school, under a new run id."""
        run = self.new_run()
        tenants = sorted({school.tenant for school in await self.state.schools()})
        await self.outbox.send_requests([RefreshTenant(tenant, run, Cause.NIGHTLY) for tenant in tenants])

    async def handle_request(self, request: Request) -> None:
        match request:
            case RefreshTenant():
                tenant = self.tenants.of(request.tenant)
                chosen = self.settings
                schools = await refresh_tenant(
                    request, tenant, self.state, self.outbox, self.clock, chosen.sync_window, chosen.history
                )
                telemetry.tenant_refreshed(request, schools)
            case SyncSchool():
                telemetry.school_synced(await sync_school(request, self.mis, self.state, self.outbox, self.clock))
            case DecideHold():
                telemetry.school_synced(await decide_hold(request, self.mis, self.state, self.outbox, self.clock))
            case UndoRun():
                telemetry.school_synced(await undo_run(request, self.state, self.outbox, self.clock))
            case ActOnClass():
                telemetry.school_synced(await act_on_class(request, self.state, self.outbox, self.clock))

    async def handle_change(self, change: Change) -> Outcome:
        outcome = await apply_change(change, self.state, self.tenants.of(change.tenant), self.clock)
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
    bus = (
        ServiceBusClient.from_connection_string(settings.service_bus_connection)
        if settings.service_bus_connection
        else ServiceBusClient(settings.service_bus_namespace, credential)
    )
    tenants = GraphTenants(
        lambda tenant: tenant_credential(settings.tenant, settings.graph_client, credential, tenant),
        settings.graph_base_url,
        clock,
    )
    return App(settings, tenants, MisFiles(), state, ServiceBusOutbox(bus), ServiceBusDeadLetters(bus), clock)
