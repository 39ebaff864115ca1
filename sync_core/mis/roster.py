"""The common form of all MIS formats: classes with their people, pupils by year, and one snapshot for each school."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from sync_core.domain.ids import MisId, SchoolId, digest_of
from sync_core.domain.roster import Feed, GroupType, MisGroup, Person, School, Snapshot
from sync_core.errors import SnapshotRejected
from sync_core.mis.academic_years import Calendar
from sync_core.mis.budget import Budget, some_of
from sync_core.mis.files.words import Role, year_group
from sync_core.mis.quarantine import Findings, Quarantine
from sync_core.mis.rejection import rejection


@dataclass(slots=True)
class RosterClass:
    """A group that a feed calls a class, while the feed is read.

    `teachers` holds the part that each has. `main` is the first teacher marked as primary. `subject` is as the feed
    has it.
    """

    id: str
    school: str
    name: str
    academic_year: int
    budget: Budget = field(repr=False)
    type: GroupType = GroupType.TEACHING
    students: dict[MisId, None] = field(default_factory=dict)
    teachers: dict[MisId, Role] = field(default_factory=dict)
    main: str = ""
    subject: str = ""

    def add_student(self, person: MisId) -> None:
        """Raises SnapshotRejected above the budget, as `add_staff` does."""
        if person not in self.students:
            self.budget.keep_id(person)
            self.students[person] = None

    def add_staff(self, person: MisId, role: Role, primary: bool = False) -> None:
        """Add a teacher or an assistant; a person who is both is a teacher."""
        if person not in self.teachers:
            self.budget.keep_id(person)
        self.teachers[person] = min(role, self.teachers.get(person, role))
        if primary:
            self.main = self.main or person

    def to_group(self) -> MisGroup:
        """The main teacher leads. Teachers follow, and then assistants, by id: the order of a feed changes nightly."""
        staff = sorted(self.teachers, key=lambda person: (person != self.main, self.teachers[person], person))
        return MisGroup(
            id=MisId(self.id),
            type=self.type,
            name=self.name,
            academic_year=self.academic_year,
            students=tuple(self.students),
            teachers=tuple(staff),
            subject=_mark_of(self.subject),
        )


def _mark_of(subject: str) -> str:
    """A digest of a subject, the same however it is written: subjects are only compared, and may hold a name."""
    folded = " ".join(subject.casefold().split())
    return digest_of(folded) if folded else ""


class YearGroups:
    """Pupils by school and year group, in file order. A year group has the name that most of its pupils' rows have.

    `column` names the column of the grades with its file, for messages. It is empty for a source whose year groups are
    records of their own.
    """

    def __init__(self, budget: Budget, column: str = "") -> None:
        self._budget = budget
        self._column = column
        self._graded: set[str] = set()
        self._pupils: dict[str, dict[str, dict[MisId, None]]] = defaultdict(lambda: defaultdict(dict))
        self._names: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)

    def see_grade(self, school: str) -> None:
        """A row of the school, or of none that is known, has a grade, even if it puts nobody in a year group."""
        self._graded.add(school)

    def add(self, school: str, grade: str, pupil: MisId) -> None:
        """Raises SnapshotRejected above the budget."""
        self.see_grade(school)
        id_ = year_group(grade)
        if pupil not in self._pupils[school][id_]:
            self._budget.keep_id(pupil)
        if grade not in self._names[school, id_]:
            self._budget.keep_row([grade, id_])
        self._pupils[school][id_][pupil] = None
        self._names[school, id_][grade] += 1

    def groups(self, school: str, year: int) -> list[MisGroup]:
        return [
            MisGroup(
                id=MisId(f"grade:{id_}"),
                type=GroupType.YEAR,
                name=min(names := self._names[school, id_], key=lambda name: (-names[name], name)),
                academic_year=year,
                students=tuple(pupils),
            )
            for id_, pupils in self._pupils.get(school, {}).items()
        ]

    def doubt_if_none(self, school: School, classes: Iterable[RosterClass], quarantine: Quarantine) -> None:
        """Where no row has a grade, the export may lack the column: nothing ends the classes of earlier year groups."""
        if self._column and self._graded.isdisjoint(("", school.id)) and any(each.students for each in classes):
            quarantine.doubt_type(GroupType.YEAR, school.id)
            quarantine.note(
                "the feed has no year group of any pupil, so none is synced, and classes of earlier year groups stay "
                f"as they are — have the MIS export the year group of each pupil ({self._column})",
                school.id,
            )


_EXAMPLES = 3
Snapshots = dict[SchoolId, Snapshot]
"""The snapshot of each school that has a group."""


def build_snapshots(
    schools: Iterable[School],
    classes: Collection[RosterClass],
    years: YearGroups,
    people: Mapping[str, Person],
    calendar: Calendar,
    taken_at: datetime,
    quarantine: Quarantine,
) -> Snapshots:
    """A snapshot for each school that has a group, by school id. Raises SnapshotRejected if no school has one.

    Classes of the next academic year wait until it starts, or until the day of the school's calendar, unless the school
    has no others. Year groups belong to the latest year that has begun and has classes, or to that of the others.
    """
    by_school: dict[str, list[RosterClass]] = defaultdict(list)
    for roster_class in classes:
        by_school[roster_class.school].append(roster_class)
    snapshots: Snapshots = {}
    by_id = {school.id: school for school in schools}
    groups_of: dict[SchoolId, list[MisGroup]] = {}
    for school in by_id.values():
        current = _classes_of_today(by_school[school.id], school, calendar, quarantine)
        begun = [each.academic_year for each in current if each.academic_year <= calendar.current_year]
        year = max(begun or [each.academic_year for each in current], default=calendar.current_year)
        groups_of[school.id] = [each.to_group() for each in current] + years.groups(school.id, year)
        years.doubt_if_none(school, current, quarantine)
    findings = quarantine.findings(by_id)
    for school in by_id.values():
        groups = groups_of[school.id]
        if groups or quarantine.has_left_out(school.id):
            snapshots[school.id] = _snapshot(school, groups, people, taken_at, findings(school.id))
    if not any(snapshot.groups for snapshot in snapshots.values()):
        examples = map(str, quarantine.first_left_out(_EXAMPLES))
        raise rejection("; ".join(["the feed has no school with a group in it", *examples]))
    return snapshots


def with_format(snapshots: Snapshots, format_: str, calendar: Calendar) -> Snapshots:
    """The snapshots of one feed, which is of this format and was read today."""
    feed = Feed(format_, tuple(snapshot.school for snapshot in snapshots.values()), calendar.current_year)
    return {id_: replace(snapshot, feed=feed) for id_, snapshot in snapshots.items()}


def no_school(school: str, snapshots: Mapping[SchoolId, Snapshot]) -> SnapshotRejected:
    """The rejection of a feed, of which these are all snapshots, that does not have the school."""
    some = next(iter(snapshots.values()), None)
    listed = sorted((each.id, each.name) for each in some.feed.schools) if some else []
    named = some_of(f"{id_} ({name})" if name else id_ for id_, name in listed)
    others = f"{len(listed)} other{'s' if len(listed) > 1 else ''}" if listed else "none at all"
    return rejection(
        f"the feed has no school {school}, but {others}",
        "correct the school's source, save the school under an id that the feed has (check the feed to see them), or "
        "have the MIS export this school",
        f"the feed has no school {school}, but {named or 'none at all'}",
    )


def _snapshot(
    school: School,
    groups: list[MisGroup],
    people: Mapping[str, Person],
    taken_at: datetime,
    found: Findings,
) -> Snapshot:
    ids = {person for group in groups for person in (*group.students, *group.teachers)}
    snapshot = Snapshot(school, tuple(groups), {id_: people[id_] for id_ in sorted(ids)}, taken_at)
    return replace(snapshot, left_out=found.left_out, counts=found.counts, doubt=found.doubt, notes=found.notes)


def _classes_of_today(
    classes: Collection[RosterClass], school: School, calendar: Calendar, quarantine: Quarantine
) -> list[RosterClass]:
    """The classes that do not wait for their academic year. Those that wait are in doubt, so that nothing ends them."""
    earliest = min((each.academic_year for each in classes), default=0)
    newest = max(calendar.current_year, earliest)
    counting: list[RosterClass] = []
    for each in classes:
        if each.academic_year <= newest or calendar.counts_from(each.academic_year) <= calendar.today:
            counting.append(each)
            continue
        starts = calendar.counts_from(each.academic_year)
        quarantine.doubt_group(each.id, school.id)
        quarantine.note(f"{{n}} classes of the next academic year wait until {starts:%-d %B %Y}", school.id)
    return counting
