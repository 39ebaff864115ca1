"""Nights, changes by hand and undo in tenants that answer as no source confirms (docs/simulated-tenant.md)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.school import BenchSchool
from local.tenant.answers import CHOICES
from sync_core.admin.classes.requests import act_on_class, request_action
from sync_core.admin.holds import decide_hold, request_decision
from sync_core.admin.undo import request_undo, undo_run
from sync_core.domain.classes.outcomes import Applied
from sync_core.domain.classes.record import ClassState
from sync_core.domain.ids import RunId
from sync_core.domain.runs import HoldKind, RunRecord
from sync_core.messaging.messages import Action, ActOnClass, DecideHold, Decision, UndoRun
from sync_core.planning.drift import SAMPLES
from tests.costs.test_unit_costs import with_other_pupils
from tests.sync.tenant_story import Story, grant, refusals

ELSEWHERE = {"education-tenant", "hidden-members", "naming-policy", "unlicensed-teacher"}
"""The answers of test_refusing_tenants.py: with them, a night cannot do all of its work."""
CASES = [("delta-events", "each"), ("patch-price", "one")] + [
    (choice.name, value)
    for choice in CHOICES
    if choice.name not in ("delta-events", *ELSEWHERE)
    for value in choice.values[1:]
]
"""With a page for each event, a delta takes a minute in a tenant that has had many schools: that case comes first."""
NEWCOMERS = 12


@pytest.fixture(scope="module", params=CASES, ids="=".join)
def answer(request: pytest.FixtureRequest) -> tuple[str, str]:
    """The stories of one answer follow each other."""
    name, value = request.param
    return name, value


async def test_nights_and_changes_by_hand(story: Story, answer: tuple[str, str]) -> None:
    await story.run_nights(1)
    story.check_members()

    pupils = [class_["members"] for class_ in story.list_classes()]
    hand = next(upn for upn in pupils[3] if upn not in pupils[1])
    story.edit("add-member", 0, upn=next(upn for upn in pupils[3] if upn not in pupils[0]))
    story.edit("add-owner", 1, upn=hand)
    story.edit("rename", 2, name="Our own name")
    story.edit("remove-member", 3, upn=next(upn for upn in pupils[3] if upn not in story.list_classes()[3]["owners"]))
    story.school = with_other_pupils(story.school, 1)
    untold = answer == ("delta-members", "omitted")
    await story.run_nights(SAMPLES if untold else 1)
    story.check_members(hand)
    assert hand in story.list_classes()[1]["owners"]
    assert story.list_classes()[2]["displayName"] == "Our own name"

    story.edit("delete", 0)
    await story.run_night()
    story.edit("restore", 0)
    story.edit("add-member", 0, upn=next(upn for upn in pupils[3] if upn not in story.list_classes()[0]["members"]))
    await story.run_nights(SAMPLES if untold else 1)
    story.check_members(hand)
    before = story.simulated.spent()
    await story.run_night()
    assert (story.simulated.spent() - before).writes == 0


def with_newcomers(school: BenchSchool) -> BenchSchool:
    """The school after pupils of its third class joined the first one as well."""
    first, *others = school.data.groups
    grown = replace(first, students=(*first.students, *others[1].students[:NEWCOMERS]))
    return replace(school, data=replace(school.data, groups=(grown, *others)))


async def undo(story: Story, undone: RunId) -> RunRecord:
    """Request an undo, and carry it out in the school's turn. Its changes are in the outbox."""
    requester, settings = story.requester(), story.school.settings
    await request_undo(settings, undone, requester, story.services)
    return await undo_run(UndoRun(settings.school, undone, requester.run), story.services)


async def approve(story: Story, digest: str) -> RunRecord:
    requester, settings = story.requester(), story.school.settings
    await request_decision(settings, digest, Decision.APPROVE, requester, story.services)
    *_, request = story.scene.outbox.requests
    assert isinstance(request, DecideHold)
    return await decide_hold(request, story.services)


async def restore(story: Story, place: int) -> None:
    requester, settings, key = story.requester(), story.school.settings, (await story.records())[place].key
    await request_action(settings, key, Action.RESTORE, requester, story.services)
    await act_on_class(ActOnClass(settings.school, key, Action.RESTORE, requester.run), story.services)


async def test_an_undone_night_its_approval_and_a_restored_class(story: Story) -> None:
    """The undo takes more people out of classes than the limits allow, and cannot reach a class that is deleted."""
    before = story.school
    await story.run_nights(1)
    story.school = with_newcomers(with_other_pupils(before, 3))
    await story.run_nights(1)
    story.check_members()
    undone = story.scene.run
    hand = next(upn for upn in story.list_classes()[3]["members"] if upn not in story.list_classes()[1]["members"])
    story.edit("add-owner", 1, upn=hand)
    story.edit("delete", 2)
    await story.run_nights(1)

    held = await undo(story, undone)
    keys = [record.key for record in await story.records()]
    assert (await story.records())[2].state == ClassState.GONE
    assert held.held == (keys[0], keys[1])
    assert f"class {keys[2]} is not in Microsoft 365, so it stays as it is — restore it first" in held.notes
    assert await story.apply() == [Applied(members_added=1)] * 2
    (hold,) = await story.scene.state.holds(story.school.settings.school)
    assert (hold.kind, hold.keys) == (HoldKind.SCHOOL_LOSS, (keys[0], keys[1]))
    approved = await approve(story, hold.digest)
    assert approved.changed == (keys[0], keys[1])
    assert not refusals(await story.apply())

    grant(story.simulated)
    story.scene.connect()
    await restore(story, 2)
    assert not refusals(await story.apply())
    again = await undo(story, undone)
    assert (again.changed, again.held) == ((keys[2],), ())
    assert not refusals(await story.apply())
    story.check_members(hand, school=before)
    assert hand in story.list_classes()[1]["owners"]
    spent = story.simulated.spent()
    await story.run_nights(1)
    assert (story.simulated.spent() - spent).writes == 0


def test_every_answer_has_a_case() -> None:
    assert {name for name, _ in CASES} | ELSEWHERE == {choice.name for choice in CHOICES}
