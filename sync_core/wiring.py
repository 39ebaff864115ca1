"""Settings to a working app: the only place that chooses adapters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from azure.identity.aio import DefaultAzureCredential
from azure.servicebus.aio import ServiceBusClient

from sync_core.app import App
from sync_core.clock import SystemClock
from sync_core.config import Settings
from sync_core.graph.connections import GraphTenants, tenant_credential
from sync_core.messaging.dead_letters import ServiceBusDeadLetters
from sync_core.messaging.service_bus import ServiceBusOutbox
from sync_core.mis.drop.reader import FileDropReader, FileDropStores
from sync_core.mis.sources import MisSources
from sync_core.state.store import TableState

if TYPE_CHECKING:
    from azure.storage.blob.aio import ContainerClient


_DROP = "drop"


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
    drops = FileDropReader(FileDropStores(_container(settings, credential)).of, settings.file_drop_settle, clock)
    return App(
        settings,
        tenants,
        MisSources(drops, settings.mis_secrets, clock),
        drops,
        state,
        state.inbox,
        ServiceBusOutbox(bus, clock),
        ServiceBusDeadLetters(bus),
        clock,
    )


def _container(settings: Settings, credential: DefaultAzureCredential) -> ContainerClient | None:
    if not settings.file_drop_container and not settings.file_drop_connection:
        return None
    # Here, because it takes a tenth of a second that a deployment without a drop need not pay.
    from azure.storage.blob.aio import ContainerClient

    if settings.file_drop_connection:
        return ContainerClient.from_connection_string(settings.file_drop_connection, _DROP)
    return ContainerClient.from_container_url(settings.file_drop_container, credential)
