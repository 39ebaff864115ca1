"""The page of one class, and the form that deletes it."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from sync_core.domain.classes.desired import Pin
from sync_core.domain.classes.outcomes import AppliedDelta
from sync_core.domain.classes.record import ClassState
from sync_core.domain.classes.row_error import RowError
from sync_core.domain.classes.teams import ActualTeam, TeamState
from sync_core.domain.ids import ClassKey, RunId
from sync_core.domain.runs import Cause, HeldClass, Hold, HoldKind
from sync_core.errors import GraphDenied
from sync_core.messaging.messages import Action, ActOnClass
from tests.builders import NOON, SCHOOL, entra_id, entra_ids
from tests.fakes.memory_tenant import MemoryGroup
from tests.http.console.memory_console import Console, text_of
from tests.http.console.test_group_pages import MATHS, add_class, sent
from tests.http.memory_api import DEPUTY, PUPILS, Api

PAGE = f"/schools/{SCHOOL.id}/classes/{MATHS}"
NAME = f"{MATHS}_Class [1234567][2026]"
HOSTILE = "<img src=x onerror=alert(1)>"


async def add_maths(api: Api, members: list[str], **actual: Any) -> MemoryGroup:
    """The class as recorded, and as Microsoft 365 has it with these members."""
    record = await add_class(api, "G1", **actual)
    assert record.actual
    group = MemoryGroup(record.actual.class_id, record.actual.name, record.external_id, NOON)
    group.members, group.owners = set(entra_ids([*members, "main"])), {entra_id("main")}
    api.tenant.groups[group.id] = group
    return group


async def test_who_differs_comes_first_and_people_have_names(api: Api, console: Console) -> None:
    group = await add_maths(api, PUPILS[1:])
    group.members.add(entra_id("all schools"))
    page = text_of(await console.read(PAGE))
    assert "6 members wanted, 1 of them as owner. 2 people differ in Microsoft 365 now." in page
    assert "amy member – ● not there yet" in page
    assert f"{entra_id('all schools')} – member ● not wanted" in page
    assert page.index("amy member") < page.index("main owner owner ✔ as wanted")


async def test_people_who_are_as_wanted_are_in_the_order_of_their_names(api: Api, console: Console) -> None:
    await add_maths(api, PUPILS)
    page = text_of(await console.read(PAGE))
    assert re.findall(r"(\w+) (?:owner|member) (?:owner|member) ✔ as wanted", page) == ["main", *PUPILS]


async def test_an_owner_who_was_added_by_hand_does_not_count_as_a_difference(api: Api, console: Console) -> None:
    group = await add_maths(api, PUPILS)
    group.owners.add(entra_id("amy"))
    page = text_of(await console.read(PAGE))
    assert "Microsoft 365 has the same people now." in page
    assert "amy member owner ✔ owner added by hand" in page


async def test_microsoft_365_that_hides_people_is_not_said_to_have_none(api: Api, console: Console) -> None:
    await add_maths(api, PUPILS)
    api.tenant.hides_members = True
    page = text_of(await console.read(PAGE))
    assert "Microsoft 365 does not show the app who is in the class, so only its owners are known." in page
    assert "amy member not known ● not known" in page
    assert "main owner owner ✔ as wanted" in page


async def test_microsoft_365_that_cannot_be_read_leaves_what_is_recorded(api: Api, console: Console) -> None:
    record = await add_class(api, "G1")
    assert record.actual
    api.tenant.groups[record.actual.class_id] = RefusedGroup(record.actual.class_id, record.actual.name, None, NOON)
    page = text_of(await console.read(PAGE))
    assert "Microsoft 365 could not be read, so this page shows only who is wanted: Graph refused" in page
    assert "What helps: grant it." in page
    assert "amy member not known ● not known" in page


class RefusedGroup(MemoryGroup):
    """A group that Graph denies the app."""

    @property
    def deleted(self) -> bool:
        raise GraphDenied("Authorization_RequestDenied", "no", "grant it")

    @deleted.setter
    def deleted(self, value: bool) -> None:
        pass


async def test_the_mis_is_compared_when_asked_for(api: Api, console: Console) -> None:
    await add_maths(api, PUPILS)
    api.mis.groups = [replace(api.mis.groups[0], students=api.mis.groups[0].students[1:])]
    page = text_of(await console.read(f"{PAGE}?source=mis"))
    assert "The MIS was read for this page" in page
    assert "amy member member – (differs) ✔ as wanted" in page
    assert "(differs)" not in text_of(await console.read(PAGE))


async def test_a_class_without_a_group_in_the_mis_says_so(api: Api, console: Console) -> None:
    await add_maths(api, PUPILS)
    api.mis.groups = []
    page = text_of(await console.read(f"{PAGE}?source=mis"))
    assert "It does not say who should be in the class:" in page


async def test_each_thing_that_waits_is_shown_with_where_it_is_decided(api: Api, console: Console) -> None:
    await add_maths(api, PUPILS, error=RowError("PersonRefused", HOSTILE, "give them a licence"))
    held = HeldClass(group_name="Maths", name=NAME, key=ClassKey(MATHS), what="5 leave", digest="a1")
    hold = Hold(
        digest="a", kind=HoldKind.LEFT_MIS, what="5 leave", remedy="decide", classes=(held,), run=RunId("r"), at=NOON
    )
    await api.state.replace_holds(SCHOOL.id, [], [hold])
    pin = Pin(key=ClassKey(MATHS), members=frozenset(), owners=frozenset(), undone=RunId("bad"), run=RunId("undo"))
    await api.state.write_pins(SCHOOL.id, [pin])
    page = await console.read(PAGE)
    assert "Microsoft 365 refused the last change: PersonRefused" in page
    assert "<img" not in page
    assert "A change of this class waits for a decision" in page
    assert f'href="/schools/{SCHOOL.id}/runs/bad"' in page
    assert "action=release" in page


async def test_the_history_names_people_and_leads_to_their_runs(api: Api, console: Console) -> None:
    await add_maths(api, PUPILS)
    record = await api.state.class_record(SCHOOL.id, ClassKey(MATHS))
    assert record
    delta = AppliedDelta(
        run=RunId("night"), cause=Cause.NIGHTLY, at=NOON, members_added=entra_ids(["amy"]), created=True
    )
    await api.state.write_actual(record, delta)
    page = await console.read(PAGE)
    assert "Created, 1 person joined" in page
    assert "Joined: amy" in text_of(page)
    assert f'href="/schools/{SCHOOL.id}/runs/night"' in page


async def test_what_is_impossible_has_its_reason(api: Api, console: Console) -> None:
    await add_maths(api, PUPILS)
    page = text_of(await console.read(PAGE))
    assert "Restore class Class 2026.teaching.G1 is not deleted." in page
    assert "Release pin Class 2026.teaching.G1 is not pinned." in page


async def test_a_class_that_is_not_there_and_one_of_another_school(api: Api, console: Console) -> None:
    await add_maths(api, PUPILS)
    assert "no class 2026.teaching.G9" in await console.read(PAGE.replace("G1", "G9"), 404)
    assert "Maths" not in await console.read(PAGE, 403, caller=DEPUTY)
    assert (await console.call("GET", PAGE, role="GroupSync.Teacher")).status_code == 403


# --- delete


async def test_a_class_is_deleted_if_its_name_is_typed(api: Api, console: Console) -> None:
    await add_maths(api, PUPILS)
    page = await console.read(f"{PAGE}/delete")
    assert "until 7 Oct 13:00" in text_of(page)
    refused = await console.send(page, f"{PAGE}/delete", 422, typed="Maths")
    assert "nothing was deleted" in refused.text
    assert sent(api) == []
    answer = await console.send(page, f"{PAGE}/delete", typed=f"  {NAME.lower()} ")
    (request,) = sent(api)
    assert isinstance(request, ActOnClass)
    assert (request.key, request.action) == (MATHS, Action.DELETE)
    assert answer.headers["location"] == f"/schools/{SCHOOL.id}/runs/{request.run}"


async def test_a_class_that_is_gone_has_no_form_that_deletes_it(api: Api, console: Console) -> None:
    await add_class(api, "G1", gone=True)
    assert "gone from Microsoft 365 already" in await console.read(f"{PAGE}/delete", 409)


async def test_a_deletion_without_the_token_of_the_page_changes_nothing(api: Api, console: Console) -> None:
    await add_maths(api, PUPILS)
    answer = await console.call("POST", f"{PAGE}/delete", {"typed": NAME})
    assert (answer.status_code, sent(api)) == (403, [])


async def test_a_deleted_class_says_until_when_it_can_be_restored(api: Api, console: Console) -> None:
    record = await add_class(api, "G1")
    await api.state.write_desired(SCHOOL.id, [replace(record.desired, deleted=True)])
    record = (await api.state.class_records(SCHOOL.id))[0]
    deleted = AppliedDelta(run=RunId("r"), cause=Cause.ADMIN, at=NOON, deleted=True)
    record = await api.state.write_actual(replace(record, gone=True), deleted)
    assert record.state is ClassState.DELETED
    page = text_of(await console.read(PAGE))
    assert "Microsoft 365 can restore it for 30 days. That is until 7 Oct 13:00 ." in page
    assert "Microsoft 365 does not have the class now, so nobody is in it." in page


@pytest.mark.parametrize("state", TeamState)
async def test_the_page_says_how_the_team_is(api: Api, console: Console, state: TeamState) -> None:
    error = RowError("PersonNotInTeam", "a person has no licence", "give the person a licence")
    await add_maths(api, PUPILS)
    record = await api.state.class_record(SCHOOL.id, ClassKey(MATHS))
    assert record and record.actual
    team = ActualTeam(state=state, error=error)
    await api.state.write_actual(replace(record, actual=replace(record.actual, team=team)))
    page = text_of(await console.read(PAGE))
    assert ", refused" in page
    assert "a person has no licence" in page
    assert "give the person a licence" in page
