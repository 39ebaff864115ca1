"""What applying a class's changes will do to its people, given who is in the class."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

from sync_core.domain.classes.desired import DesiredClass
from sync_core.domain.classes.record import ClassRecord
from sync_core.domain.ids import AccountId
from sync_core.planning.diff import ClassDiff
from sync_core.planning.explain.model import People


@dataclass(frozen=True, slots=True)
class Headcount:
    """How many people have each role in a class. `members` has the owners too; None if they are not shown."""

    members: int | None
    owners: int

    @classmethod
    def of(cls, members: frozenset[AccountId] | None, owners: frozenset[AccountId]) -> Headcount:
        return cls(None if members is None else len(members), len(owners))

    @property
    def text(self) -> str:
        return f"members: {'hidden' if self.members is None else self.members}, owners: {self.owners}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """The people who come and go: Entra ids."""

    owners_granted: frozenset[AccountId] = frozenset()
    owners_revoked: frozenset[AccountId] = frozenset()
    members_added: frozenset[AccountId] = frozenset()
    members_removed: frozenset[AccountId] = frozenset()


def known_people(diff: ClassDiff, record: ClassRecord | None) -> People:
    """The people of the class as its row knows them. It does not know owners who were added by hand.

    `actual.members` leaves out owners who left the group, whom the sync keeps as owners and members.
    """
    actual = record.actual if record and not diff.create else None
    if record is None or actual is None:
        return People(found=False)
    kept = actual.granted - record.desired.owners
    return People((actual.members or frozenset()) | kept, actual.owners | actual.granted)


def foresee(
    diff: ClassDiff,
    record: ClassRecord | None,
    wanted: DesiredClass,
    people: People,
    accounts: Set[AccountId] | None,
) -> Effects:
    """What the messages of `diff` do, in their order, to a class with these people and the desired state `wanted`.

    `accounts` are those that exist, None if that is not known: a hold or a pin may want others in the class. Owners
    stay members (Graph: "Teachers must be members of both the teachers and members collections"). Members who are not
    shown are those that the row knows.
    """
    possible = wanted.members if accounts is None else wanted.members & accounts
    actual = record.actual if record and not diff.create else None
    known = actual.members or frozenset() if actual else frozenset()
    members = known if people.members is None else people.members
    stale = record is not None and record.stale and not diff.create
    leaving = wanted.revoked_of(actual.granted) if actual else frozenset()
    # Owners that are only recorded are taken for granted, unless the owners are read.
    owned = actual.owners if actual and not stale and not leaving else frozenset()
    granted = (wanted.owners & possible) - owned - people.owners
    owners = people.owners | granted
    leaving &= owners
    if leaving and leaving == owners:
        leaving -= {max(leaving)}
    reads_members = bool(diff.members_added or diff.members_removed or diff.owners_revoked or diff.read)
    if not reads_members:
        return Effects(owners_granted=granted, owners_revoked=leaving)
    return Effects(
        owners_granted=granted,
        owners_revoked=leaving,
        members_added=possible - members,
        members_removed=members - wanted.members - (owners - leaving),
    )
