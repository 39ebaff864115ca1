"""An app over fakes, and a handler that reads all logs as the host does."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from datetime import timedelta
from functools import partial

import pytest
from azure.storage.blob.aio import ContainerClient

from sync_core.app import App
from sync_core.config import parse_settings
from sync_core.domain.accounts import AccountChange, AccountChanges
from sync_core.graph.port import ProbedTenant
from sync_core.mis.drop.reader import FileDropReader, open_store
from sync_core.mis.drop.readings import SharedReadings
from sync_core.mis.port import MisSource
from sync_core.mis.sources import MisSources
from sync_core.state.store import TableState
from tests.builders import TENANT, accounts
from tests.canary.outside import Outside
from tests.fakes.fixed_clock import FixedClock
from tests.fakes.memory_outbox import MemoryOutbox
from tests.fakes.memory_state import MemoryState
from tests.fakes.memory_tenant import MemoryTenant
from tests.fakes.memory_webhook_inbox import MemoryWebhookInbox
from tests.fakes.services import services
from tests.http.memory_api import ENVIRONMENT


def app_of(
    state: MemoryState | TableState,
    *,
    mis: MisSource | None = None,
    container: ContainerClient | None = None,
    outbox: MemoryOutbox | None = None,
    tenant: ProbedTenant | None = None,
    inbox: MemoryWebhookInbox | None = None,
    secrets: dict[str, str] | None = None,
) -> App:
    clock = FixedClock()
    drops = FileDropReader(partial(open_store, container), timedelta(0), clock, SharedReadings(clock))
    mis = mis or MisSources(drops, secrets or {}, clock)
    ports = services(
        state, mis=mis, outbox=outbox, tenant=tenant or MemoryTenant(), clock=clock, inbox=inbox, file_drops=drops
    )
    return App(parse_settings({**ENVIRONMENT, **(secrets or {})}), ports)


async def write_accounts(state: MemoryState | TableState, people: Iterable[str]) -> None:
    changes = tuple(AccountChange(account.id, account.values) for account in accounts(people))
    await state.write_accounts(TENANT, AccountChanges(True, changes, frozenset(), "token"))


@pytest.fixture
def outside() -> Iterator[Outside]:
    """The host sets the root logger to INFO, and takes each record of it."""
    root, seen = logging.getLogger(), Outside()
    level = root.level
    root.setLevel(logging.INFO)
    root.addHandler(seen)
    yield seen
    root.removeHandler(seen)
    root.setLevel(level)
