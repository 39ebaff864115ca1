"""A plan that is applied by its digest, over the admin API: exactly what was shown, or nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sync_core.admin.plans.apply import apply_plan
from sync_core.domain.accounts import AccountChange, AccountChanges
from sync_core.domain.ids import AccountId, MisId, RunId
from sync_core.domain.runs import RunOutcome, RunRecord
from sync_core.errors import Transient
from sync_core.messaging.messages import ApplyPlan
from sync_core.planning.naming.class_keys import class_key
from tests.builders import NOON, SCHOOL, TENANT, accounts, desired, entra_ids, settings, synced, teaching
from tests.fakes.memory_outbox import MemoryOutbox
from tests.fakes.memory_tenant import MemoryGroup
from tests.http.memory_api import HEAD, PUPILS, Api

S1 = f"schools/{SCHOOL.id}"
MATHS = class_key(teaching("G1", "Maths"))
CROWD = [f"pupil {number}" for number in range(63)]


async def shown(api: Api) -> dict[str, Any]:
    plan = await api.answer("POST", f"{S1}/plan", caller=HEAD)
    assert isinstance(plan, dict)
    return plan


async def accepted(api: Api, digest: str, body: object = None) -> ApplyPlan:
    """The message of a request to apply the plan."""
    response = await api.call("POST", f"{S1}/plan/{digest}/apply", body, caller=HEAD)
    assert response.status_code == 202, response.text
    *_, request = requests(api)
    assert request == ApplyPlan(SCHOOL.id, digest, RunId(response.json()["run"]))
    return request


def requests(api: Api) -> list[ApplyPlan]:
    outbox = api.app.services.outbox
    assert isinstance(outbox, MemoryOutbox)
    return [request for request, _ in outbox.requests if isinstance(request, ApplyPlan)]


def changes(api: Api) -> int:
    outbox = api.app.services.outbox
    assert isinstance(outbox, MemoryOutbox)
    return len(outbox.changes)


async def run_of(api: Api, request: ApplyPlan) -> RunRecord:
    run = await api.state.run(SCHOOL.id, request.run)
    assert run
    return run


async def add_crowd(api: Api) -> None:
    """A class of 63 pupils of whom the MIS has 21 in another group now."""
    known = tuple(AccountChange(each.id, each.values) for each in accounts([*CROWD, "main"]))
    await api.state.write_accounts(TENANT, AccountChanges(False, known, frozenset(), "token"))
    wanted = replace(desired(MATHS, CROWD, ["main"]), group_id=MisId("G1"), group_name="Maths", academic_year=2026)
    await api.state.write_desired(SCHOOL.id, [wanted])
    record = await api.state.class_record(SCHOOL.id, MATHS)
    assert record
    actual = synced(wanted).actual
    assert actual
    await api.state.write_actual(replace(record, actual=actual))
    group = MemoryGroup(actual.class_id, actual.name, record.external_id, NOON)
    group.members, group.owners = set(wanted.members), set(wanted.owners)
    api.tenant.groups[group.id] = group
    api.mis.groups = [teaching("G1", "Maths", CROWD[21:], ["main"]), teaching("G2", "All", CROWD, ["main"])]
    limits = {"class_loss": 1, "class_loss_people": 1000, "school_loss": 1, "week_loss": 1}
    await api.state.save_school(settings(access=[HEAD], types=["teaching"], limits=limits))


async def test_a_plan_is_applied_by_its_digest(api: Api) -> None:
    plan = await shown(api)
    request = await accepted(api, plan["digest"])
    waiting = await run_of(api, request)
    assert (waiting.outcome, waiting.action) == (RunOutcome.REQUESTED, f"apply {plan['digest']}")
    run = await apply_plan(request, api.app.services)
    assert (run.outcome, list(run.created)) == (RunOutcome.PLANNED, plan["created"])
    assert (run.requested_by, run.whole, run) == (HEAD, True, await run_of(api, request))
    record = await api.state.class_record(SCHOOL.id, MATHS)
    assert record and record.desired.members == entra_ids([*PUPILS, "main"])
    assert changes(api) == 3


async def test_a_plan_that_is_not_as_shown_is_refused_with_the_new_one(api: Api) -> None:
    before = await shown(api)
    api.mis.groups = [teaching("G1", "Maths", PUPILS[1:], ["main"])]
    response = await api.call("POST", f"{S1}/plan/{before['digest']}/apply", caller=HEAD)
    assert response.status_code == 409
    problem = response.json()
    assert (problem["what"], problem["remedy"]) == (
        "the plan has changed since it was shown, so nothing was changed: the MIS or Microsoft 365 is different, or a "
        "sync has run",
        "look at the plan as it is now, and apply that",
    )
    assert problem["plan"] == await shown(api)
    assert problem["plan"]["digest"] != before["digest"]
    assert requests(api) == []


async def test_a_plan_that_changes_until_its_turn_changes_nothing(api: Api) -> None:
    request = await accepted(api, (await shown(api))["digest"])
    api.mis.groups = [teaching("G1", "Maths", PUPILS[1:], ["main"])]
    run = await apply_plan(request, api.app.services)
    assert (run.outcome, run.notes) == (
        RunOutcome.REFUSED,
        (
            "the plan has changed since it was shown, so nothing was changed — look at the plan as it is now, and "
            "apply that",
        ),
    )
    assert (changes(api), await api.state.class_records(SCHOOL.id)) == (0, ())
    assert run == await run_of(api, request)


async def test_a_repeated_request_leads_to_the_run_under_way(api: Api) -> None:
    digest = (await shown(api))["digest"]
    first = await accepted(api, digest)
    assert await accepted(api, digest) == first
    assert requests(api) == [first]
    await apply_plan(first, api.app.services)
    # The class is not made yet, so the plan is as before, and applying it again does no harm.
    again = await accepted(api, digest)
    assert again.run != first.run


async def test_a_repeated_message_does_nothing_after_its_run(api: Api) -> None:
    request = await accepted(api, (await shown(api))["digest"])
    run = await apply_plan(request, api.app.services)
    assert await apply_plan(request, api.app.services) == run
    assert changes(api) == 3


async def test_a_redelivery_continues_a_plan_that_was_begun(api: Api) -> None:
    """A worker stops after the rows and one message, and the class is made meanwhile: the plan is another one now."""
    request = await accepted(api, (await shown(api))["digest"])

    async def stop(effect: str) -> None:
        if effect == "send_changes":
            raise Transient("the worker stops", "it starts again")

    with pytest.raises(Transient):
        await apply_plan(request, replace(api.app.services, outbox=MemoryOutbox(stop)))
    record = await api.state.class_record(SCHOOL.id, MATHS)
    assert record
    made = synced(record.desired).actual
    assert made
    await api.state.write_actual(replace(record, actual=replace(made, members=None)))
    assert (await shown(api))["digest"] not in ("", request.digest)
    run = await apply_plan(request, api.app.services)
    assert (run.outcome, run.changed, run.action) == (RunOutcome.PLANNED, (MATHS,), f"apply {request.digest}")
    assert changes(api) == 1


async def test_more_than_twenty_people_leave_only_with_the_id_of_the_school(api: Api) -> None:
    await add_crowd(api)
    plan = await shown(api)
    apply = f"{S1}/plan/{plan['digest']}/apply"
    for body in (None, {"confirm": "s1"}, {"confirm": ""}):
        assert await api.refusal(409, "POST", apply, body, caller=HEAD) == (
            "the plan is not applied yet: 21 people would leave a class — look at who leaves, and confirm the plan "
            "with the id of the school, S1"
        )
    await api.refusal(422, "POST", apply, {"confirmed": "S1"}, caller=HEAD)
    assert requests(api) == []
    api.mis.groups = [teaching("G1", "Maths", CROWD[20:], ["main"]), teaching("G2", "All", CROWD, ["main"])]
    await accepted(api, (await shown(api))["digest"])
    api.mis.groups = [teaching("G1", "Maths", CROWD[21:], ["main"]), teaching("G2", "All", CROWD, ["main"])]
    await accepted(api, plan["digest"], {"confirm": "S1"})


async def test_a_paused_school_and_a_plan_without_changes_have_nothing_to_apply(api: Api) -> None:
    digest = (await shown(api))["digest"]
    saved = await api.state.school(SCHOOL.id)
    assert saved
    await api.state.save_school(replace(saved, enabled=False))
    assert (await shown(api))["digest"] == ""
    assert "S1 is paused" in await api.refusal(409, "POST", f"{S1}/plan/{digest}/apply", caller=HEAD)


async def test_a_plan_paused_until_its_turn_says_so(api: Api) -> None:
    request = await accepted(api, (await shown(api))["digest"])
    saved = await api.state.school(SCHOOL.id)
    assert saved
    await api.state.save_school(replace(saved, enabled=False))
    run = await apply_plan(request, api.app.services)
    assert (run.outcome, run.action) == (RunOutcome.PAUSED, f"apply {request.digest}")
    assert run.requested_by == AccountId(HEAD)
