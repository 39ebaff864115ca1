"""The settings page: filled in as saved, reviewed before it is saved, and the record of who changed what."""

from __future__ import annotations

import json
import re
from dataclasses import fields, replace
from typing import Any

import pytest
from starlette.datastructures import FormData

from sync_core.admin.school_settings import SchoolBody
from sync_core.domain.accounts import Account, AccountProperty
from sync_core.domain.ids import RunId
from sync_core.domain.runs import Cause, Changed
from sync_core.domain.school.settings import SchoolSettings
from sync_core.domain.school.sources import FeedContainer, FeedFolder, OneRosterApi, WondeApi
from sync_core.http.admin.schemas import school_json
from sync_core.http.console.views.settings.changes import setting_rows, settings_on_page
from sync_core.http.console.views.settings.fields import fill_in, read_into, value_in_words
from sync_core.http.console.views.settings.words import ELSEWHERE, SECTIONS
from sync_core.messaging.messages import SyncSchool
from sync_core.sync.school import sync_school
from tests.builders import SCHOOL, TENANT, entra_id, settings, teaching
from tests.http.console.memory_console import Console, field_value, text_of
from tests.http.memory_api import ALL_SCHOOLS, DEPUTY, HEAD

PATH = f"/schools/{SCHOOL.id}/settings"
SCRIPT = "<script>alert(1)</script>"
SOURCES = (
    FeedFolder("feed"),
    FeedContainer("oak"),
    WondeApi(school="A1930499544", secret="MIS_SECRET_WONDE"),
    OneRosterApi(url="https://mis.example", secret="MIS_SECRET_OAK"),
)


def as_sent(saved: SchoolSettings, all_schools: bool = True, **changed: str | list[str]) -> dict[str, Any]:
    """The fields of the form as a browser sends them, with some of them changed."""
    filled = fill_in(settings_on_page(saved, all_schools), school_json(saved))
    sent: dict[str, Any] = {
        each.setting.place: list(each.values) if each.setting.kind == "several" else each.value for each in filled
    }
    return sent | {name.replace("__", "."): value for name, value in changed.items()}


async def review(
    console: Console, status: int = 200, caller: str = ALL_SCHOOLS, all_schools: bool = True, **changed: str | list[str]
) -> str:
    saved = await console.api.state.school(SCHOOL.id)
    assert saved
    page = await console.read(PATH, caller=caller)
    sent = as_sent(saved, all_schools, **changed) | {"based_on": field_value(page, "based_on")}
    return (await console.send(page, PATH, status, caller, **sent)).text


def carried(page: str) -> dict[str, Any]:
    return {name: field_value(page, name) for name in ("draft", "based_on")}


def test_each_setting_is_on_the_page_once_or_it_is_said_why_not() -> None:
    named = [name for section in SECTIONS for name in section.settings]
    assert sorted([*named, *ELSEWHERE]) == sorted(field.name for field in fields(SchoolBody))


@pytest.mark.parametrize("source", SOURCES)
def test_each_choice_is_in_words_of_its_own(source: FeedFolder | FeedContainer | WondeApi | OneRosterApi) -> None:
    """Choices of two settings may have one value: keep is a choice for owners, and for files."""
    for setting in settings_on_page(replace(settings(), source=source), all_schools=True):
        assert len(set(setting.choices.values())) == len(setting.choices)
    words = {each.place: each.choices for each in settings_on_page(settings(), all_schools=True)}
    assert words["departed_owners"]["keep"] == "stays an owner"
    assert words["source.after_sync"]["keep"] == "the files stay where they are"
    assert value_in_words("types", "registration, year") == "Registration groups, Year groups"
    assert value_in_words("source.after_sync", "keep") == "the files stay where they are"
    assert value_in_words("name", "year") == "year"


@pytest.mark.parametrize("source", SOURCES)
def test_what_a_form_shows_is_what_it_sends(source: FeedFolder | FeedContainer | WondeApi | OneRosterApi) -> None:
    saved = replace(settings(admin_owners=["a@b.org", "c@d.org"], students={"domain": ""}), source=source)
    on_page = settings_on_page(saved, all_schools=True)
    sent = FormData(
        [
            (each.setting.place, value)
            for each in fill_in(on_page, school_json(saved))
            for value in (each.values if each.setting.kind == "several" else [each.value])
        ]
    )
    again, before = read_into(school_json(saved), on_page, sent), school_json(saved)
    assert {**again, "types": sorted(again["types"])} == before


async def test_the_form_has_the_saved_settings_in_the_order_of_the_source(console: Console) -> None:
    page = await console.read(PATH)
    places = re.findall(r'<(?:input class|select|textarea)[^>]* name="([^"]+)"', page)
    assert list(dict.fromkeys(places))[:3] == ["types", "name_identifier", "admin_owners"]
    assert 'value="feed"' in page
    assert "No change is on record." in text_of(page)


async def test_nothing_changed_is_said_and_the_mis_is_not_read(console: Console) -> None:
    assert "Nothing differs from the settings that are saved." in await review(console)
    assert console.api.mis.reads == 0


async def test_a_change_shows_what_it_does_before_it_is_saved(console: Console) -> None:
    console.api.mis.groups.append(teaching("G2", SCRIPT, ["amy"], ["main"]))
    before = await console.api.state.school(SCHOOL.id)
    page = await review(console, types=["year"], limits__turnover="0.9")
    text = text_of(page)
    assert "automatically Registration groups, Teaching groups, Year groups Year groups" in text
    assert "Turnover of a class 0.8 0.9" in text
    assert "Classes to create 2 0" in text
    assert "created with 6 people" in text
    assert "nothing" in text
    assert SCRIPT not in page
    assert console.api.mis.reads == 1
    assert await console.api.state.school(SCHOOL.id) == before


