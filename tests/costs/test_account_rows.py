"""Exact counts of what the accounts of a tenant take of Azure Tables: to read, and to keep up to date."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from uuid import UUID, uuid4

import pytest
from azure.data.tables.aio import TableServiceClient

from sync_core.domain.accounts import AccountChange, AccountChanges, AccountProperty
from sync_core.domain.ids import AccountId
from sync_core.state.store import ACCOUNTS, TableState
from tests.state.wire import Wire

ACCOUNTS_OF_A_TRUST, PART = 60_000, 5_000
HEAD, LISTED, CREATED = "GET accounts row", "GET accounts", "POST accounts"
WRITTEN, TRANSACTION, DELETED = "PUT accounts row", "POST $batch", "DELETE accounts row"
SURNAMES = ("smith", "jones", "taylor", "brown", "williams", "wilson", "johnson", "davies", "patel", "wright", "khan")


def make_people(count: int, properties: Sequence[AccountProperty]) -> tuple[AccountChange, ...]:
    """Accounts with ids and values as random as those of a school."""
    chance, people = Random(1), []
    for number in range(count):
        name = f"{chance.randint(12, 25)}{chance.choice('abcdefghijklm')}{chance.choice(SURNAMES)}{number}"
        values = {
            AccountProperty.UPN: f"{name}@oakwood-trust.org.uk",
            AccountProperty.MAIL: f"{name}@oakwood-trust.org.uk",
            AccountProperty.MAIL_NICKNAME: name,
            AccountProperty.EMPLOYEE_ID: str(chance.randint(100_000, 999_999)),
            AccountProperty.SAM_ACCOUNT_NAME: name,
        }
        id_ = AccountId(str(UUID(int=chance.getrandbits(128), version=4)))
        people.append(AccountChange(id_, {used: values[used] for used in properties}, True))
    return tuple(people)


async def read_first(state: TableState, tenant: str, people: tuple[AccountChange, ...]) -> None:
    """Write these accounts as a first read of the tenant does."""
    await state.account_tokens(tenant)
    for at in range(0, len(people), PART):
        more = at + PART < len(people)
        await state.write_accounts(tenant, AccountChanges(False, people[at : at + PART], frozenset(), "t", more))


async def refresh(state: TableState, tenant: str, changed: Sequence[AccountChange]) -> None:
    """Write these changes as a refresh of the tenant does."""
    await state.account_tokens(tenant)
    await state.write_accounts(tenant, AccountChanges(False, tuple(changed), frozenset(), "t"))


async def count_rows(service: TableServiceClient, tenant: str) -> int:
    found = service.get_table_client(ACCOUNTS).query_entities("PartitionKey eq @p", parameters={"p": tenant})
    return len([row async for row in found])


@pytest.mark.parametrize(
    ("properties", "rows"), [((AccountProperty.UPN,), 4), (tuple(AccountProperty), 5)], ids=["UPN", "every property"]
)
async def test_sixty_thousand_accounts_are_a_few_rows(
    service: TableServiceClient, wire: Wire, properties: Sequence[AccountProperty], rows: int
) -> None:
    """A plan on a worker without a cache reads every row of the tenant, in two requests."""
    tenant, state = uuid4().hex, TableState(service)
    await state.ensure_tables()
    people = make_people(ACCOUNTS_OF_A_TRUST, properties)
    parts = ACCOUNTS_OF_A_TRUST // PART
    first, each, last = [HEAD, WRITTEN, CREATED], [HEAD, WRITTEN, WRITTEN], [HEAD]
    folded = [LISTED] * (parts - 1) + [TRANSACTION, LISTED, WRITTEN] + [DELETED] * (parts - 1)
    assert await wire.record(read_first(state, tenant, people)) == first + each * (parts - 2) + last + folded
    assert await count_rows(service, tenant) == rows

    cold = TableState(service)
    assert await wire.record(cold.accounts(tenant)) == [HEAD, LISTED]
    assert len(await cold.accounts(tenant) or ()) == ACCOUNTS_OF_A_TRUST

    assert await wire.record(refresh(state, tenant, ())) == [HEAD, WRITTEN]
    assert await wire.record(refresh(state, tenant, make_people(1, properties))) == [HEAD, WRITTEN]
    assert await wire.record(cold.accounts(tenant)) == [HEAD]
    assert await count_rows(service, tenant) == rows
    many = await wire.record(refresh(state, tenant, make_people(PART, properties)))
    assert many == [HEAD, LISTED, TRANSACTION, LISTED, WRITTEN] + [DELETED] * (rows - 1)
    assert await count_rows(service, tenant) == rows


async def test_the_accounts_of_an_ordinary_school_are_one_row(service: TableServiceClient, wire: Wire) -> None:
    tenant, state = uuid4().hex, TableState(service)
    await state.ensure_tables()
    people = make_people(1_300, (AccountProperty.UPN,))
    assert await wire.record(read_first(state, tenant, people)) == [HEAD, CREATED]
    assert await wire.record(TableState(service).accounts(tenant)) == [HEAD]
    assert await wire.record(refresh(state, tenant, people[:1])) == [HEAD, WRITTEN]
    assert await count_rows(service, tenant) == 1
