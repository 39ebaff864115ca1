"""Microsoft 365 accounts, and the changes to them that a Graph delta reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class AccountProperty(StrEnum):
    """What of an account is compared with people, by Graph's names."""

    UPN = "userPrincipalName"
    MAIL = "mail"
    MAIL_NICKNAME = "mailNickname"
    EMPLOYEE_ID = "employeeId"
    SAM_ACCOUNT_NAME = "onPremisesSamAccountName"


@dataclass(frozen=True, slots=True)
class Account:
    """A Microsoft 365 account with what matching needs of it: values by property, stripped and in lower case."""

    id: str
    values: Mapping[AccountProperty, str] = field(repr=False)
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class AccountChange:
    """What a delta says of one account: a property that it does not name is unchanged, an empty one was cleared."""

    id: str
    values: Mapping[AccountProperty, str] = field(repr=False)
    enabled: bool | None = None

    def on(self, known: Account | None) -> Account:
        """The account as it is now, of which `known` is what was known before."""
        values = {**(known.values if known else {}), **self.values}
        enabled = self.enabled if self.enabled is not None else known.enabled if known else True
        return Account(self.id, {name: value for name, value in values.items() if value}, enabled)


@dataclass(frozen=True, slots=True)
class AccountChanges:
    """Accounts that came or changed, and ids that went. `full` means that these are all there are."""

    full: bool
    accounts: tuple[AccountChange, ...]
    removed: frozenset[str]
    token: str
