"""The accounts of tenants, cached until they are written again: every school of a trust plans with the same ones."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from sync_core.domain.accounts import Account
from sync_core.domain.ids import AccountId

_MOST_ACCOUNTS = 60_000
"""The most accounts of all tenants together: about 40 MB."""


@dataclass(frozen=True, slots=True)
class CachedAccounts:
    """The accounts of a tenant at the version (an etag) of their head, and those of the base that it names."""

    version: str
    accounts: tuple[Account, ...]
    base: str
    of_base: Mapping[AccountId, Account]


class AccountCache:
    """The accounts of each tenant as last read."""

    def __init__(self) -> None:
        self._tenants: OrderedDict[str, CachedAccounts] = OrderedDict()

    def get(self, tenant: str) -> CachedAccounts | None:
        if tenant in self._tenants:
            self._tenants.move_to_end(tenant)
        return self._tenants.get(tenant)

    def put(self, tenant: str, cached: CachedAccounts) -> None:
        """Cache the accounts. Drops the tenants used longest ago while there are more than _MOST_ACCOUNTS."""
        self._tenants[tenant] = cached
        self._tenants.move_to_end(tenant)
        while len(self._tenants) > 1 and sum(len(of.accounts) for of in self._tenants.values()) > _MOST_ACCOUNTS:
            self._tenants.popitem(last=False)
