"""The accounts of tenants, cached until they are written again: every school of a trust plans with the same ones."""

from __future__ import annotations

from collections import OrderedDict

from sync_core.domain.accounts import Account

_MOST_ACCOUNTS = 60_000
"""The most accounts of all tenants together: about 40 MB."""


class AccountCache:
    """The accounts of each tenant as last read, with the version (an etag) at which they were read."""

    def __init__(self) -> None:
        self._accounts: OrderedDict[str, tuple[str, tuple[Account, ...]]] = OrderedDict()

    def get(self, tenant: str, version: str) -> tuple[Account, ...] | None:
        """The tenant's accounts at that version, if they are cached."""
        cached_version, accounts = self._accounts.get(tenant, ("", ()))
        if cached_version != version:
            return None
        self._accounts.move_to_end(tenant)
        return accounts

    def put(self, tenant: str, version: str, accounts: tuple[Account, ...]) -> None:
        """Cache the accounts. Drops the tenants used longest ago while there are more than _MOST_ACCOUNTS."""
        self._accounts[tenant] = (version, accounts)
        self._accounts.move_to_end(tenant)
        while len(self._accounts) > 1 and sum(len(of_one) for _, of_one in self._accounts.values()) > _MOST_ACCOUNTS:
            self._accounts.popitem(last=False)
