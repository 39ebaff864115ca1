"""The notes of a run, and what has to be so that its school is in step."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sync_core.domain.ids import ClassKey, MisId, RunId
from sync_core.domain.roster import GroupType
from sync_core.domain.runs import WAITING, Cause, HoldKind, RunOutcome, RunRecord
from sync_core.planning.naming.names import is_numbered
from sync_core.planning.school_plan import plan_to_show
from tests.builders import NOON, SCHOOL
from tests.properties.decisions_world import World, upn

ADMIN = ("choose", "admin_owners", [upn("x")])
IN_STEP = RunRecord(school=SCHOOL.id, id=RunId("run"), cause=Cause.NIGHTLY, at=NOON, outcome=RunOutcome.PLANNED)
ART, DRAMA, FORM = "2026.teaching.G1", "2026.teaching.G2", "2026.registration.R1"
CASES: list[tuple[list[tuple[Any, ...]], dict[str, tuple[str, ...]], str]] = [
    (
        [("night",)],
        {"ownerless": (FORM,)},
        f"classes that are to have no owner: 1 ({FORM}) — name an admin in admin_owners in the school's settings, or "
        "give teaching groups a teacher with an account; no teacher owns the class of a year or registration group",
    ),
    (
        [ADMIN, ("night",), ("set_pupils", "G1", frozenset("abcde")), ("night",), ("undo",)],
        {"pins_differ": (ART,)},
        f"pinned classes that differ from the MIS: 1 ({ART}) — release a pin when",
    ),
    (
        [ADMIN, ("take_nickname", "Art.class.1234567.2026"), ("night",)],
        {"numbered": (ART,)},
        f"classes with a number in their address, because another group has the plain one: 1 ({ART}) — see",
    ),
    (
        [ADMIN, ("night",), ("end", "G2")],
        {"ended": (DRAMA,)},
        f"classes whose group has left the MIS: 1 ({DRAMA}) — they keep their people and are not synced; if",
    ),
    (
        [ADMIN, ("night",), ("rename", "a", "b")],
        {"people_ambiguous": ("a", "b")},
        "people in doubt, because several accounts match them or an account matches several of them: 2 (by MIS id: a, "
        "b) — correct",
    ),
]
FIELDS = ("ownerless", "numbered", "pins_differ", "ended", "people_ambiguous")


@pytest.mark.parametrize(("events", "fields", "note"), CASES, ids=[next(iter(case[1])) for case in CASES])
async def test_a_run_names_what_an_admin_should_look_at(
    events: list[tuple[Any, ...]], fields: dict[str, tuple[str, ...]], note: str
) -> None:
    world = World()
    await world.happen(events)
    run = (await plan_to_show(SCHOOL.id, world.services.reading)).run
    assert {name: getattr(run, name) for name in FIELDS if getattr(run, name)} == fields
    assert [text for text in run.notes if text.startswith(note)] == list(run.notes)
    assert len(run.notes) == 1


async def test_a_school_in_step_has_no_notes() -> None:
    world = World()
    await world.happen([ADMIN, ("night",)])
    run = (await plan_to_show(SCHOOL.id, world.services.reading)).run
    assert (run.notes, run.waiting, run.whole) == ((), (), True)


async def test_owners_who_stay_and_pins_like_the_mis_do_not_wait() -> None:
    world = World()
    await world.happen([ADMIN, ("night",), ("choose", "admin_owners", []), ("set_pupils", "G1", frozenset("abcde"))])
    await world.happen([("night",), ("undo",), ("set_pupils", "G1", frozenset("abcd")), ADMIN])
    assert (await plan_to_show(SCHOOL.id, world.services.reading)).run.waiting == ()
    await world.happen([("choose", "admin_owners", [])])
    assert (await plan_to_show(SCHOOL.id, world.services.reading)).run.ownerless == ()


@pytest.mark.parametrize("field", WAITING)
def test_each_kind_of_open_point_keeps_a_school_out_of_step(field: str) -> None:
    waits: dict[str, Any] = {field: (ClassKey("K1"), MisId("p2"))}
    assert IN_STEP.waiting == ()
    assert replace(IN_STEP, **waits).waiting == (f"{WAITING[field]}: 2",)


def test_classes_that_wait_for_a_correction_of_matching_do_not_wait_for_a_decision() -> None:
    held = replace(IN_STEP, held=(ClassKey("K1"),), held_because=(HoldKind.ACCOUNT_MATCHING,))
    assert held.waiting == ("classes held because too many people find no account: 1",)


@pytest.mark.parametrize("outcome", [outcome for outcome in RunOutcome if outcome is not RunOutcome.PLANNED])
def test_a_school_that_was_not_planned_is_not_in_step(outcome: RunOutcome) -> None:
    assert replace(IN_STEP, outcome=outcome).waiting == (f"the outcome is {outcome}",)


@pytest.mark.parametrize(
    ("nickname", "group", "numbered"),
    [
        ("5L.class.1234567.2026", "5L", False),
        ("5L-2.class.1234567.2026", "5L", True),
        ("5L-2.class.1234567.2026", "5L-2", False),
        ("5L-2-3.class.1234567.2026", "5L-2", True),
        ("2SDT1-2.class.1234567.2026", "2S/DT1", True),
        (f"{'x' * 40}-2.class.1234567.2026", "x" * 60, True),
        ("ours", "5L", False),
    ],
)
def test_a_number_in_an_address_is_told_from_a_number_in_the_name(nickname: str, group: str, numbered: bool) -> None:
    assert is_numbered(nickname, group, GroupType.TEACHING) is numbered
