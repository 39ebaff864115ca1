"""The fan-out of a night: tenants are spread over the window, and a tenant's schools stay together."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from sync_core.domain.ids import RunId, SchoolId
from sync_core.domain.runs import Cause
from sync_core.messaging.messages import RefreshTenant
from sync_core.sync.nightly import evenly, start_night, tenant_slots
from tests.builders import NOON, settings
from tests.fakes.memory_outbox import MemoryOutbox
from tests.fakes.memory_state import MemoryState
from tests.fakes.services import services

RUN = RunId("run")

HOUR, YEAR = timedelta(hours=1), timedelta(days=400)


async def test_each_tenant_is_requested_once_with_its_share_of_the_window() -> None:
    state, outbox = MemoryState(), MemoryOutbox()
    for school, tenant in (("S1", "small"), ("S2", "trust"), ("S3", "trust")):
        await state.save_school(replace(settings(), school=SchoolId(school), tenant=tenant))
    await state.save_school(replace(settings(), school=SchoolId("S4"), tenant="trust", enabled=False))
    assert (await start_night(RUN, services(state, outbox=outbox), HOUR, YEAR)).enabled == ("S1", "S2", "S3")
    assert outbox.requests == [
        (RefreshTenant("small", RUN, Cause.NIGHTLY, until=NOON + HOUR / 4), NOON),
        (RefreshTenant("trust", RUN, Cause.NIGHTLY, until=NOON + HOUR), NOON + HOUR / 4),
    ]


async def test_without_a_window_all_tenants_are_requested_at_once() -> None:
    state, outbox = MemoryState(), MemoryOutbox()
    for tenant in "ab":
        await state.save_school(replace(settings(), school=SchoolId(tenant), tenant=tenant))
    await start_night(RUN, services(state, outbox=outbox), timedelta(0), YEAR)
    assert [at for _, at in outbox.requests] == [NOON, NOON]


async def test_a_deployment_without_schools_sends_no_request() -> None:
    outbox = MemoryOutbox()
    await start_night(RUN, services(MemoryState(), outbox=outbox), HOUR, YEAR)
    assert outbox.requests == []


@given(st.dictionaries(st.text(max_size=3), st.integers(1, 100), max_size=40), st.integers(0, 7200))
def test_slots_follow_each_other_and_give_each_school_equal_time(schools: dict[str, int], seconds: int) -> None:
    end = NOON + timedelta(seconds=seconds)
    slots = tenant_slots(schools, NOON, end)
    assert slots.keys() == schools.keys()
    listed = list(slots.values())
    assert all(before[1] == after[0] for before, after in itertools.pairwise(listed))
    if schools:
        tolerance = timedelta(milliseconds=5)
        assert listed[0][0] == NOON
        assert abs(listed[-1][1] - end) <= tolerance
        each = timedelta(seconds=seconds) / sum(schools.values())
        assert all(
            abs((ends - begins) - each * schools[tenant]) <= tolerance for tenant, (begins, ends) in slots.items()
        )


def test_after_the_window_requests_are_sent_at_once() -> None:
    assert evenly(2, NOON, NOON - HOUR) == [NOON, NOON]
