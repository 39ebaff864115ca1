"""Settings to a working app: the only place that chooses adapters, and the one app of a process."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

from sync_core import telemetry, tracing
from sync_core.backoff import seconds_before_redelivery
from sync_core.clock import Clock
from sync_core.config import TABLES, Settings, parse_settings
from sync_core.errors import SyncError, Transient, Undeliverable, unexpected
from sync_core.messaging.port import MessageFault

if TYPE_CHECKING:
    import azure.functions as func
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.storage.blob.aio import ContainerClient

    from sync_core.app import App
    from sync_core.applying.handler import ChangeHandler
    from sync_core.graph.connections import GraphTenants
    from sync_core.graph.teams.class_teams import GraphTenantTeams
    from sync_core.state.store import TableState

T = TypeVar("T")


class _Started(Generic[T]):
    """Something of this process that is built at its first use. A start that failed is retried at the next one."""

    def __init__(self, build: Callable[[], Awaitable[T]]) -> None:
        self._build = build
        self._start: asyncio.Task[T] | None = None
        self.built: T | None = None

    async def get(self) -> T:
        """Calls that come during a start share it, and its failure."""
        if self.built is None:
            self._start = self._start or asyncio.create_task(self._begin())
            return await asyncio.shield(self._start)
        return self.built

    async def _begin(self) -> T:
        try:
            self.built = await self._build()
        finally:
            self._start = None
        return self.built


class ProcessApp:
    """The app of this process, built at the first trigger, and only what that trigger needs."""

    def __init__(self, environment: Mapping[str, str], clock: Clock) -> None:
        self._environment = environment
        self._clock = clock
        self._refusals = telemetry.Refusals()
        self._foundation = _Started(self._lay_foundation)
        self._handler = _Started(self._build_handler)
        self._app = _Started(self._build_app)

    def refuse(self, refused: telemetry.RefusedRequest) -> None:
        """Emit the event of a request that is refused before the app has to start."""
        self._refusals.request(refused, self._clock.now())

    async def get(self) -> App:
        """The whole app. Raises UnknownSetting, AccessDenied, Transient."""
        return await self._app.get()

    async def get_handler(self) -> ChangeHandler:
        """The part that applies changes of classes. Raises UnknownSetting, AccessDenied, Transient."""
        return await self._handler.get()

    async def _lay_foundation(self) -> _Foundation:
        return await lay_foundation(parse_settings(self._environment), self._clock)

    async def _build_handler(self) -> ChangeHandler:
        return build_handler(await self._foundation.get())

    async def _build_app(self) -> App:
        return build(await self._foundation.get(), self._refusals)

    @asynccontextmanager
    async def running(self, function: str) -> AsyncIterator[App]:
        """The app for one run of a timer. A failure, also one to start, is reported as failures_reported does."""
        with failures_reported(function):
            yield await self.get()

    @asynccontextmanager
    async def handling(self, queue: str, message: func.ServiceBusMessage) -> AsyncIterator[App]:
        """The app to handle a message with. Its failure is recorded as `_recording` does."""
        async with self._recording(queue, message):
            yield await self.get()

    @asynccontextmanager
    async def applying(self, queue: str, message: func.ServiceBusMessage) -> AsyncIterator[ChangeHandler]:
        """What a message about a change of a class is handled with; as `handling` otherwise."""
        async with self._recording(queue, message):
            yield await self.get_handler()

    @asynccontextmanager
    async def _recording(self, queue: str, message: func.ServiceBusMessage) -> AsyncIterator[None]:
        """Within this, a failure, also one to start, is recorded before the message goes back.

        The record keeps the reason, which a dead letter does not have. The pause keeps a botched deployment, or an
        outage, from using up all deliveries of a night within seconds. A message that no delivery can handle has no
        pause: a function written in Python can only complete or return a message, so the queue dead-letters it at once.
        """
        with tracing.message_handled(queue, message.application_properties or {}):
            try:
                yield
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
        if self._foundation.built:
            await self._foundation.built.store.write_message_fault(fault)
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
# is any work for them. A worker that applies changes never needs those of `build`: it reads no MIS, makes no plan,
# sends no message and answers no request.


@dataclass(frozen=True, slots=True)
class _Foundation:
    """What every trigger needs: the tables and Graph."""

    settings: Settings
    clock: Clock
    credential: AsyncTokenCredential
    store: TableState
    graph: GraphTenants
    teams: GraphTenantTeams

    @property
    def classes(self) -> TableState:
        return self.store

    @property
    def schools(self) -> TableState:
        return self.store

    @property
    def runs(self) -> TableState:
        return self.store


async def lay_foundation(settings: Settings, clock: Clock) -> _Foundation:
    """Raises Transient."""
    from azure.identity.aio import DefaultAzureCredential

    from sync_core.domain.tenants import known_price
    from sync_core.graph.connections import GraphTenants, tenant_credential
    from sync_core.graph.teams.class_teams import GraphTenantTeams

    credential = DefaultAzureCredential()
    store = await _open_store(settings.tables_endpoint, settings.tables_connection, credential)

    async def unit_price(tenant: str) -> float | None:
        return known_price(await store.probes(tenant))

    credential_of = partial(tenant_credential, settings.tenant, settings.graph_client, credential)
    graph = GraphTenants(credential_of, settings.graph_base_url, clock, unit_price)
    return _Foundation(settings, clock, credential, store, graph, GraphTenantTeams(graph.adapter, clock))


def build_handler(foundation: _Foundation) -> ChangeHandler:
    from sync_core.applying.handler import ChangeHandler

    return ChangeHandler(foundation)


def build(foundation: _Foundation, refusals: telemetry.Refusals) -> App:
    from azure.servicebus.aio import ServiceBusClient

    from sync_core.app import App
    from sync_core.graph.tenant_check import check_tenant
    from sync_core.messaging.dead_letters import ServiceBusDeadLetters
    from sync_core.messaging.service_bus import ServiceBusOutbox
    from sync_core.mis.drop.reader import FileDropReader, open_store
    from sync_core.mis.drop.readings import SharedReadings
    from sync_core.mis.files.uploads import UploadedExports
    from sync_core.mis.sources import MisSources
    from sync_core.services import Checks, Reading, Services
    from sync_core.sync.read_ahead import ReadAhead

    settings, clock, store, graph = foundation.settings, foundation.clock, foundation.store, foundation.graph
    tls = ssl.create_default_context()  # else each link to a queue reads the machine's certificates: 20 ms
    bus = (
        ServiceBusClient.from_connection_string(settings.service_bus_connection, ssl_context=tls)
        if settings.service_bus_connection
        else ServiceBusClient(settings.service_bus_namespace, foundation.credential, ssl_context=tls)
    )
    stores = partial(open_store, _container(settings, foundation.credential))
    drops = FileDropReader(stores, settings.file_drop_settle, clock, SharedReadings(clock))
    mis = MisSources(drops, settings.mis_secrets, clock)
    outbox = ServiceBusOutbox(bus, clock)
    services = Services(
        classes=store,
        schools=store,
        tenants=store,
        runs=store,
        inbox=store.inbox,
        reading=Reading(store, mis, clock, partial(check_tenant, graph), graph, ReadAhead, mis.again),
        graph=graph,
        teams=foundation.teams,
        file_drops=drops,
        uploads=UploadedExports(clock),
        dated_mis=mis,
        outbox=outbox,
        dead_letters=ServiceBusDeadLetters(bus),
        checks=Checks(store, outbox, mis),
    )
    return App(settings, services, refusals=refusals)


async def _open_store(endpoint: str, connection: str, credential: AsyncTokenCredential | None = None) -> TableState:
    from azure.identity.aio import DefaultAzureCredential

    from sync_core.state.store import TableState

    store = (
        TableState.from_connection_string(connection)
        if connection
        else TableState.from_endpoint(endpoint, credential or DefaultAzureCredential())
    )
    await store.ensure_tables()
    return store


def _container(settings: Settings, credential: AsyncTokenCredential) -> ContainerClient | None:
    if not settings.file_drop_container and not settings.file_drop_connection:
        return None
    from azure.storage.blob.aio import ContainerClient

    if settings.file_drop_connection:
        return ContainerClient.from_connection_string(settings.file_drop_connection, "drop", permit_redirects=False)
    return ContainerClient.from_container_url(settings.file_drop_container, credential, permit_redirects=False)
