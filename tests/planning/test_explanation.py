"""What the stories of explaining cannot reach: a history that is cut, a class of an earlier life, people in doubt."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from sync_core.domain.classes import AppliedDelta, ClassRecord, Reason, Rule
from sync_core.domain.runs import Cause, RunOutcome, RunRecord
from sync_core.planning.explanation import By, Explanation, Next, People, explain, find_subject
from sync_core.planning.matching import accounts_by_upn
from sync_core.planning.school_plan import SchoolPlan
from tests.builders import NOON, SCHOOL, accounts, desired, entra_id, entra_ids, synced

AMY = entra_id("amy")
RECORD = synced(desired("K1", ["amy"]))
MADE = AppliedDelta(run="run1", cause=Cause.NIGHTLY, at=NOON, created=True)
CAME = AppliedDelta(run="run2", cause=Cause.WEBHOOK, at=NOON + timedelta(hours=1), members_added=entra_ids(["amy"]))
LEFT = AppliedDelta(run="run3", cause=Cause.ADMIN, at=NOON + timedelta(hours=2), members_removed=entra_ids(["amy"]))
REJECTED = SchoolPlan(
    run=RunRecord(
        school=SCHOOL.id, id="now", cause=Cause.ADMIN, at=NOON, outcome=RunOutcome.REJECTED, notes=("torn", "mend it")
    )
)


def told(*history: AppliedDelta, there: bool, record: ClassRecord = RECORD) -> Explanation:
    subject = find_subject(AMY, accounts_by_upn(accounts(["amy"])), record, history, REJECTED)
    assert subject
    people = People(members=entra_ids(["amy"]) if there else frozenset())
    return explain(subject, record, history, people, REJECTED, NOON)


def test_who_made_it_so() -> None:
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
        assert told(*history, there=there).member.by is by, (history, there)


def test_whom_no_sync_has_seen_there_came_by_hand() -> None:
    record = synced(desired("K1", ["ben"]))
    assert told(MADE, there=True, record=record).member.by is By.HAND
    assert told(there=True, record=record).member.by is By.UNRECORDED


def test_the_whole_history_of_the_person_is_told_also_of_a_previous_generation() -> None:
    events = told(MADE, CAME, LEFT, MADE, CAME, there=True).history
    assert [(event.run, event.cause, event.came) for event in events] == [
        ("run2", Cause.WEBHOOK, True),
        ("run3", Cause.ADMIN, False),
        ("run2", Cause.WEBHOOK, True),
    ]


def test_of_a_feed_that_is_not_trusted_the_row_is_followed() -> None:
    assert told(MADE, CAME, there=False).member.next is Next.COMES
    assert told(MADE, CAME, there=False).lines[-1] == "the next sync adds them"
    nobody = replace(RECORD, desired=desired("K1", ["ben"]))
    assert told(MADE, CAME, there=True, record=nobody).member.next is Next.GOES


def test_a_person_is_found_by_a_reason_when_the_mis_cannot_be_asked() -> None:
    reasons = {AMY: Reason(Rule.IN_DOUBT, "p1"), entra_id("ben"): Reason(Rule.UNDONE, "run1")}
    record = replace(RECORD, desired=replace(RECORD.desired, reasons=reasons))
    found = find_subject("p1", accounts_by_upn(accounts(["amy"])), record, (), REJECTED)
    assert found and (found.account, found.person) == (AMY, "p1")
    assert find_subject("run1", accounts_by_upn(accounts(["amy"])), record, (), REJECTED) is None
    assert find_subject("", accounts_by_upn(accounts(["amy"])), record, (), REJECTED) is None
