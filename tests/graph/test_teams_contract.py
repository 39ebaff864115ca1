"""The contract of the port Teams, for the teams in memory and for Graph through the real SDK."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

import pytest
from azure.identity.aio import ManagedIdentityCredential

from sync_core.domain.classes.desired import ClassName
from sync_core.domain.ids import AccountId, ClassId, MisId
from sync_core.errors import GraphDenied, GraphRefused, NotThere, TeamNotReady, Transient
from sync_core.graph.connections import GraphTenants
from sync_core.graph.port import NewClass, Removals, SeenTeam, TeamPeople, Teams, Tenant
from sync_core.graph.teams.class_teams import GraphTenantTeams
from sync_core.messaging.messages import Priority
from tests.builders import TENANT
from tests.fakes.fixed_clock import FixedClock
from tests.fakes.memory_teams import MemoryTeams
from tests.fakes.memory_tenant import MemoryTenant
from tests.local.tenant.simulated import Graph, start

NOBODY = AccountId("00000000-0000-4000-8000-000000000000")
NOWHERE = ClassId(NOBODY)
LOCKED, OPEN = SeenTeam(locked=True, archived=False), SeenTeam(locked=False, archived=False)
FEW = timedelta(seconds=60)
"""Longer than Teams takes to hear of a class, or to show a team."""


class SimulatedClock(FixedClock):
    """Who sleeps moves the simulated tenant ahead too."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self._graph = graph

    def advance(self, by: timedelta) -> None:
        super().advance(by)
        self._graph.sim("clock", {"advance_seconds": by.total_seconds()})


@dataclass(slots=True)
class Subject:
    """The teams of a tenant with what happens around them. `unlicense` takes a person's licence for Teams."""

    tenant: Tenant
    teams: Teams
    clock: FixedClock
    add_accounts: Callable[[int], list[AccountId]]
    unlicense: Callable[[AccountId], None]
    activate_by_hand: Callable[[ClassId], None]
    make_by_hand: Callable[[ClassId], None]
    plain_group: Callable[[AccountId], ClassId]

    async def new_class(self, owners: Sequence[AccountId] = (), members: Sequence[AccountId] = ()) -> ClassId:
        nickname = uuid4().hex
        new = NewClass(ClassName(nickname, nickname), f"S1|{nickname}", MisId("G"))
        class_id = (await self.tenant.create_class(new)).id
        for at in range(0, len(members), 20):
            await self.tenant.add_members(class_id, members[at : at + 20])
        for owner in owners:
            await self.tenant.add_owner(class_id, owner)
        return class_id

    async def new_team(self, owner: AccountId, members: Sequence[AccountId] = ()) -> ClassId:
        class_id = await self.new_class([owner], members)
        self.clock.advance(FEW)
        assert await self.teams.make_team(class_id)
        self.clock.advance(FEW)
        return class_id

    async def open_team(self, owner: AccountId, members: Sequence[AccountId] = ()) -> ClassId:
        class_id = await self.new_team(owner, members)
        await self.teams.open_team(class_id)
        return class_id


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graph]:
    child, graph = start(tmp_path_factory.mktemp("tenant"))
    yield graph
    child.stop()


@pytest.fixture
def simulated(running: Graph, monkeypatch: pytest.MonkeyPatch) -> Iterator[Graph]:
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{running.url}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", "local")
    switches = running.sim("switches")
    yield running
    running.sim("faults", [])
    running.sim("switches", switches)
    running.grant_all_but()


@pytest.fixture(params=["memory", "graph", "graph with other answers"])
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    if request.param == "memory":
        yield _memory()
        return
    graph: Graph = request.getfixturevalue("simulated")
    if request.param == "graph with other answers":
        graph.switch(
            team_member_again="error",
            team_writes_in_group="never",
            archive_answer="404-though-done",
            retry_after="sometimes-missing",
        )
    async with ManagedIdentityCredential() as credential:
        yield _simulated(graph, credential)


def _memory() -> Subject:
    clock = FixedClock()
    tenant = MemoryTenant(clock=clock)
    teams = MemoryTeams(tenant, clock=clock)
    teams.knows_after = teams.shows_after = timedelta(seconds=30)

    def add(count: int) -> list[AccountId]:
        ids = [AccountId(str(uuid4())) for _ in range(count)]
        for id_ in ids:
            tenant.add_account(id_, f"{id_}@school.org")
        return ids

    def plain_group(owner: AccountId) -> ClassId:
        group = tenant.add_foreign_group(uuid4().hex)
        tenant.hand_owner(group, owner, True)
        return group

    return Subject(
        tenant, teams, clock, add, teams.unlicensed.add, teams.activate_by_hand, teams.make_by_hand, plain_group
    )


