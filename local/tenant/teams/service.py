"""The teams of a tenant: what an app may do with them, and what Teams copies from the directory, late."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from local.tenant.answers import Answers
from local.tenant.directory.directory import Directory
from local.tenant.directory.objects import Event, Group
from local.tenant.teams.objects import Copy, Team, loaded_team, stored_team
from local.tenant.teams.refusals import (
    bad_team_request,
    no_membership,
    no_owner,
    no_team,
    not_a_class,
    team_exists,
    unknown_group,
)

_OWNERS, _PEOPLE = 100, 25_000
_SHOWN_AFTER = 10.0
_TOO_MANY_TEAMS = "The user is a member of the maximum number of teams."


@dataclass(slots=True)
class Lags:
    """How late Teams is, in seconds."""

    class_known: float = 30.0
    owner_known: float = 30.0
    team_shown: float = 15.0
    archive_shown: float = 5.0
    members_copied: float = 86_400.0
    owners_copied: float = 7_200.0
    removed_owner_dropped: float = 8.0
    """From an owner's removal from the group until the membership of the team is gone too."""


class TeamsService:
    """The teams by the id of their class. `remember` is called with each changed team."""

    def __init__(
        self,
        directory: Directory,
        answers: Answers,
        now: Callable[[], float],
        remember: Callable[[dict[str, Any]], None],
    ) -> None:
        self.lags = Lags()
        self.teams_of_a_person = 1_000
        self.teams: dict[str, Team] = {}
        self._directory = directory
        self._answers = answers
        self._now = now
        self._remember = remember
        self._owners_since: dict[tuple[str, str], float] = {}
        self._writes_group = False

    def load(self, line: dict[str, Any]) -> None:
        """Load one stored line."""
        if "no_team" in line:
            self.teams.pop(line["no_team"], None)
        else:
            team = loaded_team(line["team"])
            self.teams[team.id] = team

    def lines(self) -> Iterable[dict[str, Any]]:
        yield from ({"team": stored_team(team)} for team in self.teams.values())

    def observe(self, event: Event) -> None:
        """Note a change of the directory, which the team will show later."""
        now = self._now()
        if event.kind == "owners" and event.added:
            self._owners_since[event.id, event.person] = now
        team = self.teams.get(event.id)
        if team is None or event.kind not in ("members", "owners") or self._writes_group:
            return
        lags = self.lags
        lag = lags.members_copied if event.kind == "members" else lags.owners_copied
        if event.kind == "owners" and not event.added:
            lag = lags.removed_owner_dropped
        team.copies.append(Copy(now + lag, event.kind, event.person, event.added))
        self.save(team)

    def class_restored(self, group: Group) -> None:
        if self._answers.team_after_restore == "gone":
            self.teams.pop(group.id, None)
            self._remember({"no_team": group.id})

    # --- what an app asks for

    def make(self, group_id: str) -> Team:
        """Raises Refusal."""
        group, now = self._directory.groups.get(group_id), self._now()
        if group is None or group.deleted_at is not None or now < group.created_at + self.lags.class_known:
            raise unknown_group(group_id)
        if not group.is_class:
            raise not_a_class(group_id)
        if group_id in self.teams:
            raise team_exists(group_id)
        known = [owner for owner in group.owners if self._knows_owner(group_id, owner)]
        if not known:
            raise no_owner(group_id)
        known = [owner for owner in known if not self._in_too_many(owner)]
        if not known:
            raise bad_team_request(_TOO_MANY_TEAMS)
        if self._answers.team_of_unlicensed_owners == "refused" and not any(map(self.licensed, known)):
            raise bad_team_request("You do not have permission to perform this operation")
        team = Team(group_id, now + self.lags.team_shown, operation=str(uuid4()))
        for owner in known:
            team.put(owner, owner=True)
        for owner in group.owners:
            if owner not in known:
                team.copies.append(Copy(now + self.lags.owners_copied, "owners", owner, True))
        for member in group.members:
            team.wait(member)
        return self.add(team)

    def shown(self, team_id: str) -> Team:
        """The team as Teams shows it now. Raises Refusal."""
        group, team = self._directory.groups.get(team_id), self.teams.get(team_id)
        if group is None or group.deleted_at is not None or team is None or self._now() < team.shown_from:
            raise no_team(team_id)
        self._catch_up(team)
        return team

    def archived(self, team: Team) -> bool:
        return team.archived if self._now() >= team.archived_from else not team.archived

    def archive(self, team: Team, archived: bool) -> None:
        if self.archived(team) is not archived:
            lies = self._answers.archive_answer == "404-though-done"
            team.archived, team.archived_from = archived, 0.0 if lies else self._now() + self.lags.archive_shown
        self.save(team)

    def add_person(self, team: Team, person: str, *, owner: bool) -> tuple[str, str] | None:
        """Add a person as an app may. Returns code and message of the refusal, or None."""
        user = self._directory.users.get(person)
        if user is None or user.deleted:
            return "NotFound", ""
        if not user.licensed:
            return "Forbidden", "You do not have permission to perform this operation"
        if person in team.memberships:
            if self._answers.team_member_again == "error":
                return "BadRequest", f"User {user.displayName} is already a member of the team."
            if owner:
                team.put(person, owner=True)
                self.write_group(team, person, owner=True)
            return None
        if team.locked and not owner:
            if self._answers.member_of_locked_team == "waits":
                team.wait(person)
                return None
            return "Forbidden", "Adding members is not allowed while the membership is limited to owners."
        if self._in_too_many(person):
            return "BadRequest", _TOO_MANY_TEAMS
        if len(team.owners) >= _OWNERS if owner else len(team.memberships) >= _PEOPLE:
            return "BadRequest", "The maximum number of people of the team is reached."
        team.put(person, owner=owner)
        if self._answers.team_people_shown == "later":
            team.hidden_until[person] = self._now() + _SHOWN_AFTER
        self.write_group(team, person, owner=owner)
        return None

    def people(self, team: Team) -> list[str]:
        """The people in the team whom Teams shows now."""
        shown = [person for person in team.memberships if team.hidden_until.get(person, 0.0) <= self._now()]
        return [person for person in shown if not self._directory.users[person].deleted]

    def remove_membership(self, team: Team, membership: str) -> None:
        """Raises Refusal."""
        person = self.person_of(team, membership)
        if team.owners == [person]:
            raise bad_team_request("The team must have at least one owner.")
        self.remove_person(team, person)

    def remove_person(self, team: Team, person: str) -> None:
        """What the team loses, the group loses too."""
        team.drop(person)
        self.save(team)
        group = self._directory.groups[team.id]
        if self._answers.team_writes_in_group == "never":
            return
        with self._for_team():
            if person in group.owners and len(group.owners) > 1:
                self._directory.remove(group, "owners", person)
            if person in group.members:
                self._directory.remove(group, "members", person)

    def person_of(self, team: Team, membership: str) -> str:
        for person, id_ in team.memberships.items():
            if id_ == membership:
                return person
        raise no_membership()

    def licensed(self, person: str) -> bool:
        user = self._directory.users.get(person)
        return user is not None and user.licensed

    # --- shared with what happens in the client

    def add(self, team: Team) -> Team:
        self.teams[team.id] = team
        self.save(team)
        return team

    def forget(self, team_id: str) -> None:
        self.teams.pop(team_id, None)
        self._remember({"no_team": team_id})

    def save(self, team: Team) -> None:
        self._remember({"team": stored_team(team)})

    def write_group(self, team: Team, person: str, *, owner: bool) -> None:
        """Whom somebody adds on the side of Teams is in the group too."""
        self.save(team)
        group = self._directory.groups[team.id]
        if self._answers.team_writes_in_group == "never":
            return
        with self._for_team():
            if person not in group.members:
                self._directory.add(group, "members", person)
            if owner and person not in group.owners:
                self._directory.add(group, "owners", person)

    @contextmanager
    def _for_team(self) -> Iterator[None]:
        """Changes of the group that the team has already, and does not copy."""
        self._writes_group = True
        try:
            yield
        finally:
            self._writes_group = False

    def _in_too_many(self, person: str) -> bool:
        return sum(person in team.memberships for team in self.teams.values()) >= self.teams_of_a_person

    def _knows_owner(self, group_id: str, owner: str) -> bool:
        return self._now() >= self._owners_since.get((group_id, owner), 0.0) + self.lags.owner_known

    def _catch_up(self, team: Team) -> None:
        """Take over what is due: members only once somebody used the team, and pupils wait while it is locked."""
        due = [copy for copy in team.copies if copy.due <= self._now() and (team.used or copy.collection == "owners")]
        if not due:
            return
        team.copies = [copy for copy in team.copies if copy not in due]
        for copy in sorted(due, key=lambda one: one.due):
            if not copy.added:
                if copy.collection == "owners" or copy.person not in team.owners:
                    team.drop(copy.person)
            elif not self.licensed(copy.person):
                continue
            elif copy.collection == "owners":
                team.put(copy.person, owner=True)
            elif team.locked:
                team.wait(copy.person)
            else:
                team.put(copy.person, owner=copy.person in team.owners)
        self.save(team)
