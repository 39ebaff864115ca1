"""The rows of accounts: what a reader gets while others write, after a write that stopped, and from the cache."""

from __future__ import annotations

from collections.abc import Collection
from uuid import uuid4

import pytest
from azure.data.tables.aio import TableServiceClient

from sync_core.domain.accounts import Account, AccountChanges, AccountEntry, AccountTokens
from sync_core.domain.ids import AccountId
from sync_core.errors import Transient
from sync_core.state.accounts.cache import AccountCache, CachedAccounts
from sync_core.state.accounts.packing import pack, unpack
from sync_core.state.store import ACCOUNTS, TableState
from tests.builders import entra_id, entra_ids
from tests.state.test_accounts_contract import make_bulky_change, make_change, make_sparse_change
from tests.state.wire import Wire

HEAD, LISTED, WRITTEN, DELETED = "GET accounts row", "GET accounts", "PUT accounts row", "DELETE accounts row"
CROWD = [f"p{number}" for number in range(70)]
"""So many that they do not fit into the head."""


@pytest.fixture
async def state(service: TableServiceClient) -> TableState:
    state = TableState(service)
    await state.ensure_tables()
    return state


@pytest.fixture
def tenant() -> str:
    return uuid4().hex


def changes_of(people: Collection[str], token: str = "t", *, full: bool = False) -> AccountChanges:
    return AccountChanges(full, tuple(make_bulky_change(person) for person in people), frozenset(), token)


async def ids(state: TableState, tenant: str) -> frozenset[AccountId]:
    return frozenset(account.id for account in await state.accounts(tenant) or ())


async def rows(service: TableServiceClient, tenant: str) -> list[str]:
    """The kinds of the tenant's rows."""
    entities = service.get_table_client(ACCOUNTS).query_entities("PartitionKey eq @p", parameters={"p": tenant})
    return sorted([row["RowKey"].split(" ")[0] async for row in entities])


def test_packed_entries_are_the_same_when_unpacked() -> None:
    entries: dict[AccountId, AccountEntry] = {
        entra_id("whole"): make_change("whole", "w@x.org", enabled=False).on(None),
        entra_id("change"): make_change("change", "c@x.org"),
        entra_id("cleared"): make_change("cleared", mail=""),
        entra_id("enabled"): make_change("enabled", enabled=True),
        AccountId('odd "id"\n'): None,
    }
    assert unpack(pack(entries)) == entries
    assert unpack(pack({})) == {}


# --- the cache of a worker


async def test_a_worker_reads_the_rows_that_it_does_not_have(
    state: TableState, other: TableState, wire: Wire, tenant: str
) -> None:
    await other.write_accounts(tenant, changes_of(CROWD, full=True))
    assert await wire.record(state.accounts(tenant)) == [HEAD, LISTED]
    for _ in range(3):
        assert await wire.record(state.accounts(tenant)) == [HEAD]
    await other.write_accounts(tenant, changes_of(["new"]))
    assert await wire.record(state.accounts(tenant)) == [HEAD]
    assert await state.accounts(tenant) == await other.accounts(tenant)
    assert await ids(state, tenant) == entra_ids([*CROWD, "new"])
    await other.write_accounts(tenant, changes_of([*CROWD[1:], "newer"]))
    assert await wire.record(state.accounts(tenant)) == [HEAD, LISTED]
    assert await ids(state, tenant) == entra_ids([*CROWD, "new", "newer"])


async def test_the_account_cache_has_a_size_limit() -> None:
    cache = AccountCache()
    crowd = tuple(Account(AccountId(str(number)), {}) for number in range(25_000))
    for tenant in ("T1", "T2", "T3"):
        cache.put(tenant, CachedAccounts("v", crowd, "", {}))
    assert [cache.get(tenant) is not None for tenant in ("T1", "T2", "T3")] == [False, True, True]
    cache.put("T4", CachedAccounts("v", crowd * 4, "", {}))
    assert [cache.get(tenant) is not None for tenant in ("T2", "T3", "T4")] == [False, False, True]


# --- two workers


async def test_no_change_of_two_writers_at_once_is_lost(
    state: TableState, other: TableState, wire: Wire, tenant: str
) -> None:
    await state.write_accounts(tenant, changes_of(["amy"], full=True))

    async def before_request(number: int) -> None:
        if number == 2:
            await other.write_accounts(tenant, changes_of(["ben"], "other"))

    wire.requests, wire.before_request = [], before_request
    await state.write_accounts(tenant, changes_of(["cleo"], "own"))
    assert wire.requests == [HEAD, WRITTEN] * 2
    assert await ids(state, tenant) == entra_ids(["amy", "ben", "cleo"])
    assert await state.account_tokens(tenant) == AccountTokens("own")


