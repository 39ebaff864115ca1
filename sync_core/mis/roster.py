"""The common form of all MIS formats: classes with their people, pupils by year, and one snapshot for each school."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sync_core.domain.ids import MisId, SchoolId
from sync_core.domain.roster import GroupType, MisGroup, Person, School, Snapshot
from sync_core.mis.files.strict_csv import Faults, Row, rejection


@dataclass(slots=True)
class RosterClass:
    """A group that a feed calls a class, while the feed is read. `main` is the first teacher marked as primary."""

    id: str
    school: str
    name: str
    academic_year: int
    type: GroupType = GroupType.TEACHING
    students: dict[MisId, None] = field(default_factory=dict)
    teachers: dict[MisId, None] = field(default_factory=dict)
    main: str = ""

    def to_group(self) -> MisGroup:
        """The main teacher leads the others, who keep the order of the file."""
        return MisGroup(
            id=MisId(self.id),
            type=self.type,
            name=self.name,
            academic_year=self.academic_year,
            students=tuple(self.students),
            teachers=tuple(sorted(self.teachers, key=lambda teacher: teacher != self.main)),
        )


YearGroups = defaultdict[tuple[str, str], dict[MisId, None]]
"""Pupils by school and year, in file order."""
Snapshots = dict[SchoolId, Snapshot]
"""The snapshot of each school that has a group."""


def read_school_year(row: Row, column: str, session_years: Mapping[str, int | None], faults: Faults) -> int | None:
    """The school year that all sessions listed in the column share. None if there is none, which is a fault."""
    sessions = row.ids(column)
    unknown = next((session for session in sessions if session not in session_years), None)
    years = {session_years.get(session) for session in sessions}
    agreed = (
        faults.require(row, column, sessions)
        and faults.require(row, column, unknown is None, f"session {unknown} is not in academicSessions.csv")
        and faults.require(row, column, len(years) == 1, "the sessions belong to different school years")
    )
    return years.pop() if agreed else None


def build_snapshots(
    schools: Iterable[School],
    classes: Collection[RosterClass],
    years: Mapping[tuple[str, str], Iterable[MisId]],
    people: Mapping[str, Person],
    current_year: int | None,
    taken_at: datetime,
) -> Snapshots:
    """A snapshot for each school that has a group, by school id. Raises SnapshotRejected if no school has one.

    Year groups belong to the latest academic year of the school's classes, or to `current_year` if it has no class.
    """
    snapshots: Snapshots = {}
    for school in schools:
        groups = [roster_class.to_group() for roster_class in classes if roster_class.school == school.id]
        year = max((group.academic_year for group in groups), default=current_year)
        grades = {grade: tuple(pupils) for (school_id, grade), pupils in years.items() if school_id == school.id}
        if grades:
            if year is None:
                raise rejection(f"school {school.id} has pupils by year, but its feed names no academic year")
            groups += [
                MisGroup(id=MisId(f"grade:{name}"), type=GroupType.YEAR, name=name, academic_year=year, students=pupils)
                for name, pupils in grades.items()
            ]
        if groups:
            ids = {person for group in groups for person in (*group.students, *group.teachers)}
            snapshots[school.id] = Snapshot(school, tuple(groups), {id_: people[id_] for id_ in sorted(ids)}, taken_at)
    if not snapshots:
        raise rejection("the feed has no school with a group in it")
    return snapshots
