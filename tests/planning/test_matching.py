"""Matching people to accounts by the properties that a school chose. Ambiguous matches are reported, never guessed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_core.domain.accounts import Account, AccountProperty
from sync_core.domain.ids import AccountId, MisId
from sync_core.domain.roster import Person
from sync_core.domain.school import Matching, MisProperty
from sync_core.planning.matching import match_people, mis_value
from tests.builders import person

USUAL = Matching(MisProperty.USERNAME_OR_EMAIL, AccountProperty.UPN, "X.org")


def rule(mis: str, account: str, domain: str = "") -> Matching:
    return Matching(MisProperty(mis), AccountProperty(account), domain)


@pytest.mark.parametrize(
    ("person", "chosen", "value"),
    [
        (person("1", "ASmith"), USUAL, "asmith@x.org"),
        (person("1", "a@Y.org", "b@z.org"), USUAL, "a@y.org"),
        (person("1", "", "B@z.org"), USUAL, "b@z.org"),
        (person("1"), USUAL, ""),
        (person("1", "a", "b@z.org"), rule("email", "mail", "x.org"), "b@z.org"),
        (person("1", "a", ""), rule("email", "mail", "x.org"), ""),
        (person("Emp7", "a"), rule("id", "employeeId"), "emp7"),
        (person("Emp7", "a"), rule("id", "userPrincipalName", "x.org"), "emp7@x.org"),
        (person("1", "A "), rule("username", "onPremisesSamAccountName"), "a"),
    ],
)
def test_the_value_that_an_account_must_have(person: Person, chosen: Matching, value: str) -> None:
    assert mis_value(person, chosen) == value


def account(id_: str, enabled: bool = True, **values: str) -> Account:
    return Account(AccountId(id_), {AccountProperty(name): value for name, value in values.items()}, enabled)


def test_two_accounts_for_one_person_or_two_people_for_one_account_are_ambiguous() -> None:
    accounts = [account("A", mail="x@x.org"), account("B", mail="x@x.org"), account("C", mail="y@x.org")]
    people = [person("p", email="x@x.org"), person("q", email="Y@x.org"), person("r", email="y@X.org")]
    matched = match_people(people, rule("email", "mail"), accounts)
    assert matched.ids == {}
    assert matched.candidates == {"p": {"A", "B"}, "q": {"C"}, "r": {"C"}}
    assert matched.missing == frozenset()


def test_a_person_without_a_value_matches_no_account() -> None:
    matched = match_people([person("p")], rule("email", "mail"), [account("A", userPrincipalName="a@x.org")])
    assert matched.missing == {"p"}


people_lists = st.lists(st.sampled_from("abcABC"), max_size=6).map(
    lambda names: [Person(MisId(f"p{place}"), name) for place, name in enumerate(names)]
)
account_lists = st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=6).map(
    lambda names: [
        account(f"A{place}", enabled, userPrincipalName=f"{name}@x.org") for place, (name, enabled) in enumerate(names)
    ]
)


@given(people_lists, account_lists, st.randoms(use_true_random=False))
def test_each_person_is_matched_missing_or_ambiguous_and_no_account_is_shared(
    people: list[Person], accounts: list[Account], shuffler: object
) -> None:
    matched = match_people(people, USUAL, accounts)
    outcomes = [set(matched.ids), set(matched.missing), set(matched.candidates)]
    assert set.union(*outcomes) == {person.id for person in people}
    assert sum(map(len, outcomes)) == len(people)
    assert len(set(matched.ids.values())) == len(matched.ids)
    assert matched.disabled <= matched.ids.keys()
    shuffler.shuffle(people)  # type: ignore[attr-defined]  # a random.Random
    assert match_people(people, USUAL, accounts[::-1]) == matched
