"""Pausing several schools at once, and resuming those that were paused for one reason."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sync_core.admin.health.pauses import Pause, Pauses, pause_schools, paused_for, pauses_of, resume_schools, synced
from sync_core.domain.ids import SchoolId
from sync_core.domain.school.settings import SchoolSettings
from sync_core.errors import PreconditionFailed, Transient
from tests.builders import entra_id, settings
from tests.fakes.memory_state import MemoryState
from tests.fakes.services import services

ADMIN = entra_id("head")


class Interrupted(MemoryState):
    """Tables that fail when `failing` is saved."""

    failing = SchoolId("")

    async def replace_school(self, before: SchoolSettings | None, now: SchoolSettings) -> None:
        if now.school == self.failing:
            raise Transient("the tables do not answer", "try again")
        await super().replace_school(before, now)


@pytest.fixture
async def state() -> Interrupted:
    state = Interrupted()
    for school, values in (
        ("S1", {}),
        ("S2", {}),
        ("S3", {"enabled": False, "pause_reason": "it moves to another MIS"}),
    ):
        values = {"name_identifier": school, **values}
        await state.save_school(replace(settings(**values), school=SchoolId(school)))
    return state


def school(id_: str, reason: str | None = None) -> SchoolSettings:
    return replace(settings(), school=SchoolId(id_), enabled=reason is None, pause_reason=reason or "")


def test_paused_schools_are_grouped_by_reason_the_most_schools_first() -> None:
    schools = (school("D"), school("A", "move"), school("C", "outage"), school("B", "outage"), school("E", ""))
    assert pauses_of(schools) == Pauses(
        synced=1,
        pauses=(
            Pause(reason="outage", schools=(SchoolId("B"), SchoolId("C"))),
            Pause(reason="", schools=(SchoolId("E"),)),
            Pause(reason="move", schools=(SchoolId("A"),)),
        ),
    )


async def reasons(state: MemoryState) -> dict[str, str]:
    return {school.school: "" if school.enabled else school.pause_reason for school in await state.schools()}


async def test_a_school_that_is_paused_already_keeps_its_reason_and_is_not_resumed_with_the_others(
    state: MemoryState,
) -> None:
    paused = await pause_schools(synced(await state.schools()), "storage outage", ADMIN, services(state))
    assert paused == ("S1", "S2")
    assert await reasons(state) == {"S1": "storage outage", "S2": "storage outage", "S3": "it moves to another MIS"}
    resumed = await resume_schools(paused_for("storage outage", await state.schools()), ADMIN, services(state))
    assert resumed == ("S1", "S2")
    assert await reasons(state) == {"S1": "", "S2": "", "S3": "it moves to another MIS"}


async def test_repeating_it_changes_nothing(state: MemoryState) -> None:
    for expected in (("S1", "S2"), ()):
        assert await pause_schools(synced(await state.schools()), "storage outage", ADMIN, services(state)) == expected
    for expected in (("S1", "S2"), ()):
        wanted = paused_for("storage outage", await state.schools())
        assert await resume_schools(wanted, ADMIN, services(state)) == expected


async def test_settings_that_somebody_saves_meanwhile_are_kept_and_the_other_schools_are_paused(
    state: MemoryState,
) -> None:
    read = await state.schools()
    await state.save_school(replace(read[0], name="Oak"))
    with pytest.raises(PreconditionFailed) as refused:
        await pause_schools(synced(read), "storage outage", ADMIN, services(state))
    assert refused.value.message == (
        "somebody changed the settings of S1 at the same moment, so these were not paused; schools that were paused: 1"
    )
    assert await reasons(state) == {"S1": "", "S2": "storage outage", "S3": "it moves to another MIS"}
    assert (await state.schools())[0].name == "Oak"


async def test_a_failure_of_one_school_stops_no_other(state: Interrupted) -> None:
    state.failing = SchoolId("S1")
    with pytest.raises(Transient):
        await pause_schools(synced(await state.schools()), "storage outage", ADMIN, services(state))
    assert (await reasons(state))["S2"] == "storage outage"
