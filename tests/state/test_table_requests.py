"""What Azure Tables is asked, request by request: how often, and what becomes of a read that a write cuts in two."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from azure.core.pipeline.transport import AioHttpTransport, AsyncHttpTransport
from azure.data.tables.aio import TableServiceClient

from local.azurite import Azurite
from sync_core.domain.accounts import Account, AccountChange, AccountChanges, AccountProperty
from sync_core.domain.classes import AppliedDelta, DesiredClass, Drift, Pin, Reason, Rule
from sync_core.domain.runs import Cause
from sync_core.errors import Transient
from sync_core.state.account_cache import AccountCache
from sync_core.state.port import DeltaKind
from sync_core.state.store import CLASSES, TableState
from tests.builders import NOON, desired, entra_id, entra_ids, synced

_KEYS = re.compile(r"\(.+\)")
READ, LISTED, TRANSACTION = "GET classes row", "GET classes", "POST $batch"


class Wire(AsyncHttpTransport[Any, Any]):
    """The client's own transport, which notes each request, and may do something before one goes out."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.meddle: Callable[[int], Awaitable[object]] | None = None
        self._transport = AioHttpTransport()

    async def send(self, request: Any, **options: Any) -> Any:
        path = request.url.partition("?")[0].partition("devstoreaccount1/")[2]
        self.requests.append(f"{request.method} {_KEYS.sub(' row', path).removesuffix('()')}")
        if self.meddle:
            await self.meddle(len(self.requests))
        return await self._transport.send(request, **options)

    async def open(self) -> None:
        await self._transport.open()

    async def close(self) -> None:
        await self._transport.close()

    async def __aenter__(self) -> Wire:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def told(self, work: Awaitable[object]) -> list[str]:
        """The requests that `work` makes."""
        self.requests = []
        await work
        return self.requests


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
async def service(azurite: Azurite, wire: Wire) -> AsyncIterator[TableServiceClient]:
    async with TableServiceClient.from_connection_string(azurite.connection_string, transport=wire) as service:
        yield service


@pytest.fixture
async def state(service: TableServiceClient) -> TableState:
    state = TableState(service)
    await state.ensure_tables()
    return state


@pytest.fixture
async def other(azurite: Azurite) -> AsyncIterator[TableState]:
    """Somebody else, who writes meanwhile."""
    other = TableState.from_connection_string(azurite.connection_string)
    yield other
    await other.close()


@pytest.fixture
def school() -> str:
    return uuid4().hex


def crowd(key: str, first: int = 0, people: int = 2_000) -> DesiredClass:
    """A class whose lists do not stand in its row."""
    pupils = [f"p{number}" for number in range(first, first + people)]
    return replace(desired(key, pupils), reasons={entra_id(pupil): Reason(Rule.STUDENT, pupil) for pupil in pupils})


async def test_what_ordinary_classes_cost(state: TableState, wire: Wire, school: str) -> None:
    keys = [f"K{number:03}" for number in range(250)]
    wanted = [desired(key, ["amy"], ["main"]) for key in keys]
    assert await wire.told(state.write_desired(school, wanted)) == [TRANSACTION] * 3
    assert await wire.told(state.class_records(school)) == [LISTED]
    assert await wire.told(state.class_record(school, "K000")) == [READ]
    assert await wire.told(state.write_drift(school, [Drift(key, stale=True) for key in keys])) == [TRANSACTION] * 3
    record = await state.class_record(school, "K000")
    assert record is not None
    delta = AppliedDelta(run="run", cause=Cause.NIGHTLY, at=NOON, members_added=entra_ids(["amy"]))
    assert await wire.told(state.write_actual(replace(synced(wanted[0]), school=school, etag=record.etag), delta)) == [
        TRANSACTION
    ]
    assert await wire.told(state.history(school, "K000")) == [LISTED]
    pins = [Pin(key=key, members=entra_ids(["amy"]), owners=frozenset(), undone="run", run="run") for key in keys]
    assert await wire.told(state.write_pins(school, pins)) == [TRANSACTION] * 3
    assert await wire.told(state.pins(school)) == [LISTED]
    assert await wire.told(state.forget_pin(school, "K000")) == ["DELETE classes row", LISTED]


