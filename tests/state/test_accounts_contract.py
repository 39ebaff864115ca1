"""The contract of the store for a tenant's accounts: a plan gets all of them or none."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from uuid import uuid4

import pytest

from sync_core.domain.accounts import Account, AccountChange, AccountChanges, AccountProperty, AccountTokens
from sync_core.domain.ids import AccountId
from tests.builders import entra_id
from tests.fakes.memory_state import Store

UPN = AccountProperty.UPN


def values_by_id(accounts: tuple[Account, ...]) -> dict[str, Mapping[AccountProperty, str]]:
    return {account.id: account.values for account in accounts}


def make_change(
    person: str, upn: str | None = None, enabled: bool | None = None, mail: str | None = None
) -> AccountChange:
    values = {AccountProperty.UPN: upn, AccountProperty.MAIL: mail}
    return AccountChange(
        entra_id(person), {name: value for name, value in values.items() if value is not None}, enabled
    )


def make_bulky_change(person: str) -> AccountChange:
    """A change of which 60 are more than a tenant's head takes."""
    employee = "".join(Random(person).choices("0123456789abcdef", k=2_200))
    return AccountChange(entra_id(person), {UPN: f"{person}@x.org", AccountProperty.EMPLOYEE_ID: employee}, True)


def make_sparse_change(person: str) -> AccountChange:
    return AccountChange(entra_id(person), {AccountProperty.MAIL: f"{person}@mail.x.org"}, None)


async def refresh(state: Store, tenant: str, changes: AccountChanges) -> tuple[Account, ...]:
    """Write these changes as a refresh does. Returns the accounts after it."""
    await state.write_accounts(tenant, changes)
    known = await state.accounts(tenant)
    assert known is not None
    return known


async def test_accounts_are_added_changed_and_removed(state: Store) -> None:
    tenant = uuid4().hex
    people = tuple(make_change(f"p{number}", f"p{number}@x.org") for number in range(230))
    known = values_by_id(await refresh(state, tenant, AccountChanges(True, people, frozenset(), "t")))
    assert known == {account.id: {UPN: account.values[UPN]} for account in people}
    renamed, left = make_change("p0", "new@x.org"), frozenset({people[1].id, AccountId("unknown")})
    known = values_by_id(await refresh(state, tenant, AccountChanges(False, (renamed,), left, "t")))
    assert len(known) == 229
    assert known[people[0].id] == {UPN: "new@x.org"}
    assert people[1].id not in known
    known = values_by_id(await refresh(state, tenant, AccountChanges(True, people[5:6], frozenset(), "t")))
    assert known == {people[5].id: {UPN: "p5@x.org"}}


async def test_the_parts_of_a_first_read_are_returned_once_it_is_complete(state: Store) -> None:
    tenant = uuid4().hex
    assert await state.account_tokens(tenant) == AccountTokens()
    for number in range(3):
        part = tuple(make_bulky_change(f"p{number} {place}") for place in range(70))
        await state.write_accounts(tenant, AccountChanges(False, part, frozenset(), f"t{number}", more=True))
        assert await state.accounts(tenant) is None
        assert await state.account_tokens(tenant) == AccountTokens(first=f"t{number}")
    changed = AccountChange(entra_id("p1 7"), {UPN: "new@x.org"})
    last = AccountChanges(False, (make_change("last", "last@x.org"), changed), frozenset({entra_id("p0 1")}), "delta")
    known = {account.id: account for account in await refresh(state, tenant, last)}
    assert len(known) == 3 * 70
    assert entra_id("p0 1") not in known
    assert known[entra_id("p1 7")].values == {**make_bulky_change("p1 7").values, UPN: "new@x.org"}
    assert await state.account_tokens(tenant) == AccountTokens("delta")


async def test_a_first_read_that_goes_on_beside_a_complete_one_takes_no_accounts_away(state: Store) -> None:
    tenant = uuid4().hex
    await refresh(state, tenant, AccountChanges(True, (make_change("p", "p@x.org"),), frozenset(), "delta"))
    part = AccountChanges(False, (make_change("q", "q@x.org"),), frozenset(), "first", more=True)
    assert len(await refresh(state, tenant, part)) == 2
    assert await state.account_tokens(tenant) == AccountTokens("delta", "first")


async def test_an_account_that_is_back_has_nothing_from_before(state: Store) -> None:
    tenant = uuid4().hex
    people = tuple(make_bulky_change(f"p{number}") for number in range(70))
    await refresh(state, tenant, AccountChanges(True, people, frozenset(), "t"))
    await refresh(state, tenant, AccountChanges(False, (), frozenset({entra_id("p0")}), "t"))
    back = make_change("p0", "back@x.org")
    known = {each.id: each for each in await refresh(state, tenant, AccountChanges(False, (back,), frozenset(), "t"))}
    assert (len(known), known[back.id]) == (70, Account(back.id, {UPN: "back@x.org"}))


@pytest.mark.parametrize("seed", range(4))
async def test_any_changes_one_after_the_other(state: Store, seed: int) -> None:
    """Compared with the accounts that a dictionary has."""
    tenant, chance = uuid4().hex, Random(seed)
    expected: dict[str, Account] = {}
    for step in range(25):
        people = chance.sample(range(120), chance.choice([0, 1, 5, 60]))
        gone = frozenset(entra_id(f"p{number}") for number in people if chance.random() < 0.2)
        full = step == 0 or chance.random() < 0.1
        changed = [chance.choice([make_bulky_change, make_sparse_change])(f"p{number}") for number in people]
        changes = tuple(change for change in changed if change.id not in gone)
        known = await refresh(state, tenant, AccountChanges(full, changes, gone, f"t{step}"))
        expected = {} if full else {id_: account for id_, account in expected.items() if id_ not in gone}
        expected |= {change.id: change.on(expected.get(change.id)) for change in changes}
        assert {account.id: account for account in known} == expected
        assert await state.account_tokens(tenant) == AccountTokens(f"t{step}")


async def test_a_change_keeps_the_values_that_it_does_not_name(state: Store) -> None:
    tenant = uuid4().hex

    async def apply(change: AccountChange) -> Account:
        (account,) = await refresh(state, tenant, AccountChanges(False, (change,), frozenset(), "t"))
        return account

    assert await apply(make_change("p", "p@x.org", mail="m@x.org")) == Account(
        entra_id("p"), {UPN: "p@x.org", AccountProperty.MAIL: "m@x.org"}, enabled=True
    )
    disabled = await apply(make_change("p", enabled=False))
    assert (disabled.values[UPN], disabled.enabled) == ("p@x.org", False)
    assert await apply(make_change("p", mail="")) == Account(entra_id("p"), {UPN: "p@x.org"}, enabled=False)