async def test_two_writers_may_make_the_head_at_once(
    state: TableState, other: TableState, wire: Wire, tenant: str
) -> None:
    async def before_request(number: int) -> None:
        if number == 2:
            await other.write_accounts(tenant, changes_of(["ben"]))

    wire.requests, wire.before_request = [], before_request
    await state.write_accounts(tenant, changes_of(["cleo"]))
    assert await ids(state, tenant) == entra_ids(["ben", "cleo"])


async def test_a_write_after_its_token_was_read_meets_a_newer_head(
    state: TableState, other: TableState, tenant: str
) -> None:
    await state.write_accounts(tenant, changes_of(["amy"], full=True))
    await state.account_tokens(tenant)
    await other.write_accounts(tenant, changes_of(["ben"]))
    await state.write_accounts(tenant, changes_of(["cleo"]))
    assert await ids(state, tenant) == entra_ids(["amy", "ben", "cleo"])


@pytest.mark.parametrize("at", range(2, 7))
async def test_two_writers_may_write_all_accounts_anew_at_once(
    state: TableState, other: TableState, service: TableServiceClient, wire: Wire, tenant: str, at: int
) -> None:
    """Whatever request of one the other comes before, and deletes the outdated rows: no row that counts is deleted."""
    await state.write_accounts(tenant, changes_of(CROWD, full=True))

    async def before_request(number: int) -> None:
        if number == at:
            await other.write_accounts(tenant, changes_of([*CROWD[5:], "ben"]))

    wire.requests, wire.before_request = [], before_request
    await state.write_accounts(tenant, changes_of([*CROWD[6:], "cleo"]))
    assert len(wire.requests) >= at, "the other came too late"
    wire.before_request = None
    cold = TableState(service)
    assert await ids(cold, tenant) == await ids(state, tenant) == entra_ids([*CROWD, "ben", "cleo"])
    await state.write_accounts(tenant, changes_of(CROWD))
    assert await rows(service, tenant) == ["head", "part"]


async def test_accounts_that_change_during_every_write_are_a_transient_error(
    state: TableState, other: TableState, wire: Wire, tenant: str
) -> None:
    async def before_request(number: int) -> None:
        if number % 2 == 0:
            await other.write_accounts(tenant, changes_of([f"other {number}"]))

    wire.requests, wire.before_request = [], before_request
    with pytest.raises(Transient, match="changed each time"):
        await state.write_accounts(tenant, changes_of(["amy"]))
    assert len(wire.requests) == 10


async def test_a_write_whose_answer_was_lost_is_done_when_it_is_repeated(
    state: TableState, other: TableState, wire: Wire, tenant: str
) -> None:
    changes = changes_of(["amy", "ben"])
    await other.write_accounts(tenant, changes_of(["amy"], "earlier"))

    async def write_first(number: int) -> None:
        if number == 2:
            await other.write_accounts(tenant, changes)

    wire.requests, wire.before_request = [], write_first
    await state.write_accounts(tenant, changes)
    assert wire.requests == [HEAD, WRITTEN, HEAD]
    assert await ids(state, tenant) == entra_ids(["amy", "ben"])


async def test_a_reader_whose_rows_are_replaced_reads_again(
    state: TableState, other: TableState, wire: Wire, tenant: str
) -> None:
    await other.write_accounts(tenant, changes_of(CROWD, full=True))

    async def before_request(number: int) -> None:
        if number == 2:
            await other.write_accounts(tenant, changes_of([*CROWD[1:], "ben"]))

    wire.requests, wire.before_request = [], before_request
    assert await ids(state, tenant) == entra_ids([*CROWD, "ben"])
    assert wire.requests == [HEAD, LISTED] * 2


async def test_rows_that_are_replaced_during_every_read_are_a_transient_error(
    state: TableState, other: TableState, wire: Wire, tenant: str
) -> None:
    await other.write_accounts(tenant, changes_of(CROWD, full=True))

    async def before_request(number: int) -> None:
        if number % 2 == 0:
            await other.write_accounts(tenant, changes_of([*CROWD[1:], f"other {number}"]))

    wire.requests, wire.before_request = [], before_request
    with pytest.raises(Transient, match="changed each time"):
        await state.accounts(tenant)
    assert len(wire.requests) == 10


