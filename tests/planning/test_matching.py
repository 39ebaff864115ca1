"""Matching people to accounts by the properties that a school chose. Doubtful matches are reported, never guessed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_core.domain.accounts import Account, AccountProperty
from sync_core.domain.ids import AccountId, MisId
from sync_core.domain.roster import Person
from sync_core.domain.school.matching import Matching, MisProperty
from sync_core.planning.matching.accounts import Matched, Try, match_people, tries_of
from sync_core.planning.matching.unmatched import report_unmatched
from tests.builders import mis_ids, person

USUAL = Matching()
WITH_DOMAIN = Matching(domain="X.org")
UPN, MAIL = AccountProperty.UPN, AccountProperty.MAIL
USERNAME, EMAIL = MisProperty.USERNAME, MisProperty.EMAIL


def rule(mis: str, account: str, domain: str = "") -> Matching:
    return Matching(MisProperty(mis), AccountProperty(account), domain)


def match(people: Iterable[Person], chosen: Matching, accounts: list[Account]) -> Matched:
    (matched,) = match_people([(people, chosen)], accounts)
    return matched


@pytest.mark.parametrize(
    ("person", "chosen", "values"),
    [
        (person("1", "ASmith "), USUAL, {USERNAME: "asmith", EMAIL: ""}),
        (person("1", "ASmith", "B@z.org"), WITH_DOMAIN, {USERNAME: "asmith@x.org", EMAIL: "b@z.org"}),
        (person("1", "a@Y.org", "b@z.org"), WITH_DOMAIN, {USERNAME: "a@y.org", EMAIL: "b@z.org"}),
        (person("1"), WITH_DOMAIN, {USERNAME: "", EMAIL: ""}),
        (person("1", "a", "b@z.org"), rule("email", "mail", "x.org"), {EMAIL: "b@z.org"}),
        (person("1", "a", ""), rule("email", "mail", "x.org"), {EMAIL: ""}),
        (person("Emp7", "a"), rule("id", "employeeId"), {MisProperty.ID: "emp7"}),
        (person("Emp7", "a"), rule("id", "userPrincipalName", "x.org"), {MisProperty.ID: "emp7@x.org"}),
        (person("1", "A "), rule("username", "onPremisesSamAccountName"), {USERNAME: "a"}),
    ],
)
def test_the_values_that_are_tried(person: Person, chosen: Matching, values: dict[MisProperty, str]) -> None:
    tries = tries_of(person, chosen)
    assert {each.mis: each.value for each in tries} == values
    assert {each.accounts for each in tries} == {(chosen.account,) if chosen.account else (UPN, MAIL)}


def account(id_: str, enabled: bool = True, **values: str) -> Account:
    return Account(AccountId(id_), {AccountProperty(name): value for name, value in values.items()}, enabled)


@pytest.mark.parametrize(
    "amy",
    [
        person("amy", "Amy@x.org"),
        person("amy", "", " amy@X.org "),
        person("amy", "apupil", "amy@x.org"),
        person("amy", "apupil", "amy.pupil@x.org"),
        person("amy", "amy@x.org", "amy.pupil@x.org"),
        person("amy", "amy@x.org", "parent@home.example"),
    ],
)
def test_by_default_either_value_finds_the_account_by_user_principal_name_or_mail(amy: Person) -> None:
    accounts = [account("A", userPrincipalName="amy@x.org", mail="amy.pupil@x.org"), account("B", mail="ben@x.org")]
    assert match([amy], USUAL, accounts).ids == {"amy": "A"}


def test_nothing_is_appended_unless_the_school_sets_a_domain() -> None:
    accounts = [account("A", userPrincipalName="amy@x.org")]
    assert match([person("p", "amy")], USUAL, accounts).missing == {"p"}
    assert match([person("p", "amy")], WITH_DOMAIN, accounts).ids == {"p": "A"}


def test_a_person_whose_values_lead_to_different_accounts_is_in_doubt() -> None:
    accounts = [account("A", userPrincipalName="a@x.org"), account("B", mail="b@x.org")]
    matched = match([person("p", "a@x.org", "b@x.org")], USUAL, accounts)
    assert matched.candidates == {"p": {"A", "B"}}
    assert not matched.ids and not matched.missing
    shared = [account("A", userPrincipalName="a@x.org"), account("B", mail="a@x.org"), account("C", mail="b@x.org")]
    for values in (("a@x.org", "b@x.org"), ("b@x.org", "a@x.org")):
        assert match([person("p", *values)], USUAL, shared).candidates == {"p": {"A", "B", "C"}}
    same_value = [account("A", userPrincipalName="a@x.org"), account("B", mail="a@x.org")]
    assert match([person("p", "a@x.org")], USUAL, same_value).candidates == {"p": {"A", "B"}}


def test_two_accounts_for_one_person_or_two_people_for_one_account_are_ambiguous() -> None:
    accounts = [account("A", mail="x@x.org"), account("B", mail="x@x.org"), account("C", mail="y@x.org")]
    people = [person("p", email="x@x.org"), person("q", email="Y@x.org"), person("r", email="y@X.org")]
    matched = match(people, rule("email", "mail"), accounts)
    assert matched.ids == {}
    assert matched.candidates == {"p": {"A", "B"}, "q": {"C"}, "r": {"C"}}
    assert matched.missing == frozenset()


def test_a_student_and_a_teacher_with_one_account_are_in_doubt_but_one_person_may_be_both() -> None:
    """An MIS may give a student the address of a parent who teaches at the school."""
    accounts = [account("A", userPrincipalName="parent@x.org"), account("B", mail="both@x.org")]
    both = person("both", email="both@x.org")
    students, staff = match_people(
        [([person("child", email="parent@x.org"), both], USUAL), ([person("parent", "parent@x.org"), both], USUAL)],
        accounts,
    )
    assert students.ids == staff.ids == {"both": "B"}
    assert students.candidates == {"child": {"A"}}
    assert staff.candidates == {"parent": {"A"}}


def test_of_two_records_with_one_account_the_only_enabled_one_counts() -> None:
    accounts = [account("A", userPrincipalName="amy@x.org")]
    now = person("now", "amy@x.org")
    before = replace(now, id=MisId("before"), enabled=False)
    matched = match([before, now], USUAL, accounts)
    assert matched.ids == {"now": "A"}
    assert matched.candidates == {"before": {"A"}}
    assert match([before, replace(before, id=MisId("older"))], USUAL, accounts).ids == {}
    assert match([before], USUAL, accounts).ids == {"before": "A"}


def test_of_two_enabled_records_with_one_account_the_only_enrolled_one_counts() -> None:
    """A pupil came back, and the MIS kept their old record. Siblings with one address are both enrolled."""
    accounts = [account("A", userPrincipalName="amy@x.org")]
    people = [person("now", "amy@x.org"), person("before", "amy@x.org")]
    for enrolled, matched in (("now", {"now": "A"}), ("now before", {}), ("", {})):
        assert match_people([(people, USUAL)], accounts, frozenset(mis_ids(*enrolled.split())))[0].ids == matched
    switched_off = replace(people[0], enabled=False)
    assert match_people([([switched_off, people[1]], USUAL)], accounts, frozenset(mis_ids("now")))[0].ids == {
        "before": "A"
    }


def test_a_person_without_a_value_matches_no_account() -> None:
    matched = match([person("p")], rule("email", "mail"), [account("A", userPrincipalName="a@x.org")])
    assert matched.missing == {"p"}


ADDRESSES = ["", "a", "b", "A@x.org", "b@x.org", "c@x.org", "a@y.org"]
rules = st.sampled_from([USUAL, WITH_DOMAIN, rule("username", "userPrincipalName", "x.org"), rule("email", "mail")])
people_lists = st.lists(
    st.tuples(st.sampled_from(ADDRESSES), st.sampled_from(ADDRESSES), st.booleans()), max_size=6
).map(lambda found: [Person(MisId(f"p{place}"), *values) for place, values in enumerate(found)])
account_lists = st.lists(
    st.tuples(st.sampled_from(ADDRESSES[3:]), st.sampled_from(["", *ADDRESSES[3:]]), st.booleans()), max_size=6
).map(
    lambda found: [
        Account(AccountId(f"A{place}"), {UPN: upn.lower(), **({MAIL: mail.lower()} if mail else {})}, enabled)
        for place, (upn, mail, enabled) in enumerate(found)
    ]
)


@given(people_lists, people_lists, rules, rules, account_lists, st.randoms(use_true_random=False))
def test_each_person_is_matched_missing_or_in_doubt_and_no_account_is_shared(
    students: list[Person],
    teachers: list[Person],
    of_students: Matching,
    of_staff: Matching,
    accounts: list[Account],
    shuffler: object,
) -> None:
    staff = [replace(teacher, id=MisId(f"t{teacher.id}")) for teacher in teachers]
    roles = [(students, of_students), (staff, of_staff)]
    matched = match_people(roles, accounts)
    for (people, _), of_role in zip(roles, matched, strict=True):
        outcomes = [set(of_role.ids), set(of_role.missing), set(of_role.candidates)]
        assert set.union(*outcomes) == {person.id for person in people}
        assert sum(map(len, outcomes)) == len(people)
        assert of_role.disabled <= of_role.ids.keys()
    given_accounts = [id_ for of_role in matched for id_ in of_role.ids.values()]
    assert len(set(given_accounts)) == len(given_accounts)
    shuffler.shuffle(students)  # type: ignore[attr-defined]  # a random.Random
    assert match_people(roles, accounts[::-1]) == matched


@given(people_lists, rules, account_lists)
def test_an_exact_match_that_nobody_else_claims_is_found_and_nothing_else_is(
    people: list[Person], chosen: Matching, accounts: list[Account]
) -> None:
    """Against the definition: what each person's values lead to, with no index."""
    found = {
        one.id: {
            account.id
            for account in accounts
            for each in tries_of(one, chosen)
            if each.value and each.value in (account.values.get(name) for name in each.accounts)
        }
        for one in people
    }
    matched = match(people, chosen, accounts)
    for one in people:
        claimed = [other for other in people if found[other.id] & found[one.id]]
        sole = len(claimed) == 1 or (one.enabled and not any(o.enabled for o in claimed if o is not one))
        if not found[one.id]:
            assert one.id in matched.missing
        elif len(found[one.id]) == 1 and sole:
            assert found[one.id] == {matched.ids[one.id]}
        else:
            assert matched.candidates[one.id] == found[one.id]


