"""A school whose settings cannot be read is one school's trouble: the others are listed and synced, and it is named."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest
from azure.data.tables.aio import TableServiceClient

from sync_core.app import App
from sync_core.config import parse_settings
from sync_core.domain.ids import SchoolId
from sync_core.errors import UnknownSetting
from sync_core.messaging.messages import RefreshTenant
from sync_core.state.store import SCHOOLS, TableState
from tests.builders import TENANT, settings
from tests.fakes.memory_outbox import MemoryOutbox
from tests.fakes.services import services
from tests.http.memory_api import ENVIRONMENT

DAMAGE: dict[str, dict[str, object]] = {
    "kind": {"source_kind": "abacus"},
    "choice": {"mis": "abacus"},
    "number": {"limits_turnover": "much"},
    "text": {"types_count": 1, "types_parts": 1, "types_0": "house"},
}


@pytest.fixture
async def state(storage_accounts: Iterator[str]) -> AsyncIterator[TableState]:
    """The tables, with one school that is as it was saved and one for each kind of damage."""
    storage = next(storage_accounts)
    state = TableState.from_connection_string(storage)
    await state.ensure_tables()
    async with TableServiceClient.from_connection_string(storage) as service:
        for name in ("oak", *DAMAGE):
            await state.save_school(replace(settings(), school=SchoolId(name)))
            row: dict[str, object] = {"PartitionKey": "school", "RowKey": name}
            row |= DAMAGE.get(name, {})
            await service.get_table_client(SCHOOLS).update_entity(row)
    yield state
    await state.close()


async def test_the_others_are_listed_and_each_unreadable_one_says_why(state: TableState) -> None:
    assert [school.school for school in await state.schools()] == ["oak"]
    assert [school.school for school in await state.schools(TENANT)] == ["oak"]
    unreadable = (await state.every_school()).unreadable
    assert unreadable.keys() == DAMAGE.keys()
    assert (await state.every_school(TENANT)).unreadable.keys() == DAMAGE.keys()
    assert (await state.every_school("another tenant")).unreadable == {}
    assert unreadable[SchoolId("kind")].message == (
        "school kind is read from abacus, which this version of the app does not know"
    )
    assert {name: reason.message for name, reason in unreadable.items() if name != "kind"} == {
        name: f"the settings of school {name} cannot be read (ValueError)" for name in DAMAGE if name != "kind"
    }
    with pytest.raises(UnknownSetting, match="the settings of school choice cannot be read"):
        await state.school(SchoolId("choice"))


async def test_the_night_syncs_the_others_and_reports_it(state: TableState, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    outbox = MemoryOutbox()
    await App(parse_settings(ENVIRONMENT), services(state, outbox=outbox)).start_night()
    assert [type(request) for request, _ in outbox.requests] == [RefreshTenant]
    events = [(record.getMessage(), vars(record).get("sync.school")) for record in caplog.records]
    assert [school for name, school in events if name == "school.due"] == ["oak", *sorted(DAMAGE)]
    assert [school for name, school in events if name == "school.unreadable"] == sorted(DAMAGE)
