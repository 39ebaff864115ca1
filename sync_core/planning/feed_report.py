"""What the feed of a school has, in ids and counts, and whether a sync would accept it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import chain

from sync_core.domain.ids import MisId, SchoolId
from sync_core.domain.roster import FeedStatistics, GroupType, LeftOut, MisGroup, Person, Snapshot, SourceCount
from sync_core.domain.school.limits import Limits
from sync_core.errors import SnapshotRejected
from sync_core.planning.limits.snapshot import check_left_out, check_snapshot, statistics_of


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupsOfType:
    """The groups of one type. `students` and `teachers` are different people, `enrolments` memberships of students.

    `without_students` and `without_teachers` are numbers of groups.
    """

    type: GroupType
    groups: int
    students: int
    enrolments: int
    teachers: int
    without_students: int
    without_teachers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Identities:
    """How many of some people in groups have what accounts can be matched with. Some have both.

    `username_is_address` are those whose user name has a domain.
    """

    people: int
    with_username: int
    username_is_address: int
    with_email: int
    with_neither: int


@dataclass(frozen=True, slots=True)
class YearGroup:
    """A year group by its name in the feed, with the number of its students."""

    name: str
    students: int


@dataclass(frozen=True, slots=True)
class Rejection:
    """What is wrong with the feed, so that a sync would change nothing, and the remedy."""

    what: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedReport:
    """The feed of one school as a sync would read it now. Ids, counts and names of groups; never a person's name.

    `schools` are the names of the feed's schools by id. `academic_years` has the number of groups by the calendar year
    in which their academic year starts, and `current_year` is today's. `statistics` are compared with those `accepted`
    last, if there are any, and `rejections` are the rules that the feed breaks. `left_out` are the first of the
    `left_out_rows` that could not be read, and `left_out_of` says how many of which file or collection.
    """

    school: SchoolId
    name: str
    dfe_code: str
    format: str
    schools: Mapping[SchoolId, str]
    groups: tuple[GroupsOfType, ...]
    year_groups: tuple[YearGroup, ...]
    academic_years: Mapping[int, int]
    current_year: int
    students: Identities
    teachers: Identities
    statistics: FeedStatistics
    accepted: FeedStatistics | None
    rejections: tuple[Rejection, ...]
    left_out_rows: int
    left_out_of: tuple[SourceCount, ...]
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]

    def of_one_school(self) -> FeedReport:
        """The report for people who may not know the other schools of the feed."""
        return replace(self, schools={self.school: self.name})


def report_on(snapshot: Snapshot, limits: Limits, accepted: FeedStatistics | None) -> FeedReport:
    """What the snapshot has, and whether a sync with these limits would accept it after the `accepted` one."""
    statistics, groups = statistics_of(snapshot), snapshot.groups
    years = [group.academic_year for group in groups]
    return FeedReport(
        school=snapshot.school.id,
        name=snapshot.school.name,
        dfe_code=snapshot.school.dfe_code,
        format=snapshot.feed.format,
        schools={school.id: school.name for school in snapshot.feed.schools},
        groups=tuple(_of_type(type_, [group for group in groups if group.type is type_]) for type_ in GroupType),
        year_groups=tuple(
            YearGroup(group.name, len(group.students))
            for group in sorted(groups, key=_by_name)
            if group.type is GroupType.YEAR
        ),
        academic_years={year: years.count(year) for year in sorted(set(years))},
        current_year=snapshot.feed.current_year,
        students=_identities(snapshot, (group.students for group in groups)),
        teachers=_identities(snapshot, (group.teachers for group in groups)),
        statistics=statistics,
        accepted=accepted,
        rejections=tuple(_rejections(snapshot, statistics, limits, accepted)),
        left_out_rows=sum(count.left_out for count in snapshot.counts),
        left_out_of=tuple(count for count in snapshot.counts if count.left_out),
        left_out=snapshot.left_out,
        notes=snapshot.notes,
    )


def _rejections(
    snapshot: Snapshot, statistics: FeedStatistics, limits: Limits, accepted: FeedStatistics | None
) -> Iterable[Rejection]:
    try:
        check_left_out(snapshot, limits)
    except SnapshotRejected as rejected:
        yield Rejection(rejected.message, rejected.remedy)
    try:
        check_snapshot(statistics, accepted, limits)
    except SnapshotRejected as rejected:
        yield Rejection(rejected.message, rejected.remedy)


def _by_name(group: MisGroup) -> tuple[list[tuple[int, str]], MisId]:
    """Puts 7 before 10."""
    parts = re.findall(r"\d+|\D+", group.name)
    return [(int(part), "") if part.isdecimal() else (0, part) for part in parts], group.id


def _of_type(type_: GroupType, groups: Collection[MisGroup]) -> GroupsOfType:
    return GroupsOfType(
        type=type_,
        groups=len(groups),
        students=len({person for group in groups for person in group.students}),
        enrolments=sum(len(group.students) for group in groups),
        teachers=len({person for group in groups for person in group.teachers}),
        without_students=sum(not group.students for group in groups),
        without_teachers=sum(not group.teachers for group in groups),
    )


def _identities(snapshot: Snapshot, members: Iterable[Iterable[MisId]]) -> Identities:
    people: list[Person] = [snapshot.people[id_] for id_ in set(chain.from_iterable(members))]
    return Identities(
        people=len(people),
        with_username=sum(bool(person.username) for person in people),
        username_is_address=sum("@" in person.username for person in people),
        with_email=sum(bool(person.email) for person in people),
        with_neither=sum(not (person.username or person.email) for person in people),
    )
