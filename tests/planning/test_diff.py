"""The rows and messages of a plan for each way in which desired, recorded and observed state can differ."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sync_core.domain.classes.record import ClassRecord
from sync_core.domain.classes.tenant_groups import Drift, GroupChange, GroupChanges
from sync_core.domain.ids import ClassId, ClassKey, RunId, SchoolId
from sync_core.domain.runs import Cause
from sync_core.messaging.messages import (
    LISTED_PEOPLE,
    ChangeMembers,
    CreateClass,
    DeleteClass,
    GrantOwners,
    Priority,
    RevokeOwners,
)
from sync_core.planning.diff import Origin, make_plan, priority_of
from sync_core.planning.drift import delta_tells_members, drift_changes, find_drift, sample, with_stale
from tests.builders import class_id, desired, entra_id, entra_ids, synced

S1 = SchoolId("S1")
KEY = ClassKey("K1")
RUN = RunId("run1")
ORIGIN = Origin(S1, RUN, Cause.NIGHTLY)
WHERE = (S1, KEY, RUN, Cause.NIGHTLY)
K1 = desired("K1", ["amy", "ben"], ["main"])


def test_a_new_class_is_written_created_owned_and_filled_in_this_order() -> None:
    plan = make_plan([K1], [], {})
    assert plan.writes == (K1,)
    assert plan.changes(ORIGIN) == (
        CreateClass(*WHERE),
        GrantOwners(*WHERE, owners=(entra_id("main"),)),
        ChangeMembers(*WHERE, added=tuple(sorted(K1.members))),
    )
    assert (plan.created, plan.changed, plan.unchanged) == (("K1",), (), frozenset())


def test_an_unchanged_class_is_not_written_or_sent() -> None:
    plan = make_plan([K1], [], {KEY: synced(K1)})
    assert (plan.writes, plan.changes(ORIGIN)) == ((), ())
    assert (plan.created, plan.changed, plan.unchanged) == ((), (), frozenset({KEY}))


def test_an_empty_class_is_only_created_and_then_left_alone() -> None:
    empty = desired("K1")
    assert make_plan([empty], [], {}).changes(ORIGIN) == (CreateClass(*WHERE),)
    record = synced(empty)
    assert record.actual is not None
    unfilled = replace(record, actual=replace(record.actual, members=None))
    assert make_plan([empty], [], {KEY: unfilled}).changes(ORIGIN) == ()


def test_members_that_differ_are_sent_with_their_delta() -> None:
    wanted = desired("K1", ["ben", "cleo"], ["main"])
    plan = make_plan([wanted], [], {KEY: synced(K1)})
    assert plan.writes == (wanted,)
    assert plan.changes(ORIGIN) == (ChangeMembers(*WHERE, added=(entra_id("cleo"),), removed=(entra_id("amy"),)),)
    assert plan.changed == ("K1",)


def test_a_change_that_may_be_in_progress_is_reversed() -> None:
    """The MIS differed for a while. Actual equals desired again, but an apply of the difference may be in progress."""
    planned_otherwise = replace(synced(K1), desired=desired("K1", ["amy", "cleo"], ["main"]))
    plan = make_plan([K1], [], {KEY: planned_otherwise})
    assert plan.writes == (K1,)
    assert plan.changes(ORIGIN) == (RevokeOwners(*WHERE), ChangeMembers(*WHERE))
    assert plan.changed == ("K1",)
    renamed = replace(synced(K1), desired=replace(K1, description="else"))
    assert make_plan([K1], [], {KEY: renamed}).changes(ORIGIN) == ()


def test_a_lost_change_is_sent_again_without_a_write() -> None:
    record = synced(desired("K1", ["amy"]))
    assert record.actual is not None
    lost = replace(record, desired=K1)
    plan = make_plan([K1], [], {KEY: lost})
    assert plan.writes == ()
    assert [change.kind for change in plan.changes(ORIGIN)] == ["grant-owners", "change-members"]


def test_a_row_without_a_class_is_sent_from_the_start() -> None:
    plan = make_plan([K1], [], {KEY: ClassRecord(school=S1, desired=K1)})
    assert [change.kind for change in plan.changes(ORIGIN)] == ["create-class", "grant-owners", "change-members"]
    assert plan.created == ("K1",)


def test_a_stale_row_is_sent_even_if_nothing_else_changed() -> None:
    plan = make_plan([K1], [], {KEY: replace(synced(K1), stale=True)})
    assert plan.changes(ORIGIN) == (ChangeMembers(*WHERE),)


def test_an_owner_who_left_the_group_stays_owner() -> None:
    wanted = desired("K1", ["amy", "ben"], ["other"])
    plan = make_plan([wanted], [], {KEY: synced(K1)})
    assert GrantOwners(*WHERE, owners=(entra_id("other"),)) in plan.changes(ORIGIN)
    assert not any(change.kind not in ("grant-owners", "change-members") for change in plan.changes(ORIGIN))


def test_a_class_gone_from_microsoft_365_is_left_alone_and_reported() -> None:
    plan = make_plan([desired("K1", ["cleo"])], [], {KEY: replace(synced(K1), gone=True)})
    assert (plan.writes, plan.changes(ORIGIN), plan.gone) == ((), (), ("K1",))


def test_a_class_whose_group_disappeared_is_not_changed() -> None:
    plan = make_plan([], [], {KEY: synced(K1)})
    assert (plan.writes, plan.changes(ORIGIN), plan.unchanged) == ((), (), frozenset())


def test_a_message_lists_a_limited_number_of_people() -> None:
    crowd = desired("K1", [f"p{number}" for number in range(LISTED_PEOPLE + 5)])
    change = make_plan([crowd], [], {}).changes(ORIGIN)[-1]
    assert isinstance(change, ChangeMembers)
    assert len(change.added) == LISTED_PEOPLE


# --- drift

CLASS = class_id("K1")


def find_drift_in(
    record: ClassRecord, *changes: GroupChange, full: bool = False, tells_members: bool = True
) -> tuple[Drift, ...]:
    return find_drift([record], GroupChanges(full, changes, "token"), tells_members=tells_members)


@pytest.mark.parametrize(
    ("change", "is_drift"),
    [
        (GroupChange(id=CLASS, nickname=None), False),
        (GroupChange(id=CLASS, nickname=None, members_added=K1.members), False),
        (GroupChange(id=CLASS, nickname=None, members_removed=entra_ids(["somebody"])), False),
        (GroupChange(id=CLASS, nickname=None, owners_added=entra_ids(["by hand"])), False),
        (GroupChange(id=CLASS, nickname=None, members_added=entra_ids(["by hand"])), True),
        (GroupChange(id=CLASS, nickname=None, members_removed=entra_ids(["amy"])), True),
        (
            GroupChange(id=CLASS, nickname=None, members_added=entra_ids(["amy"]), members_removed=entra_ids(["amy"])),
            True,
        ),
        (GroupChange(id=CLASS, nickname=None, owners_removed=entra_ids(["main"])), True),
        (GroupChange(id=CLASS, nickname=None, owners_removed=entra_ids(["an owner by hand"])), True),
        (GroupChange(id=ClassId("another"), nickname=None, members_added=entra_ids(["by hand"])), False),
    ],
)
def test_a_delta_is_drift_or_an_echo_of_the_sync(change: GroupChange, is_drift: bool) -> None:
    assert find_drift_in(synced(K1), change) == ((Drift(KEY, stale=True),) if is_drift else ())


def test_a_full_delta_is_compared_completely() -> None:
    whole = GroupChange(id=CLASS, nickname=None, members_added=K1.members, owners_added=K1.owners)
    assert find_drift_in(synced(K1), whole, full=True) == ()
    fewer = replace(whole, members_added=K1.members - entra_ids(["amy"]))
    assert find_drift_in(synced(K1), fewer, full=True) == (Drift(KEY, stale=True),)
    assert find_drift_in(synced(K1), full=True) == (Drift(KEY, stale=True),)


def test_a_delta_that_equals_actual_but_not_desired_is_drift() -> None:
    """An apply may be between the two, and may have read the class before the edit by hand."""
    leaving = replace(synced(K1), desired=replace(K1, members=K1.members - entra_ids(["amy"])))
    assert find_drift_in(leaving, GroupChange(id=CLASS, nickname=None, members_added=entra_ids(["amy"]))) == (
        Drift(KEY, stale=True),
    )
    joining = replace(synced(K1), desired=replace(K1, members=K1.members | entra_ids(["cleo"])))
    assert find_drift_in(joining, GroupChange(id=CLASS, nickname=None, members_removed=entra_ids(["cleo"]))) == (
        Drift(KEY, stale=True),
    )


def test_a_deleted_class_is_gone_and_a_restored_one_is_stale() -> None:
    gone = GroupChange(id=CLASS, nickname=None, gone=True)
    assert find_drift_in(synced(K1), gone) == (Drift(KEY, stale=True, gone=True),)
    assert find_drift_in(replace(synced(K1), gone=True), gone) == ()
    assert find_drift_in(replace(synced(K1), gone=True), GroupChange(id=CLASS, nickname="x")) == (
        Drift(KEY, stale=True, gone=False),
    )


def test_a_class_being_created_is_recognised_by_its_nickname() -> None:
    creating = ClassRecord(school=S1, desired=K1, intent="Nick")
    echo = GroupChange(id=ClassId("new id"), nickname="nick", members_added=K1.members)
    assert find_drift_in(creating, echo) == ()
    assert find_drift_in(creating, replace(echo, members_added=entra_ids(["by hand"]))) == (Drift(KEY, stale=True),)
    assert find_drift_in(creating, replace(echo, members_removed=entra_ids(["amy"]))) == (Drift(KEY, stale=True),)


def test_a_stale_class_is_sent_a_change_at_once() -> None:
    drifts = [Drift(KEY, stale=True), Drift(ClassKey("K2"), stale=True, gone=True)]
    assert drift_changes(drifts, frozenset(), ORIGIN) == (ChangeMembers(*WHERE),)


def test_a_stale_class_whose_group_ended_is_only_marked() -> None:
    drifts = (Drift(KEY, stale=True), Drift(ClassKey("K2"), stale=True))
    assert [change.key for change in drift_changes(drifts, frozenset({KEY}), ORIGIN)] == ["K2"]


# --- requested or chosen


def test_departed_owners_are_revoked_and_the_members_are_checked_again() -> None:
    wanted = replace(desired("K1", ["amy", "ben", "main"]), revoke=True)
    plan = make_plan([wanted], [], {KEY: synced(K1)})
    assert [change.kind for change in plan.changes(ORIGIN)] == ["revoke-owners", "change-members"]
    revoke = plan.changes(ORIGIN)[0]
    assert isinstance(revoke, RevokeOwners)
    assert frozenset(revoke.owners) == entra_ids(["main"])
    kept = replace(wanted, revoke=False)
    assert make_plan([kept], [], {KEY: replace(synced(K1), desired=kept)}).changes(ORIGIN) == ()


def test_an_ended_class_is_marked_and_sends_nothing() -> None:
    ended = replace(K1, ended=True)
    plan = make_plan([], [ended], {KEY: synced(K1)})
    assert (plan.writes, plan.changes(ORIGIN), plan.ended) == ((ended,), (), ("K1",))


def test_a_lost_deletion_is_sent_again_until_the_class_is_gone() -> None:
    wanted = replace(K1, deleted=True)
    lost = replace(synced(K1), desired=wanted)
    assert make_plan([wanted], [], {KEY: lost}).changes(ORIGIN) == (DeleteClass(*WHERE),)
    done = make_plan([wanted], [], {KEY: replace(lost, gone=True)})
    assert (done.diffs, done.gone, done.writes) == ((), (), ())


def test_a_gone_class_is_created_again_when_requested() -> None:
    next_generation = replace(K1, generation=1)
    plan = make_plan([next_generation], [], {KEY: replace(synced(K1), gone=True)})
    assert [change.kind for change in plan.changes(ORIGIN)] == ["create-class", "grant-owners", "change-members"]
    assert plan.created == ("K1",)


@pytest.mark.parametrize(
    ("cause", "messages", "priority"),
    [
        (Cause.NIGHTLY, 1, Priority.BULK),
        (Cause.WEBHOOK, 1, Priority.URGENT),
        (Cause.ADMIN, 500, Priority.URGENT),
        (Cause.ADMIN, 501, Priority.BULK),
    ],
)
def test_a_small_requested_change_is_urgent_and_a_large_one_is_bulk(
    cause: Cause, messages: int, priority: Priority
) -> None:
    assert priority_of(cause, messages) is priority


def test_members_that_the_delta_does_not_tell_are_not_missing() -> None:
    """Of the owners, which it tells, a missing one is."""
    silent = GroupChange(id=CLASS, nickname="K1", owners_added=entra_ids(["main"]))
    record = synced(desired("K1", ["amy"], ["main"]))
    assert find_drift_in(record, silent, full=True) == (Drift(KEY, stale=True),)
    assert find_drift_in(record, silent, full=True, tells_members=False) == ()
    ownerless = GroupChange(id=CLASS, nickname="K1")
    assert find_drift_in(record, ownerless, full=True, tells_members=False) == (Drift(KEY, stale=True),)


@pytest.mark.parametrize(
    ("members", "shown", "owners", "full", "told"),
    [
        (["amy"], ["amy"], [], True, True),
        (["amy"], ["ben"], [], True, True),
        (["amy"], ["amy"], [], False, True),
        (["amy"], [], [], True, False),
        (["amy"], [], ["main"], False, False),
        (["amy"], [], ["hand"], False, None),
        (["amy"], [], [], False, None),
        ([], [], [], True, None),
    ],
)
def test_a_delta_that_should_have_members_shows_whether_it_tells_them(
    members: list[str], shown: list[str], owners: list[str], full: bool, told: bool | None
) -> None:
    change = GroupChange(id=CLASS, nickname="K1", members_added=entra_ids(shown), owners_added=entra_ids(owners))
    record = synced(desired("K1", members))
    assert record.actual
    known = replace(record, actual=replace(record.actual, owners=entra_ids(["main"])))
    assert delta_tells_members([known], GroupChanges(full, (change,), "")) is told


def test_a_sample_has_every_class_once_in_seven_days() -> None:
    records = [synced(desired(f"K{number}")) for number in range(300)]
    rounds = [sample(records, day) for day in range(20, 27)]
    assert sorted(record.key for found in rounds for record in found) == sorted(record.key for record in records)
    assert max(map(len, rounds)) < 2 * 300 / 7
    assert sample(records, 20) == sample(records, 27)


def test_a_sampled_class_keeps_the_drift_that_the_delta_tells() -> None:
    gone, known = Drift(KEY, gone=True), Drift(ClassKey("K2"), stale=True)
    records = [synced(K1), synced(desired("K2"))]
    assert with_stale([gone], records) == (gone, known)
    assert with_stale([], [replace(synced(K1), gone=True)]) == ()
