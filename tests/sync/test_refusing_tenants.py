"""Nights in tenants whose answers stop a part of the work: what is recorded, and that the next nights do the rest."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.school import BenchSchool
from sync_core.domain.runs import RunOutcome
from sync_core.errors import Transient
from sync_core.sync.nightly import TenantBlocked
from tests.costs.test_unit_costs import with_other_pupils
from tests.sync.tenant_story import RESTORE, Story, grant, refusals

HIDDEN = "Member.Read.Hidden"
EDUCATION, POLICY, UNLICENSED = "education-tenant", "naming-policy", "unlicensed-teacher"


async def check_recovered(story: Story) -> None:
    """Every class is right, no row has an error, and the next night has nothing left to do."""
    story.check_members()
    assert [record.error for record in await story.records()] == [None] * 4
    before = story.simulated.spent()
    await story.run_nights(1)
    assert (story.simulated.spent() - before).writes == 0


def first_classes(school: BenchSchool, count: int) -> BenchSchool:
    return replace(school, data=replace(school.data, groups=school.data.groups[:count]))


@pytest.mark.parametrize("answer", [(EDUCATION, "no")], ids="=".join)
async def test_a_tenant_without_education_refuses_every_class_until_it_has_it(story: Story) -> None:
    for _ in range(2):
        outcomes = await story.run_night()
        assert (len(outcomes), {outcome.code for outcome in refusals(outcomes)}) == (12, {"Request_UnsupportedQuery"})
        assert len(refusals(outcomes)) == 12
        errors = [record.error for record in await story.records()]
        assert [error.code for error in errors if error] == ["Request_UnsupportedQuery"] * 4
        assert all(error and "Education_ObjectType" in error.message for error in errors)
        assert all(error and "has an education subscription" in error.remedy for error in errors)
        assert (await story.last_run()).outcome is RunOutcome.PLANNED
    story.choose(EDUCATION, "yes")
    await story.run_nights(1)
    await check_recovered(story)


@pytest.mark.parametrize(
    "answer", [("hidden-members", value) for value in ("empty", "omitted", "forbidden")], ids="=".join
)
async def test_hidden_members_are_not_replaced_and_the_change_is_made_after_the_grant(story: Story) -> None:
    """The permission is revoked while changes are on their way: those are refused, and the next night is blocked."""
    await story.run_nights(1)
    people = [class_["members"] for class_ in story.list_classes()]
    story.school = with_other_pupils(story.school, 4)
    await story.plan_night()
    grant(story.simulated, RESTORE, HIDDEN)
    story.scene.connect()
    outcomes = await story.apply()
    story.pass_day()
    assert [outcome.code for outcome in refusals(outcomes)] == ["MembersHidden"] * 4
    for record in await story.records():
        assert record.error
        assert record.error.code == "MembersHidden"
        assert f"grant the app's identity {HIDDEN}" in record.error.remedy

    spent = story.simulated.spent()
    with pytest.raises(TenantBlocked) as blocked:
        await story.run_night()
    assert (story.simulated.spent() - spent).requests == 0
    assert f"lacks {HIDDEN}" in blocked.value.check.what
    run = await story.last_run()
    assert (run.outcome, run.notes[0]) == (RunOutcome.BLOCKED, f"{blocked.value.check.what}: nothing was planned")
    assert [class_["members"] for class_ in story.list_classes()] == people

    grant(story.simulated, RESTORE)
    story.pass_day()
    await story.run_nights(1)
    await check_recovered(story)


@pytest.mark.parametrize("answer", [(POLICY, "changes")], ids="=".join)
async def test_a_class_has_the_name_that_a_naming_policy_gives_it(story: Story) -> None:
    await story.run_nights(1)
    wanted = story.school.classes(story.ids)
    story.nicknames = [f"school-{one.name.mail_nickname}" for one in wanted]
    story.check_members()
    names = [record.actual.name for record in await story.records() if record.actual]
    assert [name.mail_nickname for name in names] == story.nicknames
    assert [name.display_name for name in names] == [f"School {one.name.display_name}" for one in wanted]
    story.school = with_other_pupils(story.school, 4)
    await story.run_nights(1)
    await check_recovered(story)


@pytest.mark.parametrize("answer", [(POLICY, "changes")], ids="=".join)
async def test_a_class_whose_name_was_changed_is_found_after_a_lost_answer(story: Story) -> None:
    """Graph creates the class, and its answer is lost: no look-up by the nickname that was asked for shows it."""
    await story.plan_night()
    changes = story.scene.take_changes()
    lost = {"method": "POST", "path": "/education/classes$", "times": 1, "status": 503, "after_work": True}
    story.simulated.simulation("POST", "faults", lost)
    with pytest.raises(Transient, match="may have carried it out"):
        await story.scene.apply(changes[:1])
    assert not refusals(await story.scene.apply(changes))
    story.pass_day()
    story.nicknames = [f"school-{one.name.mail_nickname}" for one in story.school.classes(story.ids)]
    assert [record.actual.name.mail_nickname for record in await story.records() if record.actual] == story.nicknames
    ids = [one["externalId"] for one in story.simulated.simulation("GET", "classes")]
    assert [ids.count(record.external_id) for record in await story.records()] == [1] * 4
    await check_recovered(story)


@pytest.mark.parametrize("answer", [(POLICY, "none")], ids="=".join)
async def test_a_class_that_a_naming_policy_refuses_costs_no_other(story: Story) -> None:
    whole = story.school
    story.school = first_classes(whole, 3)
    await story.run_nights(1)
    story.choose(POLICY, "refuses")
    whole = with_other_pupils(whole, 3)
    for _ in range(2):
        story.school = whole
        outcomes = await story.run_night()
        assert [outcome.code for outcome in refusals(outcomes)] == ["Request_BadRequest"] * 3
        *others, refused = await story.records()
        assert [record.error for record in others] == [None] * 3
        assert refused.error
        assert "required prefix/suffix" in refused.error.message
        assert "the tenant's group naming policy refuses the name" in refused.error.remedy
        assert "the next sync tries again" in refused.error.remedy
        story.school = first_classes(whole, 3)
        story.check_members()
    story.school = whole
    story.choose(POLICY, "none")
    await story.run_nights(1)
    await check_recovered(story)


@pytest.mark.parametrize("answer", [(UNLICENSED, value) for value in ("refused", "not-found")], ids="=".join)
async def test_a_teacher_without_a_licence_costs_nobody_else(story: Story, answer: tuple[str, str]) -> None:
    """Neither the other owner of the class, nor its pupils, nor the correction of a change by hand."""
    whole, waits = story.school, story.scene.clock.slept
    first, *_ = whole.classes(story.ids)
    other, teacher = sorted(first.owners)
    upn = story.simulated.upns[teacher]
    story.license(upn, False)
    for night in (1, 2):
        outcomes = await story.run_night()
        refused, *others = await story.records()
        assert [record.error for record in others] == [None] * 3
        assert refused.error
        assert {outcome.code for outcome in refusals(outcomes)} == {refused.error.code} == {"PersonRefused"}
        assert refused.error.message.startswith(f"Microsoft 365 refused 1 of the people to add; {teacher}: ")
        assert "education licence" in refused.error.remedy
        assert refused.actual
        assert refused.actual.owners == refused.actual.granted == {other}
        story.check_members(refused_owner=upn)
        # Only a new class is waited for, by one delivery.
        assert sum(waits) == (65 if answer == (UNLICENSED, "not-found") else 0), night
        story.edit("add-member", 0, upn=pupil_of_another(story))
        story.school = with_other_pupils(whole, 2)
    story.license(upn, True)
    await story.run_nights(1)
    await check_recovered(story)


def pupil_of_another(story: Story) -> str:
    first, *_, last = story.list_classes()
    return str(next(upn for upn in last["members"] if upn not in first["members"]))
