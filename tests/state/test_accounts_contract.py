"""The contract of the store for a tenant's accounts, of which a plan is told all or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import uuid4

from sync_core.domain.accounts import Account, AccountChange, AccountChanges, AccountProperty
from sync_core.state.port import DeltaKind
from tests.builders import entra_id
from tests.fakes.memory_state import Store

UPN = AccountProperty.UPN


def set_of(accounts: tuple[Account, ...]) -> dict[str, Mapping[AccountProperty, str]]:
    return {account.id: account.values for account in accounts}


def said(person: str, upn: str | None = None, enabled: bool | None = None, mail: str | None = None) -> AccountChange:
    values = {AccountProperty.UPN: upn, AccountProperty.MAIL: mail}
    return AccountChange(
        entra_id(person), {name: value for name, value in values.items() if value is not None}, enabled
    )


async def followed(state: Store, tenant: str, changes: AccountChanges) -> tuple[Account, ...]:
    """The accounts after a refresh that was told these changes."""
    await state.write_accounts(tenant, changes)
    await state.write_delta_token(tenant, DeltaKind.ACCOUNTS, changes.token)
    known = await state.accounts(tenant)
    assert known is not None
    return known


async def test_accounts_come_change_and_go(state: Store) -> None:
    tenant = uuid4().hex
    people = tuple(said(f"p{number}", f"p{number}@x.org") for number in range(230))
    known = set_of(await followed(state, tenant, AccountChanges(True, people, frozenset(), "t")))
    assert known == {account.id: {UPN: account.values[UPN]} for account in people}
    renamed, left = said("p0", "new@x.org"), frozenset({people[1].id, "unknown"})
    known = set_of(await followed(state, tenant, AccountChanges(False, (renamed,), left, "t")))
    assert len(known) == 229
    assert known[people[0].id] == {UPN: "new@x.org"}
    assert people[1].id not in known
    known = set_of(await followed(state, tenant, AccountChanges(True, people[5:6], frozenset(), "t")))
    assert known == {people[5].id: {UPN: "p5@x.org"}}


async def test_accounts_that_were_not_read_to_the_end_are_not_told(state: Store) -> None:
    tenant = uuid4().hex
    await state.write_accounts(tenant, AccountChanges(True, (said("p", "p@x.org"),), frozenset(), "t"))
    assert await state.accounts(tenant) is None


async def test_what_a_change_of_an_account_does_not_name_is_unchanged(state: Store) -> None:
    tenant = uuid4().hex

    async def follow(change: AccountChange) -> Account:
        (account,) = await followed(state, tenant, AccountChanges(False, (change,), frozenset(), "t"))
        return account

    assert await follow(said("p", "p@x.org", mail="m@x.org")) == Account(
        entra_id("p"), {UPN: "p@x.org", AccountProperty.MAIL: "m@x.org"}, enabled=True
    )
    disabled = await follow(said("p", enabled=False))
    assert (disabled.values[UPN], disabled.enabled) == ("p@x.org", False)
    assert await follow(said("p", mail="")) == Account(entra_id("p"), {UPN: "p@x.org"}, enabled=False)
