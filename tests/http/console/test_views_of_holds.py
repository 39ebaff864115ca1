"""What a card says of each kind of hold, and what is missing from a decision on it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_core.domain.ids import AccountId, ClassId, ClassKey, MisId, RunId
from sync_core.domain.runs import Approval, HeldClass, Hold, HoldKind
from sync_core.http.console.forms import FieldFault
from sync_core.http.console.views.holds.cards import (
    Answer,
    DecisionForm,
    Move,
    PersonRow,
    accounts_of,
    card_of,
    class_rows,
    faults_of_decision,
    in_order,
    rows_of,
)
from tests.builders import NOON, entra_id

LEAVING = tuple(AccountId(entra_id(name)) for name in ("amy", "ben", "cleo"))
MATHS = HeldClass(
    group_name="Maths", name="Maths_Class", key=ClassKey("m"), what="would lose 3 of 9 students", lost=3, students=9,
    leaving=LEAVING, people=(MisId("amy"), MisId("ben"), MisId("cleo")), digest="d1",
)  # fmt: skip
ART = replace(MATHS, group_name="Art", key=ClassKey("a"), lost=1, leaving=LEAVING[:1], people=(MisId("amy"),))
HOLD = Hold(
    digest="d", kind=HoldKind.LEFT_GROUP, what="", remedy="", why="over 10% of a class", limit=0.1, value=0.333,
    classes=(MATHS,), run=RunId("r"), at=NOON,
)  # fmt: skip
TWO_STEPS = replace(HOLD, kind=HoldKind.LOST_MATCHING, approval=Approval.TWO_STEPS, classes=(MATHS, ART))


@pytest.mark.parametrize("kind", list(HoldKind))
@pytest.mark.parametrize("classes", [(MATHS,), (MATHS, ART)])
def test_each_kind_has_words_that_a_person_reads(kind: HoldKind, classes: tuple[HeldClass, ...]) -> None:
    card = card_of(replace(HOLD, kind=kind, classes=classes))
    texts = (card.headline, card.cause, card.check, *(text for both in card.answers.values() for text in both))
    assert all(text and not text[0].islower() and "{" not in text for text in texts)
    assert all(text.endswith(".") for text in (card.cause, card.check))
    assert not any(word in " ".join(texts).lower() for word in ("delete a class", "archive", "…/", "json"))
    assert list(card.answers) == list(Answer)


def test_an_approval_without_accounts_says_who_is_not_added() -> None:
    card = card_of(replace(HOLD, kind=HoldKind.ACCOUNT_MATCHING, classes=(MATHS, ART)))
    label, effect = card.answers[Answer.APPROVE]
    assert label == "Sync the others now"
    assert effect.startswith(
        "2 classes are created or updated now. 3 people of them find no account, and are not added."
    )


@pytest.mark.parametrize(
    ("kind", "classes", "headline"),
    [
        (HoldKind.LEFT_GROUP, (MATHS,), "3 of 9 pupils would leave Maths"),
        (HoldKind.LEFT_MIS, (MATHS, ART), "3 pupils would leave 2 classes"),
        (HoldKind.GROUP_EMPTIED, (MATHS,), "All 3 pupils would leave Maths"),
        (HoldKind.TURNOVER, (MATHS,), "Nearly everybody in Maths would be replaced"),
        (HoldKind.SCHOOL_LOSS, (MATHS, ART), "The school would lose 4 memberships in 2 classes"),
        (HoldKind.LOST_MATCHING, (MATHS, ART), "3 people who had an account find none now"),
        (HoldKind.NEW_CLASSES, (MATHS, ART), "2 classes would be made"),
        (HoldKind.CONTINUATION, (MATHS,), "Maths may continue an earlier class"),
        (HoldKind.ADOPTION, (MATHS,), "Somebody may have made a team for Maths already"),
        (HoldKind.ADOPTION, (MATHS, ART), "Somebody may have made teams for 2 groups already"),
    ],
)
def test_a_headline_has_the_names_and_the_numbers(
    kind: HoldKind, classes: tuple[HeldClass, ...], headline: str
) -> None:
    assert card_of(replace(HOLD, kind=kind, classes=classes)).headline == headline


@pytest.mark.parametrize(
    ("kind", "value", "limit", "text"),
    [
        (HoldKind.LEFT_GROUP, 0.333, 0.1, "33% of the class would leave. Your limit is 10%."),
        (HoldKind.SLOW_LEAK, 0.204, 0.2, "20.4% of all memberships would be lost in seven days. Your limit is 20.0%."),
        (HoldKind.LEFT_GROUP, 0.1, 0.1, None),
        (HoldKind.NEW_CLASSES, 40, 30, None),
        (HoldKind.LOST_MATCHING, 4, 0, None),
    ],
)
def test_a_share_over_its_limit_has_a_gauge(kind: HoldKind, value: float, limit: float, text: str | None) -> None:
    gauge = card_of(replace(HOLD, kind=kind, value=value, limit=limit)).gauge
    assert (gauge and gauge.text) == text


def test_a_gauge_of_several_classes_is_about_the_largest_loss() -> None:
    gauge = card_of(replace(HOLD, classes=(MATHS, ART))).gauge
    assert gauge and gauge.text == "Up to 33% of a class would leave. Your limit is 10%."


@given(st.lists(st.integers(0, 40), min_size=1, max_size=12))
def test_a_card_shows_the_largest_losses_and_counts_the_rest(sizes: list[int]) -> None:
    parts = tuple(
        replace(
            MATHS, group_name=f"Set {at}", key=ClassKey(f"{at}"), lost=size, students=40, people=(),
            leaving=tuple(AccountId(f"{at}-{number}") for number in range(size)),
        )
        for at, size in enumerate(sizes)
    )  # fmt: skip
    hold = replace(HOLD, classes=parts)
    card = card_of(hold)
    assert len(card.classes) + card.more == len(parts)
    assert [len(each.rows) + each.more for each in card.classes] == sorted(sizes, reverse=True)[: len(card.classes)]
    assert sorted(each.key for each in class_rows(hold)) == sorted(part.key for part in parts)
    assert sum(each.more for each in class_rows(hold)) == sum(sizes)


def test_people_of_a_part_leave_join_or_find_no_account() -> None:
    joining = replace(MATHS, joining=(AccountId("x"),))
    assert [row.move for row in rows_of(joining)] == [Move.LEAVES] * 3 + [Move.JOINS]
    unmatched = replace(MATHS, leaving=())
    assert {row.move for row in rows_of(unmatched)} == {Move.NO_ACCOUNT}
    assert accounts_of(rows_of(unmatched)) == [], "nobody is looked up by a MIS id"
    continued = replace(unmatched, continues=ClassKey("old"))
    assert {row.move for row in rows_of(continued)} == {Move.IN_GROUP}
    assert card_of(replace(HOLD, classes=(unmatched,))).classes[0].link == ""
    by_hand = replace(unmatched, adopts=ClassId("8d1/x"))
    assert card_of(replace(HOLD, classes=(by_hand,))).classes[0].link.endswith("/groupId/8d1%2Fx")
    rows = (
        PersonRow(Move.JOINS, AccountId("1")),
        PersonRow(Move.LEAVES, AccountId("2")),
        PersonRow(Move.LEAVES, AccountId("3")),
    )
    assert [row.id for row in in_order(rows, {AccountId("2"): "Zoe", AccountId("3"): "adam"})] == ["3", "2", "1"]


@pytest.mark.parametrize(
    ("form", "faults"),
    [
        (DecisionForm(), ("answer",)),
        (DecisionForm(answer="delete"), ("answer",)),
        (DecisionForm(answer="reject"), ()),
        (DecisionForm(answer="reject", chosen=True), ("classes",)),
        (DecisionForm(answer="reject", chosen=True, classes=("other",)), ("classes",)),
        (DecisionForm(answer="approve"), ("confirm",)),
        (DecisionForm(answer="approve", confirm="1"), ("confirm",)),
        (DecisionForm(answer="approve", confirm="٣"), ("confirm",)),
        (DecisionForm(answer="approve", confirm="3"), ()),
        (DecisionForm(answer="approve", confirm="1", chosen=True, classes=("a",)), ()),
        (DecisionForm(answer="pause"), ("reason",)),
        (DecisionForm(answer="pause", reason="two\nlines"), ("reason",)),
        (DecisionForm(answer="pause", reason="new MIS"), ()),
    ],
)
def test_what_is_missing_from_a_decision_is_named_by_its_field(form: DecisionForm, faults: tuple[str, ...]) -> None:
    found = faults_of_decision(form, TWO_STEPS)
    assert tuple(fault.field for fault in found) == faults
    assert all(isinstance(fault, FieldFault) and fault.text for fault in found)
