"""The schools of a trust in one table and as CSV, and what an admin does to one of them there."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from datetime import timedelta

import pytest

from sync_core.admin.overview.schools import SchoolOverview
from sync_core.domain.ids import ClassKey, MisId, RunId, SchoolId
from sync_core.domain.runs import Cause, RunOutcome, RunRecord
from tests.builders import NOON, SCHOOL, entra_id, settings
from tests.fakes.memory_outbox import MemoryOutbox
from tests.http.console.memory_console import Console, field_value, text_of
from tests.http.memory_api import DEPUTY, HEAD, Api

OAK = SchoolId("OAK")
NIGHT = RunRecord(
    school=SCHOOL.id,
    id=RunId("night"),
    cause=Cause.NIGHTLY,
    at=NOON - timedelta(hours=10),
    outcome=RunOutcome.PLANNED,
    whole=True,
    created=(ClassKey("K1"), ClassKey("K2")),
    changed=(ClassKey("K3"),),
    held=(ClassKey("K4"),),
    people_without_account=(MisId("amy"),),
)


@pytest.fixture
async def console(api: Api) -> Console:
    """S1 has had a night, and OAK, whose name is hostile, has not."""
    api.app = replace(api.app, settings=replace(api.app.settings, sync_schedule="0 0 2 * * *"))
    await api.state.write_run(NIGHT)
    oak = replace(settings(name="<script>alert(1)</script>"), school=OAK, access=(HEAD, DEPUTY), name_identifier="oak")
    await api.state.save_school(oak)
    return Console(api)


async def test_each_school_is_a_row_with_its_counts_and_nights(console: Console) -> None:
    page = await console.read("/")
    text = text_of(page)
    assert "2 schools, the worst first" in text
    assert (
        "S1 ● people who find no account: 1 ✔ healthy last today 03:00 next tomorrow 03:00 3 1 1 0 0 Sync now" in text
    )
    assert "OAK ● not planned yet ● no night yet last none yet next tomorrow 03:00 – – – 0 – Sync now" in text
    assert "reaches each school within 60 minutes" in text
    assert "<script>alert" not in page


async def test_the_same_is_a_csv_file_of_the_page_and_of_the_api(console: Console) -> None:
    response = await console.call("GET", "/?format=csv")
    assert response.headers["content-type"].startswith("text/csv")
    assert response.headers["content-disposition"] == 'attachment; filename="schools 2026-09-07.csv"'
    rows = list(csv.DictReader(io.StringIO(response.text)))
    assert [row["school"] for row in rows] == ["OAK", "S1"]
    assert rows[1] == {
        "school": "S1", "name": "", "readable": "yes", "paused": "no",
        "in_step": "people who find no account: 1", "healthy": "healthy",
        "last_night": "2026-09-07T02:00:00+00:00", "next_night": "2026-09-08T02:00:00+00:00",
        "decisions": "0", "pinned": "0", "changes": "3", "held": "1", "without_account": "1", "without_owner": "0",
    }  # fmt: skip
    console.api.api.state.app = console.api.app
    assert (await console.api.call("GET", "overview", accept="text/csv")).text == response.text
    listed = await console.api.answer("GET", "overview")
    assert [each["school"] for each in listed] == ["OAK", "S1"]
    assert listed[1]["in_step"] == {"light": "waits", "text": "people who find no account: 1"}
    assert set(listed[1]) == set(SchoolOverview.__dataclass_fields__)


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@sum", "\t=1", "\r=1"])
async def test_a_spreadsheet_takes_no_name_for_a_formula(console: Console, name: str) -> None:
    saved = await console.api.state.school(OAK)
    assert saved
    await console.api.state.save_school(replace(saved, name=name))
    response = await console.call("GET", "/?format=csv")
    rows = list(csv.DictReader(io.StringIO(response.text, newline="")))
    assert rows[0]["name"] == f"'{name}"


async def test_an_admin_of_one_school_is_led_to_it_and_of_several_sees_these_alone(console: Console) -> None:
    response = await console.call("GET", "/", caller=DEPUTY)
    assert (response.status_code, response.headers["location"]) == (302, "/schools/OAK")
    assert "2 schools" in text_of(await console.read("/", caller=HEAD))
    rows = csv.DictReader(io.StringIO((await console.call("GET", "/?format=csv", caller=DEPUTY)).text))
    assert [row["school"] for row in rows] == ["OAK"]


async def test_many_schools_have_pages(console: Console) -> None:
    oak = await console.api.state.school(OAK)
    assert oak
    for number in range(60):
        await console.api.state.save_school(replace(oak, school=SchoolId(f"E{number:02}"), name=f"School {number}"))
    assert "51 to 62 of 62 schools" in text_of(await console.read("/?page=2"))
    assert "62 schools" in text_of(await console.read("/?page=999"))


async def test_what_an_admin_has_decided_to_keep_waits_for_nobody(console: Console) -> None:
    await console.api.state.write_run(replace(NIGHT, id=RunId("kept"), at=NOON, people_without_account=()))
    assert "S1 ✔ classes kept as decided: 1 ✔ healthy" in text_of(await console.read("/"))


async def test_a_school_is_synced_now_by_its_button(console: Console) -> None:
    outbox = console.api.app.services.outbox
    assert isinstance(outbox, MemoryOutbox)
    page = await console.read("/")
    for _ in range(2):  # sent twice, it is two runs, which take turns
        response = await console.send(page, "/schools/S1/sync")
        run = response.headers["location"].removeprefix("/schools/S1/runs/")
        recorded = await console.api.state.run(SCHOOL.id, RunId(run))
        assert recorded and (recorded.outcome, recorded.requested_by) == (RunOutcome.REQUESTED, entra_id("all schools"))
    assert len(outbox.requests) == 2


async def test_a_form_without_its_token_changes_nothing(console: Console) -> None:
    await console.read("/schools/S1/pause")
    for path in ("sync", "pause", "resume"):
        response = await console.call("POST", f"/schools/S1/{path}", {"reason": "moving"})
        assert response.status_code == 403
    assert await console.api.state.school(SCHOOL.id) == settings(access=[HEAD])


async def test_pages_and_forms_of_another_school_are_refused_alike(console: Console) -> None:
    page = await console.read("/schools/OAK/pause", caller=DEPUTY)
    for path in ("", "/pause", "/resume"):
        await console.read(f"/schools/S1{path}", 403, caller=DEPUTY)
        await console.read(f"/schools/NONE{path}", 403, caller=DEPUTY)
    for path in ("sync", "pause", "resume"):
        await console.send(page, f"/schools/S1/{path}", 403, caller=DEPUTY, reason="moving")
    assert await console.api.state.school(SCHOOL.id) == settings(access=[HEAD])


async def test_a_school_is_paused_with_a_reason_and_resumed(console: Console) -> None:
    page = await console.read("/schools/S1/pause")
    version = field_value(page, "version")
    for _ in range(2):  # the same form, sent again, is done already
        response = await console.send(page, "/schools/S1/pause", reason="a <b>new</b> MIS", version=version)
        assert response.headers["location"] == "/schools/S1"
    saved = await console.api.state.school(SCHOOL.id)
    assert saved and (saved.enabled, saved.pause_reason) == (False, "a <b>new</b> MIS")
    assert "S1 ● not planned" not in text_of(await console.read("/"))
    assert "This school is paused: a <b>new</b> MIS." in text_of(await console.read("/schools/S1"))
    assert "<b>new" not in await console.read("/schools/S1")

    page = await console.read("/schools/S1/resume")
    for _ in range(2):
        await console.send(page, "/schools/S1/resume", version=field_value(page, "version"))
    saved = await console.api.state.school(SCHOOL.id)
    assert saved and (saved.enabled, saved.pause_reason) == (True, "")
    assert "there is nothing to resume" in text_of(await console.read("/schools/S1/resume"))


async def test_a_paused_school_is_not_synced_and_says_why(console: Console) -> None:
    page = await console.read("/")
    await console.api.state.save_school(replace(settings(access=[HEAD]), enabled=False, pause_reason="moving"))
    response = await console.send(page, "/schools/S1/sync", 409)
    assert "School S1 is paused (moving). What helps: resume the school" in text_of(response.text)
    assert "none: paused" in text_of(await console.read("/"))


@pytest.mark.parametrize(
    ("reason", "fault"),
    [
        ("", "Reason: say why the school is paused"),
        ("  ", "Reason: say why the school is paused"),
        ("x" * 201, "Reason: should have at most 200 characters"),
    ],
)
async def test_a_faulty_reason_is_shown_with_the_form_as_it_was_sent(console: Console, reason: str, fault: str) -> None:
    page = await console.read("/schools/S1/pause")
    response = await console.send(page, "/schools/S1/pause", 422, reason=reason, version=field_value(page, "version"))
    assert fault in text_of(response.text)
    assert 'href="#reason"' in response.text
    assert f'value="{reason}"' in response.text
    assert (await console.api.state.school(SCHOOL.id)) == settings(access=[HEAD])


async def test_the_second_of_two_admins_is_told_that_the_school_has_changed(console: Console) -> None:
    first = await console.read("/schools/S1/pause")
    second = await console.read("/schools/S1/pause")
    await console.send(first, "/schools/S1/pause", reason="moving", version=field_value(first, "version"))
    response = await console.send(
        second, "/schools/S1/pause", 412, reason="holidays", version=field_value(second, "version")
    )
    assert "Somebody changed the settings of school S1 since this page was made" in text_of(response.text)
    saved = await console.api.state.school(SCHOOL.id)
    assert saved and saved.pause_reason == "moving"


async def test_an_admin_of_all_schools_finds_the_way_to_connect_one(console: Console) -> None:
    assert 'href="/connect"' in await console.read("/")
    assert 'href="/connect"' not in await console.read("/", caller=HEAD)
