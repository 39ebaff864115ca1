"""What an admin is shown of people who were not found: what was tried, and the accounts with the nearest values."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Set
from dataclasses import dataclass, field
from itertools import takewhile

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
    """Each person with their tries and the nearest accounts, in the order of their MIS ids.

    Near are accounts of the same name, which is the part before the @. If there are none, near are those of the same
    letters and digits, or else those of one character more, less or other, or of two that are swapped.
    """
    if not tried:
        return ()
    known: dict[str, list[NearAccount]] = {}
    for account in accounts:
        for property_, value in account.values.items():
            known.setdefault(_name(value), []).append(NearAccount(account.id, property_, value))
    alike = _names_alike({_name(each.value) for tries in tried.values() for each in tries if each.value}, known)
    report = []
    for person, tries in sorted(tried.items()):
        values = [each.value for each in tries if each.value]
        levels = zip(*(alike[_name(value)] for value in values), strict=True)
        names = next(filter(None, (frozenset().union(*level) for level in levels)), frozenset())
        near = [near for name in names for near in known[name]]
        report.append(Unmatched(person, tuple(tries), _nearest(near, values)))
    return tuple(report)


_NEAREST = 3
_SHORTEST, _LONGEST = 3, 64
"""Characters of a name whose edits are searched for: a user principal name has at most 64 before the @ (Entra)."""

_Level = frozenset[str]


def _names_alike(wanted: Set[str], known: Collection[str]) -> dict[str, tuple[_Level, _Level, _Level]]:
    """The known names that are the same as each wanted one, have the same letters, or are one edit away."""
    by_letters: defaultdict[str, set[str]] = defaultdict(set)
    for name in known:
        by_letters[_letters(name)].add(name)
    same = {name: frozenset({name}) if name in known else frozenset() for name in wanted}
    letters = {name: frozenset(by_letters.get(_letters(name), ()) if _letters(name) else ()) for name in wanted}
    edits: defaultdict[str, set[str]] = defaultdict(set)
    # Names that are one edit apart have a shortened form in common. Only the wanted ones are indexed, being few.
    shortened: defaultdict[str, list[str]] = defaultdict(list)
    for name in wanted:
        if not same[name] and not letters[name]:
            for form in _shortened(name):
                shortened[form].append(name)
    for name in known if shortened else ():
        for form in _shortened(name):
            for near in shortened.get(form, ()):
                if _is_one_edit(name, near):
                    edits[near].add(name)
    return {name: (same[name], letters[name], frozenset(edits.get(name, ()))) for name in wanted}


def _nearest(near: Iterable[NearAccount], values: Iterable[str]) -> tuple[NearAccount, ...]:
    """The first few accounts, those in the domain of a value first; user principal names before other properties."""
    domains = {value.partition("@")[2] for value in values}

    def order(one: NearAccount) -> tuple[bool, bool, str, str]:
        other_domain = one.value.partition("@")[2] not in domains
        return other_domain, one.account is not AccountProperty.UPN, one.value, one.id

    by_account: dict[AccountId, NearAccount] = {}
    for one in sorted(near, key=order):
        by_account.setdefault(one.id, one)
    return tuple(by_account.values())[:_NEAREST]


def _name(value: str) -> str:
    return value.partition("@")[0]


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, name))


def _shortened(name: str) -> set[str]:
    """The name, and the name without any one of its characters."""
    if not _SHORTEST <= len(name) <= _LONGEST:
        return set()
    return {name, *(name[:at] + name[at + 1 :] for at in range(len(name)))}


def _is_one_edit(name: str, other: str) -> bool:
    start = _same_start(name, other)
    name, other = name[start:], other[start:]
    end = _same_start(name[::-1], other[::-1])
    name, other = name[: len(name) - end], other[: len(other) - end]
    return max(len(name), len(other)) <= 1 or (len(name) == 2 and name == other[::-1])


def _same_start(name: str, other: str) -> int:
    """The number of characters with which both begin."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(name, other, strict=False)))
