"""What an admin is shown of people who were not found: what was tried, and the accounts with the nearest values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from string import ascii_lowercase, digits

from sync_core.domain.accounts import Account, AccountProperty
from sync_core.domain.ids import AccountId, MisId
from sync_core.planning.matching.accounts import Try


@dataclass(frozen=True, slots=True)
class NearAccount:
    """An account whose value is like one that was looked for. It is a hint for an admin, never a match."""

    id: AccountId
    account: AccountProperty
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Unmatched:
    """A person without an account: what was tried, and at most three accounts with the nearest values.

    The values are for the answers to admins. No log, event or table contains them.
    """

    person: MisId
    tries: tuple[Try, ...]
    nearest: tuple[NearAccount, ...]


def report_unmatched(tried: Mapping[MisId, Iterable[Try]], accounts: Iterable[Account]) -> tuple[Unmatched, ...]:
    """Each person with their tries and the nearest accounts, in the order of their MIS ids."""
    if not tried:
        return ()
    names = _Names(accounts)
    return tuple(
        Unmatched(person, tuple(tries), names.nearest([each.value for each in tries if each.value]))
        for person, tries in sorted(tried.items())
    )


_NEAREST = 3
_LONGEST_NAME = 64
"""Characters before the @ of a user principal name (Entra)."""
_CHARACTERS = f"{ascii_lowercase}{digits}.-_'"


class _Names:
    """All accounts by name, which is the part before the @ of any of their values."""

    def __init__(self, accounts: Iterable[Account]) -> None:
        self._by_name: dict[str, list[NearAccount]] = {}
        self._by_letters: dict[str, set[str]] = {}
        for account in accounts:
            for property_, value in account.values.items():
                name = value.partition("@")[0]
                self._by_name.setdefault(name, []).append(NearAccount(account.id, property_, value))
                self._by_letters.setdefault(_letters(name), set()).add(name)

    def nearest(self, values: Iterable[str]) -> tuple[NearAccount, ...]:
        """Accounts of the same name; if there are none, of the same letters and digits; or else of one edit."""
        parts = [value.partition("@") for value in values]
        names, domains = {name for name, _, _ in parts}, {domain for _, _, domain in parts}
        close: Iterable[NearAccount] = ()
        for alike in (self._same, self._same_letters, self._one_edit):
            if close := [near for name in names for near in alike(name)]:
                break

        def order(near: NearAccount) -> tuple[bool, bool, str, str]:
            other_domain = near.value.partition("@")[2] not in domains
            return other_domain, near.account is not AccountProperty.UPN, near.value, near.id

        by_account: dict[AccountId, NearAccount] = {}
        for near in sorted(close, key=order):
            by_account.setdefault(near.id, near)
        return tuple(by_account.values())[:_NEAREST]

    def _same(self, name: str) -> Iterable[NearAccount]:
        return self._by_name.get(name, ())

    def _same_letters(self, name: str) -> Iterable[NearAccount]:
        alike = self._by_letters.get(_letters(name), ()) if _letters(name) else ()
        return [near for known in alike for near in self._by_name[known]]

    def _one_edit(self, name: str) -> Iterable[NearAccount]:
        return [near for edited in _edits(name) for near in self._by_name.get(edited, ())]


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, name))


def _edits(name: str) -> set[str]:
    """The names that one character left out, added or changed, or two swapped, make of this one."""
    if not 2 < len(name) <= _LONGEST_NAME:
        return set()
    halves = [(name[:at], name[at:]) for at in range(len(name) + 1)]
    return {
        *(left + right[1:] for left, right in halves if right),
        *(left + right[1] + right[0] + right[2:] for left, right in halves if len(right) > 1),
        *(left + new + right[1:] for left, right in halves if right for new in _CHARACTERS),
        *(left + new + right for left, right in halves for new in _CHARACTERS),
    }
