"""The teams of classes: which team a class wants, and for which classes Teams has something to do.

A group is the truth about its people, and Teams copies them within a day or more. So the app writes to the team as well
as to the group, and compares the two once a week.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sync_core.domain.classes.desired import DesiredClass
from sync_core.domain.classes.record import WITHOUT_CLASS, ActualClass, ClassRecord, ClassState, Records
from sync_core.domain.classes.teams import ActualTeam, DesiredTeam, TeamState
from sync_core.domain.ids import ClassKey
from sync_core.domain.roster import GroupType
from sync_core.domain.school.settings import SchoolSettings, Teams
from sync_core.messaging.messages import ChangeTeam, Priority
from sync_core.planning.diff import Origin

LOOK_EVERY = timedelta(days=7)
"""How often a team is compared with what is wanted: a teacher may change it, and a write to it may be lost."""

_KNOWN_AFTER = timedelta(minutes=15)
"""Teams may not know a new class for so long ("Create team")."""
_FIRST_TRY = timedelta(seconds=24)
"""Where somebody waits for the team of a new class: the first of the waits with which Canvas LMS asks."""

_TEAMLESS = WITHOUT_CLASS | {ClassState.ENDED}


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamDiff:
    """What is to do with the team of one class. `look`: its people are compared, and nothing else is known to differ.

    `waiting`: a team is wanted, and the class has no owner, without whom Teams makes none. Nothing is sent then.
    `failed`: the last work on the team was not done, so that it is tried again.
    """

    key: ClassKey
    create: bool = False
    open: bool = False
    unarchive: bool = False
    look: bool = False
    waiting: bool = False
    failed: bool = False

    @property
    def sends(self) -> bool:
        return self.changes or self.look

    @property
    def changes(self) -> bool:
        """Whether the team itself becomes another."""
        return self.create or self.open or self.unarchive


def wanted_team(settings: SchoolSettings, type_: GroupType, before: DesiredTeam) -> DesiredTeam:
    """The team that a class of this type wants, which wanted the team `before` until now.

    A team that an admin archived stays archived. Whether pupils may come in yet, the calendar says.
    """
    if before is DesiredTeam.ARCHIVED:
        return before
    if settings.teams is Teams.NONE or type_ not in settings.team_types:
        return DesiredTeam.NONE
    return DesiredTeam.OPEN if settings.teams is Teams.RELEASE else DesiredTeam.LOCKED


def plan_teams(wanted: Iterable[DesiredClass], records: Records, now: datetime) -> tuple[TeamDiff, ...]:
    """What is to do with the teams of these classes, in order of key. A class with nothing to do is left out."""
    diffs = (_team_diff(desired, records.get(desired.key), now) for desired in wanted)
    return tuple(sorted((diff for diff in diffs if diff), key=lambda diff: diff.key))


def _team_diff(desired: DesiredClass, record: ClassRecord | None, now: datetime) -> TeamDiff | None:
    state = record.state_if(desired) if record else ClassState.MAKING
    if desired.team not in (DesiredTeam.LOCKED, DesiredTeam.OPEN) or state in _TEAMLESS:
        return None
    actual = record.actual if record and not record.gone else None
    team = actual.team if actual else None
    if actual is None or team is None or team.state is TeamState.MISSING:
        has_owner, failed = bool(desired.owners), team is not None and team.error is not None
        return TeamDiff(key=desired.key, create=has_owner, waiting=not has_owner, failed=has_owner and failed)
    diff = TeamDiff(
        key=desired.key,
        open=desired.team is DesiredTeam.OPEN and team.state in (TeamState.ASKED, TeamState.LOCKED),
        unarchive=team.state is TeamState.ARCHIVED,
        look=_to_look(desired, actual, team, now),
        failed=team.error is not None,
    )
    return diff if diff.sends else None


def _to_look(desired: DesiredClass, actual: ActualClass, team: ActualTeam, now: datetime) -> bool:
    """Whether the team is to be compared: it is time, its last work failed, or Teams was not told of everybody.

    Of people who are about to come into the group or to leave it, Teams is told by the change of the group.
    """
    due = team.seen_at is None or now - team.seen_at >= LOOK_EVERY
    if team.state in (TeamState.GONE, TeamState.ARCHIVED, TeamState.ARCHIVED_BY_HAND):
        return due and team.state is not TeamState.ARCHIVED
    in_step = actual.members == desired.members and desired.owners <= actual.owners
    return due or team.error is not None or (in_step and not is_in_step(desired, team))


def is_in_step(desired: DesiredClass, team: ActualTeam) -> bool:
    """Whether everybody who is wanted is in the team as recorded, and no other member.

    A locked team has its owners alone. An owner who is no longer wanted may stay one, as in the group.
    """
    has_owners = desired.owners - team.refused <= team.owners
    if team.state is not TeamState.OPEN:
        return has_owners
    return has_owners and desired.members - desired.owners - team.refused == team.members - desired.owners


def keys_of(diffs: Iterable[TeamDiff]) -> dict[str, Any]:
    """The fields of a run that list the classes of its work on teams."""
    listed = list(diffs)
    return {
        "teams_made": tuple(diff.key for diff in listed if diff.create),
        "teams_opened": tuple(diff.key for diff in listed if diff.open),
        "teams_waiting": tuple(diff.key for diff in listed if diff.waiting),
        "teams_failed": tuple(diff.key for diff in listed if diff.failed),
    }


def team_changes(
    diffs: Sequence[TeamDiff],
    created: Iterable[ClassKey],
    origin: Origin,
    priority: Priority,
    start: datetime,
    until: datetime | None,
) -> list[tuple[datetime, ChangeTeam]]:
    """The messages with their times, later for classes that are being `created`.

    Those of a night are spread evenly between `start` and `until`: School Data Sync stopped making teams because of
    their load. Without that time, all are due at once.
    """
    window = max(until - start, timedelta(0)) if until else timedelta(0)
    later = _FIRST_TRY if priority is Priority.URGENT else _KNOWN_AFTER if window else timedelta(0)
    new = frozenset(created)
    sent = [diff.key for diff in diffs if diff.sends]
    step = window / max(len(sent), 1)
    return [
        (
            start + step * place + (later if key in new else timedelta(0)),
            ChangeTeam(origin.school, key, origin.run, origin.cause),
        )
        for place, key in enumerate(sent)
    ]
