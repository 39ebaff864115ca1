"""A school whose access a vendor reports as revoked: paused, with the reason in its settings."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sync_core.domain.ids import RunId
from sync_core.domain.school.sources import WondeApi
from sync_core.sync.vendor_access import AccessEvent, follow_access
from tests.builders import SCHOOL, settings
from tests.fakes.memory_state import MemoryState
from tests.fakes.services import services

WONDE = replace(settings(), source=WondeApi(school="A1930499544", secret="MIS_SECRET_OAK"))


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (AccessEvent.REVOKED, "the school revoked Wonde's access"),
        (AccessEvent.MIGRATION, "Wonde says that the school moves to another MIS"),
    ],
)
async def test_the_settings_of_a_school_that_a_vendor_pauses_say_why(event: AccessEvent, reason: str) -> None:
    state = MemoryState()
    await state.save_school(WONDE)
    assert await follow_access(event, "A1930499544", RunId("R"), services(state)) == {SCHOOL.id: True}
    assert await state.school(SCHOOL.id) == replace(WONDE, enabled=False, pause_reason=reason)
    assert await follow_access(event, "A1930499544", RunId("R2"), services(state)) == {SCHOOL.id: False}


async def test_approved_access_pauses_nothing() -> None:
    state = MemoryState()
    await state.save_school(WONDE)
    assert await follow_access(AccessEvent.APPROVED, "A1930499544", RunId("R"), services(state)) == {SCHOOL.id: False}
    assert await state.school(SCHOOL.id) == WONDE
