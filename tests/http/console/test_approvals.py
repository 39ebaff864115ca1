"""The pages of what is held: as recorded, as it is now, and as it is decided."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sync_core.admin.holds import decide_hold
from sync_core.domain.classes.desired import Reason, Rule
from sync_core.domain.ids import AccountId, MisId, RunId
from sync_core.domain.runs import Cause, Hold, HoldKind, HoldStatus
from sync_core.messaging.messages import DecideHold, Decision, SyncSchool
from sync_core.planning.naming.class_keys import class_key
from sync_core.sync.school import sync_school
from tests.builders import SCHOOL, class_id, desired, entra_id, entra_ids, settings, synced, teaching
from tests.fakes.memory_outbox import MemoryOutbox
from tests.http.console.memory_console import Console, text_of
from tests.http.memory_api import DEPUTY, HEAD, PUPILS

APPROVALS = f"/schools/{SCHOOL.id}/approvals"
SCRIPT = "<script>alert(1)</script>"
LIMITS = {"school_loss": 1, "week_loss": 1, "class_loss_people": 2, "class_loss": 0.1}
CHANGED = "The MIS or Microsoft 365 has changed since you saw this hold, or somebody else has decided."


def requests(console: Console) -> list[DecideHold]:
    outbox = console.api.app.services.outbox
    assert isinstance(outbox, MemoryOutbox)
    return [request for request, _ in outbox.requests if isinstance(request, DecideHold)]


async def hold_losses(console: Console, *names: str, without: int = 2) -> tuple[Hold, ...]:
    """Classes of everybody, whose groups have lost their first pupils since, and the holds that a sync recorded."""
    api, groups = console.api, [teaching(f"G{at}", name, PUPILS, ["main"]) for at, name in enumerate(names)]
    for group in groups:
        wanted = replace(
            desired(class_key(group), PUPILS, ["main"]),
            group_id=group.id,
            group_name=group.name,
            academic_year=2026,
            reasons={entra_id(pupil): Reason(Rule.STUDENT, MisId(pupil)) for pupil in PUPILS},
        )
        await api.state.write_desired(SCHOOL.id, [wanted])
        record = await api.state.class_record(SCHOOL.id, wanted.key)
        assert record
        await api.state.write_actual(replace(record, actual=synced(wanted).actual))
    everybody = teaching("ALL", "All", PUPILS, ["main"])
    api.mis.groups = [*(replace(group, students=group.students[without:]) for group in groups), everybody]
    await api.state.save_school(settings(access=[HEAD], types=["teaching"], limits=LIMITS))
    return await sync(console)


async def sync(console: Console) -> tuple[Hold, ...]:
    await sync_school(SyncSchool(SCHOOL.id, RunId("night"), Cause.NIGHTLY), console.api.app.services)
    return await console.api.state.holds(SCHOOL.id)


async def test_nothing_waits(console: Console) -> None:
    text = text_of(await console.read(APPROVALS, caller=HEAD))
    assert "This is what the last plan held. Read the MIS now Nothing waits for a decision." in text
    assert console.api.mis.reads == 0


async def test_a_card_says_cause_limit_and_names_and_reads_no_mis(console: Console) -> None:
    (hold,) = await hold_losses(console, "Maths")
    reads = console.api.mis.reads
    page = await console.read(APPROVALS, caller=HEAD)
    text = text_of(page)
    assert "Approvals (1)" in text
    assert "1 decision waits. Until then, these classes keep their people." in text
    assert "2 of 5 pupils would leave Maths They are no longer in the MIS group of the class" in text
    assert "40% of the class would leave. Your limit is 10%." in text
    assert "Maths Would lose 2 of 5 students: 40%, over 10% − leaves" in text
    assert "− leaves amy" in text and "− leaves ben" in text
    assert f'id="{hold.digest}"' in page, "the home of the school leads there"
    assert console.api.mis.reads == reads


@pytest.mark.parametrize(("answer", "label"), [("approve", "They should leave"), ("reject", "Keep them")])
async def test_a_decision_is_a_run(console: Console, answer: str, label: str) -> None:
    (hold,) = await hold_losses(console, "Maths")
    page = await console.read(APPROVALS, caller=HEAD)
    assert label in text_of(page)
    response = await console.send(page, f"{APPROVALS}/{hold.digest}", caller=HEAD, answer=answer)
    (request,) = requests(console)
    assert response.headers["location"] == f"/schools/{SCHOOL.id}/runs/{request.run}"
    assert (request.decision, request.held) == (Decision(answer), (hold.classes[0].digest,))
    page = await console.read(APPROVALS, caller=HEAD)
    assert "is on its way. See what it does" in text_of(page)
    assert f'href="{response.headers["location"]}"' in page


async def test_a_decision_that_is_sent_twice_is_carried_out_once(console: Console) -> None:
    (hold,) = await hold_losses(console, "Maths")
    page = await console.read(APPROVALS)
    for _ in range(2):
        await console.send(page, f"{APPROVALS}/{hold.digest}", answer="approve")
    for request in requests(console):
        assert (await decide_hold(request, console.api.app.services)).held == ()
        record = await console.api.state.class_record(SCHOOL.id, hold.classes[0].key)
        assert record and record.desired.members == entra_ids([*PUPILS[2:], "main"])
    back = await console.send(page, f"{APPROVALS}/{hold.digest}", 409, answer="reject")
    assert CHANGED in text_of(back.text) and "Nothing waits for a decision." in text_of(back.text)


async def test_one_of_two_classes_is_decided(console: Console) -> None:
    (hold,) = await hold_losses(console, "Maths", "Art")
    assert "2 pupils would leave 2 classes" in text_of(await console.read(APPROVALS))
    path = f"{APPROVALS}/{hold.digest}"
    page = await console.read(path)
    art, maths = (part for part in sorted(hold.classes, key=lambda part: part.group_name))
    assert text_of(page).index("Art") < text_of(page).index("Maths")
    response = await console.send(page, path, 422, answer="reject", scope="ticked")
    assert "Classes: choose at least one class" in text_of(response.text)
    await console.send(page, path, answer="reject", scope="ticked", classes=art.key)
    assert [request.held for request in requests(console)] == [(art.digest,)]
    await console.send(page, path, answer="reject", scope="all")
    assert set(requests(console)[-1].held) == {art.digest, maths.digest}


@pytest.mark.parametrize("names", [["Maths"], ["Maths", "Art"]])
async def test_a_team_that_may_be_that_of_a_group_is_linked(console: Console, names: list[str]) -> None:
    (hold,) = await hold_losses(console, *names)
    parts = tuple(replace(part, adopts=class_id(part.group_name)) for part in hold.classes)
    adoption = replace(hold, kind=HoldKind.ADOPTION, classes=parts)
    await console.api.state.replace_holds(SCHOOL.id, (hold,), (adoption,))
    for path in (APPROVALS, f"{APPROVALS}/{hold.digest}"):
        page = await console.read(path, caller=HEAD)
        for name in names:
            assert page.count(f'/groupId/{class_id(name)}" rel="noopener">Open in Microsoft 365<') == 1
        assert "Use these teams" in text_of(page)
    assert "Open in Microsoft 365" not in await console.read(f"/schools/{SCHOOL.id}", caller=HEAD)


async def test_the_people_of_one_class_are_listed_page_by_page(console: Console) -> None:
    (hold,) = await hold_losses(console, "Maths", "Art")
    crowd = tuple(AccountId(entra_id(f"pupil {number}")) for number in range(120))
    part = replace(hold.classes[0], leaving=crowd)
    await console.api.state.replace_holds(SCHOOL.id, (hold,), (replace(hold, classes=(part, hold.classes[1])),))
    path = f"{APPROVALS}/{hold.digest}?class={part.key}"
    text = text_of(await console.read(f"{path}&page=2", caller=HEAD))
    assert "51 to 100 of 120 people" in text
    assert text.count("− leaves") == 50
    assert "Decide" not in text
    assert "101 to 120 of 120 people" in text_of(await console.read(f"{path}&page=9", caller=HEAD))


async def test_a_form_that_lacks_something_is_shown_as_it_was_sent(console: Console) -> None:
    (hold,) = await hold_losses(console, "Maths")
    path = f"{APPROVALS}/{hold.digest}"
    page = await console.read(path)
    assert "Decision: choose what is right" in text_of((await console.send(page, path, 422)).text)
    assert "Reason: say why" in text_of((await console.send(page, path, 422, answer="pause", reason=" ")).text)
    response = await console.send(page, path, 422, answer="pause", reason="x" * 201)
    assert "x" * 201 in response.text
    assert 'value="pause" aria-describedby="answer-pause-hint" checked' in response.text
    assert requests(console) == []


async def test_a_school_is_paused_instead(console: Console) -> None:
    (hold,) = await hold_losses(console, "Maths")
    page = await console.read(APPROVALS)
    response = await console.send(page, f"{APPROVALS}/{hold.digest}", answer="pause", reason=f"new {SCRIPT}")
    assert response.headers["location"] == APPROVALS
    saved = await console.api.state.school(SCHOOL.id)
    assert saved and (saved.enabled, saved.pause_reason) == (False, f"new {SCRIPT}")
    page = await console.read(APPROVALS)
    assert f"The school is paused (new {SCRIPT})." in text_of(page)
    assert SCRIPT not in page
    assert "What is right?" not in page and "What is right?" not in await console.read(f"{APPROVALS}/{hold.digest}")


async def test_what_has_changed_is_shown_and_nothing_is_decided(console: Console) -> None:
    (hold,) = await hold_losses(console, "Maths")
    page = await console.read(APPROVALS)
    group, everybody = console.api.mis.groups
    console.api.mis.groups = [replace(group, students=group.students[1:]), everybody]
    response = await console.send(page, f"{APPROVALS}/{hold.digest}", 409, answer="approve")
    text = text_of(response.text)
    assert f"Nothing was decided {CHANGED}" in text
    assert "3 of 5 pupils would leave Maths" in text
    assert requests(console) == []
    new = [hold.digest for hold in await sync(console)]
    await console.send(response.text, f"{APPROVALS}/{new[0]}", answer="approve")


async def test_a_hold_that_no_sync_has_recorded_is_decided_too(console: Console) -> None:
    await hold_losses(console, "Maths")
    group, everybody = console.api.mis.groups
    console.api.mis.groups = [replace(group, students=group.students[1:]), everybody]
    page = await console.read(APPROVALS)
    shown = (await console.send(page, APPROVALS, 200)).text
    assert "This page was made by reading the MIS, today" in text_of(shown)
    digest = shown.partition('article class="app-hold" id="')[2].partition('"')[0]
    assert "Decision: choose what is right" in text_of((await console.send(shown, f"{APPROVALS}/{digest}", 422)).text)
    await console.send(shown, f"{APPROVALS}/{digest}", answer="reject")
    assert len(requests(console)) == 1
    response = await console.send(shown, f"{APPROVALS}/abc", 409, answer="reject")
    assert CHANGED in text_of(response.text)


async def test_no_plan_can_be_made(console: Console) -> None:
    await hold_losses(console, "Maths", "Art")
    page = await console.read(APPROVALS)
    console.api.mis.groups = []
    text = text_of((await console.send(page, APPROVALS, 200)).text)
    assert "Nothing waits for a decision" not in text
    assert "No plan can be made now, so it is not known what a sync would hold." in text


async def test_a_hold_about_matching_leads_to_people_and_needs_the_number(console: Console) -> None:
    await console.api.state.save_school(settings(access=[HEAD], types=["teaching"], limits={"unmatched_people": 2}))
    console.api.mis.groups = [teaching("G1", "Maths", ["new", "newer", *PUPILS[:2]], ["main"])]
    (hold,) = await sync(console)
    page = await console.read(APPROVALS)
    text = text_of(page)
    assert "Too many people find no account 2 of 4 students find no account (50% find one)" in text
    assert "See who finds no account" in text and f'href="/schools/{SCHOOL.id}/people"' in page
    assert "new finds no account newer finds no account" in text
    path = f"{APPROVALS}/{hold.digest}"
    response = await console.send(page, path, 422, answer="approve", confirm="3")
    assert "People: 2 people of these classes find no account; type 2 to confirm" in text_of(response.text)
    await console.send(page, path, answer="approve", confirm=" 2 ")
    assert [request.decision for request in requests(console)] == [Decision.APPROVE]


async def test_decided_holds_stay_on_record(console: Console) -> None:
    (hold,) = await hold_losses(console, "Maths")
    kept = replace(hold, status=HoldStatus.REJECTED)
    await console.api.state.replace_holds(SCHOOL.id, (hold,), (kept,))
    text = text_of(await console.read(APPROVALS))
    assert "Nothing waits for a decision." in text
    assert "2 of 5 pupils would leave Maths ■ Keep them" in text
    assert "Decided: ■ Keep them" in text_of(await console.read(f"{APPROVALS}/{hold.digest}"))


async def test_names_are_text(console: Console) -> None:
    (hold,) = await hold_losses(console, SCRIPT)
    account = console.api.tenant.accounts[entra_id("amy")]
    values = {name: value.replace("amy", SCRIPT) for name, value in account.values.items()}
    console.api.tenant.accounts[account.id] = replace(account, values=values)
    for path in (APPROVALS, f"{APPROVALS}/{hold.digest}"):
        page = await console.read(path)
        assert text_of(page).count(SCRIPT) >= 2
        assert "<script>alert" not in page


@pytest.mark.parametrize(("caller", "role"), [(DEPUTY, "GroupSync.Admin"), (HEAD, "GroupSync.Teacher")])
async def test_others_see_and_decide_nothing(console: Console, caller: str, role: str) -> None:
    (hold,) = await hold_losses(console, "Maths")
    for method, path in (("GET", ""), ("POST", ""), ("GET", f"/{hold.digest}"), ("POST", f"/{hold.digest}")):
        response = await console.call(method, f"{APPROVALS}{path}", {"answer": "approve"}, caller, role)
        assert (response.status_code, "Maths" in response.text) == (403, False)
    assert requests(console) == []


async def test_a_form_of_somebody_else_decides_nothing(console: Console) -> None:
    (hold,) = await hold_losses(console, "Maths")
    page = await console.read(APPROVALS)
    response = await console.send(page, f"{APPROVALS}/{hold.digest}", 403, caller=HEAD, answer="approve")
    assert "this form is from an earlier session" in response.text.lower()
    assert requests(console) == []


async def test_a_hold_that_is_gone_has_no_page(console: Console) -> None:
    assert "no longer holds this" in text_of(await console.read(f"{APPROVALS}/abc", 404))
    await console.read(f"{APPROVALS}/not-a-digest", 404)