def _simulated(graph: Graph, credential: ManagedIdentityCredential) -> Subject:
    clock = SimulatedClock(graph)
    tenants = GraphTenants(lambda _: credential, f"{graph.url}/v1.0", clock)
    teams = GraphTenantTeams(tenants.adapter, clock)
    upns: dict[str, str] = {}

    def add(count: int) -> list[AccountId]:
        names = [f"{uuid4().hex}@school.org" for _ in range(count)]
        ids = graph.sim("users", [{"userPrincipalName": name, "displayName": name[:6]} for name in names])
        upns.update(zip(ids, names, strict=True))
        return [AccountId(id_) for id_ in ids]

    def plain_group(owner: AccountId) -> ClassId:
        fields = {"displayName": "plain", "mailNickname": uuid4().hex, "is_class": False, "owners": [owner]}
        return ClassId(graph.sim("classes", [fields])[0])

    def unlicense(person: AccountId) -> None:
        url = f"{graph.url}/_sim/users/{upns[person]}"
        graph.http.patch(url, json={"licensed": False}).raise_for_status()

    def act(action: str) -> Callable[[ClassId], None]:
        return lambda class_id: graph.sim("teams", {"action": action, "class": class_id}) and None

    tenant = tenants.of(TENANT, Priority.BULK)
    return Subject(
        tenant, teams.of(TENANT, Priority.BULK), clock, add, unlicense, act("activate"), act("make"), plain_group
    )


async def test_a_team_is_made_once_appears_later_and_is_born_locked(subject: Subject) -> None:
    owner, pupil = subject.add_accounts(2)
    class_id = await subject.new_class([owner], [pupil])
    assert await subject.teams.team(class_id) is None
    subject.clock.advance(FEW)
    assert await subject.teams.make_team(class_id)
    assert await subject.teams.team(class_id) is None
    assert not await subject.teams.make_team(class_id)
    subject.clock.advance(FEW)
    assert await subject.teams.team(class_id) == LOCKED
    assert await subject.teams.team_people(class_id) == TeamPeople(frozenset(), frozenset([owner]))


async def test_a_class_that_teams_does_not_know_yet_waits(subject: Subject) -> None:
    (owner,) = subject.add_accounts(1)
    class_id = await subject.new_class([owner])
    with pytest.raises(TeamNotReady):
        await subject.teams.make_team(class_id)
    subject.clock.advance(FEW)
    assert await subject.teams.make_team(class_id)


async def test_a_class_without_an_owner_waits(subject: Subject) -> None:
    class_id = await subject.new_class()
    subject.clock.advance(FEW)
    with pytest.raises(TeamNotReady):
        await subject.teams.make_team(class_id)


async def test_a_group_that_is_no_class_is_refused(subject: Subject) -> None:
    (owner,) = subject.add_accounts(1)
    group = subject.plain_group(owner)
    subject.clock.advance(FEW)
    with pytest.raises(GraphRefused):
        await subject.teams.make_team(group)


async def test_a_team_that_somebody_made_by_hand_is_no_error(subject: Subject) -> None:
    owner, pupil = subject.add_accounts(2)
    class_id = await subject.new_class([owner], [owner, pupil])
    subject.clock.advance(FEW)
    subject.make_by_hand(class_id)
    assert not await subject.teams.make_team(class_id)
    assert await subject.teams.team(class_id) == OPEN
    assert await subject.teams.team_people(class_id) == TeamPeople(frozenset([pupil]), frozenset([owner]))


async def test_the_app_activates_a_team_and_adds_nobody_by_that(subject: Subject) -> None:
    owner, *pupils = subject.add_accounts(4)
    class_id = await subject.new_team(owner, pupils)
    await subject.teams.open_team(class_id)
    assert await subject.teams.team(class_id) == OPEN
    assert (await subject.teams.team_people(class_id)).members == frozenset()
    additions = await subject.teams.add_to_team(class_id, pupils)
    assert additions.added == frozenset(pupils)
    assert (await subject.teams.team_people(class_id)).members == frozenset(pupils)


async def test_a_teacher_activates_a_team_and_the_pupils_come_in(subject: Subject) -> None:
    owner, *pupils = subject.add_accounts(3)
    class_id = await subject.new_team(owner, pupils)
    subject.activate_by_hand(class_id)
    assert await subject.teams.team(class_id) == OPEN
    assert await subject.teams.team_people(class_id) == TeamPeople(frozenset(pupils), frozenset([owner]))


async def test_a_locked_team_takes_owners_and_refuses_pupils(subject: Subject) -> None:
    owner, other, pupil = subject.add_accounts(3)
    class_id = await subject.new_team(owner, [other, pupil])
    additions = await subject.teams.add_to_team(class_id, [pupil], [other])
    assert additions.added == {other}
    assert additions.refused.keys() == {pupil}
    assert await subject.teams.team_people(class_id) == TeamPeople(frozenset(), frozenset([owner, other]))


