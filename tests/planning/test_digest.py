"""The digest of a plan: the same for the same changes, and another for any other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sync_core.domain.classes.desired import DesiredClass
from sync_core.domain.classes.record import ActualClass, ClassRecord, Records
from sync_core.domain.ids import RunId
from sync_core.domain.runs import Cause, RunOutcome, RunRecord
from sync_core.planning.diff import make_plan
from sync_core.planning.planned import SchoolPlan
from sync_core.planning.preview.digest import plan_digest
from tests.builders import NOON, SCHOOL, desired, entra_ids, synced

RUN = RunRecord(school=SCHOOL.id, id=RunId("run"), cause=Cause.ADMIN, at=NOON, outcome=RunOutcome.PLANNED)
PEOPLE = ["amy", "ben", "cleo"]
KEY = "2026.teaching.G1"
groups = st.lists(st.sampled_from(PEOPLE), unique=True)


def plan(wanted: DesiredClass, *records: ClassRecord) -> SchoolPlan:
    known: Records = {record.key: record for record in records}
    return SchoolPlan(run=RUN, plan=make_plan([wanted], (), known), records=known)


def row(members: list[str], **actual: Any) -> ClassRecord:
    known = synced(desired(KEY, members))
    assert isinstance(known.actual, ActualClass)
    return replace(known, actual=replace(known.actual, **actual))


@given(groups, groups, groups, groups)
def test_two_plans_have_the_same_digest_only_if_they_do_the_same(
    before: list[str], after: list[str], other_before: list[str], other_after: list[str]
) -> None:
    first, second = plan(desired(KEY, after), row(before)), plan(desired(KEY, other_after), row(other_before))
    same = set(before) == set(other_before) and set(after) == set(other_after)
    nothing = set(before) == set(after) and set(other_before) == set(other_after)
    assert (plan_digest(first) == plan_digest(second)) == (same or nothing)


def test_a_plan_without_changes_has_no_digest() -> None:
    assert plan_digest(plan(desired(KEY, PEOPLE), row(PEOPLE))) == ""
    assert plan_digest(SchoolPlan(run=RUN)) == ""


def test_the_name_of_a_new_class_and_what_was_changed_by_hand_are_part_of_it() -> None:
    wanted = desired(KEY, PEOPLE)
    renamed = replace(wanted, name=replace(wanted.name, display_name="Other"))
    assert plan_digest(plan(wanted)) != plan_digest(plan(renamed))
    known = row(["amy"])
    assert plan_digest(plan(wanted, known)) == plan_digest(plan(renamed, known)), "a class that exists keeps its name"
    assert plan_digest(plan(wanted, known)) != plan_digest(plan(wanted, replace(known, stale=True)))


def test_the_run_and_its_notes_are_no_part_of_it() -> None:
    planned = plan(desired(KEY, PEOPLE), row([]))
    assert plan_digest(planned) == plan_digest(planned.with_notes("a note"))


def test_who_becomes_owner_is_part_of_it() -> None:
    member = plan(desired(KEY, PEOPLE), row(PEOPLE))
    owner = plan(desired(KEY, PEOPLE, ["amy"]), row(PEOPLE, granted=entra_ids([])))
    assert plan_digest(owner) not in ("", plan_digest(member))