# --- people who were not found

NEAR = [
    account("A", userPrincipalName="asmith@oak.example", mail="amy.smith@oak.example"),
    account("B", userPrincipalName="bsmith@oak.example"),
    account("C", userPrincipalName="asmith@elm.example"),
    account("D", userPrincipalName="amysmith@ash.example"),
    account("E", userPrincipalName="asmith@ash.example"),
    account("F", userPrincipalName="asmith@fir.example"),
]


@pytest.mark.parametrize(
    ("tried", "nearest"),
    [
        ("asmith@elm.example", ["asmith@elm.example", "asmith@ash.example", "asmith@fir.example"]),
        ("asmith@wrong.example", ["asmith@ash.example", "asmith@elm.example", "asmith@fir.example"]),
        ("amy.smith@wrong.example", ["amy.smith@oak.example"]),
        ("amy-smith", ["amysmith@ash.example", "amy.smith@oak.example"]),
        ("a-m-y-smith", ["amysmith@ash.example", "amy.smith@oak.example"]),
        ("bsmit@oak.example", ["bsmith@oak.example"]),
        ("bmsith", ["bsmith@oak.example"]),
        ("bsmiths", ["bsmith@oak.example"]),
        ("bsm1th", ["bsmith@oak.example"]),
        ("nobody@oak.example", []),
        ("b", []),
        ("", []),
    ],
)
def test_the_nearest_accounts_of_a_value(tried: str, nearest: list[str]) -> None:
    tries = (Try(USERNAME, tried, (UPN, MAIL)),)
    for accounts in (NEAR, NEAR[::-1]):
        (report,) = report_unmatched({MisId("p"): tries}, accounts)
        assert (report.person, report.tries) == ("p", tries)
        assert [near.value for near in report.nearest] == nearest


