"""Microsoft 365 accounts, and the changes to them that a Graph delta reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from sync_core.domain.ids import AccountId


class AccountProperty(StrEnum):
    """The account properties that people are matched by, under Graph's names."""

    UPN = "userPrincipalName"
    MAIL = "mail"
    MAIL_NICKNAME = "mailNickname"
    EMPLOYEE_ID = "employeeId"
    SAM_ACCOUNT_NAME = "onPremisesSamAccountName"

    @property
    def is_address(self) -> bool:
        """Whether values of this property are addresses, so that a MIS value without a domain needs one."""
        return self in (AccountProperty.UPN, AccountProperty.MAIL)


@dataclass(frozen=True, slots=True)
class Account:
    """A Microsoft 365 account, reduced to what matching needs: values by property, stripped and in lower case."""

    id: AccountId
    values: Mapping[AccountProperty, str] = field(repr=False)
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class AccountChange:
    """A change to one account in a delta: a property not in `values` is unchanged, an empty one was cleared."""

    id: AccountId
    values: Mapping[AccountProperty, str] = field(repr=False)
    enabled: bool | None = None

    def on(self, known: Account | None) -> Account:
        """The account after this change; `known` is the account before it."""
        values = {**(known.values if known else {}), **self.values}
        enabled = self.enabled if self.enabled is not None else known.enabled if known else True
        return Account(self.id, {name: value for name, value in values.items() if value}, enabled)

    def after(self, earlier: AccountChange) -> AccountChange:
        """Both changes of the account as one."""
        enabled = earlier.enabled if self.enabled is None else self.enabled
        return AccountChange(self.id, {**earlier.values, **self.values}, enabled)


@dataclass(frozen=True, slots=True)
class AccountChanges:
    """New or changed accounts, and the ids of removed ones.

    `full` means that `accounts` are all that exist, and `more` that a first read goes on after them, with `token`.
    """

    full: bool
    accounts: tuple[AccountChange, ...]
    removed: frozenset[AccountId]
    token: str
    more: bool = False


@dataclass(frozen=True, slots=True)
class AccountTokens:
    """How far a tenant's accounts were followed: the token of their delta, and of a first read that is not finished."""

    delta: str | None = None
    first: str | None = None

    def after(self, changes: AccountChanges) -> AccountTokens:
        """The tokens once these changes are known. A part of a first read leaves the delta's as it is."""
        return AccountTokens(self.delta, changes.token) if changes.more else AccountTokens(changes.token)


AccountEntry = Account | AccountChange | None
"""A whole account, what changed of one since an older reading, or None for one that is gone since."""


def with_changes(entries: Mapping[AccountId, AccountEntry], changes: AccountChanges) -> dict[AccountId, AccountEntry]:
    """The entries after the changes. Those of a full read are all accounts, and whole."""
    now = {} if changes.full else dict(entries)
    for change in changes.accounts:
        earlier = now.get(change.id, change)
        if earlier is None or changes.full:
            now[change.id] = change.on(None)
        else:
            now[change.id] = change.on(earlier) if isinstance(earlier, Account) else change.after(earlier)
    return now | dict.fromkeys(changes.removed)


def whole_accounts(
    known: Mapping[AccountId, Account], *newer: Mapping[AccountId, AccountEntry]
) -> dict[AccountId, Account]:
    """The accounts after the entries of each newer reading, oldest first."""
    accounts = dict(known)
    for entries in newer:
        for id_, entry in entries.items():
            if entry is None:
                accounts.pop(id_, None)
            else:
                accounts[id_] = entry if isinstance(entry, Account) else entry.on(accounts.get(id_))
    return accounts
