"""Matches MIS people to accounts by the properties that a school chose; doubtful matches are reported, never guessed.

Source: School Data Sync, identity matching.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from operator import attrgetter

from sync_core.domain.accounts import Account, AccountProperty
from sync_core.domain.ids import AccountId, MisId
from sync_core.domain.roster import Person
from sync_core.domain.school.matching import Matching, MisProperty

_TRIED = {MisProperty.USERNAME_OR_EMAIL: (MisProperty.USERNAME, MisProperty.EMAIL)}
_READ: Mapping[MisProperty, Callable[[Person], str]] = {
    MisProperty.USERNAME: attrgetter("username"),
    MisProperty.EMAIL: attrgetter("email"),
    MisProperty.ID: attrgetter("id"),
}


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


def ids_of_upns(upns: Set[str], accounts: Iterable[Account]) -> dict[str, AccountId]:
    """Entra ids by user principal name in lower case, of those `upns` that an account has."""
    return {upn: account.id for account in accounts if (upn := account.values.get(AccountProperty.UPN, "")) in upns}


def tries_of(person: Person, rule: Matching) -> list[Try]:
    """What is tried to find the person's account: values as the MIS gives them, completed only by the rule's domain."""
    properties, ending = rule.account_properties, _ending(rule)
    return [Try(name, _completed(_READ[name](person), ending), properties) for name in _tried(rule)]


def looked_for(person: Person, rule: Matching) -> tuple[tuple[str, AccountProperty], ...]:
    """The values that an account is looked for by, each with its account property; none if the MIS has no value."""
    return tuple((each.value, name) for each in tries_of(person, rule) if each.value for name in each.accounts)


def match_people(
    roles: Sequence[tuple[Iterable[Person], Matching]],
    accounts: Collection[Account],
    enrolled: Iterable[MisId] = (),
) -> list[Matched]:
    """Match the people of each role by its rule, ignoring case. The order of people and accounts does not matter.

    An account belongs to the one person whose values lead to it. If several people claim it, in whatever role, it
    belongs to the only one whose record is enabled in the MIS, or of several enabled ones to the only one who is
    `enrolled` in a class, or else to nobody. If the values of one person lead to several accounts, none of them is
    theirs. `enrolled` is read only where that decides.
    """
    indices = {names: _index(accounts, names) for names in {rule.account_properties for _, rule in roles}}
    claims = _Claims()
    found = [_find(people, rule, indices[rule.account_properties], claims) for people, rule in roles]
    enrolled = frozenset(enrolled) if claims.contested else frozenset()
    for account, people in claims.contested.items():
        losing = people.keys() - {_owner(people, enrolled)}
        for of_role in found:
            of_role.give_up(account, losing)
    return [Matched(each.ids, frozenset(each.missing), frozenset(each.disabled), each.candidates) for each in found]


@dataclass(frozen=True, slots=True)
class _Index:
    """The account with each value of some properties, all accounts of values that several have, and disabled ones."""

    one: Mapping[str, AccountId]
    several: Mapping[str, frozenset[AccountId]]
    disabled: Set[AccountId]

    def all_with(self, values: Iterable[str]) -> frozenset[AccountId]:
        """The accounts that any of these values leads to."""
        found = [self.several[value] if value in self.several else {self.one.get(value)} for value in values]
        return frozenset(account for accounts in found for account in accounts if account is not None)


def _index(accounts: Iterable[Account], names: Sequence[AccountProperty]) -> _Index:
    one: dict[str, AccountId] = {}
    several: dict[str, frozenset[AccountId]] = {}
    disabled: set[AccountId] = set()
    for account in accounts:
        id_, values = account.id, account.values
        for name in names:
            if value := values.get(name):
                other = one.setdefault(value, id_)
                if other != id_:
                    several[value] = several.get(value, frozenset((other,))) | {id_}
        if not account.enabled:
            disabled.add(id_)
    for value in several:
        del one[value]
    return _Index(one, several, disabled)


@dataclass(frozen=True, slots=True)
class _Claims:
    """Whose values lead to each account: one person, and of `contested` accounts all, with whether they are enabled."""

    one: dict[AccountId, Person] = field(default_factory=dict)
    contested: dict[AccountId, dict[MisId, bool]] = field(default_factory=dict)

    def contest(self, account: AccountId, person: Person, other: Person) -> None:
        if person.id != other.id:
            self.contested.setdefault(account, {other.id: other.enabled})[person.id] = person.enabled


@dataclass(frozen=True, slots=True)
class _Found:
    """The fields of Matched for one role, as if nobody else claimed the accounts."""

    ids: dict[MisId, AccountId] = field(default_factory=dict)
    missing: set[MisId] = field(default_factory=set)
    disabled: set[MisId] = field(default_factory=set)
    candidates: dict[MisId, frozenset[AccountId]] = field(default_factory=dict)

    def give_up(self, account: AccountId, people: Set[MisId]) -> None:
        """To these people the account is a candidate only."""
        for person in people & self.ids.keys():
            if self.ids[person] == account:
                del self.ids[person]
                self.disabled.discard(person)
                self.candidates[person] = frozenset((account,))


def _find(people: Iterable[Person], rule: Matching, index: _Index, claims: _Claims) -> _Found:
    """Add the `claims` of these people. Each is looked at once: in a large tenant, every look takes its time."""
    found = _Found()
    ids, one, several, disabled, claimed = found.ids, index.one, index.several, index.disabled, claims.one
    read, ending = [_READ[name] for name in _tried(rule)], _ending(rule)
    for person in people:
        account: AccountId | None = None
        doubtful = False
        for value_of in read:
            value = _completed(value_of(person), ending)
            other = one.get(value)
            if other is not None and other != account:
                doubtful, account = doubtful or account is not None, other
            elif several and value in several:
                doubtful = True
        if doubtful:
            accounts = index.all_with(_completed(value_of(person), ending) for value_of in read)
            found.candidates[person.id] = accounts
            for each in accounts:
                claims.contest(each, person, claimed.setdefault(each, person))
        elif account is None:
            found.missing.add(person.id)
        else:
            ids[person.id] = account
            first = claimed.setdefault(account, person)
            if first is not person:
                claims.contest(account, person, first)
            if account in disabled:
                found.disabled.add(person.id)
    return found


def _owner(claimants: Mapping[MisId, bool], enrolled: Set[MisId]) -> MisId | None:
    """The only person whose record counts: of a pupil who came back, the old one does not."""
    enabled = {person for person, is_enabled in claimants.items() if is_enabled}
    for people in (enabled, enabled & enrolled):
        if len(people) == 1:
            return next(iter(people))
    return None


def _tried(rule: Matching) -> tuple[MisProperty, ...]:
    """The properties of the MIS whose values are looked for."""
    return _TRIED.get(rule.mis, (rule.mis,))


def _ending(rule: Matching) -> str:
    """What completes a value that has no domain."""
    return f"@{rule.domain.lower()}" if rule.domain else ""


def _completed(value: str, ending: str) -> str:
    """A value of the MIS as accounts have it: stripped, in lower case, with a domain; empty if there is none."""
    value = value.strip().lower()
    return value + ending if value and "@" not in value else value
