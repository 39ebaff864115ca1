"""The page of groups, the review of an action for several of them, and the form that creates a class."""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from sync_core.domain.classes.desired import Pin
from sync_core.domain.classes.record import ClassRecord
from sync_core.domain.classes.tenant_groups import Drift
from sync_core.domain.ids import ClassKey, MisId, RunId
from sync_core.domain.roster import GroupType
from sync_core.messaging.messages import ActOnClass, SyncSchool
from tests.builders import SCHOOL, desired, entra_id, settings, synced, teaching
from tests.fakes.memory_outbox import MemoryOutbox
from tests.http.console.memory_console import Console, text_of
from tests.http.memory_api import DEPUTY, HEAD, PUPILS, Api

GROUPS = f"/schools/{SCHOOL.id}/groups"
MATHS, ART = "2026.teaching.G1", "2026.teaching.G2"
HOSTILE = "<script>alert('x')</script>"
TEACHER = "GroupSync.Teacher"


async def add_class(api: Api, group: str, **actual: Any) -> ClassRecord:
    """A class of a teaching group, as the last sync left it."""
    wanted = replace(
        desired(f"2026.teaching.{group}", PUPILS, ["main"]), group_id=MisId(group), group_name=group, academic_year=2026
    )
    await api.state.write_desired(SCHOOL.id, [wanted])
    record = await api.state.class_record(SCHOOL.id, wanted.key)
    assert record
    return await api.state.write_actual(replace(record, actual=synced(wanted).actual, **actual))


def sent(api: Api) -> list[object]:
    outbox = api.app.services.outbox
    assert isinstance(outbox, MemoryOutbox)
    return [request for request, _ in outbox.requests]


def names_in_table(page: str) -> list[str]:
    return [text_of(name) for name in re.findall(r'<th scope="row"[^>]*>(.*?)</th>', page, re.DOTALL)]


async def test_without_a_class_on_record_the_page_says_what_comes_next(console: Console) -> None:
    assert "No class is recorded yet. The first night makes the classes" in text_of(await console.read(GROUPS))


async def test_the_mis_is_read_only_when_asked_for(api: Api, console: Console) -> None:
    await add_class(api, "G1")
    api.mis.groups = [teaching("G1", "Maths", PUPILS, ["main"]), teaching("G2", HOSTILE, PUPILS[:2], ["main"])]
    assert names_in_table(await console.read(GROUPS)) == ["G1"]
    page = await console.read(f"{GROUPS}?source=mis")
    assert names_in_table(page) == [HOSTILE, "Maths"]
    assert "<script>alert" not in page
    assert f'href="{GROUPS}/{ART}/create"' in page
    assert f'href="{GROUPS}/{MATHS}/create"' not in page


async def test_groups_of_a_type_are_in_the_order_in_which_people_read_their_names(api: Api, console: Console) -> None:
    names = ["10A", "7B", "7A", "Art", "7a/Ma10", "7a/Ma2"]
    api.mis.groups = [teaching(f"G{number}", name) for number, name in enumerate(names)]
    page = await console.read(f"{GROUPS}?source=mis")
    assert names_in_table(page) == ["Art", "7A", "7a/Ma2", "7a/Ma10", "7B", "10A"]


async def test_long_lists_have_pages_that_keep_the_filter(api: Api, console: Console) -> None:
    api.mis.groups = [teaching(f"G{number:03}", f"Maths {number:03}") for number in range(120)]
    api.mis.groups += [teaching("A", "Art"), replace(teaching("Y", "Maths year"), type=GroupType.YEAR)]
    first = await console.read(f"{GROUPS}?source=mis&name=maths&type=teaching&state=none")
    assert len(names_in_table(first)) == 50
    following = re.search(r'href="([^"]*page=2)"', first)
    assert following
    last = await console.read(following[1].replace("&amp;", "&").replace("page=2", "page=3"))
    assert names_in_table(last) == [f"Maths {number:03}" for number in range(100, 120)]
    assert "101 to 120 of 120 groups" in text_of(last)
    assert names_in_table(await console.read(f"{GROUPS}?source=mis&page=99")) == [
        f"Maths {number:03}" for number in range(98, 120)
    ]


async def test_a_review_says_for_which_groups_an_action_is_impossible_and_why(api: Api, console: Console) -> None:
    await add_class(api, "G1")
    await add_class(api, "G2", gone=True)
    page = text_of(await console.read(f"{GROUPS}/actions?action=resync&key={MATHS}&key={ART}"))
    assert "Not possible for 1 group G2 Class 2026.teaching.G2 is gone from Microsoft 365." in page
    assert "What helps: restore it, or create it again." in page
    assert sent(api) == []


