"""Explanations that the stories cannot reach: a shortened history, an earlier generation, ambiguous people."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from sync_core.domain.classes import AppliedDelta, ClassRecord, Reason, Rule
from sync_core.domain.ids import MisId, RunId
from sync_core.domain.runs import Cause, RunOutcome, RunRecord
from sync_core.planning.explanation import By, Explanation, Next, People, explain, find_subject
from sync_core.planning.matching.accounts import accounts_by_upn
from sync_core.planning.school_plan import SchoolPlan
from tests.builders import NOON, SCHOOL, accounts, desired, entra_id, entra_ids, synced

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
    subject = find_subject(AMY, accounts_by_upn(accounts(["amy"])), record, history, REJECTED)
    assert subject
    people = People(members=entra_ids(["amy"]) if there else frozenset())
    return explain(subject, record, history, people, REJECTED, NOON)


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
    subject = find_subject("p1", accounts_by_upn(accounts(["amy"])), record, (), REJECTED)
    assert subject and (subject.account, subject.person) == (AMY, "p1")
    assert find_subject("run1", accounts_by_upn(accounts(["amy"])), record, (), REJECTED) is None
    assert find_subject("", accounts_by_upn(accounts(["amy"])), record, (), REJECTED) is None
