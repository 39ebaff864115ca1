"""The rows to write and the messages to send so that classes become what the rules want."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from sync_core.domain.classes.desired import DesiredClass
from sync_core.domain.classes.record import ClassRecord, ClassState, Records
from sync_core.domain.ids import AccountId, ClassKey, RunId, SchoolId
from sync_core.domain.runs import Cause
from sync_core.messaging.messages import (
    LISTED_PEOPLE,
    Change,
    ChangeForYearEnd,
    ChangeMembers,
    ChangeTeam,
    CreateClass,
    DeleteClass,
    GrantOwners,
    Priority,
    RevokeOwners,
)

_NOBODY = frozenset[AccountId]()
_URGENT_AT_MOST = 500
"""The most messages of an urgent plan: a school's first sync has some 700, a day's changes of a large school 100."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The origin of a change, which every message of one run carries."""

    school: SchoolId
    run: RunId
    cause: Cause


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassDiff:
    """The changes that make one class match its desired state; people are Entra ids.

    `read`: apply first reads the people from Graph. `recalled`: desired and actual agree, but the row wanted other
    people until now, so a change towards them may be under way. `year_end` is the run in which an admin decided on the
    end of its year, if that is not carried out yet, and otherwise empty. `team_of_year_end`: that includes its team.
    """

    key: ClassKey
    name: str
    create: bool = False
    delete: bool = False
    read: bool = False
    recalled: bool = False
    year_end: RunId = RunId("")
    team_of_year_end: bool = False
    owners_granted: frozenset[AccountId] = _NOBODY
    owners_revoked: frozenset[AccountId] = _NOBODY
    members_added: frozenset[AccountId] = _NOBODY
    members_removed: frozenset[AccountId] = _NOBODY

    @property
    def empty(self) -> bool:
        people = self.owners_granted or self.owners_revoked or self.members_added or self.members_removed
        return not (people or self.create or self.delete or self.read or self.recalled or self.year_end)

    def changes(self, origin: Origin) -> list[Change]:
        """The messages, in the order in which apply must take them: the class, its owners, its members."""
        target = (origin.school, self.key, origin.run, origin.cause)
        changes: list[Change] = []
        if self.delete:
            changes.append(DeleteClass(*target))
        if self.create:
            changes.append(CreateClass(*target))
        if self.owners_granted:
            changes.append(GrantOwners(*target, owners=_listed(self.owners_granted)))
        if self.owners_revoked or self.recalled:
            changes.append(RevokeOwners(*target, owners=_listed(self.owners_revoked)))
        if self.owners_revoked or self.members_added or self.members_removed or self.read or self.recalled:
            added, removed = _listed(self.members_added), _listed(self.members_removed)
            changes.append(ChangeMembers(*target, added=added, removed=removed))
        # Whoever repeats them, they are changes of the run that decided: its reversal looks there for who left.
        decided = (origin.school, self.key, self.year_end, origin.cause)
        if self.year_end:
            changes.append(ChangeForYearEnd(*decided))
        if self.team_of_year_end:
            changes.append(ChangeTeam(*decided))
        return changes


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A plan: `writes` go to the rows before the messages of `diffs` go to the queue. Other fields are class keys."""

    writes: tuple[DesiredClass, ...] = ()
    diffs: tuple[ClassDiff, ...] = ()
    unchanged: frozenset[ClassKey] = frozenset()
    gone: tuple[ClassKey, ...] = ()
    ended: tuple[ClassKey, ...] = ()

    @property
    def created(self) -> tuple[ClassKey, ...]:
        return tuple(diff.key for diff in self.diffs if diff.create)

    @property
    def changed(self) -> tuple[ClassKey, ...]:
        return tuple(diff.key for diff in self.diffs if not diff.create and not diff.delete)

    def without(self, keys: Collection[ClassKey]) -> Plan:
        """The plan without any work on these classes."""
        if not keys:
            return self
        return replace(self, diffs=tuple(diff for diff in self.diffs if diff.key not in keys))

    def with_year_ends(self, known: Records) -> Plan:
        """The plan with the year ends that admins requested, as far as they are not carried out yet."""
        ends = {key: diff for key, record in sorted(known.items()) if (diff := year_end_diff(record))}
        if not ends:
            return self
        diffs = {diff.key: diff for diff in self.diffs}
        for key, diff in ends.items():
            if not diffs.get(key, diff).delete:
                diffs[key] = replace(
                    diffs.get(key, diff), year_end=diff.year_end, team_of_year_end=diff.team_of_year_end
                )
        return replace(self, diffs=tuple(diffs.values()), unchanged=self.unchanged - diffs.keys())

    def changes(self, origin: Origin) -> tuple[Change, ...]:
        """The messages of the plan; those of one class are in order."""
        return tuple(change for diff in self.diffs for change in diff.changes(origin))


def priority_of(cause: Cause, messages: int) -> Priority:
    """The priority of a plan's messages: bulk for a nightly run, and for a large plan that would delay others."""
    return Priority.URGENT if cause is not Cause.NIGHTLY and messages <= _URGENT_AT_MOST else Priority.BULK