async def test_the_review_of_new_classes_shows_their_addresses(api: Api, console: Console) -> None:
    api.mis.groups = [teaching("G1", "Maths"), teaching("G2", "Ma ths"), teaching("G3", "Ma-ths")]
    page = await console.read(f"{GROUPS}/actions?action=create&key=2026.teaching.G2&key=2026.teaching.G3")
    assert re.findall(r"app-address\">([^<]*)<", page) == ["Ma-ths.class.1234567.2026", "Ma-ths-2.class.1234567.2026"]
    alone = await console.call("GET", f"{GROUPS}/actions?action=create&key={MATHS}")
    assert (alone.status_code, alone.headers["location"]) == (303, f"{GROUPS}/{MATHS}/create")


async def test_an_action_for_several_classes_is_one_run_and_one_event_for_each(
    api: Api, console: Console, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await add_class(api, "G1")
    await add_class(api, "G2")
    page = await console.read(f"{GROUPS}/actions?action=resync&key={MATHS}&key={ART}", caller=HEAD)
    answer = await console.send(page, f"{GROUPS}/actions", caller=HEAD, action="resync", key=[MATHS, ART])  # type: ignore[arg-type]
    (request,) = sent(api)
    assert isinstance(request, SyncSchool)
    assert request.scope == ("G1", "G2")
    assert answer.headers["location"] == f"/schools/{SCHOOL.id}/runs/{request.run}"
    events = [vars(record) for record in caplog.records if record.getMessage() == "admin.requested"]
    assert [(event["sync.class"], event["sync.run"], event["sync.action"]) for event in events] == [
        (MATHS, request.run, "resync"),
        (ART, request.run, "resync"),
    ]


async def test_an_action_that_is_impossible_for_one_class_is_requested_for_none(api: Api, console: Console) -> None:
    """As with a form that was open while somebody else deleted a class."""
    await add_class(api, "G1")
    await add_class(api, "G2")
    page = await console.read(f"{GROUPS}/actions?action=resync&key={MATHS}&key={ART}")
    await api.state.write_drift(SCHOOL.id, [Drift(ClassKey(ART), gone=True)])
    answer = await console.send(page, f"{GROUPS}/actions", 409, action="resync", key=[MATHS, ART])  # type: ignore[arg-type]
    assert "Class 2026.teaching.G2 is gone from Microsoft 365." in text_of(answer.text)
    record = await api.state.class_record(SCHOOL.id, ClassKey(MATHS))
    assert record and not record.stale
    assert sent(api) == []


async def test_classes_are_restored_by_a_run_each(api: Api, console: Console) -> None:
    await add_class(api, "G1", gone=True)
    await add_class(api, "G2", gone=True)
    page = await console.read(f"{GROUPS}/actions?action=restore&key={MATHS}&key={ART}")
    answer = await console.send(page, f"{GROUPS}/actions", action="restore", key=[MATHS, ART])  # type: ignore[arg-type]
    assert answer.headers["location"] == f"/schools/{SCHOOL.id}/runs"
    assert [request.key for request in sent(api) if isinstance(request, ActOnClass)] == [MATHS, ART]


async def test_pins_are_released_together(api: Api, console: Console) -> None:
    for group in ("G1", "G2"):
        record = await add_class(api, group)
        pin = Pin(key=record.key, members=frozenset(), owners=frozenset(), undone=RunId("night"), run=RunId("undo"))
        await api.state.write_pins(SCHOOL.id, [pin])
    page = await console.read(f"{GROUPS}/actions?action=release&key={MATHS}&key={ART}")
    await console.send(page, f"{GROUPS}/actions", action="release", key=[MATHS, ART])  # type: ignore[arg-type]
    assert await api.state.pins(SCHOOL.id) == {}
    assert len(sent(api)) == 1


async def test_several_classes_are_never_deleted_at_once(api: Api, console: Console) -> None:
    await add_class(api, "G1")
    await add_class(api, "G2")
    page = await console.read(f"{GROUPS}/actions?action=resync&key={MATHS}&key={ART}")
    answer = await console.send(page, f"{GROUPS}/actions", 409, action="delete", key=[MATHS, ART])  # type: ignore[arg-type]
    assert "Several classes are not deleted at once, so nothing was changed." in text_of(answer.text)
    assert sent(api) == []


async def test_an_action_needs_a_group_an_action_and_the_token_of_the_page(api: Api, console: Console) -> None:
    await add_class(api, "G1")
    assert "tick at least one group" in await console.read(f"{GROUPS}/actions?action=resync", 422)
    page = await console.read(f"{GROUPS}/actions?action=resync&key={MATHS}")
    await console.send(page, f"{GROUPS}/actions", 422, action="resync")
    await console.send(page, f"{GROUPS}/actions", 422, action="burn", key=MATHS)
    forged = await console.call("POST", f"{GROUPS}/actions", {"action": "resync", "key": MATHS})
    assert forged.status_code == 403
    assert sent(api) == []


@pytest.mark.parametrize("path", ["", "?source=mis", f"/actions?action=resync&key={MATHS}", f"/{MATHS}/create"])
async def test_an_admin_of_another_school_sees_no_group(console: Console, path: str) -> None:
    assert SCHOOL.id not in await console.read(f"{GROUPS}{path}", 403, caller=DEPUTY)


# --- create


async def test_the_form_shows_the_address_and_creates_the_class_as_it_was_filled_in(api: Api, console: Console) -> None:
    page = await console.read(f"{GROUPS}/{MATHS}/create")
    assert "Maths.class.1234567.2026" in page
    form = f"{GROUPS}/{MATHS}/create"
    answer = await console.send(
        page, form, display_name=" Maths club ", description="Algebra", required_until="31/07/2027"
    )
    (request,) = (await api.state.class_requests(SCHOOL.id)).values()
    assert (request.display_name, request.description, request.required_until) == (
        "Maths club",
        "Algebra",
        date(2027, 7, 31),
    )
    (message,) = sent(api)
    assert isinstance(message, SyncSchool)
    assert answer.headers["location"] == f"/schools/{SCHOOL.id}/runs/{message.run}"


async def test_every_fault_is_shown_at_its_field_and_the_form_is_as_it_was_sent(api: Api, console: Console) -> None:
    page = await console.read(f"{GROUPS}/{MATHS}/create")
    form = f"{GROUPS}/{MATHS}/create"
    answer = await console.send(page, form, 422, display_name='A & "B"', required_until="31/02/2027")
    text = text_of(answer.text)
    assert "Name: should be text on one line, without any of & * ? | { } +" in text
    assert "Needed until: there is no such day" in text
    assert 'value="A &amp; &#34;B&#34;"' in answer.text
    assert 'href="#required_until"' in answer.text
    assert (await api.state.class_requests(SCHOOL.id), sent(api)) == ({}, [])


async def test_a_form_that_is_sent_twice_asks_for_one_class(api: Api, console: Console) -> None:
    page = await console.read(f"{GROUPS}/{MATHS}/create")
    for _ in range(2):
        await console.send(page, f"{GROUPS}/{MATHS}/create")
    (request,) = (await api.state.class_requests(SCHOOL.id)).values()
    assert (request.key, request.generation) == (MATHS, 0)


async def test_a_group_that_has_a_class_gets_no_form_but_the_reason(api: Api, console: Console) -> None:
    await add_class(api, "G1")
    page = text_of(await console.read(f"{GROUPS}/{MATHS}/create"))
    assert "The class cannot be created now: group 2026.teaching.G1 has a class already." in page
    assert "What helps: resync its members instead." in page


async def test_a_paused_school_says_so_before_anything_is_filled_in(api: Api, console: Console) -> None:
    await api.state.save_school(settings(access=[HEAD], enabled=False, pause_reason="new MIS"))
    assert "school S1 is paused (new MIS)" in await console.read(f"{GROUPS}/{MATHS}/create")
    assert "The school is paused" in await console.read(GROUPS)


async def test_a_teacher_creates_a_class_and_is_led_back_to_their_groups(api: Api, console: Console) -> None:
    page = await console.call("GET", f"{GROUPS}/{MATHS}/create", caller=HEAD, role=TEACHER)
    token = re.search(r'name="form_token" value="(\w+)"', page.text)
    assert token
    answer = await console.call("POST", f"{GROUPS}/{MATHS}/create", {"form_token": token[1]}, HEAD, TEACHER)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/schools/{SCHOOL.id}/my-groups")
    (request,) = (await api.state.class_requests(SCHOOL.id)).values()
    assert request.creator == HEAD
    shown = await console.call("GET", f"/schools/{SCHOOL.id}/my-groups?source=mis", caller=HEAD, role=TEACHER)
    assert "● requested" in text_of(shown.text)
    assert "It waits for its turn. Open this page again in a minute." in text_of(shown.text)
    assert f"{MATHS}/create" not in shown.text
    assert entra_id("main") not in shown.text