# --- a write that stops


class Killed(Exception):
    pass


async def kill_at(wire: Wire, at: int, state: TableState, tenant: str, changes: AccountChanges) -> list[str]:
    """Write until the request with this number, which is not sent. Returns the requests before it."""

    async def before_request(number: int) -> None:
        if number == at:
            raise Killed

    wire.requests, wire.before_request = [], before_request
    with pytest.raises(Killed):
        await state.write_accounts(tenant, changes)
    wire.before_request = None
    return wire.requests[:-1]


async def test_a_write_that_stops_changes_nothing_or_all(
    state: TableState, other: TableState, service: TableServiceClient, wire: Wire, tenant: str
) -> None:
    await other.write_accounts(tenant, changes_of(CROWD, "before", full=True))
    wanted = changes_of([*CROWD[1:], "ben"], "after")
    whole = [HEAD, LISTED, WRITTEN, LISTED, WRITTEN, DELETED]
    for at in range(1, len(whole)):
        assert await kill_at(wire, at, state, tenant, wanted) == whole[: at - 1]
        assert await ids(TableState(service), tenant) == entra_ids(CROWD)
        assert await other.account_tokens(tenant) == AccountTokens("before")
    assert await kill_at(wire, len(whole), state, tenant, wanted) == whole[:-1]
    assert await ids(TableState(service), tenant) == entra_ids([*CROWD, "ben"])
    assert await other.account_tokens(tenant) == AccountTokens("after")
    assert await rows(service, tenant) == ["head"] + ["part"] * 4
    assert await wire.record(TableState(service).accounts(tenant)) == [HEAD, LISTED]
    await state.write_accounts(tenant, wanted)
    assert await rows(service, tenant) == ["head", "part"]


async def test_a_first_read_that_stops_leaves_no_rows_behind(
    state: TableState, service: TableServiceClient, wire: Wire, tenant: str
) -> None:
    first = AccountChanges(False, changes_of(CROWD).accounts, frozenset(), "first", more=True)
    await state.write_accounts(tenant, first)
    await kill_at(wire, 3, state, tenant, first)
    assert await rows(service, tenant) == ["head"] + ["part"] * 2
    await state.write_accounts(tenant, changes_of(["ben"]))
    await state.write_accounts(tenant, changes_of(["cleo", *CROWD]))
    assert await rows(service, tenant) == ["head", "part"]
    sparse = AccountChanges(False, (make_sparse_change("p1"),), frozenset(), "t")
    await state.write_accounts(tenant, sparse)
    assert await ids(TableState(service), tenant) == entra_ids([*CROWD, "ben", "cleo"])


# --- accounts that are gone


async def test_nothing_is_kept_of_an_account_that_is_gone_for_a_week(
    state: TableState, service: TableServiceClient, wire: Wire, tenant: str
) -> None:
    await state.write_accounts(tenant, changes_of(CROWD, full=True))
    for _ in range(10):
        assert await wire.record(state.write_accounts(tenant, changes_of([]))) == [HEAD, WRITTEN]
    await state.write_accounts(tenant, AccountChanges(False, (), entra_ids(["p1"]), "t"))
    for _ in range(5):
        assert await wire.record(state.write_accounts(tenant, changes_of([]))) == [HEAD, WRITTEN]
    assert await kept(service, tenant) == entra_ids(CROWD)
    await state.write_accounts(tenant, changes_of([]))
    assert await kept(service, tenant) == entra_ids(CROWD) - {entra_id("p1")}


async def test_an_account_that_is_gone_leaves_a_small_tenant_at_once(
    state: TableState, service: TableServiceClient, tenant: str
) -> None:
    await state.write_accounts(tenant, changes_of(["amy", "ben"], full=True))
    await state.write_accounts(tenant, AccountChanges(False, (), entra_ids(["amy"]), "t"))
    assert await rows(service, tenant) == ["head"]
    head = await service.get_table_client(ACCOUNTS).get_entity(tenant, "head")
    assert {id_ for id_, entry in unpack(head["changes"]).items() if entry} == entra_ids(["ben"])


async def kept(service: TableServiceClient, tenant: str) -> frozenset[AccountId]:
    """The ids of the accounts in the parts."""
    found = service.get_table_client(ACCOUNTS).query_entities("PartitionKey eq @p", parameters={"p": tenant})
    packed = [row["chunk_0"] + row.get("chunk_1", b"") async for row in found if row["RowKey"] != "head"]
    return frozenset(id_ for part in packed for id_ in unpack(part))
