"""What every MIS format comes down to: classes, who is in them, pupils by year; a snapshot for each school."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sync_core.domain.roster import GroupType, MisGroup, Person, School, Snapshot
from sync_core.mis.files.strict_csv import rejected


@dataclass(slots=True)
class RosterClass:
    """A teaching or registration group while it is being read; `main` are the teachers marked primary."""

    id: str
    school: str
    type: GroupType
    name: str
    academic_year: int
    students: dict[str, None] = field(default_factory=dict)
    teachers: dict[str, None] = field(default_factory=dict)
    main: dict[str, None] = field(default_factory=dict)

    def group(self) -> MisGroup:
        """The main teacher is the first one marked primary, else the first in file order."""
        main = next(iter(self.main or self.teachers), None)
        teachers = () if main is None else (main, *(person for person in self.teachers if person != main))
        return MisGroup(self.id, self.type, self.name, self.academic_year, tuple(self.students), teachers)


@dataclass(slots=True)
class YearGroups:
    """Pupils by school and year, in file order."""

    pupils: dict[tuple[str, str], dict[str, None]] = field(default_factory=dict)

    def add(self, school: str, grade: str, person: str) -> None:
        self.pupils.setdefault((school, grade), {})[person] = None

    def groups(self, school: str, academic_year: int) -> list[MisGroup]:
        return [
            MisGroup(f"grade:{grade}", GroupType.YEAR, grade, academic_year, tuple(pupils))
            for (of, grade), pupils in self.pupils.items()
            if of == school
        ]


def snapshots(
    schools: Iterable[School],
    classes: Iterable[RosterClass],
    years: YearGroups,
    people: Mapping[str, Person],
    current_year: int | None,
    taken_at: datetime,
) -> dict[str, Snapshot]:
    """A snapshot for each school that has any group, by school id. Raises SnapshotRejected if none has.

    Year groups are of the latest academic year of the school's classes, or of `current_year` where it has no class.
    """
    listed = list(classes)
    found: dict[str, Snapshot] = {}
    for school in schools:
        groups = [roster_class.group() for roster_class in listed if roster_class.school == school.id]
        latest = max((group.academic_year for group in groups), default=current_year)
        if latest is not None:
            groups += years.groups(school.id, latest)
        elif any(of == school.id for of, _ in years.pupils):
            raise rejected(f"school {school.id} has pupils by year, but nothing tells which academic year it is")
        if groups:
            present = {person for group in groups for person in (*group.students, *group.teachers)}
            found[school.id] = Snapshot(school, tuple(groups), {id_: people[id_] for id_ in sorted(present)}, taken_at)
    if not found:
        raise rejected("the feed has no school with a group in it")
    return found