async def test_what_was_reviewed_is_saved_once_and_is_on_record(console: Console) -> None:
    console.api.tenant.accounts[HEAD] = Account(HEAD, {AccountProperty.UPN: f"{SCRIPT}@oak.example"})
    page = await review(console, caller=HEAD, all_schools=False, limits__turnover="0.9")
    for _ in range(2):  # the second time is a double submit
        answer = await console.send(page, f"{PATH}/save", caller=HEAD, **carried(page))
        assert answer.headers["location"] == f"{PATH}#changes"
    saved = await console.api.state.school(SCHOOL.id)
    assert saved
    assert saved.limits.turnover == 0.9
    listed = await console.read(PATH)
    assert len(await console.api.state.settings_changes(SCHOOL.id)) == 1
    assert "Turnover of a class 0.8 → became 0.9" in text_of(listed)
    assert SCRIPT in text_of(listed)
    assert SCRIPT not in listed


async def test_the_second_of_two_admins_is_told_what_the_first_one_changed(console: Console) -> None:
    page = await review(console, limits__turnover="0.9")
    await console.api.answer("PATCH", f"schools/{SCHOOL.id}", {"name": "Oak"})
    answer = await console.send(page, f"{PATH}/save", 412, **carried(page))
    assert "have changed since you read them (name), so nothing was saved" in text_of(answer.text)
    assert "Settings of school S1 have changed" in text_of(await review_stale(console, page))


async def review_stale(console: Console, page: str) -> str:
    saved = await console.api.state.school(SCHOOL.id)
    assert saved
    sent = as_sent(saved) | {"based_on": carried(page)["based_on"]}
    return (await console.send(page, PATH, 412, **sent)).text


async def test_each_fault_stands_at_its_field_and_the_form_is_as_it_was_sent(console: Console) -> None:
    page = await review(
        console, 422, limits__turnover="lots", admin_owners=f"head@oak.org\n{SCRIPT}", access="Oak office"
    )
    assert '<a href="#limits.turnover">' in page
    assert '<a href="#admin_owners">' in page
    assert "People and groups: no user or group in Microsoft 365 has the name Oak office" in text_of(page)
    assert 'value="lots"' in page
    assert SCRIPT not in page
    assert (await console.api.state.school(SCHOOL.id)) == settings(access=[HEAD])


async def test_a_reviewed_draft_goes_back_into_the_form(console: Console) -> None:
    page = await review(console, limits__turnover="0.9")
    form = (await console.send(page, f"{PATH}/edit", 200, **carried(page))).text
    assert re.search(r'name="limits.turnover"[^>]* value="0.9"', form)


async def test_a_plan_that_cannot_be_made_does_not_keep_anybody_from_saving(console: Console) -> None:
    await sync_school(SyncSchool(SCHOOL.id, RunId("night"), Cause.NIGHTLY), console.api.app.services)
    console.api.mis.groups.clear()
    page = await review(console, students__domain="oak.example")
    assert re.search(r"Pupils: domain \S* ?oak\.example", text_of(page))
    assert "No plan could be made with these settings." in text_of(page)
    await console.send(page, f"{PATH}/save", **carried(page))


def test_a_switch_is_yes_or_no_in_the_record_of_changes() -> None:
    (row,) = setting_rows({"enabled": Changed(before="true", after="false")})
    assert (row.label, row.before, row.after) == ("Synced", "yes", "no")


async def test_an_admin_of_one_school_changes_no_source_and_takes_no_access_away(console: Console) -> None:
    page = await console.read(PATH, caller=HEAD)
    assert 'name="source.path"' not in page
    assert "Only admins of all schools change this." in text_of(page)
    reviewed = await review(console, caller=HEAD, all_schools=False, limits__turnover="0.9")
    draft = json.loads(carried(reviewed)["draft"])
    forgeries: list[dict[str, Any]] = [
        {"source": {"kind": "folder", "path": "/etc"}},
        {"tenant": entra_id("other")},
        {"access": []},
    ]
    for forged in forgeries:
        sent = carried(reviewed) | {"draft": json.dumps(draft | forged)}
        await console.send(reviewed, f"{PATH}/save", 403, HEAD, **sent)
    assert (await console.api.state.school(SCHOOL.id)) == settings(access=[HEAD])


@pytest.mark.parametrize("draft", ["", "[]", "{", '{"tenant": 1}'])
async def test_a_damaged_draft_saves_nothing(console: Console, draft: str) -> None:
    page = await review(console, limits__turnover="0.9")
    await console.send(page, f"{PATH}/save", 422, **(carried(page) | {"draft": draft}))
    await console.send(
        page, f"{PATH}/save", 422, **(carried(page) | {"draft": json.dumps({"id": "S2", "tenant": TENANT})})
    )
    assert (await console.api.state.school(SCHOOL.id)) == settings(access=[HEAD])


async def test_who_administers_another_school_sees_and_saves_nothing(console: Console) -> None:
    await console.read(PATH, 403, DEPUTY)
    page = await review(console, limits__turnover="0.9")
    for path in (PATH, f"{PATH}/edit", f"{PATH}/save"):
        await console.send(page, path, 403, DEPUTY, **carried(page))