def make_plan(wanted: Iterable[DesiredClass], ended: Iterable[DesiredClass], known: Records) -> Plan:
    """Return the difference between the `wanted` classes and the `known` rows.

    A class has a diff if desired and actual differ (the MIS changed, or an earlier change was lost, failed or is under
    way: repeating it is harmless), or if its row is stale, unless it is pinned. Classes in `ended` are only marked as
    ended, and lose the owners whose grants are over. Other classes are not touched. A class that is gone stays so
    until an admin requests it again.
    """
    ended = tuple(ended)
    writes = [desired for desired in ended if desired != known[desired.key].desired]
    diffs = [diff for desired in ended if not (diff := _diff_of_ended(desired, known[desired.key])).empty]
    gone: list[ClassKey] = []
    unchanged: set[ClassKey] = set()
    for desired in wanted:
        record = known.get(desired.key)
        state = record.state_if(desired) if record else ClassState.MAKING
        if state is ClassState.GONE:
            gone.append(desired.key)
        if state in (ClassState.GONE, ClassState.DELETED):
            continue
        if state is not ClassState.DELETING and (record is None or record.desired != desired):
            writes.append(desired)
        diff = _diff(desired, record)
        if diff.empty:
            unchanged.add(desired.key)
        else:
            diffs.append(diff)
    return Plan(
        writes=tuple(writes),
        diffs=tuple(diffs),
        unchanged=frozenset(unchanged),
        gone=tuple(gone),
        ended=tuple(desired.key for desired in ended if not known[desired.key].desired.ended),
    )


def year_end_diff(record: ClassRecord) -> ClassDiff | None:
    """What an admin decided at the end of the year of a class, if it is not carried out yet."""
    ending, actual = record.desired.year_end, record.actual
    waits = record.year_end_waits or record.team_of_year_end_waits
    if not waits or ending is None or actual is None:
        return None
    team = ending.team_before is not None
    return ClassDiff(key=record.key, name=actual.name.display_name, year_end=ending.run, team_of_year_end=team)


def _diff(desired: DesiredClass, record: ClassRecord | None) -> ClassDiff:
    actual = record.actual if record and not record.gone else None
    name = (actual or desired).name.display_name
    if record and desired.deleted:
        return ClassDiff(key=desired.key, name=name, delete=True)
    members = (actual.members if actual else None) or _NOBODY
    diff = ClassDiff(
        key=desired.key,
        name=name,
        create=actual is None,
        read=record is not None and record.stale and not desired.pinned,
        owners_granted=desired.owners - actual.owners if actual else desired.owners,
        owners_revoked=desired.revoked_of(actual.granted) if actual else _NOBODY,
        # The difference from nobody would be a copy.
        members_added=desired.members - members if members else desired.members,
        members_removed=members - desired.members if members else _NOBODY,
    )
    known = (record.desired.members, record.desired.owners) if record and actual else None
    recalled = diff.empty and known is not None and known != (desired.members, desired.owners)
    return replace(diff, recalled=True) if recalled else diff


def _diff_of_ended(desired: DesiredClass, record: ClassRecord) -> ClassDiff:
    actual = record.actual if not record.gone else None
    name = (actual or desired).name.display_name
    revoked = desired.revoked_of(actual.granted) if actual else _NOBODY
    return ClassDiff(key=desired.key, name=name, owners_revoked=revoked)


def _listed(people: frozenset[AccountId]) -> tuple[AccountId, ...]:
    return tuple(sorted(people)[:LISTED_PEOPLE])
