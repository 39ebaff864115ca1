"""What the controls show and set of Teams in the simulated tenant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from local.tenant.server import TenantServer
from local.tenant.teams.service import Lags

_PREFIX, _SUFFIX = "teams_", "_seconds"


def teams_of(server: TenantServer) -> list[dict[str, Any]]:
    """All teams, by the nickname of their class."""
    teams = [team_of(server, team_id) for team_id in server.teams.teams]
    return sorted(teams, key=lambda team: (team["mailNickname"], team["id"]))


def team_of(server: TenantServer, team_id: str) -> dict[str, Any]:
    """A team with the user principal names of its people. `exists` is false for one that was deleted."""
    group, team = server.directory.groups[team_id], server.teams.teams.get(team_id)
    named = {"id": team_id, "mailNickname": group.mailNickname, "exists": team is not None and not group.deleted_at}
    if team is None:
        return named
    users = server.directory.users
    return {
        **named,
        "locked": team.locked,
        "archived": team.archived,
        "owners": sorted(users[person].userPrincipalName for person in team.owners),
        "members": sorted(users[person].userPrincipalName for person in team.memberships if person not in team.owners),
        "waiting": sorted(users[person].userPrincipalName for person in team.waiting),
    }


def numbers(server: TenantServer) -> dict[str, float]:
    """The lags of Teams, and the most teams of a person, by the names of their switches."""
    lags = {f"{_PREFIX}{name}{_SUFFIX}": seconds for name, seconds in asdict(server.teams.lags).items()}
    return {**lags, "teams_of_a_person": server.teams.teams_of_a_person}


def set_numbers(server: TenantServer, chosen: Mapping[str, Any]) -> None:
    """Set what `numbers` shows. `chosen` has a number for each."""
    server.teams.teams_of_a_person = int(chosen["teams_of_a_person"])
    for each in fields(Lags):
        setattr(server.teams.lags, each.name, float(chosen[f"{_PREFIX}{each.name}{_SUFFIX}"]))
