"""What a run changed, the preview of its undo, and the list of pins, over the admin API."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from sync_core.admin.undo import undo_run
from sync_core.domain.classes.outcomes import AppliedDelta
from sync_core.domain.ids import ClassKey, MisId, RunId
from sync_core.domain.runs import Cause, RunOutcome, RunRecord
from sync_core.messaging.messages import UndoRun
from tests.builders import NOON, SCHOOL, desired, entra_id, entra_ids, synced, teaching
from tests.http.memory_api import DORA_FOR_AMY, HEAD, NIGHT, Api

KEY = ClassKey("2026.teaching.G1")
NOW = ["ben", "cleo", "dora"]
S1 = f"schools/{SCHOOL.id}"


async def add_night(api: Api) -> None:
    """A night in which Amy left Maths and Dora joined, as the MIS has it now."""
    api.mis.groups = [teaching("G1", "Maths", NOW, ["main"])]
    wanted = replace(desired(KEY, NOW, ["main"]), group_id=MisId("G1"), group_name="Maths", academic_year=2026)
    await api.state.write_desired(SCHOOL.id, [wanted])
    record = await api.state.class_record(SCHOOL.id, KEY)
    assert record
    earlier = AppliedDelta(run=RunId("before"), cause=Cause.NIGHTLY, at=NOON, created=True)
    record = await api.state.write_actual(replace(record, actual=synced(wanted).actual), earlier)
    await api.state.write_actual(record, DORA_FOR_AMY)
    for run in ("before", "night", "quiet"):
        await api.state.write_run(
            RunRecord(school=SCHOOL.id, id=RunId(run), cause=Cause.NIGHTLY, at=NOON, outcome=RunOutcome.PLANNED)
        )


async def undo(api: Api) -> RunRecord:
    accepted = await api.call("POST", f"{S1}/runs/night/undo", caller=HEAD)
    assert accepted.status_code == 202, accepted.text
    return await undo_run(UndoRun(SCHOOL.id, NIGHT, RunId(accepted.json()["run"])), api.app.services)


async def listed_pin(api: Api) -> dict[str, Any]:
    (pin,) = await api.answer("GET", f"{S1}/pins", caller=HEAD)
    assert isinstance(pin, dict)
    return pin


async def test_a_run_tells_who_moved(api: Api) -> None:
    await add_night(api)
    (moved,) = await api.answer("GET", f"{S1}/runs/night/changes", caller=HEAD)
    assert moved["key"] == KEY
    assert moved["change"] == {
        "run": "night",
        "cause": "nightly",
        "at": "2026-09-07T12:00:00Z",
        "created": False,
        "adopted": False,
        "members_added": [entra_id("dora")],
        "members_removed": [entra_id("amy")],
        "owners_granted": [],
        "owners_revoked": [],
        "deleted": False,
        "restored": False,
        "renamed": False,
        "team_made": False,
        "team_opened": False,
        "team_archived": False,
        "team_unarchived": False,
        "team_added": [],
        "team_removed": [],
        "reasons": {entra_id("dora"): {"rule": "student", "record": "dora"}},
    }
    assert await api.answer("GET", f"{S1}/runs/quiet/changes") == []
    assert (await api.call("GET", f"{S1}/runs/none/changes")).status_code == 404


async def test_runs_are_listed_page_by_page_and_by_what_they_were(api: Api) -> None:
    for number in range(60):
        await api.state.write_run(
            RunRecord(
                school=SCHOOL.id,
                id=RunId(f"run-{number:02}"),
                cause=Cause.ADMIN if number % 2 else Cause.NIGHTLY,
                at=NOON + timedelta(minutes=number),
                outcome=RunOutcome.PLANNED,
            )
        )
    for query, ids in (
        ("", [f"run-{number:02}" for number in range(60)]),
        ("?page=1", [f"run-{number:02}" for number in range(10, 60)]),
        ("?page=2", [f"run-{number:02}" for number in range(10)]),
        ("?page=3", []),
        ("?cause=admin&page=1", [f"run-{number:02}" for number in range(1, 60, 2)]),
        ("?outcome=rejected", []),
    ):
        assert [run["id"] for run in await api.answer("GET", f"{S1}/runs{query}", caller=HEAD)] == ids
    await api.refusal(422, "GET", f"{S1}/runs?cause=none")
    await api.refusal(422, "GET", f"{S1}/runs?page=0")


async def test_the_progress_of_a_run_is_read_from_its_classes(api: Api) -> None:
    await add_night(api)
    night = await api.state.run(SCHOOL.id, NIGHT)
    assert night
    await api.state.write_run(replace(night, changed=(KEY,)))
    progress = {"outcome": "planned", "classes": 1, "done": 1, "refused": [], "open": []}
    assert await api.answer("GET", f"{S1}/runs/night/progress", caller=HEAD) == progress
    await api.state.write_desired(SCHOOL.id, [replace(desired(KEY, ["amy"]), group_id=MisId("G1"))])
    open_now = progress | {"done": 0, "open": [KEY]}
    assert await api.answer("GET", f"{S1}/runs/night/progress", caller=HEAD) == open_now
    assert (await api.call("GET", f"{S1}/runs/none/progress")).status_code == 404


async def test_the_preview_of_an_undo_is_what_the_undo_does_and_writes_nothing(api: Api) -> None:
    await add_night(api)
    rows, runs = await api.state.class_records(SCHOOL.id), await api.state.runs(SCHOOL.id)
    plan = await api.answer("POST", f"{S1}/runs/night/undo/plan", caller=HEAD)
    (diff,) = plan["classes"]
    assert (diff["key"], diff["members_added"], diff["members_removed"]) == (
        KEY,
        [entra_id("amy")],
        [entra_id("dora")],
    )
    moment = "as of the night of 07 Sep 2026 12:00 UTC and the changes of the sync since: members: 4, owners: 1; wanted"
    assert any(line.strip().startswith(moment) for line in plan["lines"]), plan["lines"]
    assert plan["notes"] == ["classes that would be pinned as they were before run night: 1"]
    assert (await api.state.class_records(SCHOOL.id), await api.state.runs(SCHOOL.id)) == (rows, runs)
    assert await api.state.pins(SCHOOL.id) == {}
    run = await undo(api)
    assert (list(run.changed), run.removals, run.unchanged) == (plan["changed"], plan["removals"], plan["unchanged"])
    assert (await api.state.pins(SCHOOL.id))[KEY].members >= entra_ids(["amy", "ben", "cleo"])


@pytest.mark.parametrize(
    ("run", "status", "what"),
    [("none", 404, "school S1 has no run none"), ("quiet", 409, "nothing that run quiet did is on record")],
)
async def test_the_preview_of_an_undo_is_refused_like_the_undo(api: Api, run: str, status: int, what: str) -> None:
    await add_night(api)
    for path in ("undo/plan", "undo"):
        response = await api.call("POST", f"{S1}/runs/{run}/{path}")
        assert (response.status_code, response.json()["what"]) == (status, what)


async def test_a_pin_is_listed_with_what_differs_from_the_mis(api: Api) -> None:
    assert await api.answer("GET", f"{S1}/pins") == []
    await add_night(api)
    run = await undo(api)
    pin = await listed_pin(api)
    assert pin == {
        "key": KEY,
        "name": f"{KEY}_Class [1234567][2026]",
        "undone": "night",
        "run": run.id,
        "differs": True,
        "what": "",
        "members_only_pinned": [entra_id("amy")],
        "members_only_in_mis": [entra_id("dora")],
        "owners_only_pinned": [],
        "owners_only_in_mis": [],
    }
    api.mis.groups = [teaching("G1", "Maths", ["amy", "ben", "cleo"], ["main"])]
    pin = await listed_pin(api)
    assert (pin["differs"], pin["members_only_pinned"], pin["members_only_in_mis"]) == (False, [], [])
    assert KEY in await api.state.pins(SCHOOL.id)


async def test_a_pin_without_a_group_or_a_plan_says_so(api: Api) -> None:
    await add_night(api)
    await undo(api)
    api.mis.groups = [teaching("G2", "Art", ["amy"], ["main"])]
    pin = await listed_pin(api)
    assert (pin["differs"], pin["what"]) == (None, "its group left the MIS, or is not one that becomes a class")
    await api.answer("POST", f"{S1}/pause", {"reason": "new MIS"})
    pin = await listed_pin(api)
    assert pin["differs"] is None
    assert pin["what"] == ("the school is paused (new MIS): nothing was planned — to sync it, resume the school")
