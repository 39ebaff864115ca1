"""Explanations that the stories cannot reach: a shortened history, an earlier generation, ambiguous people."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from sync_core.domain.classes.desired import Reason, Rule
from sync_core.domain.classes.outcomes import AppliedDelta
from sync_core.domain.classes.record import ClassRecord
from sync_core.domain.ids import AccountId, MisId, RunId
from sync_core.domain.roster import Snapshot
from sync_core.domain.runs import Cause, RunOutcome, RunRecord
from sync_core.errors import Conflict
from sync_core.planning.explain.explanation import explain
from sync_core.planning.explain.model import By, Evidence, Explanation, Next, People, Subject
from sync_core.planning.explain.subject import find_subject
from sync_core.planning.membership import desired_classes
from sync_core.planning.planned import SchoolPlan
from tests.builders import (
    NOON,
    SCHOOL,
    accounts,
    by_id,
    desired,
    entra_id,
    entra_ids,
    person,
    settings,
    synced,
    teaching,
)

AMY = entra_id("amy")
RECORD = synced(desired("K1", ["amy"]))
RUN1 = RunId("run1")
MADE = AppliedDelta(run=RUN1, cause=Cause.NIGHTLY, at=NOON, created=True)
CAME = AppliedDelta(
    run=RunId("run2"), cause=Cause.WEBHOOK, at=NOON + timedelta(hours=1), members_added=entra_ids(["amy"])
)
LEFT = AppliedDelta(
    run=RunId("run3"), cause=Cause.ADMIN, at=NOON + timedelta(hours=2), members_removed=entra_ids(["amy"])
)
REJECTED = SchoolPlan(
    run=RunRecord(
        school=SCHOOL.id,
        id=RunId("now"),
        cause=Cause.ADMIN,
        at=NOON,
        outcome=RunOutcome.REJECTED,
        notes=("torn", "mend it"),
    )
)


def explain_amy(*history: AppliedDelta, there: bool, record: ClassRecord = RECORD) -> Explanation:
    subject = find_when_rejected(AMY, record, *history)
    assert subject
    evidence = Evidence(
        record=record,
        history=history,
        there=People(members=entra_ids(["amy"]) if there else frozenset()),
        planned=REJECTED,
        settings=settings(),
        has_account=True,
        at=NOON,
    )
    return explain(subject, evidence)


def find_when_rejected(query: str, record: ClassRecord, *history: AppliedDelta) -> Subject | None:
    return find_subject(query, accounts(["amy"]), record, history, REJECTED, settings())


def test_a_membership_is_explained_by_the_last_event_of_its_generation() -> None:
    for history, there, by in (
        ((MADE, CAME), True, By.SYNC),
        ((MADE, CAME, LEFT), False, By.SYNC),
        ((MADE, CAME, LEFT), True, By.HAND),
        ((MADE, CAME), False, By.HAND),
        ((MADE,), True, By.UNRECORDED),
        ((), True, By.UNRECORDED),
        ((LEFT, CAME), True, By.SYNC),
        ((MADE,), False, By.NOBODY),
        ((MADE, CAME, MADE), True, By.UNRECORDED),
        ((MADE, CAME, MADE), False, By.NOBODY),
    ):
        assert explain_amy(*history, there=there).member.by is by, (history, there)


def test_a_member_that_no_sync_added_was_added_by_hand() -> None:
    record = synced(desired("K1", ["ben"]))
    assert explain_amy(MADE, there=True, record=record).member.by is By.HAND
    assert explain_amy(there=True, record=record).member.by is By.UNRECORDED


def test_the_history_of_a_person_includes_previous_generations() -> None:
    events = explain_amy(MADE, CAME, LEFT, MADE, CAME, there=True).history
    assert [(event.run, event.cause, event.came) for event in events] == [
        ("run2", Cause.WEBHOOK, True),
        ("run3", Cause.ADMIN, False),
        ("run2", Cause.WEBHOOK, True),
    ]


def test_a_rejected_feed_is_explained_from_the_row() -> None:
    assert explain_amy(MADE, CAME, there=False).member.next is Next.COMES
    assert explain_amy(MADE, CAME, there=False).lines[-1] == "the next sync adds them"
    nobody = replace(RECORD, desired=desired("K1", ["ben"]))
    assert explain_amy(MADE, CAME, there=True, record=nobody).member.next is Next.GOES


def test_a_person_is_found_by_a_recorded_reason_when_the_mis_is_unavailable() -> None:
    reasons = {AMY: Reason(Rule.IN_DOUBT, MisId("p1")), entra_id("ben"): Reason(Rule.UNDONE, RUN1)}
    record = replace(RECORD, desired=replace(RECORD.desired, reasons=reasons))
    subject = find_when_rejected("p1", record)
    assert subject and (subject.account, subject.person) == (AMY, "p1")
    assert find_when_rejected("run1", record) is None
    assert find_when_rejected("", record) is None


def test_a_person_of_an_undone_run_is_found_by_the_reason_before_it() -> None:
    """They have left the MIS, and the undo that brought them back names no person."""
    undone = {AMY: Reason(Rule.UNDONE, RUN1)}
    came = replace(CAME, reasons={AMY: Reason(Rule.STUDENT, MisId("p1"))})
    record = replace(RECORD, desired=replace(RECORD.desired, reasons=undone))
    for query in ("p1", AMY):
        subject = find_when_rejected(query, record, came, LEFT, replace(CAME, reasons=undone))
        assert subject == Subject(AMY, MisId("p1"))


PEOPLE = by_id(
    person("p1", "amy", "amy@else.org"), person("p2", "ben", "shared@else.org"), person("p3", "", "shared@else.org")
)
ART = teaching("T1", "Art", ["p1", "p2", "p3"])
PLANNED = SchoolPlan(
    run=replace(REJECTED.run, outcome=RunOutcome.PLANNED),
    ruled=desired_classes(Snapshot(SCHOOL, (ART,), PEOPLE, NOON), settings(), accounts(["amy", "ben", "cleo"]), {}, {}),
)


@pytest.mark.parametrize(
    ("query", "subject"),
    [
        ("p1", Subject(AMY, MisId("p1"))),
        (AMY, Subject(AMY, MisId("p1"))),
        (AMY.upper(), Subject(AMY, MisId("p1"))),
        ("Amy@School.onmicrosoft.com", Subject(AMY, MisId("p1"))),
        ("AMY@else.org", Subject(AMY, MisId("p1"))),
        ("Amy", Subject(AMY, MisId("p1"))),
        ("p3", Subject(AccountId(""), MisId("p3"))),
        ("cleo", Subject(entra_id("cleo"), MisId(""))),
        ("dan", None),
    ],
)
def test_a_person_is_found_by_any_of_their_ids_names_and_addresses(query: str, subject: Subject | None) -> None:
    assert find_subject(query, accounts(["amy", "ben", "cleo"]), RECORD, (), PLANNED, settings()) == subject


def test_a_value_of_several_people_is_refused_with_their_ids() -> None:
    with pytest.raises(Conflict, match="2 people in the MIS have this value: p2, p3 — ask by MIS person id"):
        find_subject("shared@else.org", accounts(["amy", "ben"]), RECORD, (), PLANNED, settings())
    twins = [*accounts(["amy"]), *accounts(["amy"], "else.org")]
    twins[1] = replace(twins[1], id=entra_id("twin"))
    with pytest.raises(Conflict, match=r"2 accounts have this value: .* — ask by Entra id"):
        find_subject("amy", twins, synced(desired("K1")), (), REJECTED, settings())
