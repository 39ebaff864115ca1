"""Our side of a measurement: the app's own use cases and adapters, with queues in memory and the rest as deployed."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, cast

from azure.core.pipeline import PipelineRequest
from azure.data.tables.aio import TableServiceClient

from bench.fast_clock import FastClock
from bench.school import BenchSchool, actual_as_desired
from bench.simulated import SimulatedTenant
from local.azurite import Azurite
from sync_core.applying.change import apply_change
from sync_core.backoff import seconds_before_redelivery
from sync_core.clock import Clock
from sync_core.domain.classes.desired import DesiredClass
from sync_core.domain.classes.outcomes import Refused
from sync_core.domain.classes.record import ClassRecord
from sync_core.domain.ids import ClassId, RunId
from sync_core.domain.runs import Cause
from sync_core.errors import Transient
from sync_core.graph.connections import GraphTenants
from sync_core.graph.port import Teams, Tenants
from sync_core.graph.tenant_check import check_tenant
from sync_core.messaging.messages import Change, Priority, Request
from sync_core.messaging.port import DeadLetters, Outbox
from sync_core.mis.port import DatedMis, FileDrops, MisSource, Uploads
from sync_core.planning.diff import Origin, make_plan
from sync_core.services import Checks, Reading, Services
from sync_core.state.store import TableState
from sync_core.sync.read_ahead import ReadAhead

SESSIONS = 64
_DELIVERIES = 10
_WRITERS = 32


class CollectedOutbox:
    """Implements the port Outbox: keeps the sent messages for the benchmark to read or to count."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.changes: list[Change] = []

    async def send_requests(self, requests: Sequence[Request]) -> None:
        self.requests += requests

    async def schedule_requests(self, requests: Sequence[tuple[datetime, Request]]) -> None:
        self.requests += [request for _, request in requests]

    async def schedule_changes(self, changes: Sequence[tuple[datetime, Change]], priority: Priority) -> None:
        self.changes += [change for _, change in changes]

    async def schedule_once(self, at: datetime, request: Request) -> None:
        self.requests.append(request)

    async def send_changes(self, changes: Sequence[Change], priority: Priority) -> None:
        self.changes += changes


class TableRequests:
    """Counts requests to the tables: a transaction is one request, and so is each page of a query."""

    def __init__(self) -> None:
        self.count = 0

    def add(self, _: PipelineRequest[Any]) -> None:
        self.count += 1


@contextmanager
def azurite() -> Iterator[str]:
    """The connection string of empty tables. They run in real time."""
    with tempfile.TemporaryDirectory(prefix="bench-tables-") as folder:
        running = Azurite(Path(folder) / "data", Path(folder) / "azurite.log")
        running.start()
        try:
            yield running.connection_string
        finally:
            running.stop()


@asynccontextmanager
async def table_state(connection_string: str) -> AsyncIterator[tuple[TableState, TableRequests]]:
    """The real store, with its tables created in that storage account."""
    requests = TableRequests()
    service = TableServiceClient.from_connection_string(connection_string, raw_request_hook=requests.add)
    state = TableState(service)
    try:
        await state.ensure_tables()
        yield state, requests
    finally:
        await state.close()


async def seed_school(
    school: BenchSchool, wanted: Sequence[DesiredClass], tenant: SimulatedTenant, services: Services
) -> dict[ClassId, DesiredClass]:
    """Put the school's classes into the tenant and the tables, as earlier nights left them. Returns them by id."""
    name = school.settings.school
    seeded = dict(zip(tenant.seed(name, wanted), wanted, strict=True))
    await services.schools.save_school(school.settings)
    await services.classes.write_desired(name, wanted)
    rows = {record.key: record for record in await services.classes.class_records(name)}
    writers = asyncio.Semaphore(_WRITERS)

    async def write(record: ClassRecord) -> None:
        async with writers:
            await services.classes.write_actual(record)

    await asyncio.gather(*(write(_synced(rows[one.key], class_id)) for class_id, one in seeded.items()))
    return seeded


def _synced(record: ClassRecord, class_id: ClassId) -> ClassRecord:
    """The row of a class whose actual state is the desired one."""
    now = datetime.now(UTC)
    actual = actual_as_desired(record.desired, class_id, now)
    return replace(record, actual=actual, intent=record.desired.name.mail_nickname, intent_at=now)


class _NotUsed:
    """A port that no benchmark touches."""


class _NoTeams:
    """Implements TenantTeams for schools that choose no teams: nothing of a team is asked."""

    def of(self, tenant: str, priority: Priority) -> Teams:
        return cast("Teams", _NotUsed())


def services_of(
    state: TableState, graph: Tenants, clock: Clock, mis: MisSource | None = None, outbox: Outbox | None = None
) -> Services:
    """The services of the use cases, without those that no benchmark uses."""
    unused = _NotUsed()
    return Services(
        classes=state,
        schools=state,
        tenants=state,
        runs=state,
        inbox=state.inbox,
        reading=Reading(state, mis or cast("MisSource", unused), clock, partial(check_tenant, graph), graph, ReadAhead),
        graph=graph,
        teams=_NoTeams(),
        file_drops=cast("FileDrops", unused),
        uploads=cast("Uploads", unused),
        dated_mis=cast("DatedMis", unused),
        outbox=outbox or CollectedOutbox(),
        dead_letters=cast("DeadLetters", unused),
        checks=cast("Checks", unused),
    )


async def make_classes(tenant: SimulatedTenant, tables: str, school: BenchSchool) -> tuple[float, int]:
    """Apply a first night of the school as the deployed app would, after its people have accounts.

    Returns the seconds of the loop that this took, and the number of failed deliveries. Raises RuntimeError if the
    tenant is not as expected at the end.
    """
    wanted = school.classes(tenant.add_users(school.upns))
    plan = make_plan(wanted, (), {})
    async with table_state(tables) as (state, _):
        await state.write_desired(school.settings.school, plan.writes)
        clock, credential = FastClock(), tenant.credential()
        tenants = GraphTenants(lambda _: credential, tenant.graph_url, clock)
        changes = plan.changes(Origin(school.settings.school, RunId("bench"), Cause.NIGHTLY))
        began = clock.elapsed
        repeated = await apply_all(changes, services_of(state, tenants, clock))
        seconds = clock.elapsed - began
    tenant.check(wanted)
    return seconds, repeated


async def apply_all(changes: Iterable[Change], services: Services, at_once: int = SESSIONS) -> int:
    """Apply changes as the queue would deliver them: `at_once` classes, the changes of a class in order.

    Returns how many deliveries failed and were repeated. Raises RuntimeError for a change that Graph refuses.
    """
    sessions: dict[str, list[Change]] = {}
    for change in changes:
        sessions.setdefault(change.session, []).append(change)
    places = asyncio.Semaphore(at_once)

    async def session(waiting: Sequence[Change]) -> int:
        async with places:
            return sum([await _deliver(change, services) for change in waiting])

    return sum(await asyncio.gather(*map(session, sessions.values())))


async def _deliver(change: Change, services: Services) -> int:
    for failed in range(_DELIVERIES):
        try:
            outcome = await apply_change(change, Priority.BULK, services)
        except Transient:
            await services.clock.sleep(seconds_before_redelivery(failed + 1))
            continue
        if isinstance(outcome, Refused):
            raise RuntimeError(f"{change.key} was refused: {outcome.code}")
        return failed
    raise RuntimeError(f"{change.key} failed in {_DELIVERIES} deliveries")
