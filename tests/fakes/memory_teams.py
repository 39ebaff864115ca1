"""The class teams of a tenant in memory: Teams' refusals and lag, and what somebody does in the client."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sync_core.clock import Clock
from sync_core.domain.ids import AccountId, ClassId
from sync_core.errors import GraphRefused, NotThere, SyncError, TeamNotReady
from sync_core.graph.port import PEOPLE_PER_TEAM_WRITE, Additions, Removals, SeenTeam, TeamPeople
from tests.fakes.fixed_clock import FixedClock
from tests.fakes.memory_tenant import MemoryTenant
from tests.fakes.steps import Step, no_step

UNLICENSED = GraphRefused("Forbidden", "a person has no licence for Teams", "give the person a licence")
LOCKED_OUT = GraphRefused("Forbidden", "the team is locked", "activate the team")


@dataclass(slots=True)
class MemoryTeam:
    """A team. `shown_from` is when Teams shows it."""

    shown_from: datetime
    locked: bool = True
    archived: bool = False
    members: set[AccountId] = field(default_factory=set)
    owners: set[AccountId] = field(default_factory=set)


class MemoryTeams:
    """Implements Teams over the classes of `tenant`. `step` is awaited before and after each effect.

    Teams knows a class `knows_after` its creation and shows a team `shows_after` it was made. It copies no person from
    the group without `copy_people`. `unlicensed` are the people whom it refuses; `failure` is raised by every method
    while it is set; `requests` are the calls so far.
    """

    def __init__(self, tenant: MemoryTenant, step: Step = no_step, clock: Clock | None = None) -> None:
        self._tenant = tenant
        self._step = step
        self._clock = clock or FixedClock()
        self.teams: dict[ClassId, MemoryTeam] = {}
        self.knows_after = timedelta(0)
        self.shows_after = timedelta(0)
        self.unlicensed: set[AccountId] = set()
        self.failure: SyncError | None = None
        self.requests: list[tuple[str, ClassId]] = []

    # --- the port

    async def team(self, class_id: ClassId) -> SeenTeam | None:
        await self._begin("team", class_id)
        team = self._shown(class_id)
        await self._step("team answered")
        return None if team is None else SeenTeam(team.locked, team.archived)

    async def make_team(self, class_id: ClassId) -> bool:
        await self._begin("make_team", class_id)
        group = self._tenant.groups.get(class_id)
        now = self._clock.now()
        if group is None or group.deleted or now < group.created_at + self.knows_after:
            raise TeamNotReady("Teams does not know the class", "wait")
        if group.external_id is None:
            raise GraphRefused("BadRequest", "the group was not made as a class", "make a class")
        if class_id in self.teams:
            return False
        if not group.owners:
            raise TeamNotReady("Teams knows no owner of the class", "wait")
        self.teams[class_id] = MemoryTeam(now + self.shows_after, owners=set(group.owners))
        await self._step("make_team answered")
        return True

    async def open_team(self, class_id: ClassId) -> None:
        await self._begin("open_team", class_id)
        self._team(class_id).locked = False
        await self._step("open_team answered")

    async def team_people(self, class_id: ClassId) -> TeamPeople:
        await self._begin("team_people", class_id)
        team = self._team(class_id)
        people = TeamPeople(frozenset(team.members - team.owners), frozenset(team.owners))
        await self._step("team_people answered")
        return people

    async def add_to_team(
        self, class_id: ClassId, members: Sequence[AccountId], owners: Sequence[AccountId] = ()
    ) -> Additions:
        await self._begin("add_to_team", class_id)
        if len(members) + len(owners) > PEOPLE_PER_TEAM_WRITE:
            raise ValueError("too many people for one request")
        team = self._team(class_id)
        added: set[AccountId] = set()
        already: set[AccountId] = set()
        refused: dict[AccountId, GraphRefused] = {}
        unknown = {person for person in (*members, *owners) if person not in self._tenant.accounts}
        for person, is_owner in [*((each, False) for each in members), *((each, True) for each in owners)]:
            if person in unknown:
                continue
            if person in self.unlicensed:
                refused[person] = UNLICENSED
            elif team.locked and not is_owner:
                refused[person] = LOCKED_OUT
            elif person in team.members | team.owners:
                already.add(person)
                if is_owner:
                    self._put(team, person, owner=True)
            else:
                self._put(team, person, owner=is_owner)
                added.add(person)
        await self._step("add_to_team answered")
        return Additions(frozenset(added), frozenset(already), frozenset(unknown), refused)

    async def remove_from_team(self, class_id: ClassId, people: Sequence[AccountId]) -> Removals:
        """Removes one person at a time: a crash may leave some of them."""
        await self._begin("remove_from_team", class_id)
        team = self._team(class_id)
        removed: set[AccountId] = set()
        missing = frozenset(people) - team.members - team.owners
        for person in sorted(frozenset(people) - missing):
            await self._step("remove_from_team")
            if team.owners == {person}:
                failure = GraphRefused("BadRequest", "the last owner", "add another owner first")
                return Removals(frozenset(removed), missing, failure)
            team.members.discard(person)
            team.owners.discard(person)
            removed.add(person)
        await self._step("remove_from_team answered")
        return Removals(frozenset(removed), missing)

    async def archive_team(self, class_id: ClassId) -> None:
        await self._begin("archive_team", class_id)
        self._team(class_id).archived = True
        await self._step("archive_team answered")

    async def unarchive_team(self, class_id: ClassId) -> None:
        await self._begin("unarchive_team", class_id)
        self._team(class_id).archived = False
        await self._step("unarchive_team answered")

    # --- what happens in the client, and on the side of Teams

    def make_by_hand(self, class_id: ClassId) -> None:
        """A teacher makes a team of the class: everybody of the group is in it at once, and it is not locked."""
        group = self._tenant.groups[class_id]
        members = set(group.members) | set(group.owners)
        self.teams[class_id] = MemoryTeam(
            self._clock.now(), locked=False, members=members - group.owners, owners=set(group.owners)
        )

    def activate_by_hand(self, class_id: ClassId) -> None:
        """An owner activates the team, which adds the pupils who wait."""
        team = self.teams[class_id]
        team.locked = False
        self.copy_people(class_id)

    def delete_by_hand(self, class_id: ClassId) -> None:
        """In the client this deletes the class too; in the admin center an older team may go without it."""
        self.teams.pop(class_id, None)

    def hand_member(self, class_id: ClassId, person: AccountId, present: bool, *, owner: bool = False) -> None:
        team = self.teams[class_id]
        if present:
            self._put(team, person, owner=owner)
        else:
            team.members.discard(person)
            team.owners.discard(person)

    def copy_people(self, class_id: ClassId) -> None:
        """Teams copies who is in the group; pupils only to a team that is not locked."""
        group, team = self._tenant.groups[class_id], self.teams[class_id]
        team.owners = set(group.owners)
        if not team.locked:
            team.members = set(group.members) - group.owners - self.unlicensed

    # --- internals

    async def _begin(self, name: str, class_id: ClassId) -> None:
        await self._step(name)
        if self.failure:
            raise self.failure
        self.requests.append((name, class_id))

    def _put(self, team: MemoryTeam, person: AccountId, *, owner: bool) -> None:
        (team.owners if owner else team.members).add(person)
        if owner:
            team.members.discard(person)

    def _shown(self, class_id: ClassId) -> MemoryTeam | None:
        group, team = self._tenant.groups.get(class_id), self.teams.get(class_id)
        if group is None or group.deleted or team is None or self._clock.now() < team.shown_from:
            return None
        return team

    def _team(self, class_id: ClassId) -> MemoryTeam:
        team = self._shown(class_id)
        if team is None:
            raise NotThere
        return team
