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


@dataclass(frozen=True, slots=True)
class AccountChanges:
    """New or changed accounts, and the ids of removed ones.

    `full` means that `accounts` are all that exist, and `more` that the read goes on after them.
    """

    full: bool
    accounts: tuple[AccountChange, ...]
    removed: frozenset[AccountId]
    token: str
    more: bool = False
