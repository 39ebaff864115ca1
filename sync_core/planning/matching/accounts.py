"""Matches MIS people to accounts by the properties that a school chose; doubtful matches are reported, never guessed.

Source: School Data Sync, identity matching.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field

from sync_core.domain.accounts import Account, AccountProperty
from sync_core.domain.ids import AccountId, MisId
from sync_core.domain.roster import Person
from sync_core.domain.school.matching import Matching, MisProperty

_TRIED = {MisProperty.USERNAME_OR_EMAIL: (MisProperty.USERNAME, MisProperty.EMAIL)}


@dataclass(frozen=True, slots=True)
class Matched:
    """Entra ids by MIS person id, and the people without a match, all of one role.

    `disabled` people have a match, whose account is disabled. `candidates` are the accounts of people in doubt: their
    values belong to several accounts, or to an account that other people claim too.
    """

    ids: Mapping[MisId, AccountId]
    missing: frozenset[MisId]
    disabled: frozenset[MisId]
    candidates: Mapping[MisId, frozenset[AccountId]]


@dataclass(frozen=True, slots=True)
class Try:
    """One value of a person that accounts are searched for. It is in lower case, and empty if the MIS has none."""

    mis: MisProperty
    value: str = field(repr=False)
    accounts: tuple[AccountProperty, ...]


def accounts_by_upn(accounts: Iterable[Account]) -> dict[str, AccountId]:
    """Entra ids by user principal name in lower case; accounts without one are left out."""
    return {upn: account.id for account in accounts if (upn := account.values.get(AccountProperty.UPN))}


def tries_of(person: Person, rule: Matching) -> list[Try]:
    """What is tried to find the person's account: values as the MIS gives them, completed only by the rule's domain."""
    return [Try(name, value, rule.account_properties) for name, value in _values(person, rule).items()]


def looked_for(person: Person, rule: Matching) -> tuple[tuple[str, AccountProperty], ...]:
    """The values that an account is looked for by, each with its account property; none if the MIS has no value."""
    return tuple((each.value, name) for each in tries_of(person, rule) if each.value for name in each.accounts)


def match_people(
    roles: Sequence[tuple[Iterable[Person], Matching]],
    accounts: Iterable[Account],
    enrolled: Set[MisId] = frozenset(),
) -> list[Matched]:
    """Match the people of each role by its rule, ignoring case. The order of people and accounts does not matter.

    An account belongs to the one person whose values lead to it. If several people claim it, in whatever role, it
    belongs to the only one whose record is enabled in the MIS, or of several enabled ones to the only one who is
    `enrolled` in a class, or else to nobody. If the values of one person lead to
    several accounts, none of them is theirs.
    """
    index = _by_value(accounts, {name for _, rule in roles for name in rule.account_properties})
    found: list[dict[MisId, dict[AccountId, Account]]] = []
    claims: defaultdict[AccountId, dict[MisId, bool]] = defaultdict(dict)
    for people, rule in roles:
        by_person = {person.id: (_find(person, rule, index), person.enabled) for person in people}
        for id_, (candidates, enabled) in by_person.items():
            for account in candidates:
                claims[account][id_] = enabled
        found.append({id_: candidates for id_, (candidates, _) in by_person.items()})
    owners = {account: _owner(claimants, enrolled) for account, claimants in claims.items()}
    return [_matched(by_person, owners) for by_person in found]


_Index = Mapping[AccountProperty, Mapping[str, Sequence[Account]]]
"""The accounts with each value of each property."""


def _by_value(accounts: Iterable[Account], names: Set[AccountProperty]) -> _Index:
    index: dict[AccountProperty, dict[str, list[Account]]] = {name: {} for name in names}
    for account in accounts:
        for name in names:
            if value := account.values.get(name):
                index[name].setdefault(value, []).append(account)
    return index


def _values(person: Person, rule: Matching) -> dict[MisProperty, str]:
    """The values to look for by MIS property, in lower case, and empty if the MIS has none."""
    values = {MisProperty.USERNAME: person.username, MisProperty.EMAIL: person.email, MisProperty.ID: person.id}
    completed: dict[MisProperty, str] = {}
    for name in _TRIED.get(rule.mis, (rule.mis,)):
        value = values[name].strip().lower()
        completed[name] = f"{value}@{rule.domain.lower()}" if value and rule.domain and "@" not in value else value
    return completed


def _find(person: Person, rule: Matching, index: _Index) -> dict[AccountId, Account]:
    """The accounts that any of the person's values leads to."""
    found: dict[AccountId, Account] = {}
    for value in _values(person, rule).values():
        for name in rule.account_properties if value else ():
            for account in index[name].get(value, ()):
                found[account.id] = account
    return found


def _owner(claimants: Mapping[MisId, bool], enrolled: Set[MisId]) -> MisId | None:
    """The only person who claims an account, or whose record counts: of a pupil who came back, the old one does not."""
    enabled = {person for person, is_enabled in claimants.items() if is_enabled}
    for people in (claimants.keys(), enabled, enabled & enrolled):
        if len(people) == 1:
            return next(iter(people))
    return None


def _matched(found: Mapping[MisId, Mapping[AccountId, Account]], owners: Mapping[AccountId, MisId | None]) -> Matched:
    matched: dict[MisId, Account] = {}
    for person, candidates in found.items():
        if len(candidates) == 1:
            (account,) = candidates.values()
            if owners[account.id] == person:
                matched[person] = account
    return Matched(
        ids={person: account.id for person, account in matched.items()},
        missing=frozenset(person for person, candidates in found.items() if not candidates),
        disabled=frozenset(person for person, account in matched.items() if not account.enabled),
        candidates={
            person: frozenset(candidates)
            for person, candidates in found.items()
            if candidates and person not in matched
        },
    )
