"""A school in its MIS: groups, people, and the statistics that the next feed is compared with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from itertools import chain

from sync_core.domain.ids import MisId, SchoolId


class GroupType(StrEnum):
    """The kinds of MIS group that become classes."""

    YEAR = "year"
    REGISTRATION = "registration"
    TEACHING = "teaching"


@dataclass(frozen=True, slots=True)
class School:
    """A school in its feed. `id` is the feed's id (sourcedId); `dfe_code` is the default name identifier."""

    id: SchoolId
    name: str
    dfe_code: str


@dataclass(frozen=True, slots=True)
class Person:
    """A person in the MIS, reduced to the feed's values (stripped) for matching: never a name, never a birth date.

    `enabled` is false only if the feed says that the user is no longer active in the MIS.
    """

    id: MisId
    username: str = field(default="", repr=False)
    email: str = field(default="", repr=False)
    enabled: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class MisGroup:
    """A year, registration or teaching group with the people in it, by MIS person id.

    `teachers` lists the main teacher first, then follows the feed's order, as `students` does. `academic_year` is the
    calendar year in which the school year starts. `subject` is a digest of its subject, empty if the MIS names none.
    """

    id: MisId
    type: GroupType
    name: str
    academic_year: int
    students: tuple[MisId, ...] = ()
    teachers: tuple[MisId, ...] = ()
    subject: str = ""


def each_once(lists: Iterable[Iterable[MisId]]) -> Mapping[MisId, None]:
    """Everybody in these lists, in their order.

    A set has no order. What is made from it then lies anywhere in memory, and a large school waits for its memory.
    """
    return dict.fromkeys(chain.from_iterable(lists))


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A record of a feed that was left out, for the people who keep the MIS.

    `source` is the file or collection, `place` the line or number in it. `shape` describes the value of `field` and
    never gives it; both are empty if the whole record is at fault. `school` is empty where no school can be told.
    """

    source: str
    place: str
    field: str
    shape: str
    reason: str
    remedy: str
    school: SchoolId

    def __str__(self) -> str:
        where = f'{self.source} {self.place}, column "{self.field}"' if self.field else f"{self.source} {self.place}"
        return f"{where}: {self.reason}" + (f" ({self.shape})" if self.shape not in ("", "empty") else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceCount:
    """How many records of one file or collection were left out, of how many.

    They count for the school unless they name a school that the feed does not have.
    """

    source: str
    left_out: int
    rows: int
    counts: bool = True


@dataclass(frozen=True, slots=True)
class Doubt:
    """What a feed may have but was not understood: groups, people, and memberships as group and person.

    An id is empty where the record names none: any group, person or membership that the snapshot lacks may be the one.
    `types` are those of which the feed shows no group, because a column is missing or empty.
    """

    groups: frozenset[MisId] = frozenset()
    people: frozenset[MisId] = frozenset()
    memberships: frozenset[tuple[MisId, MisId]] = frozenset()
    types: frozenset[GroupType] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.groups or self.people or self.memberships or self.types)


@dataclass(frozen=True, slots=True)
class Feed:
    """What snapshots were read from: its format, with what shows it, and every school that it has.

    `current_year` is the calendar year in which the academic year of the day it was read starts.
    """

    format: str = ""
    schools: tuple[School, ...] = ()
    current_year: int = 0


@dataclass(frozen=True)
class Snapshot:
    """One school in the MIS at one moment: complete, but for what is in `doubt`.

    `feed` is what it was read from: the same school in another format is equal. `left_out` are examples of the records
    that were left out, and `counts` their numbers. `notes` are sentences about its source for an admin, with ids only.
    `origin` is what its source needs to read some groups of it again, and only the source looks at it; None if it
    cannot.
    """

    school: School
    groups: tuple[MisGroup, ...]
    people: Mapping[MisId, Person]
    taken_at: datetime
    left_out: tuple[LeftOut, ...] = ()
    counts: tuple[SourceCount, ...] = ()
    doubt: Doubt = Doubt()
    notes: tuple[str, ...] = ()
    feed: Feed = field(default=Feed(), compare=False)
    origin: object = field(default=None, compare=False, repr=False)

    @cached_property
    def students(self) -> Mapping[MisId, None]:
        """Everybody who is a student of a group, looked for once: a large school has a million memberships."""
        return each_once(group.students for group in self.groups)

    @cached_property
    def teachers(self) -> Mapping[MisId, None]:
        """Everybody who is a teacher of a group."""
        return each_once(group.teachers for group in self.groups)


@dataclass(frozen=True, slots=True)
class MatchRate:
    """How many of the people of one role, in groups that have or get a class, find no account of their own."""

    people: int = 0
    unmatched: int = 0

    @property
    def matched(self) -> float:
        """The share of people with an account, of 1."""
        return 1 - self.unmatched / self.people if self.people else 1.0


@dataclass(frozen=True, slots=True)
class YearCounts:
    """What a feed has of one academic year."""

    groups: int = 0
    enrolments: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedStatistics:
    """Counts that the next snapshot is compared with. `domain` is the most common one of people's addresses, if at
    least five have it.

    `academic_year` is the newest, and `earlier_years` has the part of the counts that belongs to others, by year. Year
    groups count with the newest: the feed has them once, and of a year that changes during the summer. The match rates
    are those of the last plan that was not held because of them; None before the first.
    """

    dfe_code: str
    academic_year: int
    groups: int
    students: int
    staff: int
    enrolments: int
    domain: str
    taken_at: datetime
    earlier_years: Mapping[str, YearCounts] = field(default_factory=dict)
    students_matched: MatchRate | None = None
    staff_matched: MatchRate | None = None

    @property
    def newest_year(self) -> YearCounts:
        """What the feed has of the newest academic year, and its year groups."""
        earlier = self.earlier_years.values()
        return YearCounts(
            self.groups - sum(each.groups for each in earlier),
            self.enrolments - sum(each.enrolments for each in earlier),
        )
