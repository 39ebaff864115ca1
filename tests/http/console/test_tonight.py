"""The pages of the plan: as recorded, as it is now, and as it is applied."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sync_core.domain.accounts import AccountChange, AccountChanges
from sync_core.domain.ids import MisId
from sync_core.messaging.messages import ApplyPlan
from sync_core.planning.naming.class_keys import class_key
from tests.builders import NOON, SCHOOL, TENANT, accounts, desired, settings, synced, teaching
from tests.fakes.memory_outbox import MemoryOutbox
from tests.fakes.memory_tenant import MemoryGroup
from tests.http.console.memory_console import Console, field_value, text_of
from tests.http.memory_api import DEPUTY, HEAD, PUPILS

TONIGHT = f"/schools/{SCHOOL.id}/tonight"
MATHS = teaching("G1", "Maths")
CROWD = [f"pupil {number}" for number in range(63)]
SCRIPT = "<script>alert(1)</script>"


def requests(console: Console) -> list[ApplyPlan]:
    outbox = console.api.app.services.outbox
    assert isinstance(outbox, MemoryOutbox)
    return [request for request, _ in outbox.requests if isinstance(request, ApplyPlan)]


async def add_class(console: Console, members: list[str]) -> None:
    """The class of Maths in Microsoft 365, with these pupils."""
    api = console.api
    known = tuple(AccountChange(each.id, each.values) for each in accounts([*members, "main"]))
    await api.state.write_accounts(TENANT, AccountChanges(False, known, frozenset(), "token"))
    for account in accounts([*members, "main"]):
        api.tenant.accounts[account.id] = account
    wanted = replace(
        desired(class_key(MATHS), members, ["main"]), group_id=MisId("G1"), group_name="Maths", academic_year=2026
    )
    await api.state.write_desired(SCHOOL.id, [wanted])
    record = await api.state.class_record(SCHOOL.id, wanted.key)
    actual = synced(wanted).actual
    assert record and actual
    await api.state.write_actual(replace(record, actual=actual))
    group = MemoryGroup(actual.class_id, actual.name, record.external_id, NOON)
    group.members, group.owners = set(wanted.members), set(wanted.owners)
    api.tenant.groups[group.id] = group
    limits = {"class_loss": 1, "class_loss_people": 1000, "school_loss": 1, "week_loss": 1}
    await api.state.save_school(settings(access=[HEAD], types=["teaching"], limits=limits))


async def test_the_first_page_reads_no_mis(console: Console) -> None:
    console.api.mis.groups = []
    text = text_of(await console.read(TONIGHT, caller=HEAD))
    assert "No sync of every class in the last 30 days." in text
    assert "This may take up to a minute, and changes nothing." in text


async def test_the_plan_names_who_comes_and_why(console: Console) -> None:
    page = await console.read(f"{TONIGHT}/plan", caller=HEAD)
    text = text_of(page)
    assert "+ 6 people join − 0 people leave 1 class to create 0 held 0 classes as they are" in text
    assert "+ joins as owner main teaches the group in the MIS" in text
    assert "+ joins amy in the group in the MIS" in text
    assert "by reading the MIS. Nothing has been changed." in text
    assert "Exactly these changes: 6 people join, 0 people leave, 1 class is created." in text
    assert "type the school’s code" not in text


async def test_who_moves_between_classes_is_told_so(console: Console) -> None:
    await add_class(console, PUPILS)
    console.api.mis.groups = [
        replace(MATHS, students=tuple(map(MisId, PUPILS[1:])), teachers=(MisId("main"),)),
        teaching("G2", "Art", ["amy"], ["main"]),
    ]
    text = text_of(await console.read(f"{TONIGHT}/plan"))
    assert "− leaves amy not in the group in the MIS; joins Art" in text
    assert "+ joins amy in the group in the MIS; also leaves Maths" in text
    assert text.index("Maths") < text.index("New class"), "the classes that people leave come first"
    only = text_of(await console.read(f"{TONIGHT}/plan?show=leaving"))
    assert "− leaves amy" in only and "New class" not in only
    assert "also those that are not listed here" in only
    new = text_of(await console.read(f"{TONIGHT}/plan?show=new"))
    assert "− leaves amy" not in new and "New class" in new


async def test_a_plan_that_is_applied_leads_to_its_run(console: Console) -> None:
    page = await console.read(f"{TONIGHT}/plan", caller=HEAD)
    digest = field_value(page, "digest")
    first = await console.send(page, f"{TONIGHT}/apply", caller=HEAD, digest=digest)
    (request,) = requests(console)
    assert request.digest == digest
    assert first.headers["location"] == f"/schools/{SCHOOL.id}/runs/{request.run}"
    again = await console.send(page, f"{TONIGHT}/apply", caller=HEAD, digest=digest)
    assert again.headers["location"] == first.headers["location"]
    assert requests(console) == [request]


async def test_a_plan_that_has_changed_is_shown_as_it_is_now(console: Console) -> None:
    page = await console.read(f"{TONIGHT}/plan")
    console.api.mis.groups = [teaching("G1", "Maths", PUPILS[1:], ["main"])]
    answer = await console.send(page, f"{TONIGHT}/apply", 409, digest=field_value(page, "digest"))
    text = text_of(answer.text)
    assert "The plan has changed, so nothing was applied" in text
    assert "5 people join" in text
    assert requests(console) == []
    await console.send(answer.text, f"{TONIGHT}/apply", digest=field_value(answer.text, "digest"))
    assert len(requests(console)) == 1


async def test_more_than_twenty_people_leave_only_if_the_code_is_typed(console: Console) -> None:
    await add_class(console, CROWD)
    console.api.mis.groups = [
        teaching("G1", "Maths", CROWD[21:], ["main"]),
        teaching("G2", "All", CROWD, ["main"]),
    ]
    page = await console.read(f"{TONIGHT}/plan")
    assert "21 people would leave a class. To apply the plan, type the school’s code, S1" in text_of(page)
    digest = field_value(page, "digest")
    for code in ("", "Oak"):
        answer = await console.send(page, f"{TONIGHT}/apply", 422, digest=digest, confirm=code)
        assert '<a href="#confirm">School code: type S1 to confirm that 21 people leave a class</a>' in answer.text
        assert f'name="confirm" type="text" value="{code}"' in answer.text
    assert requests(console) == []
    await console.send(page, f"{TONIGHT}/apply", digest=digest, confirm=" S1 ")
    assert len(requests(console)) == 1


async def test_a_page_names_at_most_150_people_and_counts_the_others(console: Console) -> None:
    crowd = [f"pupil {number:03}" for number in range(160)]
    known = accounts([*crowd, "main"])
    console.api.tenant.accounts |= {each.id: each for each in known}
    changes = tuple(AccountChange(each.id, each.values) for each in known)
    await console.api.state.write_accounts(TENANT, AccountChanges(False, changes, frozenset(), "token"))
    console.api.mis.groups = [teaching("G1", "Maths", crowd, ["main"])]
    page = await console.read(f"{TONIGHT}/plan")
    assert page.count('<span class="app-joins">+ joins') == 150
    assert "11 more people are not listed here. Show Maths alone" in text_of(page)
    assert f'href="{TONIGHT}/plan?class=2026.teaching.G1"' in page


async def test_names_are_text_and_an_account_without_a_name_is_its_id(console: Console) -> None:
    console.api.mis.groups = [teaching("G1", SCRIPT, ["amy"], ["main"])]
    (amy,) = accounts(["amy"])
    named = dict(amy.values)
    console.api.tenant.accounts[amy.id] = replace(amy, values=dict.fromkeys(named, f"{SCRIPT}@school"))
    (main,) = accounts(["main"])
    del console.api.tenant.accounts[main.id]
    page = await console.read(f"{TONIGHT}/plan")
    assert SCRIPT not in page
    assert page.count("&lt;script&gt;") >= 2
    assert main.id in text_of(page)


async def test_a_paused_school_has_no_plan(console: Console) -> None:
    await console.api.state.save_school(settings(access=[HEAD], enabled=False, pause_reason="new MIS"))
    assert "The school is paused (new MIS), so tonight does nothing." in text_of(await console.read(TONIGHT))
    text = text_of(await console.read(f"{TONIGHT}/plan"))
    assert "No plan can be made now, and a sync would change nothing." in text
    assert "The school is paused (new MIS): nothing was planned" in text
    assert "Apply this plan" not in text


async def test_a_plan_without_changes_has_nothing_to_apply(console: Console) -> None:
    await add_class(console, PUPILS)
    text = text_of(await console.read(f"{TONIGHT}/plan"))
    assert "Nothing to do: every class is as the MIS wants it." in text
    assert "Apply this plan" not in text


@pytest.mark.parametrize("path", ["", "/plan"])
async def test_the_pages_are_for_admins_of_the_school(console: Console, path: str) -> None:
    await console.read(TONIGHT + path, 403, caller=DEPUTY)
    assert (await console.call("GET", TONIGHT + path, caller=HEAD, role="GroupSync.Teacher")).status_code == 403


async def test_a_plan_is_applied_by_a_form_of_the_same_person(console: Console) -> None:
    page = await console.read(f"{TONIGHT}/plan")
    digest = field_value(page, "digest")
    await console.send(page, f"{TONIGHT}/apply", 403, caller=HEAD, digest=digest)
    assert (await console.call("POST", f"{TONIGHT}/apply", {"digest": digest})).status_code == 403
    await console.send(page, f"{TONIGHT}/apply", 422, digest="<b>")
    await console.send(page, f"{TONIGHT}/apply", 422)
    assert requests(console) == []


async def test_an_address_that_no_page_has_is_not_found(console: Console) -> None:
    for query in ("show=none", "page=0", "page=x", f"class={'k' * 201}"):
        await console.read(f"{TONIGHT}/plan?{query}", 404)
    assert "No class of the plan is one of these." in text_of(await console.read(f"{TONIGHT}/plan?class=none"))
