"""The admin API over a school in memory, for the tests of its routes."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from sync_core.app import App
from sync_core.config import parse_settings
from sync_core.domain.accounts import AccountChange, AccountChanges
from tests.builders import TENANT, accounts, settings, teaching
from tests.fakes.memory_state import MemoryState
from tests.fakes.memory_tenant import MemoryTenant
from tests.fakes.services import services
from tests.http.built import serve_api
from tests.http.memory_api import ENVIRONMENT, HEAD, PUPILS, Api, Mis


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    state, tenant = MemoryState(), MemoryTenant()
    await state.save_school(settings(access=[HEAD]))
    people = accounts([*PUPILS, "main"])
    for account in people:
        tenant.accounts[account.id] = account
    changes = tuple(AccountChange(account.id, account.values) for account in people)
    await state.write_accounts(TENANT, AccountChanges(True, changes, frozenset(), "token"))
    mis = Mis([teaching("G1", "Maths", PUPILS, ["main"])])
    app = App(parse_settings(ENVIRONMENT), services(state, tenant=tenant, mis=mis))
    yield Api(app, state, tenant, mis, serve_api(app))
