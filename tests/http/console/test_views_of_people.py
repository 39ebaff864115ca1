"""How many people find an account, in words, and the rules by which they do, as a form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_core.admin.overview.matching import MatchingRules
from sync_core.domain.accounts import AccountProperty
from sync_core.domain.roster import MatchRate
from sync_core.domain.school.matching import Matching, MisProperty
from sync_core.http.console.views import people as views
from sync_core.planning.matching.guard import MatchRates

RULES = st.builds(
    Matching,
    mis=st.sampled_from(MisProperty),
    account=st.none() | st.sampled_from(AccountProperty),
    domain=st.sampled_from(["", "school.org"]),
)


@given(RULES, RULES)
def test_a_form_gives_back_the_rules_that_it_was_made_from(students: Matching, staff: Matching) -> None:
    rules = MatchingRules(students=students, staff=staff)
    texts = views.texts_of_rules(rules)
    assert texts.keys() == views.LABELS.keys()
    assert views.read_rules(texts) == rules
    assert views.rule_text(students)[0].isalnum() or views.rule_text(students)


@given(st.integers(1, 5000).flatmap(lambda people: st.tuples(st.just(people), st.integers(0, people))))
def test_all_are_found_only_if_all_are(counts: tuple[int, int]) -> None:
    people, unmatched = counts
    (card,) = views.rate_cards(MatchRates(students=MatchRate(people, unmatched)))
    assert (card.share == "100%") is (unmatched == 0)
    assert card.text.startswith(f"{people - unmatched:,} of {people:,} pupil")
    assert card.before == ""


def test_a_rate_that_moves_has_both_shares() -> None:
    rates = MatchRates(MatchRate(200, 2), MatchRate(1, 0))
    saved = MatchRates(MatchRate(200, 32), MatchRate(1, 0))
    pupils, staff = views.rate_cards(rates, saved)
    assert (pupils.before, pupils.share) == ("84%", "99%")
    assert (staff.before, staff.share, staff.text) == ("", "100%", "1 of 1 member of staff finds an account")


def test_a_role_that_nobody_has_is_not_shown() -> None:
    assert views.rate_cards(MatchRates(MatchRate(), None)) == ()


@pytest.mark.parametrize("sent", [{}, {"students.mis": "id"}])
def test_a_form_without_its_fields_is_at_fault(sent: dict[str, str]) -> None:
    faults = views.read_rules(sent)
    assert isinstance(faults, tuple)
    assert {fault.field for fault in faults} <= views.LABELS.keys()
    assert "staff.mis" in {fault.field for fault in faults}