async def test_only_the_transaction_that_misses_a_row_goes_row_by_row(
    state: TableState, wire: Wire, school: str
) -> None:
    keys = [f"K{number:03}" for number in range(250)]
    await state.write_desired(school, [desired(key) for key in keys[:-1]])
    told = await wire.told(state.write_drift(school, [Drift(key, stale=True) for key in keys]))
    assert told == [TRANSACTION] * 3 + ["PATCH classes row"] * 50


async def test_what_a_large_class_costs(state: TableState, wire: Wire, school: str) -> None:
    await state.write_desired(school, [desired(f"K{number}") for number in range(50)])
    assert await wire.told(state.write_desired(school, [crowd("K7")])) == [TRANSACTION]
    assert await wire.told(state.class_record(school, "K7")) == [READ, LISTED]
    assert await wire.told(state.class_record(school, "K8")) == [READ]
    assert await wire.told(state.class_records(school)) == [LISTED]


async def test_an_ordinary_class_is_one_row_and_a_large_one_says_where_it_goes_on(
    state: TableState, service: TableServiceClient, school: str
) -> None:
    for large in (crowd("K2", people=5_000), crowd("K2")):
        await state.write_desired(school, [desired("K1", ["amy"]), large])
    found = service.get_table_client(CLASSES).query_entities("PartitionKey eq @p", parameters={"p": school})
    visible = {row["RowKey"]: row async for row in found}
    assert set(visible) == {"c:K1", "c:K2", "c:K2,desired_members,1", "c:K2,desired_reasons,1"}
    assert (visible["c:K1"]["desired_members_0"], visible["c:K1"]["desired_members_parts"]) == (entra_id("amy"), 1)
    assert visible["c:K2"]["desired_members_0"].startswith("in overflow rows: c:K2,desired_members,… sha256 ")
    assert (visible["c:K2"]["desired_members_count"], visible["c:K2"]["desired_members_parts"]) == (2_000, 3)
    assert set(visible["c:K2,desired_members,1"]) == {
        "PartitionKey",
        "RowKey",
        *(f"desired_members_{at}" for at in "012"),
    }
    assert entra_id("p7") in "".join(visible["c:K2,desired_members,1"][f"desired_members_{at}"] for at in "012")


async def test_what_is_forgotten_leaves_no_row(state: TableState, service: TableServiceClient, school: str) -> None:
    wanted = crowd("K1")
    await state.write_desired(school, [wanted])
    record = await state.class_record(school, "K1")
    assert record is not None
    await state.write_actual(
        record, AppliedDelta(run="run", cause=Cause.NIGHTLY, at=NOON, members_added=wanted.members)
    )
    await state.write_pins(school, [Pin(key="K1", members=wanted.members, owners=frozenset(), undone="run", run="run")])
    await state.write_pins(school, [Pin(key="K1", members=frozenset(), owners=frozenset(), undone="run", run="run")])
    client = service.get_table_client(CLASSES)

    async def kinds() -> list[str]:
        found = client.query_entities("PartitionKey eq @p", parameters={"p": school}, select=["RowKey"])
        return [row["RowKey"].partition(":")[0] async for row in found]

    assert [(await kinds()).count(kind) for kind in "chp"] == [3, 2, 2]
    await state.forget_history(school, NOON.replace(year=2027))
    await state.forget_pin(school, "K1")
    assert await kinds() == ["c"] * 3


async def test_a_class_that_is_written_while_it_is_read_is_read_again(
    state: TableState, other: TableState, wire: Wire, school: str
) -> None:
    before, after = crowd("K1"), crowd("K1", first=1_000)
    await state.write_desired(school, [before])

    async def meddle(number: int) -> None:
        if number == 2:
            await other.write_desired(school, [after])

    wire.requests, wire.meddle = [], meddle
    record = await state.class_record(school, "K1")
    assert record is not None
    assert record.desired == after
    assert len(wire.requests) == 4


async def test_a_class_that_shrinks_while_it_is_read_is_read_as_it_was(
    state: TableState, other: TableState, wire: Wire, school: str
) -> None:
    """What it leaves behind is what it was when its row was read: one state of it, and not a mixture."""
    before = crowd("K1")
    await state.write_desired(school, [before])

    async def meddle(number: int) -> None:
        if number == 2:
            await other.write_desired(school, [desired("K1", ["amy"])])

    wire.requests, wire.meddle = [], meddle
    record = await state.class_record(school, "K1")
    assert record is not None
    assert (record.desired, len(wire.requests)) == (before, 2)


