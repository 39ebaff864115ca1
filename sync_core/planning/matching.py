"""Which account belongs to which person of the MIS: one property on each side, in doubt reported, never guessed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sync_core.domain.accounts import Account, AccountProperty
from sync_core.domain.roster import Person
from sync_core.domain.school import Matching, MisProperty

_ADDRESSES = frozenset({AccountProperty.UPN, AccountProperty.MAIL})


@dataclass(frozen=True, slots=True)
class Matched:
    """Entra ids by MIS person id, and who has none.

    `disabled` have an account all the same. `candidates` are the accounts between which an ambiguous person would have
    to be guessed: several accounts with his value, or one account that other people of his role match as well.
    """

    ids: Mapping[str, str]
    missing: frozenset[str]
    disabled: frozenset[str]
    candidates: Mapping[str, frozenset[str]]


def accounts_by_upn(accounts: Iterable[Account]) -> dict[str, str]:
    """Entra ids by user principal name, in lower case; an account without one is left out."""
    return {upn: account.id for account in accounts if (upn := account.values.get(AccountProperty.UPN))}


def takes_domain(account_property: AccountProperty) -> bool:
    """Whether values of this property are addresses, to which a MIS value without a domain has to be completed."""
    return account_property in _ADDRESSES


def mis_value(person: Person, rule: Matching) -> str:
    """What the account property of this person's account should be, in lower case; empty if the MIS gives nothing."""
    match rule.mis:
        case MisProperty.USERNAME_OR_EMAIL:
            value = person.username or person.email
        case MisProperty.USERNAME:
            value = person.username
        case MisProperty.EMAIL:
            value = person.email
        case MisProperty.ID:
            value = person.id
    value = value.strip().lower()
    return f"{value}@{rule.domain.lower()}" if value and rule.domain and "@" not in value else value


def match_people(people: Iterable[Person], rule: Matching, accounts: Iterable[Account]) -> Matched:
    """Match people of one role. The order of people and accounts does not matter, nor does case."""
    by_value: dict[str, list[Account]] = {}
    for account in accounts:
        if value := account.values.get(rule.account):
            by_value.setdefault(value, []).append(account)
    found = {person.id: by_value.get(mis_value(person, rule), []) for person in people}
    claims: dict[str, int] = {}
    for candidates in found.values():
        for account in candidates:
            claims[account.id] = claims.get(account.id, 0) + 1
    sure = {
        person: candidates[0]
        for person, candidates in found.items()
        if len(candidates) == 1 and claims[candidates[0].id] == 1
    }
    return Matched(
        ids={person: account.id for person, account in sure.items()},
        missing=frozenset(person for person, candidates in found.items() if not candidates),
        disabled=frozenset(person for person, account in sure.items() if not account.enabled),
        candidates={
            person: frozenset(account.id for account in candidates)
            for person, candidates in found.items()
            if candidates and person not in sure
        },
    )
