"""In doubt nobody leaves: what a feed may have said, but in a record that was not understood, does not remove anybody.

Pure functions over the doubt of a snapshot and the classes as they were planned last.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, field, replace

from sync_core.domain.classes.desired import DesiredClass, Reason
from sync_core.domain.ids import MisId
from sync_core.domain.roster import Doubt, GroupType

_UNNAMED = MisId("")


@dataclass(frozen=True, slots=True)
class Benefit:
    """The benefit of the doubt for the classes of one school. `present` are the people whom the snapshot has."""

    doubt: Doubt
    present: Set[MisId]
    _groups: frozenset[MisId] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_groups", frozenset(group for group, _ in self.doubt.memberships))

    def keeps(self, before: DesiredClass) -> bool:
        """Whether a class whose group the snapshot lacks stays as it is, because the feed may have the group."""
        groups = self.doubt.groups
        if _UNNAMED in groups or before.group_id in groups or not self._groups.isdisjoint((before.group_id, _UNNAMED)):
            return True
        if before.group_type in self.doubt.types:
            return True
        if self.doubt.people and before.group_type is GroupType.YEAR:
            return True  # A year group is in a feed only as its pupils' year.
        return any(self._in_doubt(before.group_id, reason) for reason in before.reasons.values())

    def applied(self, desired: DesiredClass, before: DesiredClass) -> DesiredClass:
        """The class with the people of `before` who may still belong to it, as owners where they were owners."""
        if not self.doubt:
            return desired
        kept = {
            account: before.reasons[account]
            for account in (before.members | before.owners) - desired.owners
            if account in before.reasons and self._in_doubt(desired.group_id, before.reasons[account])
        }
        owners = desired.owners | (before.owners & kept.keys())
        members = desired.members | kept.keys()
        return replace(desired, members=members, owners=owners, reasons={**kept, **desired.reasons})

    def _in_doubt(self, group: MisId, reason: Reason) -> bool:
        """Whether the feed may still say that the person of this reason is in the group."""
        person, doubt = MisId(reason.record), self.doubt
        if not person:
            return False
        absent = _UNNAMED in doubt.people and person not in self.present
        pairs = ((group, person), (group, _UNNAMED), (_UNNAMED, person), (_UNNAMED, _UNNAMED))
        return group in doubt.groups or person in doubt.people or absent or not doubt.memberships.isdisjoint(pairs)
