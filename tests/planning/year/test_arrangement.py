"""What the calendar withholds: an undo before the day, a class that goes on, rows planned before the dates were set."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from sync_core.domain.classes.record import ClassRecord
from sync_core.domain.ids import AccountId, RunId
from sync_core.domain.runs import HoldKind, RunRecord
from sync_core.planning.year.arrangement import YearRule, arrange, as_limits_see
from sync_core.planning.year.calendar import SchoolDay, school_day
from tests.builders import NOON, SCHOOL, desired, entra_id, entra_ids, settings, synced
from tests.properties.decisions_world import World
from tests.properties.test_sentences import NOBODY_MATCHES

COMING = {"first_day": "2026-09-10", "pupils_in_from": "2026-09-10"}
"""World's classes are those of the coming year, and the pupils' day is three days after its first day."""


def calendar(**dates: str) -> tuple[str, str, dict[str, str]]:
    return ("choose", "calendar", dates)


async def people(world: World, group: str) -> frozenset[AccountId]:
    class_ = await world.in_tenant(group)
    assert class_
    return frozenset(class_.members)


async def last_run(world: World) -> RunRecord:
    return (await world.state.runs(SCHOOL.id))[-1]


async def test_an_undo_brings_no_pupil_back_before_the_day() -> None:
    """The pin stands, and lets them in on the day."""
    world = World()
    await world.happen([("night",), ("set_pupils", "G1", frozenset("abc")), ("night",), calendar(**COMING), ("undo",)])
    assert entra_id("d") not in await people(world, "G1")
    record = await world.record("G1")
    assert record and record.desired.pinned
    world.clock.advance(timedelta(days=3))
    await world.happen([("night",)])
    assert entra_id("d") in await people(world, "G1")


async def test_the_release_of_a_pin_lets_nobody_in_before_the_day() -> None:
    world = World()
    await world.happen([("night",), ("set_pupils", "G1", frozenset("abcde")), ("night",), ("undo",)])
    assert entra_id("e") not in await people(world, "G1")
    await world.happen([calendar(**COMING), ("release", "G1")])
    record = await world.record("G1")
    assert record and not record.desired.pinned
    assert entra_id("e") not in await people(world, "G1")


async def test_a_class_that_goes_on_keeps_its_pupils_until_the_day_and_turns_over_without_a_hold() -> None:
    """Its new teacher comes in before."""
    world = World()
    await world.happen([("choose", "rollover", "reuse"), ("night",)])
    world.groups["G1"] = replace(world.groups["G1"], academic_year=2027)
    turn = {"first_day": "2027-09-02", "teachers_in_from": "2026-09-09", "pupils_in_from": "2026-09-10"}
    await world.happen(
        [calendar(**turn), ("set_pupils", "G1", frozenset("ef")), ("set_teachers", "G1", ("u",)), ("night",)]
    )
    assert await people(world, "G1") == entra_ids("abcdt")
    world.clock.advance(timedelta(days=2))
    await world.happen([("night",)])
    assert await people(world, "G1") == entra_ids("abcdtu")
    run = await last_run(world)
    assert (run.held, run.classes_to_fill, run.pupils_to_come, run.removals) == ((), 1, 2, 0)
    world.clock.advance(timedelta(days=1))
    await world.happen([("night",)])
    assert await people(world, "G1") == entra_ids("efu") | (await people(world, "G1") & entra_ids("t"))
    assert (await last_run(world)).held == ()
    record = await world.record("G1")
    assert record and record.desired.academic_year == 2027


def day(**dates: Any) -> SchoolDay:
    return school_day(settings(calendar=dates), NOON)


def planned(*inside: str) -> ClassRecord:
    """A class of 2026 whose row wants Amy and Ben, and that has these people."""
    wanted = replace(desired("K1", ["amy", "ben"], ["main"]), academic_year=2026)
    record = synced(wanted)
    assert record.actual
    return replace(record, actual=replace(record.actual, members=entra_ids(inside)))


def test_a_pupil_whom_only_the_row_wants_is_withheld_and_is_no_loss() -> None:
    record = planned("amy", "main")
    records, today = {record.key: record}, day(**COMING)
    found = arrange([record.desired], records, today)
    (allowed,) = found.classes
    assert allowed.members == entra_ids(["amy", "main"])
    withheld = found.withheld[record.key]
    assert (withheld.rule, withheld.coming, withheld.there) == (
        YearRule.WITHOUT_PUPILS,
        entra_ids(["ben"]),
        entra_ids(["amy"]),
    )
    seen = as_limits_see(records, [record.desired], today)[record.key]
    assert seen.desired.members == entra_ids(["amy", "main"])
    assert arrange(found.classes, records, today).classes == found.classes


async def test_a_lost_plan_lets_nobody_in_after_the_dates_are_set() -> None:
    world = World()
    await world.happen([("lost_night",), calendar(**COMING), ("set_pupils", "G1", frozenset()), ("night",)])
    assert await people(world, "G1") == entra_ids("t")
    assert (await last_run(world)).held == ()


async def test_a_pause_also_keeps_people_in_a_class_that_a_limit_leaves_as_its_row_has_it() -> None:
    world = World()
    await world.happen([("night",), ("set_pupils", "G1", frozenset("abc")), ("lost_night",), *NOBODY_MATCHES])
    await world.happen([calendar(pause_from="2026-09-01", pause_until="2026-09-30"), ("night",)])
    assert (await last_run(world)).held_because == (HoldKind.ACCOUNT_MATCHING,)
    assert await people(world, "G1") == entra_ids("abcdt")


async def test_no_correction_of_a_night_lets_a_pupil_in_before_its_plan() -> None:
    """A night first sends what corrects changes by hand, by rows that may be of a plan from before the dates."""
    world = World()
    await world.happen([("night",), ("set_pupils", "G1", frozenset("abcde")), ("lost_night",), calendar(**COMING)])
    await world.happen([("hand_member", "G1", "x", True)])
    await world.start_night(RunId("refresh"))
    assert [change.key for change in world.outbox.changes if change.key == world.key("G1")] == []
    await world.finish()
    assert await people(world, "G1") == entra_ids("abcdt")


def test_a_pause_keeps_who_is_in_the_class_also_if_their_removal_is_under_way() -> None:
    record = planned("amy", "ben", "cleo", "main")
    wanted = replace(desired("K1", ["amy", "dan"]), academic_year=2026, revoke=True)
    today = day(pause_from="2026-09-01", pause_until="2026-09-07")
    (allowed,) = arrange([wanted], {record.key: record}, today).classes
    assert allowed.members == entra_ids(["amy", "ben", "cleo", "dan", "main"])
    assert (allowed.owners, allowed.revoke) == (entra_ids(["main"]), False)
    pinned = replace(wanted, pinned=True)
    assert arrange([pinned], {record.key: record}, today).classes == (pinned,)


def test_a_class_of_a_year_that_is_over_is_not_made() -> None:
    wanted = replace(desired("K1", ["amy"]), academic_year=2026)
    over = day(last_day="2026-09-06", first_day="2027-09-02")
    found = arrange([wanted], {}, over)
    assert (found.classes, found.keys(YearRule.OVER)) == ((), ("K1",))
    record = replace(planned(), actual=None)
    assert arrange([wanted], {record.key: record}, over).classes == ()


def test_what_an_admin_deleted_or_requested_again_follows_no_calendar() -> None:
    record = planned("amy", "main")
    over = day(last_day="2026-09-06", first_day="2027-09-02")
    for changed in (replace(record.desired, deleted=True), replace(record.desired, generation=1)):
        assert arrange([changed], {record.key: record}, over).classes == (changed,)


async def test_a_class_that_an_admin_restores_gets_no_pupil_whom_only_its_row_wanted_before_the_day() -> None:
    """Its other pupils come back with it."""
    world = World()
    await world.happen([("night",), ("set_pupils", "G1", frozenset("abcde")), ("lost_night",), ("delete", "G1")])
    await world.happen([calendar(**COMING), ("restore", "G1")])
    assert (await people(world, "G1")) & entra_ids("abcdef") == entra_ids("abcd")
    world.clock.advance(timedelta(days=3))
    await world.happen([("night",)])
    assert entra_id("e") in await people(world, "G1")


def test_a_class_of_which_nothing_is_withheld_is_not_copied() -> None:
    """A plan arranges a whole school twice, and the calendar withholds something of few classes on most days."""
    record = synced(desired("K1", ["amy", "ben"], ["main"]))
    changed = replace(record.desired, members=record.desired.members - {entra_id("amy")})
    for dates in ({"pause": "additions_only", "pause_from": "2026-09-01", "pause_until": "2026-09-30"}, {}):
        today = school_day(settings(calendar=dates), NOON)
        (same,) = arrange([record.desired], {record.key: record}, today).classes
        assert same is record.desired
        assert (arrange([changed], {record.key: record}, today).classes[0] is changed) is not bool(dates)
