"""The team of a class: how it is made, opened, filled, compared and archived, and what stands in the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from sync_core.applying.change import apply_change
from sync_core.domain.classes.desired import DesiredClass
from sync_core.domain.classes.outcomes import AlreadySo, Applied, Outcome, Refused
from sync_core.domain.classes.record import ActualClass
from sync_core.domain.classes.teams import ActualTeam, DesiredTeam, TeamState
from sync_core.domain.classes.tenant_groups import Drift
from sync_core.domain.ids import AccountId, ClassId, ClassKey, RunId
from sync_core.domain.runs import Cause
from sync_core.errors import GraphDenied, TeamNotReady, Transient
from sync_core.graph.port import PEOPLE_PER_TEAM_WRITE
from sync_core.messaging.messages import (
    Change,
    ChangeMembers,
    ChangeTeam,
    CreateClass,
    DeleteClass,
    GrantOwners,
    Priority,
    RevokeOwners,
)
from tests.builders import SCHOOL, desired, entra_id, entra_ids
from tests.fakes.fixed_clock import FixedClock
from tests.fakes.memory_state import MemoryState
from tests.fakes.memory_teams import MemoryTeam, MemoryTeams
from tests.fakes.memory_tenant import MemoryTenant
from tests.fakes.services import services

KEY = ClassKey("K1")
WHERE = (SCHOOL.id, KEY, RunId("run 1"), Cause.ADMIN)
MAKE: tuple[Change, ...] = (CreateClass(*WHERE), GrantOwners(*WHERE), ChangeMembers(*WHERE))
MOVE: tuple[Change, ...] = (GrantOwners(*WHERE), RevokeOwners(*WHERE), ChangeMembers(*WHERE))
TEAM = ChangeTeam(*WHERE)
PEOPLE = ("amy", "ben", "cleo", "main", "second", "hand")


def a_class(students: Sequence[str], owners: Sequence[str], team: DesiredTeam = DesiredTeam.LOCKED) -> DesiredClass:
    return replace(desired("K1", students, owners), team=team)


OPEN = a_class(["amy", "ben"], ["main"], DesiredTeam.OPEN)
LOCKED = a_class(["amy", "ben"], ["main"])


@dataclass
class Bench:
    """One class row, its tenant and its team."""

    clock: FixedClock = field(default_factory=FixedClock)
    state: MemoryState = field(default_factory=MemoryState)
    tenant: MemoryTenant = field(init=False)
    teams: MemoryTeams = field(init=False)

    def __post_init__(self) -> None:
        self.tenant = MemoryTenant(clock=self.clock)
        self.teams = MemoryTeams(self.tenant, clock=self.clock)
        for person in PEOPLE:
            self.tenant.add_account(entra_id(person), f"{person}@x.org")

    async def apply(self, wanted: DesiredClass, *changes: Change) -> list[Outcome]:
        await self.state.write_desired(SCHOOL.id, [wanted])
        given = services(self.state, tenant=self.tenant, teams=self.teams, clock=self.clock)
        return [await apply_change(change, Priority.BULK, given) for change in changes]

    async def actual(self) -> ActualClass:
        record = await self.state.class_record(SCHOOL.id, KEY)
        assert record is not None and record.actual is not None
        return record.actual

    async def known(self) -> ActualTeam:
        team = (await self.actual()).team
        assert team is not None
        return team

    async def id(self) -> ClassId:
        return (await self.actual()).class_id

    async def team(self) -> MemoryTeam:
        return self.teams.teams[await self.id()]

    def calls(self) -> list[str]:
        """The requests to Teams since the last call of this method."""
        calls = [name for name, _ in self.teams.requests]
        self.teams.requests.clear()
        return calls


def people(team: MemoryTeam) -> tuple[frozenset[AccountId], frozenset[AccountId]]:
    """The members and the owners of a team."""
    return frozenset(team.members), frozenset(team.owners)


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_a_team_costs_one_request_and_is_born_locked(bench: Bench) -> None:
    made = (await bench.apply(LOCKED, *MAKE, TEAM))[-1]
    assert made == Applied(team_made=True)
    assert bench.calls() == ["make_team"]
    assert (await bench.known()).state is TeamState.ASKED
    assert (await bench.team()).locked
    assert (await bench.state.history(SCHOOL.id, KEY))[-1].team_made


async def test_a_second_delivery_makes_no_second_team(bench: Bench) -> None:
    await bench.apply(LOCKED, *MAKE, TEAM)
    bench.calls()
    assert await bench.apply(LOCKED, TEAM) == [AlreadySo()]
    assert bench.calls() == ["team", "team_people"]
    assert (await bench.known()).state is TeamState.LOCKED


async def test_a_team_that_a_teacher_made_is_used_as_it_is(bench: Bench) -> None:
    await bench.apply(LOCKED, *MAKE)
    bench.teams.make_by_hand(await bench.id())
    assert await bench.apply(LOCKED, TEAM) == [AlreadySo()]
    known = await bench.known()
    assert (known.state, known.members, known.owners) == (TeamState.OPEN, LOCKED.members - LOCKED.owners, LOCKED.owners)


async def test_a_class_that_teams_does_not_know_yet_is_waited_for(bench: Bench) -> None:
    bench.teams.knows_after = timedelta(seconds=40)
    assert (await bench.apply(LOCKED, *MAKE, TEAM))[-1] == Applied(team_made=True)


async def test_a_young_class_goes_back_to_the_queue_and_an_old_one_waits_for_the_next_night(bench: Bench) -> None:
    bench.teams.knows_after = timedelta(hours=2)
    await bench.apply(LOCKED, *MAKE)
    with pytest.raises(TeamNotReady):
        await bench.apply(LOCKED, TEAM)
    bench.clock.advance(timedelta(minutes=20))
    refused = (await bench.apply(LOCKED, TEAM))[0]
    assert isinstance(refused, Refused) and refused.code == "TeamNotReady"
    known = await bench.known()
    assert known.state is TeamState.MISSING and known.error is not None
    bench.clock.advance(timedelta(hours=2))
    assert await bench.apply(LOCKED, TEAM) == [Applied(team_made=True)]
    assert (await bench.known()).error is None


async def test_no_team_is_asked_for_without_an_owner(bench: Bench) -> None:
    nobody = a_class(["amy"], [])
    refused = (await bench.apply(nobody, *MAKE, TEAM))[-1]
    assert isinstance(refused, Refused) and refused.code == "ClassWithoutOwner"
    assert bench.calls() == []


async def test_a_released_team_is_activated_filled_and_read_back(bench: Bench) -> None:
    bench.teams.shows_after = timedelta(seconds=20)
    made = (await bench.apply(OPEN, *MAKE, TEAM))[-1]
    assert made == Applied(team_made=True, team_opened=True, team_added=2)
    team = await bench.team()
    assert not team.locked and people(team) == (entra_ids(["amy", "ben"]), entra_ids(["main"]))
    calls = bench.calls()
    assert calls[0] == "make_team" and calls[-4:] == ["open_team", "team_people", "add_to_team", "team_people"]
    history = await bench.state.history(SCHOOL.id, KEY)
    assert [delta.team_opened for delta in history].count(True) == 1
    assert history[-1].team_added == entra_ids(["amy", "ben"])


async def test_a_pupil_without_a_licence_is_reported_and_the_others_come_in(bench: Bench) -> None:
    bench.teams.unlicensed.add(entra_id("ben"))
    refused = (await bench.apply(OPEN, *MAKE, TEAM))[-1]
    assert isinstance(refused, Refused) and refused.code == "PersonNotInTeam" and "licence" in refused.remedy
    known = await bench.known()
    assert (known.members, known.refused) == (entra_ids(["amy"]), entra_ids(["ben"]))
    bench.teams.unlicensed.clear()
    assert await bench.apply(OPEN, TEAM) == [Applied(team_added=1)]
    assert (await bench.known()).error is None


async def test_nobody_is_told_to_a_locked_team_but_its_owners(bench: Bench) -> None:
    await bench.apply(LOCKED, *MAKE, TEAM)
    with_more = a_class(["amy", "ben", "cleo"], ["main", "second"])
    await bench.apply(with_more, *MOVE)
    team = await bench.team()
    assert people(team) == (frozenset(), entra_ids(["main", "second"]))


async def test_a_change_of_an_open_team_reaches_it_in_the_same_delivery(bench: Bench) -> None:
    await bench.apply(OPEN, *MAKE, TEAM)
    bench.calls()
    moved = a_class(["amy", "cleo"], ["main"], DesiredTeam.OPEN)
    changed = (await bench.apply(moved, ChangeMembers(*WHERE)))[0]
    assert changed == Applied(members_added=1, members_removed=1, team_added=1, team_removed=1)
    assert (await bench.team()).members == entra_ids(["amy", "cleo"])
    assert bench.calls() == ["add_to_team", "remove_from_team"]


async def test_a_team_that_its_teacher_activated_is_filled_at_the_next_change(bench: Bench) -> None:
    await bench.apply(LOCKED, *MAKE, TEAM)
    bench.teams.activate_by_hand(await bench.id())
    bench.calls()
    await bench.apply(a_class(["amy", "ben", "cleo"], ["main"]), ChangeMembers(*WHERE))
    assert (await bench.team()).members == entra_ids(["amy", "ben", "cleo"])
    assert (await bench.known()).state is TeamState.OPEN
    assert bench.calls() == ["team", "team_people", "add_to_team"]


async def test_an_unchanged_class_asks_nothing(bench: Bench) -> None:
    await bench.apply(OPEN, *MAKE, TEAM)
    bench.calls()
    await bench.apply(OPEN, *MOVE)
    assert bench.calls() == []


async def test_a_pupil_who_becomes_an_assistant_and_a_pupil_again_stays_in_both(bench: Bench) -> None:
    await bench.apply(OPEN, *MAKE, TEAM)
    assistant = replace(a_class(["ben"], ["main", "amy"], DesiredTeam.OPEN), revoke=True)
    await bench.apply(assistant, *MOVE)
    team = await bench.team()
    assert people(team) == (entra_ids(["ben"]), entra_ids(["main", "amy"]))
    before = bench.clock.now()
    await bench.apply(replace(OPEN, revoke=True), *MOVE)
    assert people(team) == (entra_ids(["amy", "ben"]), entra_ids(["main"]))
    assert bench.clock.now() - before >= timedelta(seconds=10)
    assert bench.tenant.groups[await bench.id()].members == entra_ids(["amy", "ben", "main"])


async def test_an_owner_by_hand_stays_in_the_group_and_in_the_team(bench: Bench) -> None:
    await bench.apply(OPEN, *MAKE, TEAM)
    bench.tenant.hand_owner(await bench.id(), entra_id("hand"), present=True)
    bench.teams.hand_member(await bench.id(), entra_id("hand"), present=True)
    await bench.apply(OPEN, TEAM)
    assert entra_id("hand") in (await bench.team()).members
    bench.teams.hand_member(await bench.id(), entra_id("hand"), present=True, owner=True)
    await bench.apply(a_class(["amy"], ["main"], DesiredTeam.OPEN), *MOVE)
    await bench.apply(a_class(["amy"], ["main"], DesiredTeam.OPEN), TEAM)
    assert entra_id("hand") in (await bench.team()).owners


async def test_a_departed_owner_who_stays_in_the_group_stays_in_the_team(bench: Bench) -> None:
    both = a_class(["amy"], ["main", "second"], DesiredTeam.OPEN)
    await bench.apply(both, *MAKE, TEAM)
    await bench.apply(a_class(["amy"], ["main"], DesiredTeam.OPEN), *MOVE, TEAM)
    assert entra_id("second") in (await bench.team()).owners
    revoked = replace(a_class(["amy"], ["main"], DesiredTeam.OPEN), revoke=True)
    await bench.apply(revoked, *MOVE)
    assert (await bench.team()).owners == entra_ids(["main"])


async def test_the_last_owner_of_a_team_stays(bench: Bench) -> None:
    await bench.apply(OPEN, *MAKE, TEAM)
    nobody = replace(a_class(["amy", "ben"], [], DesiredTeam.OPEN), revoke=True)
    await bench.apply(nobody, *MOVE, TEAM)
    assert (await bench.team()).owners == entra_ids(["main"])


async def test_a_stranger_in_the_team_leaves_at_the_next_look(bench: Bench) -> None:
    await bench.apply(OPEN, *MAKE, TEAM)
    bench.teams.hand_member(await bench.id(), entra_id("cleo"), present=True)
    assert await bench.apply(OPEN, TEAM) == [Applied(team_removed=1)]
    assert (await bench.team()).members == entra_ids(["amy", "ben"])


async def test_teams_out_of_reach_costs_the_group_nothing_and_is_made_up_for(bench: Bench) -> None:
    await bench.apply(OPEN, *MAKE, TEAM)
    bench.teams.failure = Transient("Teams is down", "wait")
    moved = a_class(["amy", "cleo"], ["main"], DesiredTeam.OPEN)
    with pytest.raises(Transient):
        await bench.apply(moved, ChangeMembers(*WHERE))
    assert bench.tenant.groups[await bench.id()].members == entra_ids(["amy", "cleo", "main"])
    bench.teams.failure = None
    await bench.apply(moved, ChangeMembers(*WHERE))
    assert (await bench.team()).members == entra_ids(["amy", "cleo"])


async def test_a_missing_permission_is_said_and_the_group_is_done(bench: Bench) -> None:
    await bench.apply(OPEN, *MAKE)
    bench.teams.failure = GraphDenied("Authorization_RequestDenied", "denied", "grant Team.Create")
    refused = (await bench.apply(OPEN, TEAM))[0]
    assert isinstance(refused, Refused) and refused.remedy == "grant Team.Create"
    known = await bench.known()
    assert known.error is not None and known.state is TeamState.MISSING


async def test_a_team_deleted_by_hand_is_not_made_again(bench: Bench) -> None:
    await bench.apply(OPEN, *MAKE, TEAM)
    bench.teams.delete_by_hand(await bench.id())
    await bench.apply(OPEN, TEAM)
    assert (await bench.known()).state is TeamState.GONE
    bench.calls()
    await bench.apply(a_class(["amy"], ["main"], DesiredTeam.OPEN), ChangeMembers(*WHERE), TEAM)
    assert "make_team" not in bench.calls()


async def test_a_team_deleted_by_hand_is_found_by_a_write_to_it(bench: Bench) -> None:
    await bench.apply(OPEN, *MAKE, TEAM)
    bench.teams.delete_by_hand(await bench.id())
    await bench.apply(a_class(["amy"], ["main"], DesiredTeam.OPEN), ChangeMembers(*WHERE))
    assert (await bench.known()).state is TeamState.GONE


async def test_a_class_that_is_gone_has_no_team(bench: Bench) -> None:
    await bench.apply(OPEN, *MAKE, TEAM)
    await bench.state.write_drift(SCHOOL.id, [Drift(KEY, gone=True)])
    bench.calls()
    assert await bench.apply(OPEN, TEAM) == [AlreadySo()]
    assert bench.calls() == []


async def test_a_deleted_class_takes_its_team_along(bench: Bench) -> None:
    await bench.apply(OPEN, *MAKE, TEAM)
    await bench.apply(replace(OPEN, deleted=True), DeleteClass(*WHERE), TEAM)
    assert bench.tenant.groups[await bench.id()].deleted


async def test_an_archived_team_stays_archived_until_an_admin_says_otherwise(bench: Bench) -> None:
    await bench.apply(OPEN, *MAKE, TEAM)
    archived = replace(OPEN, team=DesiredTeam.ARCHIVED, ended=True)
    assert await bench.apply(archived, TEAM) == [Applied(team_archived=True)]
    assert (await bench.team()).archived and (await bench.known()).state is TeamState.ARCHIVED
    assert await bench.apply(archived, TEAM) == [AlreadySo()]
    back = replace(archived, team=DesiredTeam.LOCKED)
    assert await bench.apply(back, TEAM) == [Applied(team_unarchived=True)]
    assert not (await bench.team()).archived


async def test_a_team_archived_by_hand_stays_so(bench: Bench) -> None:
    await bench.apply(OPEN, *MAKE, TEAM)
    (await bench.team()).archived = True
    await bench.apply(OPEN, TEAM, TEAM)
    assert (await bench.team()).archived and (await bench.known()).state is TeamState.ARCHIVED_BY_HAND


async def test_a_class_without_a_wish_for_a_team_leaves_its_team_alone(bench: Bench) -> None:
    none = a_class(["amy"], ["main"], DesiredTeam.NONE)
    await bench.apply(none, *MAKE)
    bench.teams.make_by_hand(await bench.id())
    assert await bench.apply(none, TEAM, *MOVE) == [AlreadySo()] * 4
    assert bench.calls() == []


async def test_a_year_of_pupils_goes_in_two_hundred_at_a_time(bench: Bench) -> None:
    year = [f"pupil {number}" for number in range(2 * PEOPLE_PER_TEAM_WRITE + 1)]
    for person in year:
        bench.tenant.add_account(entra_id(person), f"{person}@x.org")
    await bench.apply(a_class(year, ["main"], DesiredTeam.OPEN), *MAKE, TEAM)
    assert bench.calls().count("add_to_team") == 3
    assert len((await bench.team()).members) == len(year)


async def test_somebody_whom_teams_does_not_show_yet_is_taken_out_by_a_later_look(bench: Bench) -> None:
    """Teams may show a person some seconds after the person was added."""
    await bench.apply(OPEN, *MAKE, TEAM)
    team = await bench.team()
    team.members.discard(entra_id("amy"))
    without = a_class(["ben"], ["main"], DesiredTeam.OPEN)
    await bench.apply(without, ChangeMembers(*WHERE))
    assert entra_id("amy") in (await bench.known()).members
    team.members.add(entra_id("amy"))
    assert await bench.apply(without, TEAM) == [Applied(team_removed=1)]
    assert (await bench.known()).members == team.members == entra_ids(["ben"])
