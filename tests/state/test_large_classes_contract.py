"""The port Store with classes of thousands: it behaves as with a class of thirty."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from sync_core.domain.classes.desired import DesiredClass, Pin, Reason, Rule
from sync_core.domain.classes.outcomes import AppliedDelta, FirstChange
from sync_core.domain.classes.record import ClassRecord
from sync_core.domain.classes.tenant_groups import Drift
from sync_core.domain.ids import ClassKey, MisId, RunId, SchoolId
from sync_core.domain.runs import Cause
from sync_core.errors import EtagConflict
from tests.builders import NOON, desired, entra_id, synced
from tests.fakes.memory_state import Store

K1 = ClassKey("K1")
RUN1 = RunId("run1")
RUN2 = RunId("run2")


def college(key: str, members: int = 5_000, first: int = 0) -> DesiredClass:
    """A year group with the longest MIS ids, and with more owners than any real class has."""
    owners = {
        entra_id(f"tutor {number}"): Reason(Rule.TEACHER, MisId(entra_id(f"staff {number}"))) for number in range(120)
    }
    pupils = {
        entra_id(f"p{number}"): Reason(Rule.STUDENT, MisId(entra_id(f"mis {number}")))
        for number in range(first, first + members - len(owners))
    }
    wanted = desired(key)
    return replace(
        wanted, members=frozenset(pupils) | owners.keys(), owners=frozenset(owners), reasons={**pupils, **owners}
    )


def make_full_delta(wanted: DesiredClass, run: str = "run1") -> AppliedDelta:
    return AppliedDelta(
        run=RunId(run),
        cause=Cause.NIGHTLY,
        at=NOON,
        created=True,
        members_added=wanted.members,
        owners_granted=wanted.owners,
        reasons=wanted.reasons,
    )


async def read_row(state: Store, school: SchoolId, key: str = "K1") -> ClassRecord:
    record = await state.class_record(school, ClassKey(key))
    assert record is not None
    return record


async def apply(state: Store, school: SchoolId, wanted: DesiredClass) -> ClassRecord:
    """Write desired and then actual, as a plan and an apply do. Returns the record."""
    await state.write_desired(school, [wanted])
    record = replace(synced(wanted), school=school, etag=(await read_row(state, school, wanted.key)).etag)
    return await state.write_actual(record, make_full_delta(wanted))


async def test_a_class_of_five_thousand_is_stored_completely(state: Store, school: SchoolId) -> None:
    wanted, small = college("K1"), desired("K2", ["amy"])
    assert len(wanted.members) == len(wanted.reasons) == 5_000
    await state.write_desired(school, [small])
    written = await apply(state, school, wanted)
    assert await read_row(state, school) == written
    assert written.desired == wanted
    assert [record.key for record in await state.class_records(school)] == ["K1", "K2"]
    assert (await state.class_records(school))[0] == written
    assert await state.history(school, K1) == (make_full_delta(wanted),)
    assert await state.classes_of_run(school, RUN1) == {
        "K1": FirstChange(make_full_delta(wanted).at, make_full_delta(wanted).created)
    }
    assert await state.histories(school, [K1], make_full_delta(wanted).at) == {"K1": (make_full_delta(wanted),)}


async def test_a_class_grows_and_shrinks(state: Store, school: SchoolId) -> None:
    for wanted in (
        desired("K1", ["amy"], ["main"]),
        college("K1", 7_000),
        desired("K1", ["ben"]),
        college("K1", 1_000),
        college("K1", 5_000, first=2_000),
        college("K1", 800),
        desired("K1"),
    ):
        written = await apply(state, school, wanted)
        assert written.desired == wanted
        assert await read_row(state, school) == written
        assert await state.class_records(school) == (written,)
    assert len(await state.history(school, K1)) == 7


async def test_plan_and_apply_do_not_overwrite_each_other(state: Store, school: SchoolId) -> None:
    before = await apply(state, school, college("K1"))
    wanted = college("K1", 4_000, first=3_000)
    await state.write_desired(school, [wanted])
    smaller = replace(synced(college("K1", 900)), school=school, etag=before.etag)
    with pytest.raises(EtagConflict):
        await state.write_actual(smaller, make_full_delta(wanted, "run2"))
    after = await read_row(state, school)
    assert (after.desired, after.actual) == (wanted, before.actual)
    assert await state.classes_of_run(school, RUN2) == {}
    await state.write_drift(school, [Drift(K1, stale=True)])
    with pytest.raises(EtagConflict):
        await state.write_actual(replace(smaller, etag=after.etag))
    current = await read_row(state, school)
    written = await state.write_actual(replace(current, actual=smaller.actual))
    assert await read_row(state, school) == written
    assert (written.desired, written.actual, written.stale) == (wanted, smaller.actual, True)


async def test_a_long_history_is_read_and_forgotten(state: Store, school: SchoolId) -> None:
    wanted = college("K1")
    record = await apply(state, school, wanted)
    left = AppliedDelta(run=RUN2, cause=Cause.NIGHTLY, at=NOON + timedelta(days=2), members_removed=wanted.members)
    last = replace(make_full_delta(wanted, "run3"), at=NOON + timedelta(days=4))
    for delta in (left, last):
        record = await state.write_actual(record, delta)
    assert await state.history(school, K1) == (make_full_delta(wanted), left, last)
    await state.forget_history(school, NOON + timedelta(days=1))
    assert await state.history(school, K1) == (left, last)
    assert await state.classes_of_run(school, RUN1) == {}
    await state.forget_history(school, NOON + timedelta(days=3))
    assert await state.history(school, K1) == (last,)
    assert await read_row(state, school) == record


async def test_a_pin_of_five_thousand_is_kept_until_it_is_forgotten(state: Store, school: SchoolId) -> None:
    wanted = college("K1")
    pin = Pin(key=K1, members=wanted.members, owners=wanted.owners, undone=RUN1, run=RUN2)
    small = replace(pin, members=wanted.owners)
    other = replace(pin, key=ClassKey("K2"))
    for stored in (pin, small, replace(pin, members=college("K1", 3_000, first=9_000).members)):
        await state.write_pins(school, [stored, other])
        assert await state.pins(school) == {"K1": stored, "K2": other}
    for _ in range(2):
        await state.forget_pin(school, K1)
        assert await state.pins(school) == {"K2": other}
    await state.write_pins(school, [small])
    assert await state.pins(school) == {"K1": small, "K2": other}


async def test_no_key_is_mistaken_for_an_overflow_row_of_another_class(state: Store, school: SchoolId) -> None:
    keys = ["K1", "K1 ", "K1!,", "K1,desired_members,1", "K1,reasons,1", "K1-", "K1.", "K1~"]
    for number, key in enumerate(keys):
        await apply(state, school, college(key, 1_800, first=number))
    for number, key in enumerate(keys):
        assert (await read_row(state, school, key)).desired == college(key, 1_800, first=number)
        assert await state.history(school, ClassKey(key)) == (make_full_delta(college(key, 1_800, first=number)),)
    assert [record.key for record in await state.class_records(school)] == sorted(keys)
