"""Fixtures that several folders share, and the report of injected faults at the end of the suite."""

from __future__ import annotations

import gc
import os
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4
from zlib import crc32

import pytest
from azure.data.tables.aio import TableServiceClient
from hypothesis import settings

from local.processes import collect_garbage_seldom
from local.tenant.certificate import tls_context
from sync_core.domain.ids import SchoolId
from sync_core.state.store import TableState
from tests.fakes.memory_state import MemoryState
from tests.forked import Forked
from tests.state.wire import Wire
from tests.storage import is_started, own_accounts, start_azurite

REPOSITORY = Path(__file__).parents[1]
_LONGEST = (
    "tests/faults/test_graph_faults.py",
    "tests/faults/test_kill.py",
    "tests/http/test_openapi.py",
    "tests/faults/test_tables_and_queues.py",
    "tests/properties/test_protocol.py",
    "tests/flow/test_team_stories.py",
    "tests/properties/test_school_year.py",
    "tests/flow/test_command_line.py",
    "tests/bench/test_school_year.py",
    "tests/faults/test_graph_silence.py",
    "tests/canary/test_feeds.py",
    "tests/flow/test_dead_letter_stories.py",
    "tests/mis/test_vendor_deltas.py",
    "tests/local/test_world.py",
    "tests/sync/test_unconfirmed_answers.py",
    "tests/messaging/test_dead_letters_contract.py",
    "tests/mis/files/test_bad_feeds.py",
    "tests/cli/test_deployment_commands.py",
    "tests/mis/rest/test_bad_oneroster_records.py",
    "tests/flow/test_webhook_stories.py",
    "tests/http/console/test_attacks.py",
    "tests/faults/test_soak.py",
    "tests/costs/test_account_rows.py",
    "tests/http/console/test_health_stories.py",
    "tests/mis/test_read_again.py",
    "tests/local/servicebus/test_client.py",
    "tests/mis/test_oneroster_servers.py",
    "tests/flow/test_telemetry_stories.py",
    "tests/properties/test_damaged_feeds.py",
    "tests/cli/test_interrupted.py",
    "tests/graph/test_quota.py",
    "tests/http/console/test_settings_stories.py",
    "tests/state/test_records.py",
    "tests/http/console/test_class_stories.py",
    "tests/flow/test_bad_nights.py",
    "tests/flow/test_feed_stories.py",
    "tests/http/console/test_home_and_why_stories.py",
    "tests/http/console/test_plan_stories.py",
    "tests/local/host/test_queues.py",
    "tests/messaging/test_outbox_contract.py",
    "tests/flow/test_rule_stories.py",
    "tests/local/test_plain_windows.py",
    "tests/infra/scripts/test_register_admins.py",
    "tests/mis/files/test_large_feeds.py",
    "tests/http/console/test_approval_stories.py",
    "tests/flow/test_hold_stories.py",
)
"""The modules that take longest: no worker is to begin one of them when the others end. Those that wait for other
processes come by turns with those that compute, so that both processors always have work."""


def pytest_configure(config: pytest.Config) -> None:
    """Trust one certificate: reading the machine's takes each new client 20 ms, and no test calls another machine."""
    certificate = config.cache.mkdir("certificates") / f"{os.environ.get('PYTEST_XDIST_WORKER', 'only')}.pem"
    tls_context(certificate)
    os.environ["SSL_CERT_FILE"] = str(certificate)
    # Other processes use the processor too, so the time of one example tells nothing.
    settings.register_profile("no deadline", deadline=None)
    settings.load_profile("no deadline")
    # What the modules of the tests import stays, and would be looked through again while others are imported.
    collect_garbage_seldom()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the modules that take longest. The others are mixed for the same reason as these."""
    ranks = {module: rank for rank, module in enumerate(_LONGEST)}

    def place(item: pytest.Item) -> tuple[int, int]:
        module = item.nodeid.partition("::")[0]
        return ranks.get(module, len(ranks)), crc32(module.encode())

    items.sort(key=place)


def pytest_collection_finish() -> None:
    collect_garbage_seldom()


def pytest_sessionfinish() -> None:
    """pytest collects garbage five times in the end, which takes each worker seconds and finds what nobody reads."""
    gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the faults that were injected and survived. Each test of tests/faults records its own."""
    faults: Counter[str] = Counter()
    passed = {report.nodeid for report in terminalreporter.stats.get("passed", [])}
    # A property that a fixture records at its end is in the teardown report, which has no category.
    for report in terminalreporter.stats.get("", []):
        if report.when == "teardown" and report.nodeid in passed:
            faults.update({name: int(times) for name, times in report.user_properties if name.startswith("fault: ")})
    if faults:
        terminalreporter.write_line(f"faults injected and survived: {sum(faults.values())}")
        for name, times in sorted(faults.items()):
            terminalreporter.write_line(f"  {times:5} {name.removeprefix('fault: ')}")


@pytest.fixture(scope="session")
def storage_accounts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Iterator[str]]:
    """The connection strings of empty storage accounts; each world takes one, and another test the next."""
    log = tmp_path_factory.mktemp("azurite") / "azurite.log"
    server = None if is_started() else start_azurite(log, 1)
    yield own_accounts()
    if server:
        server.stop()


@pytest.fixture(scope="session")
def shared_storage(storage_accounts: Iterator[str]) -> str:
    """The connection string of the storage account that tests share, one after the other."""
    return next(storage_accounts)


@pytest.fixture(scope="module")
def storage(storage_accounts: Iterator[str]) -> str:
    """The connection string of a storage account that no other module uses."""
    return next(storage_accounts)


@pytest.fixture(scope="session")
def tenant_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The simulated tenant's address, without a slash at the end."""
    log = tmp_path_factory.mktemp("tenant") / "tenant.log"
    child = Forked("local.tenant", ("--port", "0"), log, {})
    yield f"http://127.0.0.1:{child.ready_line()['port']}"
    child.stop()


@pytest.fixture(scope="session")
def bus_ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    """The Service Bus stand-in's AMQP and status ports."""
    log = tmp_path_factory.mktemp("bus") / "bus.log"
    config = str(REPOSITORY / "local" / "Config.json")
    child = Forked("local.servicebus", ("--config", config, "--port", "0", "--status-port", "0"), log, {})
    ready = child.ready_line()
    yield ready["port"], ready["status_port"]
    child.stop()


@pytest.fixture(params=["memory", "tables"])
async def state(request: pytest.FixtureRequest) -> AsyncIterator[MemoryState | TableState]:
    if request.param == "memory":
        yield MemoryState()
        return
    tables = TableState.from_connection_string(request.getfixturevalue("shared_storage"))
    await tables.ensure_tables()
    yield tables
    await tables.close()


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
async def service(shared_storage: str, wire: Wire) -> AsyncIterator[TableServiceClient]:
    """The tables over a wire that records the requests."""
    async with TableServiceClient.from_connection_string(shared_storage, transport=wire) as service:
        yield service


@pytest.fixture
async def other(shared_storage: str) -> AsyncIterator[TableState]:
    """Another worker with the same tables."""
    other = TableState.from_connection_string(shared_storage)
    yield other
    await other.close()


@pytest.fixture
def school() -> SchoolId:
    """The id of a school that no other test uses, with the worst characters that a feed may have."""
    return SchoolId(f"S/{uuid4().hex}#? é\\%!")
