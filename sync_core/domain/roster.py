"""What a school's MIS has: groups, people, and the statistics that the next feed is compared with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class GroupType(StrEnum):
    """The kinds of MIS group that become classes."""

    YEAR = "year"
    REGISTRATION = "registration"
    TEACHING = "teaching"


@dataclass(frozen=True, slots=True)
class School:
    """A school as its feed names it. `id` is the feed's own id (sourcedId), `dfe_code` the default name identifier."""

    id: str
    name: str
    dfe_code: str


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody in the MIS, reduced to what matching to an account needs. Never a name, never a birth date.

    `username` and `email` are as the feed gives them, stripped; empty where it gives none.
    """

    id: str
    username: str = field(default="", repr=False)
    email: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class MisGroup:
    """A year, registration or teaching group with the people in it, by MIS person id.

    `teachers` has the main teacher first and then the order of the feed; `students` has the order of the feed.
    `academic_year` is the calendar year in which the school year starts.
    """

    id: str
    type: GroupType
    name: str
    academic_year: int
    students: tuple[str, ...] = ()
    teachers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One school as the MIS has it at one moment: whole, or not made at all (the source raises SnapshotRejected)."""

    school: School
    groups: tuple[MisGroup, ...]
    people: Mapping[str, Person]
    taken_at: datetime


@dataclass(frozen=True, slots=True)
class FeedStatistics:
    """What a snapshot is compared with the next one by. `domain` is the most common one of the people's addresses."""

    dfe_code: str
    academic_year: int
    groups: int
    students: int
    staff: int
    enrolments: int
    domain: str
    taken_at: datetime