async def test_a_class_that_is_written_at_every_read_is_tried_again_later(
    state: TableState, other: TableState, wire: Wire, school: str
) -> None:
    await state.write_desired(school, [crowd("K1")])

    async def meddle(number: int) -> None:
        if number % 2 == 0:
            await other.write_desired(school, [crowd("K1", first=number)])

    wire.requests, wire.meddle = [], meddle
    with pytest.raises(Transient, match="changed during each of several reads"):
        await state.class_record(school, "K1")
    assert len(wire.requests) == 10


async def test_a_list_of_classes_is_read_again_when_a_write_falls_between_its_pages(
    state: TableState, other: TableState, wire: Wire, school: str
) -> None:
    """The row of the large class is the last of the first page, and its overflow rows begin the second."""
    ordinary = [desired(f"A{number:03}") for number in range(999)]
    before, after = crowd("K1"), crowd("K1", first=1_000)
    await state.write_desired(school, [*ordinary, before])
    assert await wire.told(state.class_records(school)) == [LISTED] * 2

    async def meddle(number: int) -> None:
        if number == 2:
            await other.write_desired(school, [after])

    wire.requests, wire.meddle = [], meddle
    assert [record.desired for record in await state.class_records(school)] == [*ordinary, after]
    assert len(wire.requests) == 4


async def test_pins_are_read_again_when_one_is_forgotten_between_their_pages(
    state: TableState, other: TableState, wire: Wire, school: str
) -> None:
    ordinary = [
        Pin(key=f"A{number:03}", members=frozenset(), owners=frozenset(), undone="run", run="run")
        for number in range(999)
    ]
    await state.write_pins(
        school, [*ordinary, Pin(key="K1", members=crowd("K1").members, owners=frozenset(), undone="run", run="run")]
    )

    async def meddle(number: int) -> None:
        if number == 2:
            await other.forget_pin(school, "K1")

    wire.requests, wire.meddle = [], meddle
    assert await state.pins(school) == {pin.key: pin for pin in ordinary}
    assert len(wire.requests) == 3


def people(*names: str) -> AccountChanges:
    said = tuple(AccountChange(entra_id(name), {AccountProperty.UPN: f"{name}@x.org"}, True) for name in names)
    return AccountChanges(False, said, frozenset(), "t")


async def test_the_schools_of_a_trust_plan_with_accounts_that_are_read_once_a_night(
    state: TableState, other: TableState, wire: Wire
) -> None:
    tenant = uuid4().hex
    await state.write_accounts(tenant, people("amy", "ben"))
    await state.write_delta_token(tenant, DeltaKind.ACCOUNTS, "night one")
    assert await wire.told(state.accounts(tenant)) == ["GET tenants row", "GET accounts"]
    for _ in range(3):
        assert await wire.told(state.accounts(tenant)) == ["GET tenants row"]
    await other.write_accounts(tenant, people("cleo"))
    await other.write_delta_token(tenant, DeltaKind.ACCOUNTS, "night two")
    assert {account.id for account in await state.accounts(tenant) or ()} == entra_ids(["amy", "ben", "cleo"])
    assert await state.accounts(tenant) == await other.accounts(tenant)


async def test_of_a_few_changed_accounts_only_those_are_read(state: TableState, wire: Wire) -> None:
    tenant = uuid4().hex
    await state.write_accounts(tenant, people(*(f"p{number}" for number in range(200))))
    changed = replace(people("p7"), removed=frozenset({entra_id("p8")}))
    assert await wire.told(state.write_accounts(tenant, changed)) == ["GET accounts row"] * 2 + [TRANSACTION]
    assert await wire.told(state.write_accounts(tenant, people())) == []
    await state.write_delta_token(tenant, DeltaKind.ACCOUNTS, "night one")
    assert len(await state.accounts(tenant) or ()) == 199


async def test_no_more_accounts_are_held_than_memory_allows() -> None:
    cache = AccountCache()
    crowd = tuple(Account(str(number), {}) for number in range(25_000))
    for tenant in ("T1", "T2", "T3"):
        cache.put(tenant, "v", crowd)
    assert [cache.get(tenant, "v") is not None for tenant in ("T1", "T2", "T3")] == [False, True, True]
    cache.put("T4", "v", crowd * 4)
    assert [cache.get(tenant, "v") is not None for tenant in ("T2", "T3", "T4")] == [False, False, True]
    assert cache.get("T4", "another version") is None