async def test_each_person_has_their_own_result(subject: Subject) -> None:
    owner, pupil, unlicensed = subject.add_accounts(3)
    class_id = await subject.open_team(owner)
    subject.unlicense(unlicensed)
    additions = await subject.teams.add_to_team(class_id, [pupil, unlicensed, NOBODY])
    assert (additions.added, additions.not_there) == (frozenset([pupil]), frozenset([NOBODY]))
    assert "licence" in additions.refused[unlicensed].remedy
    assert additions.failure is None
    assert (await subject.teams.team_people(class_id)).members == {pupil}


async def test_people_who_are_in_the_team_may_be_added_again(subject: Subject) -> None:
    owner, pupil, new = subject.add_accounts(3)
    class_id = await subject.open_team(owner, [pupil])
    await subject.teams.add_to_team(class_id, [pupil])
    additions = await subject.teams.add_to_team(class_id, [pupil, new])
    assert additions.added | additions.already == {pupil, new}
    assert not additions.refused
    assert (await subject.teams.team_people(class_id)).members == {pupil, new}


async def test_a_member_who_is_added_as_an_owner_becomes_one(subject: Subject) -> None:
    owner, helper = subject.add_accounts(2)
    class_id = await subject.open_team(owner)
    await subject.teams.add_to_team(class_id, [helper])
    await subject.teams.add_to_team(class_id, [], [helper])
    assert await subject.teams.team_people(class_id) == TeamPeople(frozenset(), frozenset([owner, helper]))


async def test_two_hundred_people_are_added_at_once_and_more_never(subject: Subject) -> None:
    owner, *pupils = subject.add_accounts(202)
    class_id = await subject.open_team(owner)
    assert (await subject.teams.add_to_team(class_id, pupils[:200])).added == frozenset(pupils[:200])
    assert (await subject.teams.team_people(class_id)).members == frozenset(pupils[:200])
    with pytest.raises(ValueError, match="too many"):
        await subject.teams.add_to_team(class_id, pupils)


async def test_people_are_removed_and_who_was_not_in_the_team_is_told(subject: Subject) -> None:
    owner, other, *pupils = subject.add_accounts(22)
    class_id = await subject.open_team(owner)
    await subject.teams.add_to_team(class_id, pupils[:18], [other])
    removals = await subject.teams.remove_from_team(class_id, [other, *pupils])
    assert removals == Removals(frozenset([other, *pupils[:18]]), frozenset(pupils[18:]))
    assert await subject.teams.team_people(class_id) == TeamPeople(frozenset(), frozenset([owner]))


async def test_the_last_owner_stays(subject: Subject) -> None:
    owner, pupil = subject.add_accounts(2)
    class_id = await subject.open_team(owner)
    await subject.teams.add_to_team(class_id, [pupil])
    removals = await subject.teams.remove_from_team(class_id, [owner, pupil])
    assert isinstance(removals.failure, GraphRefused)
    assert (await subject.teams.team_people(class_id)).owners == {owner}


async def test_a_team_is_archived_and_used_again(subject: Subject) -> None:
    (owner,) = subject.add_accounts(1)
    class_id = await subject.open_team(owner)
    await subject.teams.archive_team(class_id)
    subject.clock.advance(FEW)
    assert await subject.teams.team(class_id) == SeenTeam(locked=False, archived=True)
    await subject.teams.unarchive_team(class_id)
    subject.clock.advance(FEW)
    assert await subject.teams.team(class_id) == OPEN


async def test_there_is_no_team_of_a_deleted_class(subject: Subject) -> None:
    owner, pupil = subject.add_accounts(2)
    deleted = await subject.open_team(owner)
    await subject.tenant.delete_class(deleted)
    for class_id in (deleted, NOWHERE):
        assert await subject.teams.team(class_id) is None
        for work in (
            subject.teams.open_team(class_id),
            subject.teams.team_people(class_id),
            subject.teams.add_to_team(class_id, [pupil]),
            subject.teams.remove_from_team(class_id, [pupil]),
            subject.teams.archive_team(class_id),
            subject.teams.unarchive_team(class_id),
        ):
            with pytest.raises(NotThere):
                await work
    with pytest.raises(TeamNotReady):
        await subject.teams.make_team(deleted)
    await subject.tenant.restore_class(deleted)
    assert await subject.teams.team(deleted) == OPEN


# --- Graph alone


@pytest.fixture
async def at_graph(simulated: Graph) -> AsyncIterator[Subject]:
    async with ManagedIdentityCredential() as credential:
        yield _simulated(simulated, credential)


