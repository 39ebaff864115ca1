"""Connecting a school in the browser, step by step, and trying an export set that is kept nowhere."""

from __future__ import annotations

import io
import json
import re
import zipfile
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from local.school.data import SchoolData
from local.school.oneroster_csv import write
from local.tenant.names import DOMAIN
from sync_core.domain.ids import SchoolId
from sync_core.domain.school.sources import WondeApi, WondeEmail
from sync_core.http.console.session import FIELD
from tests.builders import SCHOOL, settings, teaching
from tests.flow.trust import pupils, staff
from tests.flow.trust import teaching as taught
from tests.http.console.memory_console import Console, field_value, text_of
from tests.http.memory_api import HEAD

SCRIPT = "<script>alert(1)</script>"
NEW = SchoolId("OAK")
WONDE = {"source.url": "https://api.wonde.com", "source.school": "A1930499544", "source.secret": "MIS_SECRET_WONDE"}
FIELDS = {"id": "S1", "name": "Oak", "source.staff_email": "work\nemail", "source.student_email": "email", **WONDE}
RULE = {"mis": "username_or_email", "account": "", "domain": DOMAIN}
RULES: dict[str, Any] = {f"{role}.{name}": value for role in ("students", "staff") for name, value in RULE.items()}
NAMES: dict[str, Any] = {"types": ["teaching"], "name_identifier": "OAK", "admin_owners": "", "teaching_owners": ""}


@pytest.fixture
async def console(console: Console) -> Console:
    """Without a school: the MIS in memory knows S1, which is connected here."""
    await console.api.state.forget_school(SCHOOL.id)
    return console


async def step(console: Console, page: str, path: str, status: int = 200, **fields: Any) -> str:
    sent = {"draft": field_value(page, "draft"), **fields}
    return (await console.send(page, f"/connect/{path}", status, **sent)).text


async def checked(console: Console, **fields: Any) -> str:
    page = await console.read("/connect?mis=bromcom&way=wonde")
    tenant = re.search(r'name="tenant"[^>]* value="([^"]*)"', page)
    assert tenant
    return await step(console, page, "check", way="wonde", **(FIELDS | {"tenant": tenant[1]} | fields))


async def planned(console: Console) -> str:
    matched = await step(console, await checked(console), "matching")
    named = await step(console, matched, "names", **RULES)
    return await step(console, named, "plan", **NAMES)


async def test_each_step_leads_to_the_next_and_the_last_one_saves(console: Console) -> None:
    assert 'value="seemis">SEEMiS' in await console.read("/connect")
    assert 'value="zip"' in await console.read("/connect?mis=bromcom")
    page = await checked(console)
    text = text_of(page)
    assert "Teaching groups 1 group with 5 pupils, 1 teacher" in text
    assert "Pupils in groups 5: 5 with a user name (0 of them an address)" in text
    page = await step(console, page, "matching")
    assert "0% Pupils: 0 of 5 pupils find an account" in text_of(page)
    page = await step(console, page, "matching", **RULES)
    assert "100% Pupils: 5 of 5 pupils find an account" in text_of(page)
    page = await step(console, page, "names")
    assert "Maths Maths_Class [1234567][2026]" in text_of(page)
    page = await step(console, page, "names", **NAMES)
    assert "Maths Maths_Class [OAK][2026]" in text_of(page)
    page = await step(console, page, "plan", **NAMES)
    assert "Classes to create 1, with 6 memberships" in text_of(page)
    assert await console.api.state.schools() == ()
    answer = await console.send(page, "/connect/save", draft=field_value(page, "draft"), when="tonight")
    assert answer.headers["location"] == "/schools/S1"
    saved = await console.api.state.school(SCHOOL.id)
    assert saved
    work, email = WondeEmail.WORK, WondeEmail.EMAIL
    assert saved.source == WondeApi(
        school="A1930499544", secret="MIS_SECRET_WONDE", staff_email=(work, email), student_email=(email,)
    )
    assert (saved.name, saved.mis, saved.name_identifier, saved.students.domain) == ("Oak", "bromcom", "OAK", DOMAIN)
    assert len(await console.api.state.settings_changes(SCHOOL.id)) == 1


async def test_now_starts_a_run_once(console: Console) -> None:
    page = await planned(console)
    answer = await console.send(page, "/connect/save", draft=field_value(page, "draft"), when="now")
    (run,) = await console.api.state.runs(SCHOOL.id)
    assert answer.headers["location"] == f"/schools/S1/runs/{run.id}"
    again = await console.send(page, "/connect/save", draft=field_value(page, "draft"), when="now")
    assert again.headers["location"] == "/schools/S1"
    assert await console.api.state.runs(SCHOOL.id) == (run,)


async def test_an_id_that_is_taken_is_said_where_it_is_typed(console: Console) -> None:
    await console.api.state.save_school(settings())
    page = await console.read("/connect?mis=bromcom&way=wonde")
    page = await step(console, page, "check", 422, **(FIELDS | {"tenant": settings().tenant, "way": "wonde"}))
    assert '<a href="#id">' in page
    assert "Id of the school: is that of a school that is connected already; type another id" in text_of(page)
    assert console.api.mis.reads == 0


async def test_a_file_of_a_connected_school_is_tried_and_connects_nothing(console: Console, tmp_path: Path) -> None:
    assert "Connect the school by a file drop" in await upload(console, archive(tmp_path))
    await console.api.state.save_school(replace(settings(name_identifier="S1"), school=NEW))
    page = await upload(console, archive(tmp_path))
    assert "School Oak School, DfE code 1234567" in text_of(page)
    assert "A school with this id is connected already" in text_of(page)
    assert "Connect the school by a file drop" not in page