@given(st.text("ab.", min_size=3, max_size=6), st.text("ab.", min_size=3, max_size=6))
def test_names_of_one_edit_are_near_whatever_the_edit(name: str, other: str) -> None:
    """Against the definition: all that one edit makes of a name."""
    halves = [(name[:at], name[at:]) for at in range(len(name) + 1)]
    edited = {left + right[1:] for left, right in halves if right}
    edited |= {left + right[1] + right[0] + right[2:] for left, right in halves if len(right) > 1}
    edited |= {left + new + right[at:] for left, right in halves for new in "ab." for at in (0, 1) if len(right) >= at}
    (report,) = report_unmatched(
        {MisId("p"): (Try(USERNAME, name, (UPN,)),)}, [account("A", userPrincipalName=f"{other}@x.org")]
    )
    letters = name.replace(".", "")
    alike = other == name or (letters and letters == other.replace(".", "")) or other in edited
    assert bool(report.nearest) is bool(alike)


def test_an_account_is_shown_once_however_many_of_its_values_are_near() -> None:
    tries = tries_of(person("p", "asmith@oak.example", "amy.smith@oak.example"), rule("id", "employeeId"))
    accounts = [account("A", userPrincipalName="p@oak.example", mail="p@oak.example", employeeId="p1")]
    (report,) = report_unmatched({MisId("p"): tries}, accounts)
    assert [(near.id, near.account, near.value) for near in report.nearest] == [("A", UPN, "p@oak.example")]


def test_the_values_are_not_in_the_text_of_a_report() -> None:
    report = report_unmatched({MisId("p"): (Try(USERNAME, "asmith", (UPN,)),)}, NEAR)
    assert "smith" not in repr(report)


@given(people_lists, account_lists, st.randoms(use_true_random=False))
def test_a_report_does_not_depend_on_any_order_and_lists_what_was_tried(
    people: list[Person], accounts: list[Account], shuffler: object
) -> None:
    tried = {one.id: tries_of(one, USUAL) for one in people}
    report = report_unmatched(tried, accounts)
    assert [(each.person, list(each.tries)) for each in report] == sorted(tried.items())
    assert all(len(each.nearest) <= 3 for each in report)
    shuffler.shuffle(accounts)  # type: ignore[attr-defined]  # a random.Random
    assert report_unmatched(tried, accounts) == report
