"""The start of a night beyond the protocol: what is forgotten, and when each school is asked for."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from sync_core.events import Cause, RefreshTenant, SyncSchool
from sync_core.model import AppliedDelta
from sync_core.refresh import refresh_tenant
from tests.builders import NOON, TENANT, desired, entra_ids, settings
from tests.fakes.fixed_clock import FixedClock
from tests.fakes.memory_outbox import MemoryOutbox
from tests.fakes.memory_state import MemoryState
from tests.fakes.memory_tenant import MemoryTenant

NIGHT = RefreshTenant(TENANT, "run", Cause.NIGHTLY)


async def test_what_was_applied_longer_ago_than_is_kept_is_forgotten_of_paused_schools_too() -> None:
    state, clock = MemoryState(), FixedClock()
    early = AppliedDelta("run1", "nightly", NOON - timedelta(days=401), created=True)
    late = AppliedDelta("run2", "nightly", NOON - timedelta(days=399), members_added=entra_ids(["amy"]))
    for school, enabled in (("S1", True), ("S2", False)):
        await state.save_school(replace(settings(), school=school, enabled=enabled))
        await state.write_desired(school, [desired("K1")])
        for delta in (early, late):
            record = await state.class_record(school, "K1")
            assert record
            await state.write_actual(record, delta)
    kept = timedelta(days=400)
    await refresh_tenant(NIGHT, MemoryTenant(), state, MemoryOutbox(), clock, timedelta(0), kept)
    assert [await state.history(school, "K1") for school in ("S1", "S2")] == [(late,), (late,)]


async def test_the_schools_that_work_are_spread_over_the_window() -> None:
    state, outbox, clock = MemoryState(), MemoryOutbox(), FixedClock()
    for number in range(4):
        await state.save_school(replace(settings(), school=f"S{number}", enabled=number != 2))
    hour = timedelta(hours=1)
    assert await refresh_tenant(NIGHT, MemoryTenant(), state, outbox, clock, hour, timedelta(days=1)) == 3
    assert outbox.requests == [
        (SyncSchool(f"S{number}", "run", Cause.NIGHTLY), NOON + hour * place / 3)
        for place, number in enumerate((0, 1, 3))
    ]