async def test_back_in_the_browser_may_show_a_step_again(console: Console) -> None:
    for path in ("/connect", "/connect?mis=bromcom&way=wonde"):
        assert (await console.call("GET", path)).headers["cache-control"] == "private, no-cache"
    page = await checked(console)
    sent = await console.send(page, "/connect/matching", 200, draft=field_value(page, "draft"))
    assert sent.headers["cache-control"] == "private, no-cache"


async def test_a_school_that_is_connected_is_not_replaced(console: Console) -> None:
    page = await planned(console)
    await console.api.state.save_school(settings())
    answer = await console.send(page, "/connect/save", 409, draft=field_value(page, "draft"))
    assert "School S1 is connected already, with other settings, so nothing was saved" in text_of(answer.text)
    assert await console.api.state.school(SCHOOL.id) == settings()


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("id", "../x", "Id of the school: should be 1 to 64 letters"),
        ("source.secret", SCRIPT, "Name of the setting with the secret: should be the name of an application setting"),
        ("source.url", "http://mis.example", "Address of the server: should be an address that begins with https://"),
    ],
)
async def test_a_fault_stands_at_its_field(console: Console, field: str, value: str, text: str) -> None:
    page = await console.read("/connect?mis=bromcom&way=wonde")
    sent: dict[str, Any] = FIELDS | {"tenant": settings().tenant, "way": "wonde", field: value}
    page = await step(console, page, "check", 422, **sent)
    assert text in text_of(page)
    assert f'<a href="#{field}">' in page
    assert SCRIPT not in page


async def test_a_feed_without_the_school_or_that_cannot_be_read_is_said(console: Console) -> None:
    page = await console.read("/connect?mis=bromcom&way=oneroster")
    assert "Address of the token server" in text_of(page)
    console.api.mis.groups = []
    page = await checked(console)
    assert "Teaching groups none" in text_of(page)


async def test_names_of_an_mis_are_text(console: Console) -> None:
    console.api.mis.groups = [teaching("G1", SCRIPT, ["amy"], ["main"])]
    page = await step(console, await checked(console), "names", **RULES)
    assert SCRIPT in text_of(page)
    assert SCRIPT not in page


# --- an export set


def archive(folder: Path, **renamed: str) -> bytes:
    school = SchoolData(
        NEW, "Oak School", "1234567", 2026, pupils("amy ben"), staff("main"), (taught("T1", SCRIPT, "amy ben", "main"),)
    )
    write(school, folder)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as zipped:
        for path in folder.iterdir():
            zipped.write(path, path.name)
    return content.getvalue()


async def upload(console: Console, content: bytes, status: int = 200, **fields: Any) -> str:
    page = await console.read("/connect?mis=isams&way=zip")
    sent = {FIELD: field_value(page, FIELD), "draft": field_value(page, "draft"), "way": "zip", "id": NEW}
    response = await console.call("POST", "/connect/zip", sent | RULES | NAMES | fields, file=content)
    assert response.status_code == status, response.text
    return response.text


async def test_a_zip_file_shows_everything_in_one_page_and_is_kept_nowhere(console: Console, tmp_path: Path) -> None:
    page = await upload(console, archive(tmp_path))
    text = text_of(page)
    assert "School Oak School, DfE code 1234567" in text
    assert "50% Pupils" not in text
    assert "100% Pupils: 2 of 2 pupils find an account" in text
    assert "Classes to create 1, with 3 memberships" in text
    assert SCRIPT not in page
    assert console.api.mis.reads == 0
    assert await console.api.state.schools() == ()
    draft = json.loads(unescape(field_value(page, "draft")))
    assert draft["source"] == {"kind": "container", "folder": "OAK"}


@pytest.mark.parametrize(
    ("content", "fields", "status", "text"),
    [
        (b"", {}, 422, "no file was chosen"),
        (b"PK\x03\x04 not a zip", {}, 200, "the uploaded file is not a complete zip file"),
        (None, {"id": "ELM"}, 200, "the feed has no school ELM, but OAK (Oak School)"),
    ],
)
async def test_what_is_wrong_with_a_file_is_said(
    console: Console, tmp_path: Path, content: bytes | None, fields: dict[str, str], status: int, text: str
) -> None:
    page = await upload(console, archive(tmp_path) if content is None else content, status, **fields)
    assert text in text_of(page)
    assert "The feed could not be read" in text_of(page) or status == 422


async def test_a_form_without_a_file_or_with_a_forged_token_is_refused(console: Console, tmp_path: Path) -> None:
    await console.read("/connect?mis=isams&way=zip")
    assert (await console.call("POST", "/connect/zip", {FIELD: "0"}, file=archive(tmp_path))).status_code == 403
    assert (await console.call("POST", "/connect/zip", {FIELD: "0"})).status_code == 422


async def test_the_title_of_a_step_names_the_app_once(console: Console) -> None:
    assert "<title>MIS – Connect a school – MIS Class Sync</title>" in await console.read("/connect")


async def test_who_administers_one_school_connects_none(console: Console) -> None:
    page = await planned(console)
    assert (await console.call("GET", "/connect", caller=HEAD)).status_code == 403
    for path in ("check", "matching", "names", "plan", "save"):
        await console.send(page, f"/connect/{path}", 403, HEAD, draft=field_value(page, "draft"))
    assert await console.api.state.schools() == ()
