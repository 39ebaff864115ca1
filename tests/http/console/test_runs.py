"""The pages of runs: the list, one run with what it changed, and its undo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from sync_core.domain.classes.row_error import RowError
from sync_core.domain.ids import AccountId, ClassKey, MisId, RunId
from sync_core.domain.runs import Cause, RunOutcome, RunRecord
from sync_core.messaging.messages import UndoRun
from tests.builders import NOON, SCHOOL, desired, entra_id, entra_ids, synced
from tests.fakes.memory_outbox import MemoryOutbox
from tests.http.console.memory_console import Console, text_of
from tests.http.memory_api import DEPUTY, DORA_FOR_AMY, HEAD, NIGHT, Api

RUNS = f"/schools/{SCHOOL.id}/runs"
KEY = ClassKey("2026.teaching.G1")


def run_record(run: str, minutes: int = 0, **values: Any) -> RunRecord:
    of_night = RunRecord(
        school=SCHOOL.id,
        id=RunId(run),
        cause=Cause.NIGHTLY,
        at=NOON - timedelta(minutes=minutes),
        outcome=RunOutcome.PLANNED,
        whole=True,
    )
    return replace(of_night, **values)


async def add_night(api: Api, members: Sequence[str] | None = None) -> None:
    """A night in which Amy left Maths and Dora joined. The class in Microsoft 365 has `members`, or those it should."""
    wanted = replace(
        desired(KEY, ["ben", "cleo", "dora"], ["main"]), group_id=MisId("G1"), group_name="Maths", academic_year=2026
    )
    await api.state.write_desired(SCHOOL.id, [wanted])
    record = await api.state.class_record(SCHOOL.id, KEY)
    actual = synced(wanted).actual
    assert record and actual
    if members is not None:
        actual = replace(actual, members=entra_ids(members))
    await api.state.write_actual(replace(record, actual=actual), DORA_FOR_AMY)
    await api.state.write_run(run_record("night", changed=(KEY,), removals=1, notes=("a note",)))


async def test_the_newest_run_comes_first_with_who_requested_it(console: Console) -> None:
    state = console.api.state
    await state.write_run(run_record("old", 60))
    apply: dict[str, Any] = {"cause": Cause.ADMIN, "action": "apply 00ff", "requested_by": entra_id("amy")}
    await state.write_run(run_record("new", **apply))
    await state.write_run(run_record("lost", 30, cause=Cause.ADMIN, requested_by=AccountId("nobody")))
    text = text_of(await console.read(RUNS, caller=HEAD))
    assert "3 runs, the newest first" in text
    assert "Apply a plan amy ✔ planned 0 0 0 0" in text
    assert text.index("Apply a plan") < text.index("Sync nobody") < text.index("Night – ✔ planned 0 0 0 0")


async def test_runs_are_listed_by_what_started_them_and_by_outcome(console: Console) -> None:
    state = console.api.state
    await state.write_run(run_record("night"))
    await state.write_run(run_record("rejected", outcome=RunOutcome.REJECTED))
    await state.write_run(run_record("asked", cause=Cause.ADMIN))
    for query, listed in (
        ("", 3),
        ("cause=nightly", 2),
        ("outcome=rejected", 1),
        ("cause=admin&outcome=planned", 1),
        ("cause=&outcome=", 3),
        ("cause=none&outcome=none", 3),
    ):
        assert (await console.read(f"{RUNS}?{query}")).count('<tr class="govuk-table__row">') == listed + 1
    assert "No run is one of these." in text_of(await console.read(f"{RUNS}?outcome=paused"))


async def test_fifty_runs_are_on_a_page(console: Console) -> None:
    assert "There is no run yet." in text_of(await console.read(RUNS))
    for number in range(120):
        await console.api.state.write_run(run_record(f"run-{number}", number))
    last = await console.read(f"{RUNS}?cause=nightly&page=3")
    assert "101 to 120 of 120 runs" in text_of(last)
    assert f'href="{RUNS}?cause=nightly&amp;page=2"' in last
    assert "101 to 120 of 120 runs" in text_of(await console.read(f"{RUNS}?page=9"))
    await console.read(f"{RUNS}?page=0", 404)


async def test_a_run_says_who_came_and_went(console: Console) -> None:
    await add_night(console.api)
    page = await console.read(f"{RUNS}/night", caller=HEAD)
    text = text_of(page)
    assert "1 of 1 class is as planned" in text
    assert "Planned 0 classes to create, 1 to change, 0 as they are; 1 membership to remove" in text
    assert "− leaves amy" in text
    assert "+ joins dora in the group in the MIS" in text
    assert f'href="{RUNS}/night/undo"' in page
    assert "data-follow>" not in page
    assert "Show every class of the run" in await console.read(f"{RUNS}/night?class={KEY}")


async def test_a_run_leads_to_its_classes_and_says_what_it_is(console: Console) -> None:
    await add_night(console.api)
    assert f'href="/schools/{SCHOOL.id}/classes/{KEY}"' in await console.read(f"{RUNS}/night")
    await console.api.state.write_run(run_record("some", cause=Cause.ADMIN, whole=False))
    assert "Started by Sync of some classes" in text_of(await console.read(f"{RUNS}/some"))
    await console.api.state.write_run(run_record("approval", cause=Cause.ADMIN, action="approve 00ff"))
    assert "0 memberships to remove, besides those that were approved" in text_of(
        await console.read(f"{RUNS}/approval")
    )


async def test_a_run_under_way_says_how_far_it_is(console: Console) -> None:
    state = console.api.state
    await state.write_run(run_record("asked", outcome=RunOutcome.REQUESTED, cause=Cause.ADMIN))
    page = await console.read(f"{RUNS}/asked")
    assert "data-state data-follow>" in page
    assert "The run waits for its turn" in text_of(page)
    await add_night(console.api, ["amy", "ben"])
    page = await console.read(f"{RUNS}/night")
    assert "data-state data-follow>" in page
    assert "0 of 1 class is as planned, 1 not yet" in text_of(page)
    record = await state.class_record(SCHOOL.id, KEY)
    assert record
    await state.write_actual(replace(record, error=RowError("code", "no", "nothing")))
    page = await console.read(f"{RUNS}/night")
    assert "data-state>" in page
    assert "0 of 1 class is as planned, 1 refused by Microsoft 365" in text_of(page)


async def test_a_run_that_changed_nothing_says_why(console: Console) -> None:
    notes = ("the feed lost half of its <b>groups</b>", "correct the MIS")
    await console.api.state.write_run(run_record("bad", outcome=RunOutcome.REJECTED, notes=notes))
    page = await console.read(f"{RUNS}/bad")
    assert "✖ feed rejected" in text_of(page)
    assert "The feed lost half of its &lt;b&gt;groups&lt;/b&gt;." in page
    assert "/undo" not in page


async def test_an_undo_is_shown_and_then_requested(console: Console) -> None:
    await add_night(console.api)
    page = await console.read(f"{RUNS}/night/undo", caller=HEAD)
    text = text_of(page)
    assert "Undo the run of" in text
    assert "− leaves dora" in text
    assert "+ joins amy was in the class before a run that was undone" in text
    answer = await console.send(page, f"{RUNS}/night/undo", caller=HEAD)
    outbox = console.api.app.services.outbox
    assert isinstance(outbox, MemoryOutbox)
    ((request, _),) = outbox.requests
    assert isinstance(request, UndoRun) and request.undone == NIGHT
    assert answer.headers["location"] == f"{RUNS}/{request.run}"
    assert (await console.call("POST", f"{RUNS}/night/undo")).status_code == 403


@pytest.mark.parametrize(("path", "status"), [("none", 404), ("none/undo", 404), ("quiet/undo", 409), ("a_b", 404)])
async def test_a_run_that_is_not_there_or_changed_nothing_is_a_page_of_its_own(
    console: Console, path: str, status: int
) -> None:
    await console.api.state.write_run(run_record("quiet"))
    assert "What helps:" in text_of(await console.read(f"{RUNS}/{path}", status))


@pytest.mark.parametrize("path", ["", "/night", "/night/undo"])
async def test_the_pages_are_for_admins_of_the_school(console: Console, path: str) -> None:
    await add_night(console.api)
    await console.read(RUNS + path, 403, caller=DEPUTY)
    assert (await console.call("GET", RUNS + path, caller=HEAD, role="GroupSync.Teacher")).status_code == 403