async def test_a_class_team_with_thirty_pupils_takes_so_many_requests(at_graph: Subject, simulated: Graph) -> None:
    """Make it, see it, activate it, add all, read all back: five. To take all out: a look for 15, and one for each."""
    owner, *pupils = at_graph.add_accounts(31)
    class_id = await at_graph.new_class([owner], pupils)
    at_graph.clock.advance(FEW)
    before = len(simulated.sim("log"))
    spent = simulated.sim("stats")["resource_units"]
    await at_graph.teams.make_team(class_id)
    at_graph.clock.advance(FEW)
    await at_graph.teams.team(class_id)
    await at_graph.teams.open_team(class_id)
    await at_graph.teams.add_to_team(class_id, pupils)
    await at_graph.teams.team_people(class_id)
    assert len(simulated.sim("log")) - before == 5
    await at_graph.teams.remove_from_team(class_id, pupils)
    assert len(simulated.sim("log")) - before == 5 + 2 + 30
    assert simulated.sim("stats")["resource_units"] == spent
    assert {one["status"] for one in simulated.sim("log")[before:]} <= {200, 202, 204}


async def test_no_request_is_throttled_while_forty_teams_are_made(at_graph: Subject, simulated: Graph) -> None:
    (owner,) = at_graph.add_accounts(1)
    classes = [await at_graph.new_class([owner]) for _ in range(40)]
    at_graph.clock.advance(FEW)
    throttled, start_at = simulated.sim("stats")["throttled"], at_graph.clock.now()
    assert [await at_graph.teams.make_team(class_id) for class_id in classes] == [True] * 40
    assert simulated.sim("stats")["throttled"] == throttled
    assert at_graph.clock.now() - start_at <= timedelta(seconds=4)


async def test_a_throttled_request_waits_and_is_sent_again(at_graph: Subject, simulated: Graph) -> None:
    (owner,) = at_graph.add_accounts(1)
    class_id = await at_graph.new_team(owner)
    fault = {"method": "GET", "path": f"/teams/{class_id}", "status": 429, "retry_after": 7, "times": 1}
    simulated.sim("faults", fault)
    before = at_graph.clock.now()
    assert await at_graph.teams.team(class_id) == LOCKED
    assert at_graph.clock.now() - before >= timedelta(seconds=7)


async def test_a_create_whose_answer_was_lost_makes_one_team(at_graph: Subject, simulated: Graph) -> None:
    (owner,) = at_graph.add_accounts(1)
    class_id = await at_graph.new_class([owner])
    at_graph.clock.advance(FEW)
    simulated.sim("faults", {"method": "POST", "path": "/teams$", "after_work": True, "times": 1})
    assert not await at_graph.teams.make_team(class_id)
    at_graph.clock.advance(FEW)
    assert await at_graph.teams.team(class_id) == LOCKED


@pytest.mark.parametrize("permission", ["Team.Create", "TeamMember.ReadWrite.All", "TeamSettings.ReadWrite.All"])
async def test_a_missing_permission_is_told_with_the_command_that_grants_it(
    at_graph: Subject, simulated: Graph, permission: str
) -> None:
    owner, pupil = at_graph.add_accounts(2)
    class_id = await at_graph.new_class([owner])
    at_graph.clock.advance(FEW)
    simulated.sim("teams", {"action": "make", "class": class_id})
    simulated.grant_all_but(permission)
    async with ManagedIdentityCredential() as credential:
        teams = _simulated(simulated, credential).teams
        works: dict[str, Callable[[], Awaitable[object]]] = {
            "Team.Create": lambda: teams.make_team(class_id),
            "TeamMember.ReadWrite.All": lambda: teams.add_to_team(class_id, [pupil]),
            "TeamSettings.ReadWrite.All": lambda: teams.open_team(class_id),
        }
        with pytest.raises(GraphDenied, match=r"grant_graph\.py --teams"):
            await works[permission]()


async def test_where_the_lock_is_not_told_a_team_counts_as_locked(at_graph: Subject, simulated: Graph) -> None:
    (owner,) = at_graph.add_accounts(1)
    class_id = await at_graph.open_team(owner)
    simulated.switch(team_lock_told="omitted")
    assert await at_graph.teams.team(class_id) == LOCKED


async def test_an_archive_that_answers_404_before_it_shows_is_tried_again(at_graph: Subject, simulated: Graph) -> None:
    (owner,) = at_graph.add_accounts(1)
    class_id = await at_graph.open_team(owner)
    fault = {"method": "POST", "path": "/archive$", "status": 404, "code": "NotFound", "message": "none", "times": 1}
    simulated.sim("faults", fault)
    with pytest.raises(Transient):
        await at_graph.teams.archive_team(class_id)
    await at_graph.teams.archive_team(class_id)
    at_graph.clock.advance(FEW)
    assert await at_graph.teams.team(class_id) == SeenTeam(locked=False, archived=True)
