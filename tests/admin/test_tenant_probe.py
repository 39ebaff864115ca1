"""The probe of a tenant: its answers with each † both ways, its class that never stays, and what is kept of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from itertools import count

import pytest

from bench.simulated import SimulatedTenant
from sync_core.admin.tenant_probe import LASTS_AT_MOST, end_interrupted_probes, last_probe, probe_tenant
from sync_core.domain.ids import AccountId, RunId
from sync_core.domain.permissions import PERMISSIONS, Grants
from sync_core.domain.tenants import Probe, ProbeQuestion
from sync_core.errors import Conflict, NotFound, NotThere, SyncError
from sync_core.graph.connections import GraphTenants
from sync_core.graph.port import MEMBERS_PER_WRITE, ProbedTenant
from sync_core.graph.teams.class_teams import GraphTenantTeams
from sync_core.messaging.messages import Priority
from sync_core.services import Services
from tests.builders import TENANT, settings
from tests.costs.test_graph_counts import SharedClock
from tests.fakes.fixed_clock import FixedClock
from tests.fakes.memory_state import MemoryState
from tests.fakes.memory_tenant import MemoryTenant
from tests.fakes.services import services as fake_services
from tests.fakes.steps import Step, no_step
from tests.forked import Forked

ADMIN = AccountId("a0000000-0000-4000-8000-000000000001")
_numbers = count()


class Crash(BaseException):
    """The process ends: nothing after it runs, also no clean-up."""


@pytest.fixture(scope="module")
def simulated() -> Iterator[SimulatedTenant]:
    with SimulatedTenant(spawn=Forked) as tenant:
        for number in range(MEMBERS_PER_WRITE + 5):
            user = {"userPrincipalName": f"p{number}@x.org", "accountEnabled": number < 2}
            tenant.simulation("POST", "users", [user])
        yield tenant


@pytest.fixture
def chosen(simulated: SimulatedTenant) -> Iterator[Callable[[Mapping[str, object]], None]]:
    """Sets switches of the tenant, and takes them back at the end."""
    before = simulated.simulation("GET", "switches")
    granted = simulated.simulation("GET", "permissions")
    yield lambda switches: simulated.switch(**switches)
    simulated.simulation("POST", "switches", before)
    simulated.simulation("POST", "permissions", granted)


def begin(clock: FixedClock) -> Probe:
    id_ = RunId(f"{clock.now():%Y%m%dT%H%M%SZ}-{next(_numbers)}")
    return Probe(tenant=TENANT, id=id_, requested_by=ADMIN, began_at=clock.now())


async def ask(tenant: ProbedTenant, state: MemoryState | None = None, *people: AccountId, clock: FixedClock) -> Probe:
    services = fake_services(state or MemoryState(), tenant=tenant, clock=clock)
    return await probe_tenant(begin(clock), TENANT, people, services)


async def ask_simulated(simulated: SimulatedTenant, *people: AccountId) -> dict[str, str]:
    clock = SharedClock(simulated)
    credential = simulated.credential()
    tenant = GraphTenants(lambda _: credential, simulated.graph_url, clock).probed(TENANT)
    probe = await ask(tenant, None, *people, clock=clock)
    assert (probe.ended_at is not None, probe.note) == (True, "")
    assert [one for one in simulated.simulation("GET", "classes") if not one["deleted"]] == []
    assert all(answer.effect for answer in probe.answers.values())
    return {question: answer.answer for question, answer in probe.answers.items()}


USUAL = {
    "CREATE": "yes",
    "NAME": "no",
    "VISIBILITY": "its members only (HiddenMembership)",
    "PATCH": "yes",
    "PRICE": "1 resource unit for 20 members",
    "MEMBERS": "yes",
    "DELTA": "yes",
    "TEACHER_TWICE": "a refusal: one of the people is in the class already",
    "NICKNAME": "no, for 30 days",
    "EXTERNAL_ID": "yes",
}
PATCH_REFUSED = "no: Graph refused: Authorization_RequestDenied: Insufficient privileges to complete the operation."


@pytest.mark.parametrize(
    ("switches", "other"),
    [
        ({}, {}),
        ({"naming-policy": "changes"}, {"NAME": "yes"}),
        ({"class-visibility": "public"}, {"VISIBILITY": "not its members alone (Public)"}),
        ({"delta-members": "omitted"}, {"DELTA": "no"}),
        ({"patch-price": "third"}, {"PRICE": "7 resource units for 20 members"}),
        ({"nickname-of-deleted": "free"}, {"NICKNAME": "yes"}),
        ({"external-id-after-restore": "lost"}, {"EXTERNAL_ID": "no"}),
        ({"teacher-twice": "other-text"}, {"TEACHER_TWICE": "a refusal: Graph refused: Request_BadRequest: "}),
        ({"teacher-not-member": "refused"}, {}),
        ({"first-delta": "present-and-removed"}, {}),
        ({"delta-events": "each"}, {}),
        ({"batch-envelope": "424"}, {}),
        ({"lag_seconds": 40}, {}),
    ],
    ids=str,
)
async def test_the_answers_with_each_unconfirmed_answer_both_ways(
    simulated: SimulatedTenant,
    chosen: Callable[[Mapping[str, object]], None],
    switches: Mapping[str, object],
    other: Mapping[str, str],
) -> None:
    chosen(switches)
    answers = await ask_simulated(simulated)
    assert answers.keys() == USUAL.keys()
    for question, expected in {**USUAL, **other}.items():
        assert answers[question].startswith(expected), question


async def test_a_patch_that_needs_the_optional_permission(
    simulated: SimulatedTenant, chosen: Callable[[Mapping[str, object]], None]
) -> None:
    """Without it, nothing can be restored either: that question stays open, and says which grant would answer it."""
    chosen({"patch-members": "forbidden"})
    required = [permission.name for permission in PERMISSIONS if permission.required]
    simulated.simulation("POST", "permissions", {"granted": required})
    answers = await ask_simulated(simulated)
    assert answers["PATCH"] == PATCH_REFUSED
    assert "PRICE" not in answers
    assert answers["MEMBERS"] == "yes"
    assert answers["EXTERNAL_ID"].startswith("not known: Graph refused: Authorization_RequestDenied")


TEAM_PEOPLE = "an owner, who is one already: 1 added; new members: 19 refused (Graph refused: Forbidden: "


async def ask_about_teams(simulated: SimulatedTenant) -> dict[str, str]:
    state, clock, credential = MemoryState(), SharedClock(simulated), simulated.credential()
    await state.save_school(settings(teams="create"))
    tenants = GraphTenants(lambda _: credential, simulated.graph_url, clock)
    teams = GraphTenantTeams(tenants.adapter, clock).of(TENANT, Priority.URGENT)
    services = fake_services(state, tenant=tenants.probed(TENANT), teams=teams, clock=clock)
    probe = await probe_tenant(begin(clock), TENANT, (), services)
    assert (probe.ended_at is not None, probe.note) == (True, "")
    assert [one for one in simulated.simulation("GET", "classes") if not one["deleted"]] == []
    assert [one for one in simulated.simulation("GET", "teams") if one["exists"]] == []
    return {question: answer.answer for question, answer in probe.answers.items()}


@pytest.mark.parametrize(
    ("switches", "other"),
    [
        ({}, {"TEAM_PEOPLE": TEAM_PEOPLE}),
        ({"team-member-again": "error"}, {"TEAM_PEOPLE": "an owner, who is one already: 1 already there"}),
        (
            {"member-of-locked-team": "waits"},
            {"TEAM_PEOPLE": "an owner, who is one already: 1 added; new members: 19 a"},
        ),
        ({"team-lock-told": "omitted"}, {"TEAM_PEOPLE": TEAM_PEOPLE}),
    ],
    ids=str,
)
async def test_a_team_is_tried_where_a_school_chooses_teams(
    simulated: SimulatedTenant,
    chosen: Callable[[Mapping[str, object]], None],
    switches: Mapping[str, object],
    other: Mapping[str, str],
) -> None:
    chosen(switches)
    answers = await ask_about_teams(simulated)
    assert answers.keys() == {*USUAL, "TEAM", "TEAM_LOCKED", "TEAM_PEOPLE"}
    known, shown = re.findall(r"([0-9]+) s", answers["TEAM"])
    assert 30 <= int(known) <= 62
    assert 15 <= int(shown) <= 31
    for question, expected in {**USUAL, "TEAM_LOCKED": "yes", **other}.items():
        assert answers[question].startswith(expected), question


async def test_a_team_that_is_not_made_within_a_minute_is_told_and_the_other_questions_are_asked(
    simulated: SimulatedTenant, chosen: Callable[[Mapping[str, object]], None]
) -> None:
    chosen({"teams_class_known_seconds": 900})
    answers = await ask_about_teams(simulated)
    assert answers["TEAM"].startswith("not within a minute: Teams does not know the class")
    assert "TEAM_LOCKED" not in answers
    assert answers["EXTERNAL_ID"] == "yes"


async def test_a_missing_permission_for_teams_is_told(
    simulated: SimulatedTenant, chosen: Callable[[Mapping[str, object]], None]
) -> None:
    chosen({})
    others = [permission.name for permission in PERMISSIONS if permission.name != "Team.Create"]
    simulated.simulation("POST", "permissions", {"granted": others})
    answers = await ask_about_teams(simulated)
    assert answers["TEAM"].startswith("no: Graph refused: Forbidden")
    assert answers["EXTERNAL_ID"] == "yes"


async def test_a_tenant_without_education_refuses_the_class(
    simulated: SimulatedTenant, chosen: Callable[[Mapping[str, object]], None]
) -> None:
    chosen({"education-tenant": "no"})
    answers = await ask_simulated(simulated)
    assert list(answers) == ["CREATE"]
    assert answers["CREATE"].startswith("no: Graph refused: Request_UnsupportedQuery")


async def test_disabled_accounts_are_taken_unless_others_are_named(simulated: SimulatedTenant) -> None:
    ids = simulated.simulation("POST", "users", [{"userPrincipalName": f"named{number}@x.org"} for number in range(2)])
    assert (await ask_simulated(simulated, *ids))["PRICE"] == "1 resource unit for 2 members"


async def test_what_is_learnt_is_kept(
    simulated: SimulatedTenant, chosen: Callable[[Mapping[str, object]], None]
) -> None:
    chosen({"patch-price": "third", "delta-members": "omitted"})
    state, clock, credential = MemoryState(), SharedClock(simulated), simulated.credential()
    tenants = GraphTenants(lambda _: credential, simulated.graph_url, clock)
    probe = await ask(tenants.probed(TENANT), state, clock=clock)
    assert (probe.unit_price, probe.delta_tells_members) == (0.35, False)
    assert (await state.facts(TENANT)).delta_tells_members is False
    assert await last_probe(TENANT, fake_services(state)) == probe


# --- in memory: crashes, refusals


def memory(step: Step = no_step, clock: FixedClock | None = None) -> MemoryTenant:
    tenant = MemoryTenant(step, clock=clock)
    for number in range(MEMBERS_PER_WRITE):
        id_ = AccountId(f"a0000000-0000-4000-8000-0000000001{number:02}")
        tenant.add_account(id_, f"p{number}@x.org", enabled=False)
    return tenant


def living(tenant: MemoryTenant) -> list[str]:
    return [group.name.mail_nickname for group in tenant.groups.values() if not group.deleted]


async def test_a_crash_at_any_moment_leaves_no_class_for_long() -> None:
    """Each crash is at another effect of the tenant or of the tables; the next refresh removes what is left."""
    crashes = 0
    for moment in count():
        clock, steps = FixedClock(), count()

        async def crash(_: str, moment: int = moment, steps: Iterator[int] = steps) -> None:
            if next(steps) == moment:
                raise Crash

        state, tenant = MemoryState(crash), memory(crash, clock)
        services = fake_services(state, tenant=tenant, clock=clock)
        try:
            await probe_tenant(begin(clock), TENANT, (), services)
        except Crash:
            crashes += 1
        else:
            break
        await end_interrupted_probes(TENANT, services)
        clock.advance(LASTS_AT_MOST + timedelta(seconds=1))
        await end_interrupted_probes(TENANT, services)
        assert living(tenant) == []
        assert all(probe.ended_at for probe in await state.probes(TENANT))
    assert crashes > 30


async def test_one_probe_at_a_time_and_another_after_an_interrupted_one() -> None:
    clock, state = FixedClock(), MemoryState()
    running = begin(clock)
    await state.write_probe(running)
    tenant = memory(clock=clock)
    left = tenant.add_foreign_group(running.nickname, running.nickname)
    others = tenant.add_foreign_group(f"{running.nickname}2", "S|T1")
    with pytest.raises(Conflict, match="has not ended"):
        await ask(tenant, state, clock=clock)
    clock.advance(LASTS_AT_MOST + timedelta(seconds=1))
    await ask(tenant, state, clock=clock)
    assert (tenant.groups[left].deleted, tenant.groups[others].deleted) == (True, False)
    old = (await state.probes(TENANT))[0]
    assert (old.ended_at is not None, old.note) == (True, "the probe was interrupted")


async def test_a_class_that_cannot_be_deleted_is_reported_and_tried_again() -> None:
    refuses = True

    async def step(name: str) -> None:
        if refuses and name == "delete_class":
            raise SyncError("Graph refused", "grant it")

    clock, state = FixedClock(), MemoryState()
    tenant = memory(step, clock)
    probe = await ask(tenant, state, clock=clock)
    assert (probe.ended_at, probe.note) == (
        None,
        f"the class {probe.nickname} is not removed yet: Graph refused — grant it",
    )
    assert probe.answers[ProbeQuestion.NICKNAME.name].answer == "not known: Graph refused"
    refuses = False
    clock.advance(LASTS_AT_MOST + timedelta(seconds=1))
    await end_interrupted_probes(TENANT, fake_services(state, tenant=tenant, clock=clock))
    assert living(tenant) == []


async def test_members_that_stay_hidden_and_a_delta_that_lags() -> None:
    clock, tenant = FixedClock(), memory()
    tenant.hides_members = True
    tenant.delta_tells_members = False
    probe = await ask(tenant, clock=clock)
    assert probe.answers["MEMBERS"].answer == "none: 0 of 20 after a minute"
    assert probe.answers["DELTA"].answer == "no"
    assert sum(clock.slept) == 120


async def test_a_probe_of_slow_replicas_ends_before_the_request_is_cut_off() -> None:
    """Each of its questions may wait for a minute, and all of them for two and a half."""
    clock = FixedClock()

    async def step(name: str) -> None:
        if name in ("described", "members", "changes_of"):
            raise NotThere

    tenant = memory(step, clock)
    await ask(tenant, clock=clock)
    assert sum(clock.slept) == 150


async def test_refusals_before_anything_is_made() -> None:
    clock, tenant = FixedClock(), MemoryTenant()
    with pytest.raises(Conflict, match="no disabled account"):
        await ask(tenant, clock=clock)
    tenant.granted = Grants(frozenset())
    with pytest.raises(Conflict, match="lacks EduRoster"):
        await ask(tenant, None, ADMIN, clock=clock)
    services: Services = fake_services(MemoryState(), tenant=tenant)
    with pytest.raises(NotFound, match="has no school"):
        await probe_tenant(replace(begin(clock), tenant="other"), TENANT, (), services)
    with pytest.raises(NotFound, match="never probed"):
        await last_probe(TENANT, services)
    assert tenant.groups == {}
