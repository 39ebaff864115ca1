"""Settings to a working app: the only place that chooses adapters."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from azure.identity.aio import DefaultAzureCredential
from azure.servicebus.aio import ServiceBusClient

from sync_core import telemetry
from sync_core.adapters.graph_identity import tenant_credential
from sync_core.adapters.graph_tenants import GraphTenants
from sync_core.adapters.mis_drop_stores import DropStores
from sync_core.adapters.mis_drops import FeedDrops
from sync_core.adapters.mis_sources import MisSources
from sync_core.adapters.service_bus import ServiceBusOutbox
from sync_core.adapters.service_bus_dead_letters import ServiceBusDeadLetters
from sync_core.adapters.system_clock import SystemClock
from sync_core.adapters.tables import TableState
from sync_core.admin.class_actions import act_on_class
from sync_core.admin.holds import decide_hold
from sync_core.admin.undo import undo_run
from sync_core.announce import sync_announced
from sync_core.apply import apply_change
from sync_core.collect import collect_drops
from sync_core.errors import Outcome
from sync_core.events import (
    ActOnClass,
    Change,
    DecideHold,
    Lane,
    RefreshTenant,
    Request,
    SyncAnnounced,
    SyncSchool,
    UndoRun,
)
from sync_core.night import start_night
from sync_core.ports import Announcements, Clock, DeadLetters, Drops, MisSource, Outbox, StateStore, Tenants
from sync_core.refresh import refresh_tenant
from sync_core.settings import Settings
from sync_core.sync import sync_school

if TYPE_CHECKING:
    from azure.storage.blob.aio import ContainerClient

_DROP = "drop"


@dataclass(frozen=True, slots=True)
class App:
    """The use cases with their ports filled in: what the triggers call."""

    settings: Settings
    tenants: Tenants
    mis: MisSource
    drops: Drops
    state: StateStore
    announcements: Announcements
    outbox: Outbox
    dead_letters: DeadLetters
    clock: Clock

    def new_run(self) -> str:
        """An id by which a person can tell when it was, and which no other run has."""
        return f"{self.clock.now():%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"

    async def start_night(self) -> None:
        run, window, history = self.new_run(), self.settings.sync_window, self.settings.history
        telemetry.night_began(run, await start_night(run, self.state, self.outbox, self.clock, window, history))

    async def collect_drops(self) -> None:
        for collected in await collect_drops(self.new_run(), self.drops, self.state, self.outbox, self.clock):
            telemetry.drop_collected(collected)

    async def handle_request(self, request: Request) -> None:
        match request:
            case RefreshTenant():
                tenant = self.tenants.of(request.tenant, Lane.BULK)
                history = self.settings.history
                schools = await refresh_tenant(request, tenant, self.state, self.outbox, self.clock, history)
                telemetry.tenant_refreshed(request, schools)
            case SyncSchool():
                telemetry.school_synced(await sync_school(request, self.mis, self.state, self.outbox, self.clock))
            case SyncAnnounced():
                run = await sync_announced(request, self.announcements, self.mis, self.state, self.outbox, self.clock)
                if run:
                    telemetry.school_synced(run)
            case DecideHold():
                telemetry.school_synced(await decide_hold(request, self.mis, self.state, self.outbox, self.clock))
            case UndoRun():
                telemetry.school_synced(await undo_run(request, self.state, self.outbox, self.clock))
            case ActOnClass():
                telemetry.school_synced(await act_on_class(request, self.state, self.outbox, self.clock))

    async def handle_change(self, change: Change, lane: Lane) -> Outcome:
        outcome = await apply_change(change, self.state, self.tenants.of(change.tenant, lane), self.clock)
        telemetry.change_settled(change, outcome)
        return outcome


async def build(settings: Settings) -> App:
    """Raises Transient."""
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
    drops = FeedDrops(DropStores(_container(settings, credential)).of, settings.drop_settle, clock)
    return App(
        settings,
        tenants,
        MisSources(drops, settings.mis_secrets, clock),
        drops,
        state,
        state.announcements,
        ServiceBusOutbox(bus, clock),
        ServiceBusDeadLetters(bus),
        clock,
    )


def _container(settings: Settings, credential: DefaultAzureCredential) -> ContainerClient | None:
    if not settings.drop_container and not settings.drop_connection:
        return None
    # Here, because it takes a tenth of a second that a deployment without a drop need not pay.
    from azure.storage.blob.aio import ContainerClient

    if settings.drop_connection:
        return ContainerClient.from_connection_string(settings.drop_connection, _DROP)
    return ContainerClient.from_container_url(settings.drop_container, credential)
