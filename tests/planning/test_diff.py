"""What is written and sent for each way in which wanted, known and observed can differ."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sync_core.domain.classes import ClassRecord, Drift, GroupChange, GroupChanges
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
from sync_core.planning.drift import drift_changes, find_drift
from tests.builders import desired, entra_id, entra_ids, synced

ORIGIN = Origin("T", "S1", "run1", Cause.NIGHTLY)
WHERE = ("T", "S1", "K1", "run1", Cause.NIGHTLY)
K1 = desired("K1", ["amy", "ben"], ["main"])


def test_a_new_class_is_written_then_created_then_owned_then_filled() -> None:
    plan = make_plan([K1], [], {})
    assert plan.writes == (K1,)
    assert plan.changes(ORIGIN) == (
        CreateClass(*WHERE),
        GrantOwners(*WHERE, owners=(entra_id("main"),)),
        ChangeMembers(*WHERE, added=tuple(sorted(K1.members))),
    )
    assert (plan.created, plan.changed, plan.unchanged) == (("K1",), (), 0)


def test_run_again_nothing_happens() -> None:
    plan = make_plan([K1], [], {"K1": synced(K1)})
    assert (plan.writes, plan.changes(ORIGIN)) == ((), ())
    assert (plan.created, plan.changed, plan.unchanged) == ((), (), 1)


def test_an_empty_class_is_only_created_and_then_left_alone() -> None:
    empty = desired("K1")
    assert make_plan([empty], [], {}).changes(ORIGIN) == (CreateClass(*WHERE),)
    record = synced(empty)
    assert record.actual is not None
    made = replace(record, actual=replace(record.actual, members=None))
    assert make_plan([empty], [], {"K1": made}).changes(ORIGIN) == ()


def test_members_that_differ_are_sent_with_their_delta() -> None:
    wanted = desired("K1", ["ben", "cleo"], ["main"])
    plan = make_plan([wanted], [], {"K1": synced(K1)})
    assert plan.writes == (wanted,)
    assert plan.changes(ORIGIN) == (ChangeMembers(*WHERE, added=(entra_id("cleo"),), removed=(entra_id("amy"),)),)
    assert plan.changed == ("K1",)


def test_a_change_that_may_be_at_work_is_called_back() -> None:
    """The MIS said something else for a while: what is there is what is wanted, but an apply may be on its way."""
    elsewhere = replace(synced(K1), desired=desired("K1", ["amy", "cleo"], ["main"]))
    plan = make_plan([K1], [], {"K1": elsewhere})
    assert plan.writes == (K1,)
    assert plan.changes(ORIGIN) == (RevokeOwners(*WHERE), ChangeMembers(*WHERE))
    assert plan.changed == ("K1",)
    renamed = replace(synced(K1), desired=replace(K1, description="else"))
    assert make_plan([K1], [], {"K1": renamed}).changes(ORIGIN) == ()


def test_what_got_lost_earlier_is_sent_again_without_a_write() -> None:
    record = synced(desired("K1", ["amy"]))
    assert record.actual is not None
    lost = replace(record, desired=K1)
    plan = make_plan([K1], [], {"K1": lost})
    assert plan.writes == ()
    assert [change.kind for change in plan.changes(ORIGIN)] == ["grant-owners", "change-members"]


def test_a_row_whose_class_was_never_made_is_sent_from_the_start() -> None:
    plan = make_plan([K1], [], {"K1": ClassRecord(school="S1", desired=K1)})
    assert [change.kind for change in plan.changes(ORIGIN)] == ["create-class", "grant-owners", "change-members"]
    assert plan.created == ("K1",)


def test_a_stale_row_is_sent_though_nothing_else_changed() -> None:
    plan = make_plan([K1], [], {"K1": replace(synced(K1), stale=True)})
    assert plan.changes(ORIGIN) == (ChangeMembers(*WHERE),)


def test_an_owner_who_left_the_group_stays_owner() -> None:
    wanted = desired("K1", ["amy", "ben"], ["other"])
    plan = make_plan([wanted], [], {"K1": synced(K1)})
    assert GrantOwners(*WHERE, owners=(entra_id("other"),)) in plan.changes(ORIGIN)
    assert not any(change.kind not in ("grant-owners", "change-members") for change in plan.changes(ORIGIN))


def test_a_class_gone_from_microsoft_365_is_left_alone_and_said() -> None:
    plan = make_plan([desired("K1", ["cleo"])], [], {"K1": replace(synced(K1), gone=True)})
    assert (plan.writes, plan.changes(ORIGIN), plan.gone) == ((), (), ("K1",))


def test_a_class_whose_group_vanished_is_not_touched() -> None:
    plan = make_plan([], [], {"K1": synced(K1)})
    assert (plan.writes, plan.changes(ORIGIN), plan.unchanged) == ((), (), 0)


def test_a_message_lists_no_more_people_than_fit() -> None:
    crowd = desired("K1", [f"p{number}" for number in range(LISTED_PEOPLE + 5)])
    change = make_plan([crowd], [], {}).changes(ORIGIN)[-1]
    assert isinstance(change, ChangeMembers)
    assert len(change.added) == LISTED_PEOPLE


# --- drift

CLASS = entra_id("class K1")


def drift_of(record: ClassRecord, *changes: GroupChange, full: bool = False) -> tuple[Drift, ...]:
    return find_drift([record], GroupChanges(full, changes, "token"))


@pytest.mark.parametrize(
    ("change", "drifted"),
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
        (GroupChange(id="another", nickname=None, members_added=entra_ids(["by hand"])), False),
    ],
)
def test_which_delta_is_drift_and_which_our_own_echo(change: GroupChange, drifted: bool) -> None:
    assert drift_of(synced(K1), change) == ((Drift("K1", stale=True),) if drifted else ())


def test_a_full_delta_is_compared_whole() -> None:
    whole = GroupChange(id=CLASS, nickname=None, members_added=K1.members, owners_added=K1.owners)
    assert drift_of(synced(K1), whole, full=True) == ()
    less = replace(whole, members_added=K1.members - entra_ids(["amy"]))
    assert drift_of(synced(K1), less, full=True) == (Drift("K1", stale=True),)
    assert drift_of(synced(K1), full=True) == (Drift("K1", stale=True),)


def test_what_agrees_with_actual_but_not_with_desired_is_no_echo() -> None:
    """An apply may be on its way from one to the other, and read the class before the hand was at it."""
    leaving = replace(synced(K1), desired=replace(K1, members=K1.members - entra_ids(["amy"])))
    assert drift_of(leaving, GroupChange(id=CLASS, nickname=None, members_added=entra_ids(["amy"]))) == (
        Drift("K1", stale=True),
    )
    coming = replace(synced(K1), desired=replace(K1, members=K1.members | entra_ids(["cleo"])))
    assert drift_of(coming, GroupChange(id=CLASS, nickname=None, members_removed=entra_ids(["cleo"]))) == (
        Drift("K1", stale=True),
    )


def test_a_deleted_class_is_gone_and_a_restored_one_is_taken_up_again() -> None:
    gone = GroupChange(id=CLASS, nickname=None, gone=True)
    assert drift_of(synced(K1), gone) == (Drift("K1", gone=True),)
    assert drift_of(replace(synced(K1), gone=True), gone) == ()
    assert drift_of(replace(synced(K1), gone=True), GroupChange(id=CLASS, nickname="x")) == (
        Drift("K1", stale=True, gone=False),
    )


def test_a_class_being_created_is_ours_by_its_nickname() -> None:
    creating = ClassRecord(school="S1", desired=K1, intent="Nick")
    echo = GroupChange(id="new id", nickname="nick", members_added=K1.members)
    assert drift_of(creating, echo) == ()
    assert drift_of(creating, replace(echo, members_added=entra_ids(["by hand"]))) == (Drift("K1", stale=True),)
    assert drift_of(creating, replace(echo, members_removed=entra_ids(["amy"]))) == (Drift("K1", stale=True),)


def test_stale_classes_get_a_change_at_once() -> None:
    drifts = [Drift("K1", stale=True), Drift("K2", gone=True)]
    assert drift_changes(drifts, frozenset(), ORIGIN) == (ChangeMembers(*WHERE),)


def test_stale_classes_whose_group_ended_are_only_marked() -> None:
    drifts = (Drift("K1", stale=True), Drift("K2", stale=True))
    assert [change.key for change in drift_changes(drifts, frozenset({"K1"}), ORIGIN)] == ["K2"]


# --- on somebody's word


def test_departed_owners_lose_what_we_gave_and_the_members_are_looked_at_again() -> None:
    wanted = replace(desired("K1", ["amy", "ben", "main"]), revoke=True)
    plan = make_plan([wanted], [], {"K1": synced(K1)})
    assert [change.kind for change in plan.changes(ORIGIN)] == ["revoke-owners", "change-members"]
    revoke = plan.changes(ORIGIN)[0]
    assert isinstance(revoke, RevokeOwners)
    assert frozenset(revoke.owners) == entra_ids(["main"])
    kept = replace(wanted, revoke=False)
    assert make_plan([kept], [], {"K1": replace(synced(K1), desired=kept)}).changes(ORIGIN) == ()


def test_an_ended_class_is_marked_and_nothing_is_sent() -> None:
    ended = replace(K1, ended=True)
    plan = make_plan([], [ended], {"K1": synced(K1)})
    assert (plan.writes, plan.changes(ORIGIN), plan.ended) == ((ended,), (), ("K1",))


def test_a_class_to_be_deleted_is_deleted_again_if_that_got_lost_and_then_left_alone() -> None:
    wanted = replace(K1, deleted=True)
    lost = replace(synced(K1), desired=wanted)
    assert make_plan([wanted], [], {"K1": lost}).changes(ORIGIN) == (DeleteClass(*WHERE),)
    done = make_plan([wanted], [], {"K1": replace(lost, gone=True)})
    assert (done.diffs, done.gone, done.writes) == ((), (), ())


def test_a_gone_class_is_made_again_when_somebody_asked_for_it() -> None:
    again = replace(K1, generation=1)
    plan = make_plan([again], [], {"K1": replace(synced(K1), gone=True)})
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
def test_what_somebody_waits_for_is_urgent_unless_others_would_wait_for_it(
    cause: Cause, messages: int, priority: Priority
) -> None:
    assert priority_of(cause, messages) is priority
