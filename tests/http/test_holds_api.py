"""Holds over the admin API: what is listed, and decisions on a hold or on some of its classes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sync_core.admin.holds import decide_hold
from sync_core.domain.classes.desired import Reason, Rule
from sync_core.domain.ids import MisId, RunId
from sync_core.domain.runs import HoldKind, HoldStatus, RunOutcome, RunRecord
from sync_core.errors import NotOnRecord
from sync_core.messaging.messages import MOST_DECIDED, DecideHold, Decision, encode
from sync_core.planning.naming.class_keys import class_key
from tests.builders import SCHOOL, desired, entra_id, entra_ids, settings, synced, teaching
from tests.fakes.memory_outbox import MemoryOutbox
from tests.http.memory_api import HEAD, PUPILS, Api

S1 = f"schools/{SCHOOL.id}"
GROUPS = [teaching("G1", "Maths", PUPILS, ["main"]), teaching("G2", "2S/Art", PUPILS, ["main"])]
MATHS, ART = map(class_key, GROUPS)
UNREADABLE: list[dict[str, object]] = [
    {"class": [ART]},
    {"classes": "2S/Art"},
    {"classes": [""]},
    {"classes": ["a\nb"]},
    {"confirm": "x"},
]


async def add_classes(api: Api, without: int = 5) -> None:
    """Classes of everybody, whose groups have lost their first pupils since. Nobody else is in the school."""
    for group in GROUPS:
        key = class_key(group)
        wanted = replace(
            desired(key, PUPILS, ["main"]),
            group_id=group.id,
            group_name=group.name,
            academic_year=2026,
            reasons={entra_id(pupil): Reason(Rule.STUDENT, MisId(pupil)) for pupil in PUPILS},
        )
        await api.state.write_desired(SCHOOL.id, [wanted])
        record = await api.state.class_record(SCHOOL.id, key)
        assert record
        await api.state.write_actual(replace(record, actual=synced(wanted).actual))
    everybody = replace(GROUPS[0], id=MisId("G3"), name="All", students=GROUPS[0].students)
    smaller = [replace(group, students=group.students[without:]) for group in GROUPS]
    api.mis.groups = [*smaller, everybody]
    await api.state.save_school(
        settings(access=[HEAD], limits={"school_loss": 1, "week_loss": 1, "class_loss_people": 2, "class_loss": 0.1})
    )


async def the_hold(api: Api) -> dict[str, Any]:
    (hold,) = (await api.answer("POST", f"{S1}/plan", caller=HEAD))["holds"]
    assert isinstance(hold, dict)
    return hold


async def carried_out(api: Api, path: str, body: object) -> RunRecord:
    """The run of a decision, in the school's turn."""
    response = await api.call("POST", f"{S1}/holds/{path}", body, caller=HEAD)
    assert response.status_code == 202, response.text
    outbox = api.app.services.outbox
    assert isinstance(outbox, MemoryOutbox)
    *_, (request, _) = outbox.requests
    assert isinstance(request, DecideHold) and request.run == response.json()["run"]
    return await decide_hold(request, api.app.services)


async def members(api: Api) -> dict[str, frozenset[str]]:
    records = await api.state.class_records(SCHOOL.id)
    return {record.key: record.desired.members for record in records if record.key in (MATHS, ART)}


async def test_a_hold_lists_the_names_of_each_class_first_and_its_people_as_ids(api: Api) -> None:
    await add_classes(api, without=2)
    hold = await the_hold(api)
    assert (hold["kind"], hold["approval"], hold["limit"], hold["value"]) == ("left_group", "one_step", 0.1, 0.4)
    lines = (await api.answer("POST", f"{S1}/plan", caller=HEAD))["lines"]
    start = lines.index(f"! hold {hold['digest']} (left_group), class by class:")
    title = f"2S/Art, {ART}_Class [1234567][2026] ({ART})"
    assert lines[start + 2] == f"    {title}: would lose 2 of 5 students: 40%, over 10%; by MIS id: amy, ben"
    part = hold["classes"][1]
    assert list(part)[:3] == ["group_name", "name", "key"]
    assert (part["group_name"], part["name"]) == ("2S/Art", f"{ART}_Class [1234567][2026]")
    assert (part["key"], part["lost"], part["students"]) == (ART, 2, 5)
    assert part["what"] == "would lose 2 of 5 students: 40%, over 10%"
    assert (part["leaving"], part["people"]) == (sorted(entra_ids(["amy", "ben"])), ["amy", "ben"])
    assert await api.answer("GET", f"{S1}/holds", caller=HEAD) == []
    await carried_out(api, f"{hold['digest']}/reject", None)
    (listed,) = await api.answer("GET", f"{S1}/holds", caller=HEAD)
    assert listed == hold | {"status": "rejected", "run": listed["run"]}


