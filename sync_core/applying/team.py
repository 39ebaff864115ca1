"""Brings the team of one class in line with its row: makes, opens and archives it, and tells Teams of the people.

The group comes first and is the truth. Nobody is taken out of a team whom the group has as an owner.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from sync_core.applying.attempt import REPLICATION, Attempt, actual_of
from sync_core.domain.classes.record import ClassRecord
from sync_core.domain.classes.row_error import RowError
from sync_core.domain.classes.teams import ActualTeam, DesiredTeam, TeamState
from sync_core.domain.ids import AccountId
from sync_core.errors import GraphRefused, NotThere, SyncError, TeamNotReady, Transient
from sync_core.graph.port import PEOPLE_PER_TEAM_WRITE, SeenTeam, TeamPeople, Teams
from sync_core.planning.teams import is_in_step

_AFTER_REVOKED = 10.0
"""Seconds between taking an owner out of a team and adding the person as a member ("Remove member from team")."""


@dataclass(frozen=True, slots=True)
class _Added:
    """Who is in the team now, by role; whom Teams refused; and why the others were not tried."""

    members: frozenset[AccountId] = frozenset()
    owners: frozenset[AccountId] = frozenset()
    refused: Mapping[AccountId, GraphRefused] = field(default_factory=dict)
    failure: SyncError | None = None

    def joined(self, later: _Added) -> _Added:
        return _Added(
            self.members | later.members,
            self.owners | later.owners,
            {**self.refused, **later.refused},
            self.failure or later.failure,
        )


class TeamWork:
    """The team of one class, as far as one delivery changes it."""

    def __init__(self, attempt: Attempt, teams: Teams) -> None:
        self._attempt = attempt
        self._teams = teams
        self._opened = False

    async def follow(self, record: ClassRecord) -> RowError | None:
        """Make, open or archive the team as the row wants, and compare its people.

        Returns why a part of it was not done, which the row has as well. Raises NotThere for a class that is gone, and
        Transient if the change must be redelivered.
        """
        try:
            if record.desired.team is DesiredTeam.ARCHIVED:
                return await self._archive(record)
            return await self._follow(record)
        except NotThere:
            return await self._lose()
        except GraphRefused as refusal:
            return await self._refuse(refusal)

    async def tell(self, record: ClassRecord) -> RowError | None:
        """Tell Teams of a change that the group has: what its own copying would take a day for. Returns as `follow`.

        The state of a locked team is read first, because a teacher may have activated it.
        """
        desired, team = record.desired, actual_of(record).team
        archives = desired.team is DesiredTeam.ARCHIVED and not desired.ended
        if team is None or desired.team is DesiredTeam.NONE or archives:
            return None
        known = TeamPeople(team.members, team.owners)
        in_step = _wanted(record, known) == known if desired.ended else is_in_step(desired, team)
        try:
            match team.state:
                case TeamState.OPEN if team.seen_at:
                    if in_step and team.owners.isdisjoint(self._attempt.left_group):
                        return None
                    return await self._bring(record, known)
                case TeamState.OPEN | TeamState.LOCKED | TeamState.ASKED if self._attempt.touched:
                    return await self._compare(record)
                case TeamState.LOCKED if desired.ended and not in_step:
                    return await self._compare(record)
        except NotThere:
            return await self._lose()
        except GraphRefused as refusal:
            return await self._refuse(refusal)
        return None

    # --- the team itself

    async def _follow(self, record: ClassRecord) -> RowError | None:
        team = actual_of(record).team
        if record.desired.ended or record.desired.team is DesiredTeam.NONE:
            restores = team is not None and team.state is TeamState.ARCHIVED
            return await (self._compare(record) if restores else self.tell(record))
        if team is None or team.state is TeamState.MISSING:
            record = await self._ask(record)
            if record.desired.team is DesiredTeam.LOCKED and self._attempt.applied.team_made:
                return None  # Teams makes it in a while, and nothing is to be done with it until then.
        return await self._compare(record)

    async def _ask(self, record: ClassRecord) -> ClassRecord:
        """Ask Teams to make the team. A team that exists already is found by its people afterwards."""
        if not record.desired.owners:
            raise GraphRefused(
                "ClassWithoutOwner",
                "the class has no owner, and Teams makes no team without one",
                "name an admin in admin_owners, or give the group a teacher in the MIS; the next night makes the team",
            )
        while True:
            try:
                made = await self._teams.make_team(actual_of(record).class_id)
            except TeamNotReady as early:
                if not self._attempt.young(record):
                    await self._require_class(record)
                    raise GraphRefused("TeamNotReady", early.message, early.remedy) from None
                if not await self._attempt.wait_for_replication():
                    raise
            else:
                break
        if made:
            self._attempt.note("team_made")
        return await self._write(record, ActualTeam(state=TeamState.ASKED, asked_at=self._attempt.clock.now()))

    async def _compare(self, record: ClassRecord) -> RowError | None:
        seen = await self._seen(record)
        if seen is None:
            return await self._note_missing(record)
        team = self._team(record)
        if seen.archived and not (team.state is TeamState.ARCHIVED and self._restores(record)):
            by_hand = replace(team, state=TeamState.ARCHIVED_BY_HAND, seen_at=self._attempt.clock.now(), error=None)
            await self._write(record, by_hand)
            return None
        state = await self._usable(record, seen)
        if state is not team.state:
            record = await self._write(record, replace(team, state=state))
        if record.desired.team is DesiredTeam.NONE:
            return None
        return await self._bring(record, await self._teams.team_people(actual_of(record).class_id), looked=True)

    async def _seen(self, record: ClassRecord) -> SeenTeam | None:
        """The team. One that was asked for a moment ago is waited for, if pupils are to be let into it."""
        class_id = actual_of(record).class_id
        while (seen := await self._teams.team(class_id)) is None:
            asked = self._team(record).state is TeamState.ASKED and self._asked_lately(record)
            opens = record.desired.team is DesiredTeam.OPEN
            if not (asked and opens) or not await self._attempt.wait_for_replication():
                return None
        return seen

    async def _usable(self, record: ClassRecord, seen: SeenTeam) -> TeamState:
        """Make an archived team usable, and open a locked one, where the row wants that. Returns the state then."""
        class_id = actual_of(record).class_id
        if seen.archived:
            await self._teams.unarchive_team(class_id)
            self._attempt.note("team_unarchived")
        if not seen.locked:
            return TeamState.OPEN
        if record.desired.team is not DesiredTeam.OPEN or record.desired.ended:
            return TeamState.LOCKED
        await self._teams.open_team(class_id)
        self._attempt.note("team_opened")
        self._opened = True
        return TeamState.OPEN

    async def _lose(self) -> RowError | None:
        """After a 404 of Teams: record that the team is gone. Raises NotThere if the class is gone as well."""
        latest = await self._attempt.record()
        if latest is None or latest.actual is None or latest.actual.team is None:
            raise NotThere
        return await self._note_missing(latest)

    async def _note_missing(self, record: ClassRecord) -> RowError | None:
        """Record what it means that Teams shows no team: it is not made yet, was never made, or was deleted by hand."""
        team = self._team(record)
        if team.state is TeamState.MISSING:
            await self._require_class(record)
            return team.error
        if team.state is not TeamState.ASKED:
            await self._require_class(record)
            await self._write(
                record, ActualTeam(state=TeamState.GONE, asked_at=team.asked_at, seen_at=self._attempt.clock.now())
            )
            return None
        if not self._asked_lately(record):
            error = RowError(
                "TeamNotMade",
                "Teams accepted to make the team of the class, and does not show it",
                "nothing to do: the next night asks again; if this repeats, look it up in the Teams admin center",
            )
            await self._write(record, replace(team, state=TeamState.MISSING, error=error))
            return error
        if record.desired.team is DesiredTeam.OPEN:
            raise Transient("Teams does not show the team of the class yet", "the queue redelivers the change")
        return None

    async def _archive(self, record: ClassRecord) -> RowError | None:
        class_id = actual_of(record).class_id
        seen = await self._teams.team(class_id)
        if seen is None:
            return await self._note_missing(record) if actual_of(record).team else None
        if not seen.archived:
            await self._teams.archive_team(class_id)
            self._attempt.note("team_archived")
        archived = replace(self._team(record), state=TeamState.ARCHIVED, seen_at=self._attempt.clock.now(), error=None)
        if archived != actual_of(record).team:
            await self._write(record, archived)
        return None

    # --- its people

    async def _bring(self, record: ClassRecord, people: TeamPeople, *, looked: bool = False) -> RowError | None:
        """Bring the people from `people` to what is wanted. `looked`: these were read from Teams just now.

        Teams refuses pupils while the team is locked, so that it has its owners alone until then.
        """
        wanted, team = _wanted(record, people), self._team(record)
        is_open = team.state is TeamState.OPEN
        members = wanted.members if is_open else people.members & (wanted.members | wanted.owners)
        leaving = (people.owners & team.owners) - wanted.owners
        if is_open:
            leaving |= people.members - wanted.members - wanted.owners
        # The owners come first: Teams keeps the last owner in.
        sent = await self._add(record, members - people.members - people.owners, wanted.owners - people.owners)
        people = TeamPeople(people.members - sent.owners | sent.members, people.owners | sent.owners)
        removed, unseen = frozenset[AccountId](), frozenset[AccountId]()
        if not sent.failure:
            removed, unseen = await self._remove(record, leaving)
            people = TeamPeople(people.members - removed, people.owners - removed)
        if back := removed & members:
            await self._attempt.clock.sleep(_AFTER_REVOKED)
            sent = sent.joined(await self._add(record, back, frozenset()))
            people = TeamPeople(people.members | sent.members, people.owners)
        shown = people
        if self._opened and not sent.failure:
            shown = await self._teams.team_people(actual_of(record).class_id)
        missing = members - shown.members - shown.owners - sent.refused.keys()
        error = _error_of(sent.refused, missing)
        now = self._attempt.clock.now()
        if looked and team.seen_at and now - team.seen_at < REPLICATION:
            unseen |= team.members - members - shown.members - removed
        known = replace(
            team,
            members=(people.members | shown.members) & members | unseen,
            owners=(team.owners - removed) | ((people.owners | shown.owners) & wanted.owners),
            refused=frozenset(sent.refused),
            seen_at=now if looked and not sent.failure else team.seen_at,
            error=error,
        )
        if known != team:
            await self._write(record, known)
        if sent.failure:
            raise sent.failure
        return error

    async def _remove(
        self, record: ClassRecord, people: frozenset[AccountId]
    ) -> tuple[frozenset[AccountId], frozenset[AccountId]]:
        """Take these people out of the team, but for those whom the group has as owners.

        Returns who left, and whom Teams does not show. They may have been added a moment ago, so that the row keeps
        them, and the next night looks again.
        """
        unsure = people - self._attempt.left_group
        if unsure:
            people -= unsure & await self._attempt.tenant.owners(actual_of(record).class_id)
        if not people:
            return people, frozenset()
        result = await self._teams.remove_from_team(actual_of(record).class_id, sorted(people))
        self._attempt.note("team_removed", result.removed)
        if result.failure:
            raise result.failure
        return result.removed, result.not_there

    async def _add(self, record: ClassRecord, members: frozenset[AccountId], owners: frozenset[AccountId]) -> _Added:
        """Add people to the team in the largest requests, the owners first."""
        waiting = [*sorted(owners), *sorted(members - owners)]
        added: frozenset[AccountId] = frozenset()
        refused: dict[AccountId, GraphRefused] = {}
        failure = None
        for start in range(0, len(waiting), PEOPLE_PER_TEAM_WRITE):
            chunk = waiting[start : start + PEOPLE_PER_TEAM_WRITE]
            result = await self._teams.add_to_team(
                actual_of(record).class_id,
                [person for person in chunk if person not in owners],
                [person for person in chunk if person in owners],
            )
            self._attempt.note("team_added", result.added)
            added |= result.added | result.already
            refused |= result.refused
            if failure := result.failure:
                break
        return _Added(added - owners, added & owners, refused, failure)

    # --- the record

    def _team(self, record: ClassRecord) -> ActualTeam:
        """What is known of the team; of one that was never asked for, nothing but that Teams may show it."""
        return actual_of(record).team or ActualTeam(state=TeamState.ASKED)

    def _restores(self, record: ClassRecord) -> bool:
        return record.desired.team is not DesiredTeam.ARCHIVED

    def _asked_lately(self, record: ClassRecord) -> bool:
        asked_at = self._team(record).asked_at
        return asked_at is not None and self._attempt.clock.now() - asked_at < REPLICATION

    async def _require_class(self, record: ClassRecord) -> None:
        """Raises NotThere for a class that is gone, with its team."""
        if not await self._attempt.tenant.class_exists(actual_of(record).class_id):
            raise NotThere

    async def _write(self, record: ClassRecord, team: ActualTeam) -> ClassRecord:
        return await self._attempt.write(replace(record, actual=replace(actual_of(record), team=team)))

    async def _refuse(self, refusal: GraphRefused) -> RowError:
        """Record a permanent refusal by Teams on the row as it is now: parts of it may have been written meanwhile."""
        error = RowError(refusal.code, refusal.detail, refusal.remedy)
        latest = await self._attempt.record()
        if latest and latest.actual and latest.tenant == self._attempt.tenant_id:
            team = latest.actual.team or ActualTeam(state=TeamState.MISSING)
            await self._write(latest, replace(team, error=error))
        return error


def _wanted(record: ClassRecord, people: TeamPeople) -> TeamPeople:
    """Who is to be in the team, in which `people` are.

    Of a class that has ended, only those change whose grants are over and the pupils of its year end.
    """
    desired, ending = record.desired, record.desired.year_end
    if not desired.ended:
        return TeamPeople(desired.members - desired.owners, desired.owners)
    over, pupils = desired.expired_owners - desired.owners, ending.pupils if ending else frozenset[AccountId]()
    back = pupils & desired.members if ending and ending.taken_back else frozenset[AccountId]()
    owners = people.owners - over
    members = (people.members - (pupils - desired.members)) | back | (people.owners & over & desired.members)
    return TeamPeople(members - owners, owners)


def _error_of(refused: Mapping[AccountId, GraphRefused], missing: frozenset[AccountId]) -> RowError | None:
    """Why some people are not in the team, for the row."""
    if refused:
        person, refusal = min(refused.items())
        return RowError(
            "PersonNotInTeam",
            f"Teams refused {len(refused)} of the people to add; {person}: {refusal.detail}",
            refusal.remedy,
        )
    if missing:
        return RowError(
            "PersonMissingInTeam",
            f"{len(missing)} of the people who were added to the team are not in it, the first is {min(missing)}",
            "nothing to do: they are in the class, and the next night adds them to the team again; if this repeats, an "
            "owner can choose Retry in Teams",
        )
    return None
