"""What somebody does in the Teams client, which no call of an app does."""

from __future__ import annotations

from typing import Any

from local.tenant.directory.directory import Directory
from local.tenant.directory.objects import Group
from local.tenant.directory.refusals import Refusal
from local.tenant.teams.objects import Team
from local.tenant.teams.refusals import bad_team_request, no_team, team_exists
from local.tenant.teams.service import TeamsService

ACTIONS = (
    "make", "make-new", "open", "activate", "add-member", "add-owner", "remove", "leave", "archive", "unarchive",
    "delete", "delete-alone",
)  # fmt: skip


class TeamsClient:
    """The Teams client of everybody in the tenant. People are user principal names or ids."""

    def __init__(self, service: TeamsService, directory: Directory) -> None:
        self._service = service
        self._directory = directory

    def act(self, action: str, body: dict[str, Any], now: float) -> str:
        """Do what the body of a control asks for. Returns the id of the team. Raises Refusal."""
        if action == "make-new":
            return self.make_new(body, now).id
        group = self._group(str(body.get("class", "")))
        if action == "make":
            return self.make(group, now, locked=bool(body.get("locked", False))).id
        team = self._service.teams.get(group.id)
        if team is None:
            raise no_team(group.id)
        if action in ("delete", "delete-alone"):
            self._delete(group, now, with_class=action == "delete")
            return group.id
        team = self._service.shown(group.id)
        team.used = True
        match action:
            case "open":
                self._service.save(team)
            case "activate":
                self.activate(team, group)
            case "add-member" | "add-owner":
                person, owner = self._directory.user(str(body["upn"])).id, action == "add-owner"
                team.put(person, owner=owner or person in team.owners)
                self._service.write_group(team, person, owner=owner)
            case "remove" | "leave":
                self._service.remove_person(team, self._directory.user(str(body["upn"])).id)
            case "archive" | "unarchive":
                team.archived, team.archived_from = action == "archive", 0.0
                self._service.save(team)
            case _:
                raise bad_team_request(f"unknown action {action}; the actions are {', '.join(ACTIONS)}")
        return team.id

    def make(self, group: Group, now: float, *, locked: bool) -> Team:
        """A teacher makes a team of a class, with everybody in it."""
        if group.id in self._service.teams:
            raise team_exists(group.id)
        team = Team(group.id, now, locked=locked, used=True)
        for person in group.owners:
            team.put(person, owner=True)
        for person in group.members:
            if locked and person not in group.owners:
                team.wait(person)
            else:
                team.put(person, owner=person in group.owners)
        return self._service.add(team)

    def make_new(self, body: dict[str, Any], now: float) -> Team:
        """A teacher makes a class team of their own, which is a new group: {"name", "owner", "members"}."""
        owner = self._directory.user(str(body["owner"])).id
        members = [self._directory.user(str(one)).id for one in body.get("members", ())]
        name = str(body["name"])
        fields = {"displayName": name, "mailNickname": f"{''.join(filter(str.isalnum, name))}{int(now)}"}
        fields |= {"externalSource": "manual"}
        people: dict[Any, list[str]] = {"owners": [owner], "members": list(dict.fromkeys([owner, *members]))}
        return self.make(self._directory.seed_group(fields, people, now, is_class=True), now, locked=False)

    def activate(self, team: Team, group: Group) -> None:
        """An owner activates the team, or retries that: the pupils who wait come in."""
        team.locked = False
        for person in list(team.waiting):
            if person in group.members and self._service.licensed(person):
                team.put(person, owner=False)
        team.waiting.clear()
        self._service.save(team)

    def _delete(self, group: Group, now: float, *, with_class: bool) -> None:
        """The client deletes the class with its team. That a team may go alone is a case that an app must survive."""
        if with_class:
            self._directory.delete_group(group, now)
        else:
            self._service.forget(group.id)

    def _group(self, id_or_nickname: str) -> Group:
        group = self._directory.groups.get(id_or_nickname) or self._directory.by_nickname(id_or_nickname)
        if group is None or group.deleted_at is not None:
            raise Refusal(404, "NotFound", f"there is no class {id_or_nickname}")
        return group
