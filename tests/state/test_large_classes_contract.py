"""The port Store with classes of thousands: what holds of a class of thirty holds of a college's year group."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from sync_core.domain.classes import AppliedDelta, ClassRecord, DesiredClass, Drift, Pin, Reason, Rule
from sync_core.domain.runs import Cause
from sync_core.errors import EtagConflict
from tests.builders import NOON, desired, entra_id, synced
from tests.fakes.memory_state import Store


def college(key: str, members: int = 5_000, first: int = 0) -> DesiredClass:
    """A year group with MIS ids as long as they come, and with as many owners as nobody has."""
    owners = {entra_id(f"tutor {number}"): Reason(Rule.TEACHER, entra_id(f"staff {number}")) for number in range(120)}
    pupils = {
        entra_id(f"p{number}"): Reason(Rule.STUDENT, entra_id(f"mis {number}"))
        for number in range(first, first + members - len(owners))
    }
    wanted = desired(key)
    return replace(
        wanted, members=frozenset(pupils) | owners.keys(), owners=frozenset(owners), reasons={**pupils, **owners}
    )


def whole_delta(wanted: DesiredClass, run: str = "run1") -> AppliedDelta:
    return AppliedDelta(
        run=run,
        cause=Cause.NIGHTLY,
        at=NOON,
        created=True,
        members_added=wanted.members,
        owners_granted=wanted.owners,
        reasons=wanted.reasons,
    )


async def row(state: Store, school: str, key: str = "K1") -> ClassRecord:
    record = await state.class_record(school, key)
    assert record is not None
    return record


async def applied(state: Store, school: str, wanted: DesiredClass) -> ClassRecord:
    """The class as it is when apply is through with it."""
    await state.write_desired(school, [wanted])
    record = replace(synced(wanted), school=school, etag=(await row(state, school, wanted.key)).etag)
    return await state.write_actual(record, whole_delta(wanted))


async def test_everything_of_a_class_of_five_thousand_is_kept(state: Store, school: str) -> None:
    wanted, small = college("K1"), desired("K2", ["amy"])
    assert len(wanted.members) == len(wanted.reasons) == 5_000
    await state.write_desired(school, [small])
    written = await applied(state, school, wanted)
    assert await row(state, school) == written
    assert written.desired == wanted
    assert [record.key for record in await state.class_records(school)] == ["K1", "K2"]
    assert (await state.class_records(school))[0] == written
    assert await state.history(school, "K1") == (whole_delta(wanted),)
    assert await state.classes_of_run(school, "run1") == ("K1",)


async def test_a_class_grows_and_shrinks(state: Store, school: str) -> None:
    for wanted in (
        desired("K1", ["amy"], ["main"]),
        college("K1", 7_000),
        desired("K1", ["ben"]),
        college("K1", 1_000),
        college("K1", 5_000, first=2_000),
        college("K1", 800),
        desired("K1"),
    ):
        written = await applied(state, school, wanted)
        assert written.desired == wanted
        assert await row(state, school) == written
        assert await state.class_records(school) == (written,)
    assert len(await state.history(school, "K1")) == 7


async def test_plan_and_apply_do_not_tread_on_each_other(state: Store, school: str) -> None:
    before = await applied(state, school, college("K1"))
    wanted = college("K1", 4_000, first=3_000)
    await state.write_desired(school, [wanted])
    less = replace(synced(college("K1", 900)), school=school, etag=before.etag)
    with pytest.raises(EtagConflict):
        await state.write_actual(less, whole_delta(wanted, "run2"))
    after = await row(state, school)
    assert (after.desired, after.actual) == (wanted, before.actual)
    assert await state.classes_of_run(school, "run2") == ()
    await state.write_drift(school, [Drift("K1", stale=True)])
    with pytest.raises(EtagConflict):
        await state.write_actual(replace(less, etag=after.etag))
    now = await row(state, school)
    written = await state.write_actual(replace(now, actual=less.actual))
    assert await row(state, school) == written
    assert (written.desired, written.actual, written.stale) == (wanted, less.actual, True)


async def test_a_long_history_is_read_and_forgotten(state: Store, school: str) -> None:
    wanted = college("K1")
    record = await applied(state, school, wanted)
    left = AppliedDelta(run="run2", cause=Cause.NIGHTLY, at=NOON + timedelta(days=2), members_removed=wanted.members)
    last = replace(whole_delta(wanted, "run3"), at=NOON + timedelta(days=4))
    for delta in (left, last):
        record = await state.write_actual(record, delta)
    assert await state.history(school, "K1") == (whole_delta(wanted), left, last)
    await state.forget_history(school, NOON + timedelta(days=1))
    assert await state.history(school, "K1") == (left, last)
    assert await state.classes_of_run(school, "run1") == ()
    await state.forget_history(school, NOON + timedelta(days=3))
    assert await state.history(school, "K1") == (last,)
    assert await row(state, school) == record


async def test_a_pin_of_five_thousand_stands_until_it_is_forgotten(state: Store, school: str) -> None:
    wanted = college("K1")
    pin = Pin(key="K1", members=wanted.members, owners=wanted.owners, undone="run1", run="run2")
    small = replace(pin, members=wanted.owners)
    other = replace(pin, key="K2")
    for standing in (pin, small, replace(pin, members=college("K1", 3_000, first=9_000).members)):
        await state.write_pins(school, [standing, other])
        assert await state.pins(school) == {"K1": standing, "K2": other}
    for _ in range(2):
        await state.forget_pin(school, "K1")
        assert await state.pins(school) == {"K2": other}
    await state.write_pins(school, [small])
    assert await state.pins(school) == {"K1": small, "K2": other}


async def test_no_class_passes_for_a_part_of_another(state: Store, school: str) -> None:
    keys = ["K1", "K1 ", "K1!,", "K1,desired_members,1", "K1,reasons,1", "K1-", "K1.", "K1~"]
    for number, key in enumerate(keys):
        await applied(state, school, college(key, 1_800, first=number))
    for number, key in enumerate(keys):
        assert (await row(state, school, key)).desired == college(key, 1_800, first=number)
        assert await state.history(school, key) == (whole_delta(college(key, 1_800, first=number)),)
    assert [record.key for record in await state.class_records(school)] == sorted(keys)
