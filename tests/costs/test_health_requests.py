"""Exact counts of the requests of one answer about the health of the app, over the real clients."""

from __future__ import annotations

from dataclasses import replace

from azure.data.tables.aio import TableServiceClient

from bench.simulated import SimulatedTenant
from sync_core.admin.health.checks import health_of_app
from sync_core.config import parse_settings
from sync_core.domain.ids import SchoolId
from sync_core.graph.connections import GraphTenants
from sync_core.services import Checks
from sync_core.state.store import TableState
from tests.builders import settings
from tests.fakes.fixed_clock import FixedClock
from tests.fakes.memory_checks import MemoryChecks
from tests.fakes.services import services
from tests.forked import Forked
from tests.state.wire import Wire

ENVIRONMENT = {"STATE_TABLES_ENDPOINT": "https://tables", "ServiceBusConnection__fullyQualifiedNamespace": "bus"}


async def test_one_answer_takes_a_request_to_graph_for_each_tenant_and_one_to_the_tables_for_each_school(
    storage: str,
) -> None:
    wire, checks = Wire(), MemoryChecks()
    with SimulatedTenant(spawn=Forked) as simulated:
        credential = simulated.credential()
        graph = GraphTenants(lambda _: credential, simulated.graph_url, FixedClock())
        async with TableServiceClient.from_connection_string(storage, transport=wire) as service:
            state = TableState(service)
            await state.ensure_tables()
            for school in ("S1", "S2"):
                one = replace(settings(), school=SchoolId(school), tenant=simulated.id, name_identifier=school)
                await state.save_school(one)
            of_app = replace(services(state, tenant=graph.probed(simulated.id)), checks=Checks(state, checks, checks))
            before = simulated.spent()
            requests = await wire.record(
                health_of_app(parse_settings(ENVIRONMENT | {"TENANT_ID": simulated.id}), of_app)
            )
            spent = simulated.spent() - before
    assert (spent.requests, spent.writes, spent.units) == (1, 0, 1)
    assert sorted(requests) == [
        "DELETE messagefaults row",
        "GET Tables",
        "GET runs",
        "GET runs",
        "GET schools",
    ]
