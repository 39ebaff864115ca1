"""Matches MIS people to accounts by one property on each side; ambiguous matches are reported, never guessed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sync_core.domain.accounts import Account, AccountProperty
from sync_core.domain.ids import AccountId, MisId
from sync_core.domain.roster import Person
from sync_core.domain.school import Matching, MisProperty


@dataclass(frozen=True, slots=True)
class Matched:
    """Entra ids by MIS person id, and the people without a match.

    `disabled` people have a match, whose account is disabled. `candidates` are the accounts of ambiguous people:
    several accounts with the person's value, or one account that other people of the same role match too.
    """

    ids: Mapping[MisId, AccountId]
    missing: frozenset[MisId]
    disabled: frozenset[MisId]
    candidates: Mapping[MisId, frozenset[AccountId]]


def accounts_by_upn(accounts: Iterable[Account]) -> dict[str, AccountId]:
    """Entra ids by user principal name in lower case; accounts without one are left out."""
    return {upn: account.id for account in accounts if (upn := account.values.get(AccountProperty.UPN))}


def takes_domain(account_property: AccountProperty) -> bool:
    """Whether values of this property are addresses, so that a MIS value without a domain needs one."""
    return account_property in (AccountProperty.UPN, AccountProperty.MAIL)


def mis_value(person: Person, rule: Matching) -> str:
    """The expected value of the account property for this person, in lower case; empty if the MIS has none."""
    values = {
        MisProperty.USERNAME_OR_EMAIL: person.username or person.email,
        MisProperty.USERNAME: person.username,
        MisProperty.EMAIL: person.email,
        MisProperty.ID: person.id,
    }
    value = values[rule.mis].strip().lower()
    return f"{value}@{rule.domain.lower()}" if value and rule.domain and "@" not in value else value


def match_people(people: Iterable[Person], rule: Matching, accounts: Iterable[Account]) -> Matched:
    """Match people of one role, ignoring case. The order of people and accounts does not matter."""
    by_value: dict[str, list[Account]] = {}
    for account in accounts:
        if value := account.values.get(rule.account):
            by_value.setdefault(value, []).append(account)
    by_person = {person.id: by_value.get(mis_value(person, rule), []) for person in people}
    claims = Counter(account.id for candidates in by_person.values() for account in candidates)
    matched = {
        person: candidates[0]
        for person, candidates in by_person.items()
        if len(candidates) == 1 and claims[candidates[0].id] == 1
    }
    return Matched(
        ids={person: account.id for person, account in matched.items()},
        missing=frozenset(person for person, candidates in by_person.items() if not candidates),
        disabled=frozenset(person for person, account in matched.items() if not account.enabled),
        candidates={
            person: frozenset(account.id for account in candidates)
            for person, candidates in by_person.items()
            if candidates and person not in matched
        },
    )
