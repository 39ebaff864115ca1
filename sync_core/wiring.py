"""Settings to a working app: the only place that chooses adapters, and the one app of a process."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

from sync_core import telemetry, tracing
from sync_core.backoff import seconds_before_redelivery
from sync_core.clock import Clock
from sync_core.config import TABLES, Settings, parse_settings
from sync_core.errors import SyncError, Transient, Undeliverable, unexpected
from sync_core.messaging.port import MessageFault

if TYPE_CHECKING:
    import azure.functions as func
    from azure.identity.aio import DefaultAzureCredential
    from azure.storage.blob.aio import ContainerClient

    from sync_core.app import App
    from sync_core.state.store import TableState


class ProcessApp:
    """The app of this process, built at the first trigger. A start that failed is retried at the next one."""

    def __init__(self, environment: Mapping[str, str], clock: Clock) -> None:
        self._environment = environment
        self._start: asyncio.Task[App] | None = None
        self._app: App | None = None
        self._clock = clock
        self._refusals = telemetry.Refusals()

    def refuse(self, refused: telemetry.RefusedRequest) -> None:
        """Emit the event of a request that is refused before the app has to start."""
        self._refusals.request(refused, self._clock.now())

    async def get(self) -> App:
        """Calls that come during a start share it, and its failure. Raises UnknownSetting, AccessDenied, Transient."""
        if self._app is None:
            self._start = self._start or asyncio.create_task(self._build())
            return await asyncio.shield(self._start)
        return self._app

    async def _build(self) -> App:
        try:
            self._app = await build(parse_settings(self._environment), self._clock, self._refusals)
        finally:
            self._start = None
        return self._app

    @asynccontextmanager
    async def running(self, function: str) -> AsyncIterator[App]:
        """The app for one run of a timer. A failure, also one to start, is reported as failures_reported does."""
        with failures_reported(function):
            yield await self.get()

    @asynccontextmanager
    async def handling(self, queue: str, message: func.ServiceBusMessage) -> AsyncIterator[App]:
        """The app to handle a message with. A failure, also one to start, is recorded before the message goes back.

        The record keeps the reason, which a dead letter does not have. The pause keeps a botched deployment, or an
        outage, from using up all deliveries of a night within seconds. A message that no delivery can handle has no
        pause: a function written in Python can only complete or return a message, so the queue dead-letters it at once.
        """
        with tracing.message_handled(queue, message.application_properties or {}):
            try:
                yield await self.get()
            except Exception as failure:
                error = _as_error(failure, "it is retried; if it stays, report it")
                fault = MessageFault(
                    queue=queue,
                    message_id=message.message_id,
                    session=message.session_id or "",
                    deliveries=message.delivery_count or 1,
                    message=error.message,
                    remedy=error.remedy,
                    at=self._clock.now(),
                )
                telemetry.message_failed(fault, error)
                await self._record(fault)
                if not isinstance(error, Undeliverable):
                    await self._clock.sleep(seconds_before_redelivery(fault.deliveries))
                raise error from None

    async def _record(self, fault: MessageFault) -> None:
        """Write the fault to its table if that can be reached, even where nothing else of the app could start."""
        if self._app:
            await self._app.services.runs.write_message_fault(fault)
            return
        endpoint, connection = (self._environment.get(name, "").strip() for name in TABLES)
        if endpoint or connection:
            with suppress(SyncError):
                store = await _open_store(endpoint, connection)
                try:
                    await store.write_message_fault(fault)
                finally:
                    await store.close()


@contextmanager
def failures_reported(function: str) -> Iterator[None]:
    """What a timer or a request over HTTP does. A failure of it is an event before it is raised, as a SyncError.

    Nothing delivers it again and nobody reads a dead letter of it: without the event nobody would be told. The host
    logs what is raised, and the text of a foreign exception may hold a name, so only its type and place are raised.
    """
    try:
        yield
    except Exception as failure:
        error = _as_error(failure, "if it happens again, report this error")
        telemetry.function_failed(function, error)
        raise error from None


def _as_error(failure: Exception, remedy: str) -> SyncError:
    return failure if isinstance(failure, SyncError) else Transient(unexpected(failure), remedy)


# The imports within the functions below cost half a second. A host that scales out indexes the functions before there
# is any work for them.


async def build(settings: Settings, clock: Clock, refusals: telemetry.Refusals) -> App:
    """Raises Transient."""
    from azure.identity.aio import DefaultAzureCredential
    from azure.servicebus.aio import ServiceBusClient

    from sync_core.app import App
    from sync_core.domain.tenants import known_price
    from sync_core.graph.connections import GraphTenants, tenant_credential
    from sync_core.graph.teams.class_teams import GraphTenantTeams
    from sync_core.graph.tenant_check import check_tenant
    from sync_core.messaging.dead_letters import ServiceBusDeadLetters
    from sync_core.messaging.service_bus import ServiceBusOutbox
    from sync_core.mis.drop.reader import FileDropReader, open_store
    from sync_core.mis.drop.readings import SharedReadings
    from sync_core.mis.files.uploads import UploadedExports
    from sync_core.mis.sources import MisSources
    from sync_core.services import Checks, Reading, Services

    credential = DefaultAzureCredential()
    store = await _open_store(settings.tables_endpoint, settings.tables_connection, credential)
    tls = ssl.create_default_context()  # else each link to a queue reads the machine's certificates: 20 ms
    bus = (
        ServiceBusClient.from_connection_string(settings.service_bus_connection, ssl_context=tls)
        if settings.service_bus_connection
        else ServiceBusClient(settings.service_bus_namespace, credential, ssl_context=tls)
    )
    credential_of = partial(tenant_credential, settings.tenant, settings.graph_client, credential)
    stores = partial(open_store, _container(settings, credential))
    drops = FileDropReader(stores, settings.file_drop_settle, clock, SharedReadings(clock))

    async def unit_price(tenant: str) -> float | None:
        return known_price(await store.probes(tenant))

    graph = GraphTenants(credential_of, settings.graph_base_url, clock, unit_price)
    mis = MisSources(drops, settings.mis_secrets, clock)
    outbox = ServiceBusOutbox(bus, clock)
    services = Services(
        classes=store,
        schools=store,
        tenants=store,
        runs=store,
        inbox=store.inbox,
        reading=Reading(store, mis, clock, partial(check_tenant, graph), graph),
        graph=graph,
        teams=GraphTenantTeams(graph.adapter, clock),
        file_drops=drops,
        uploads=UploadedExports(clock),
        dated_mis=mis,
        outbox=outbox,
        dead_letters=ServiceBusDeadLetters(bus),
        checks=Checks(store, outbox, mis),
    )
    return App(settings, services, refusals=refusals)


async def _open_store(endpoint: str, connection: str, credential: DefaultAzureCredential | None = None) -> TableState:
    from azure.identity.aio import DefaultAzureCredential

    from sync_core.state.store import TableState

    store = (
        TableState.from_connection_string(connection)
        if connection
        else TableState.from_endpoint(endpoint, credential or DefaultAzureCredential())
    )
    await store.ensure_tables()
    return store


def _container(settings: Settings, credential: DefaultAzureCredential) -> ContainerClient | None:
    if not settings.file_drop_container and not settings.file_drop_connection:
        return None
    from azure.storage.blob.aio import ContainerClient

    if settings.file_drop_connection:
        return ContainerClient.from_connection_string(settings.file_drop_connection, "drop", permit_redirects=False)
    return ContainerClient.from_container_url(settings.file_drop_container, credential, permit_redirects=False)
