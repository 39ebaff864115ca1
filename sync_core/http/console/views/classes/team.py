"""The team of a class in words."""

from __future__ import annotations

from dataclasses import dataclass

from sync_core.admin.overview.schools import Light, Sign
from sync_core.domain.classes.record import ClassRecord
from sync_core.domain.classes.row_error import RowError
from sync_core.domain.classes.teams import DesiredTeam, TeamState
from sync_core.http.console.formats import count

_SIGNS = {
    TeamState.MISSING: Sign(light=Light.BAD, text="could not be made"),
    TeamState.ASKED: Sign(light=Light.WAITS, text="being made"),
    TeamState.LOCKED: Sign(light=Light.GOOD, text="waits for its teacher"),
    TeamState.OPEN: Sign(light=Light.GOOD, text="active"),
    TeamState.ARCHIVED: Sign(light=Light.WAITS, text="archived"),
    TeamState.ARCHIVED_BY_HAND: Sign(light=Light.WAITS, text="archived by hand"),
    TeamState.GONE: Sign(light=Light.BAD, text="deleted by hand"),
}
_SENTENCES = {
    TeamState.MISSING: "Teams did not make the team. The next night tries again.",
    TeamState.ASKED: "Teams accepted to make the team, and does so within minutes.",
    TeamState.LOCKED: "Its owners can prepare it. Pupils see it once an owner chooses Activate in Teams.",
    TeamState.OPEN: "Pupils can use it.",
    TeamState.ARCHIVED: "An admin archived it here. Nobody can write in it.",
    TeamState.ARCHIVED_BY_HAND: "Somebody archived it in Teams. It stays so until somebody restores it there.",
    TeamState.GONE: "Somebody deleted the team, and the class still exists. No other team is made for it.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamView:
    """`people` counts who is in it as recorded; empty for a team that was not compared yet."""

    sign: Sign
    sentence: str
    people: str = ""
    error: RowError | None = None


def team_view(record: ClassRecord) -> TeamView | None:
    """The team as recorded; None for a class that has none and wants none."""
    team = record.actual.team if record.actual and not record.gone else None
    wanted = record.desired.team is not DesiredTeam.NONE
    if team is None:
        waits = "No team yet. The next night asks Teams to make it."
        if not record.desired.owners:
            waits = "No team yet. Teams makes none for a class without an owner."
        return TeamView(sign=Sign(light=Light.WAITS, text="no team"), sentence=waits) if wanted else None
    people = f"{count(len(team.owners), 'owner')} and {count(len(team.members), 'member')}" if team.seen_at else ""
    sign = Sign(light=Light.BAD, text=f"{_SIGNS[team.state].text}, refused") if team.error else _SIGNS[team.state]
    return TeamView(sign=sign, sentence=_SENTENCES[team.state], people=people, error=team.error)