@pytest.mark.parametrize("name", [ART, "2s/art", "2SArt", f"{ART}_class  [1234567][2026]", f"{ART}.class.1234567.2026"])
async def test_a_class_of_a_hold_may_be_given_by_any_of_its_names(api: Api, name: str) -> None:
    await add_classes(api, without=2)
    hold = await the_hold(api)
    run = await carried_out(api, f"{hold['digest']}/approve", {"classes": [name]})
    assert (run.changed, run.held) == ((ART,), (MATHS,))
    assert await members(api) == {
        MATHS: entra_ids([*PUPILS, "main"]),
        ART: entra_ids([*PUPILS[2:], "main"]),
    }
    (left,) = await api.answer("GET", f"{S1}/holds", caller=HEAD)
    assert ([part["key"] for part in left["classes"]], left["status"]) == ([MATHS], HoldStatus.OPEN)
    assert left["digest"] != hold["digest"]


async def test_a_message_about_other_classes_than_the_admin_decided_on_decides_nothing(api: Api) -> None:
    await add_classes(api, without=2)
    hold = await the_hold(api)
    response = await api.call("POST", f"{S1}/holds/{hold['digest']}/approve", {"classes": [ART]}, caller=HEAD)
    run, outbox = RunId(response.json()["run"]), api.app.services.outbox
    assert isinstance(outbox, MemoryOutbox)
    ((real, _),) = outbox.requests
    assert isinstance(real, DecideHold)
    both = tuple(part["digest"] for part in hold["classes"])
    for forged in (replace(real, held=both), replace(real, held=()), replace(real, decision=Decision.REJECT)):
        with pytest.raises(NotOnRecord):
            await decide_hold(forged, api.app.services)
    pending = await api.state.run(SCHOOL.id, run)
    assert pending
    assert (pending.outcome, await api.state.holds(SCHOOL.id)) == (RunOutcome.REQUESTED, ())
    done = await decide_hold(real, api.app.services)
    assert (done.outcome, done.changed, done.held) == (RunOutcome.PLANNED, (ART,), (MATHS,))


async def test_every_class_that_a_hold_does_not_have_is_named(api: Api) -> None:
    await add_classes(api, without=2)
    api.mis.groups[0] = replace(api.mis.groups[0], name="2S/Art")
    hold = await the_hold(api)
    for names, faults in (
        (["Latin", ART, "All"], "it has no class Latin; it has no class All"),
        (["2S/Art"], f"2S/Art is the name of {MATHS}, {ART}"),
    ):
        detail = await api.refusal(422, "POST", f"{S1}/holds/{hold['digest']}/approve", {"classes": names})
        assert detail == (
            f"hold {hold['digest']} is not decided: {faults} — name each class by a key that the hold lists"
        )
    for body in UNREADABLE:
        await api.refusal(422, "POST", f"{S1}/holds/{hold['digest']}/reject", body)
    assert await members(api) == dict.fromkeys((MATHS, ART), entra_ids([*PUPILS, "main"]))


async def test_a_decision_on_a_hold_that_has_changed_answers_with_the_new_plan(api: Api) -> None:
    await add_classes(api, without=2)
    hold = await the_hold(api)
    api.mis.groups[0] = replace(api.mis.groups[0], students=api.mis.groups[0].students[1:])
    response = await api.call("POST", f"{S1}/holds/{hold['digest']}/approve", {"classes": [ART]})
    assert response.status_code == 409
    (new,) = response.json()["plan"]["holds"]
    assert new["digest"] != hold["digest"]
    run = await carried_out(api, f"{new['digest']}/reject", {"classes": [ART]})
    assert run.held == (MATHS, ART)
    statuses = {hold["status"]: hold["classes"][0]["key"] for hold in await api.answer("GET", f"{S1}/holds")}
    assert statuses == {HoldStatus.OPEN: MATHS, HoldStatus.REJECTED: ART}


