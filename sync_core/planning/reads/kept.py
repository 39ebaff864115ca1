"""A school as its MIS was read last, kept so that a few of its groups can be planned without the rest of it.

Pure: groups that were read again take the place of what they were, if that changes nothing else of the school.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from itertools import chain

from sync_core.domain.accounts import Account
from sync_core.domain.ids import MisId
from sync_core.domain.roster import FeedStatistics, GroupType, MisGroup, Snapshot, YearCounts, each_once
from sync_core.domain.school.settings import SchoolSettings
from sync_core.planning.matching.everybody import Everybody, Heads, enrolled_in, owners_of, owning
from sync_core.planning.matching.guard import RoleMatching
from sync_core.planning.membership import extracted_groups

_MOST_CHANGED = 50
"""After so many groups that were read again, the whole school is read."""
_UNNAMED = MisId("")


@dataclass(frozen=True)
class WholeSchool:
    """A complete reading of a school, with what a plan derives from everybody in it under these `settings`."""

    settings: SchoolSettings
    snapshot: Snapshot = field(repr=False)
    statistics: FeedStatistics
    everybody: Everybody = field(repr=False)

    @cached_property
    def size(self) -> int:
        """People, groups and memberships."""
        groups = self.snapshot.groups
        return len(self.snapshot.people) + sum(1 + len(group.students) + len(group.teachers) for group in groups)

    @cached_property
    def groups(self) -> Mapping[MisId, MisGroup]:
        """The groups by id. Empty if some cannot have a class, or share an id: then no part can be told apart."""
        groups = {group.id: group for group in self.snapshot.groups}
        apart = len(groups) == len(self.snapshot.groups) == len(extracted_groups(self.snapshot, self.settings))
        return groups if apart else {}

    @cached_property
    def in_doubt(self) -> Set[MisId]:
        """The groups in doubt, or with a membership in doubt; an empty id for a record that does not name its group."""
        doubt = self.snapshot.doubt
        return doubt.groups | {group for group, _ in doubt.memberships}

    @cached_property
    def places(self) -> tuple[Mapping[MisId, int], ...]:
        """How often everybody is in a group: as a student, as a teacher, and in one that enrols its people."""
        return tuple(Counter(of_groups(self.snapshot.groups)) for of_groups in _PLACES)

    @cached_property
    def owners(self) -> Mapping[MisId, None]:
        """Everybody who owns the class of a group."""
        return owners_of(self.snapshot.groups, self.settings)

    @cached_property
    def unmatched_owners(self) -> frozenset[MisId]:
        return self.everybody.unmatched_staff & self.owners.keys()

    @cached_property
    def people_with_class(self) -> tuple[int, int]:
        """The numbers of students and of owners in groups of the types that the school chose."""
        types = self.settings.types
        students = each_once(group.students for group in self.snapshot.groups if group.type in types)
        return len(students), len(self.owners) if GroupType.TEACHING in types else 0


def _students(groups: Iterable[MisGroup]) -> Iterable[MisId]:
    return chain.from_iterable(group.students for group in groups)


def _teachers(groups: Iterable[MisGroup]) -> Iterable[MisId]:
    return chain.from_iterable(group.teachers for group in groups)


_PLACES = (_students, _teachers, enrolled_in)


@dataclass(frozen=True)
class KeptSchool:
    """A complete reading, and the groups that were read again since, as they were then."""

    whole: WholeSchool
    changed: Mapping[MisId, MisGroup] = field(default_factory=dict, repr=False)

    @property
    def size(self) -> int:
        return self.whole.size

    @property
    def accounts(self) -> tuple[Account, ...]:
        return self.whole.everybody.accounts

    def named(self, ids: Collection[MisId]) -> tuple[MisGroup, ...]:
        """The groups with these ids that can be planned without the rest of the school, as they are known."""
        known = (self.changed.get(id_) or self.whole.groups.get(id_) for id_ in sorted(ids))
        return tuple(group for group in known if group is not None)

    def with_groups(self, read: Iterable[MisGroup]) -> KeptSchool | None:
        """The school with these groups as they were read again. None if all of it must be read to know what follows.

        That is so if a group was not there before, is of another type or year, has no students or teachers any more,
        or is in doubt; and if a person is now in no group, or in none as a student, or comes in so: then other
        people may be matched to other accounts. After many such groups, too, all of it is read.
        """
        changed = dict(self.changed)
        for group in read:
            before = next(iter(self.named([group.id])), None)
            if before is None or not _goes_on(before, group) or self._is_in_doubt(group.id):
                return None
            changed[group.id] = group
            if group == self.whole.groups[group.id]:
                del changed[group.id]
        kept = replace(self, changed=changed)
        return kept if len(changed) <= _MOST_CHANGED and kept._has_same_people else None

    def _is_in_doubt(self, group: MisId) -> bool:
        return not self.whole.in_doubt.isdisjoint((group, _UNNAMED))

    @cached_property
    def _has_same_people(self) -> bool:
        """Whether the same people as in the whole reading are students, teachers, and enrolled."""
        now, before = self.changed.values(), [self.whole.groups[id_] for id_ in self.changed]
        for places, of_groups in zip(self.whole.places, _PLACES, strict=True):
            difference = Counter(of_groups(now))
            difference.subtract(of_groups(before))
            for person, count in difference.items():
                earlier = places.get(person, 0)
                if (earlier > 0) != (earlier + count > 0):
                    return False
        return True

    def part(self, ids: Collection[MisId], taken_at: datetime) -> Snapshot:
        """A snapshot of these groups alone, with the people, the faults and the notes of the whole reading.

        What only counts against the number of records has the fewest that there may be now.
        """
        before = (self.whole.groups[id_] for id_ in self.changed)
        lost = sum(len(group.students) + len(group.teachers) for group in before)
        counts = tuple(replace(each, rows=max(each.rows - lost, 0)) for each in self.whole.snapshot.counts)
        return replace(self.whole.snapshot, groups=self.named(ids), taken_at=taken_at, counts=counts)

    def statistics(self, taken_at: datetime) -> FeedStatistics:
        """Those of the whole school as it is known now: only memberships come and go."""
        whole = self.whole.statistics
        years, enrolments = dict(whole.earlier_years), whole.enrolments
        for id_, group in self.changed.items():
            more, year = len(group.students) - len(self.whole.groups[id_].students), str(group.academic_year)
            enrolments += more
            if year in years and group.type is not GroupType.YEAR:
                years[year] = YearCounts(years[year].groups, years[year].enrolments + more)
        return replace(whole, enrolments=enrolments, earlier_years=years, taken_at=taken_at)

    @property
    def heads(self) -> Heads:
        """The heads of the whole school as it is known now: at least so many people, and at most these unmatched."""
        students, owners = self.whole.people_with_class
        settings, now = self.whole.settings, self.changed.values()
        left, left_owners = set[MisId](), set[MisId]()
        for group in now:
            before = self.whole.groups[group.id]
            left.update({*before.students}.difference(group.students))
            left_owners.update({*owning(before, settings)}.difference(owning(group, settings)))
        unmatched = self.whole.unmatched_owners
        others = self.whole.everybody.unmatched_staff.intersection(owners_of(now, settings)) - unmatched
        return Heads(
            RoleMatching(max(students - len(left), 0), self.whole.everybody.unmatched_students),
            RoleMatching(max(owners - len(left_owners), 0), unmatched | others if others else unmatched),
        )


def _goes_on(before: MisGroup, now: MisGroup) -> bool:
    """Whether a reading of the group alone can be what it is now: a list that is empty may not be complete."""
    same = (before.type, before.academic_year) == (now.type, now.academic_year)
    return same and bool(now.students or not before.students) and bool(now.teachers or not before.teachers)
