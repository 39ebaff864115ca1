"""What Graph's deltas say of accounts and groups, and what was found out about class rows by them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sync_core.model import Account, AccountProperty


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


@dataclass(frozen=True, slots=True)
class GroupChange:
    """What the delta says of one group: people who came or went, in any order and perhaps twice; `gone` if deleted.

    `nickname` is None where the delta does not repeat it.
    """

    id: str
    nickname: str | None
    members_added: frozenset[str] = frozenset()
    members_removed: frozenset[str] = frozenset()
    owners_added: frozenset[str] = frozenset()
    owners_removed: frozenset[str] = frozenset()
    gone: bool = False


@dataclass(frozen=True, slots=True)
class GroupChanges:
    """The groups delta since a token. `full` means the whole tenant: what is not in it is not there."""

    full: bool
    groups: tuple[GroupChange, ...]
    token: str


@dataclass(frozen=True, slots=True)
class Drift:
    """What a refresh found out about one class row; None leaves the column as it is."""

    key: str
    stale: bool | None = None
    gone: bool | None = None
