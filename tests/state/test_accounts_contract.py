"""The contract of the store for a tenant's accounts: a plan gets all of them or none."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import uuid4

from sync_core.domain.accounts import Account, AccountChange, AccountChanges, AccountProperty
from sync_core.domain.ids import AccountId
from sync_core.state.port import DeltaKind
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


async def refresh(state: Store, tenant: str, changes: AccountChanges) -> tuple[Account, ...]:
    """Write these changes as a refresh does. Returns the accounts after it."""
    await state.write_accounts(tenant, changes)
    await state.write_delta_token(tenant, DeltaKind.ACCOUNTS, changes.token)
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


async def test_incomplete_accounts_are_not_returned(state: Store) -> None:
    tenant = uuid4().hex
    await state.write_accounts(tenant, AccountChanges(True, (make_change("p", "p@x.org"),), frozenset(), "t"))
    assert await state.accounts(tenant) is None


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