async def test_a_hold_about_matching_is_approved_in_two_steps(api: Api) -> None:
    await add_classes(api, without=0)
    await api.state.save_school(settings(access=[HEAD], limits={"unmatched": 0.1, "unmatched_people": 2}))
    api.mis.groups = [replace(group, students=(*group.students, MisId("new"), MisId("newer"))) for group in GROUPS]
    hold = await the_hold(api)
    assert (hold["kind"], hold["approval"]) == (HoldKind.ACCOUNT_MATCHING, "two_steps")
    assert [part["people"] for part in hold["classes"]] == [["new", "newer"]] * 2
    approve = f"{S1}/holds/{hold['digest']}/approve"
    remedy = (
        "the page People, or a plan over the API, shows what was tried for each of them and the nearest accounts; "
        "correct students, staff or account_domain in the school's settings, or the accounts; to approve it anyway, "
        'confirm the number: {"confirm": 2}'
    )
    what = (
        "an approval creates or updates the classes of the hold ({}), and adds everybody except the people who find no "
        "account (2)"
    )
    refused = f"hold {hold['digest']} is not approved yet:"
    assert await api.refusal(409, "POST", approve) == f"{refused} {what.format(2)} — {remedy}"
    assert await api.refusal(409, "POST", approve, {"confirm": 4}) == (
        f"{refused} confirm is 4, and 2 people find no account; {what.format(2)} — {remedy}"
    )
    assert await api.refusal(409, "POST", approve, {"classes": ["Maths"], "confirm": 3}) == (
        f"{refused} confirm is 3, and 2 people find no account; {what.format(1)} — {remedy}"
    )
    rejected = await carried_out(api, f"{hold['digest']}/reject", None)
    assert rejected.held == (MATHS, ART)
    approved = await carried_out(api, f"{hold['digest']}/approve", {"confirm": 2})
    assert approved.held == ()


async def test_a_decision_on_more_classes_than_a_message_holds_is_refused(api: Api) -> None:
    await api.state.save_school(settings(access=[HEAD], limits={"unmatched": 0, "unmatched_people": 1}))
    api.mis.groups = [teaching(f"G{number}", f"Set {number}", ["new"]) for number in range(MOST_DECIDED + 1)]
    hold = await the_hold(api)
    approve = f"{S1}/holds/{hold['digest']}/approve"
    assert await api.refusal(409, "POST", approve, {"confirm": 1}) == (
        f"hold {hold['digest']} has 7001 classes, and one decision is about 7000 at most — name some of its classes in "
        "the request, then the others in another one"
    )
    digests = tuple(part["digest"] for part in hold["classes"][:MOST_DECIDED])
    assert len(encode(DecideHold(SCHOOL.id, digests, Decision.APPROVE, RunId("r" * 40)))) < 256_000


async def test_a_decision_outlives_a_turn_in_which_no_plan_can_be_made(api: Api) -> None:
    await add_classes(api, without=2)
    hold = await the_hold(api)
    await carried_out(api, f"{hold['digest']}/reject", {"classes": [MATHS]})
    (left,) = [each for each in await api.answer("GET", f"{S1}/holds") if each["status"] == HoldStatus.OPEN]
    response = await api.call("POST", f"{S1}/holds/{left['digest']}/approve", caller=HEAD)
    outbox = api.app.services.outbox
    assert response.status_code == 202 and isinstance(outbox, MemoryOutbox)
    *_, (request, _) = outbox.requests
    assert isinstance(request, DecideHold)
    saved = await api.state.school(SCHOOL.id)
    assert saved
    await api.state.save_school(replace(saved, enabled=False))
    await decide_hold(request, api.app.services)
    statuses = {part.key: each.status for each in await api.state.holds(SCHOOL.id) for part in each.classes}
    assert statuses == {MATHS: HoldStatus.REJECTED, ART: HoldStatus.APPROVED}
