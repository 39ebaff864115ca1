"""The accounts of tenants, held in memory while nobody writes others: every school of a trust plans with the same."""

from __future__ import annotations

from collections import OrderedDict

from sync_core.domain.accounts import Account

_MOST_ACCOUNTS = 60_000
"""Accounts of all tenants together: some 40 MB."""


class AccountCache:
    """What was last read of each tenant, with the version (an etag) that it was read at."""

    def __init__(self) -> None:
        self._accounts: OrderedDict[str, tuple[str, tuple[Account, ...]]] = OrderedDict()

    def get(self, tenant: str, version: str) -> tuple[Account, ...] | None:
        """The tenant's accounts at that version, if they are held."""
        cached_version, accounts = self._accounts.get(tenant, ("", ()))
        if cached_version != version:
            return None
        self._accounts.move_to_end(tenant)
        return accounts

    def put(self, tenant: str, version: str, accounts: tuple[Account, ...]) -> None:
        """Let go of whatever was used longest ago, so that no more than _MOST_HELD are held, or this tenant alone."""
        self._accounts[tenant] = (version, accounts)
        self._accounts.move_to_end(tenant)
        while len(self._accounts) > 1 and sum(len(of_one) for _, of_one in self._accounts.values()) > _MOST_ACCOUNTS:
            self._accounts.popitem(last=False)
