"""The records of a generated school, as its MIS has them; all people are invented."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SchoolPerson:
    """A pupil or a member of staff. `year` is empty for staff; a person without a `username` has an `email`."""

    id: str
    given: str
    family: str
    username: str
    email: str
    year: str = ""


@dataclass(frozen=True, slots=True)
class Staffing:
    """A teacher of a group; `primary` marks the main one in the MIS."""

    teacher: str
    primary: bool


@dataclass(frozen=True, slots=True)
class SchoolGroup:
    """A homeroom (registration group) or scheduled class (teaching group) with its people's ids."""

    id: str
    title: str
    homeroom: bool
    staff: tuple[Staffing, ...]
    pupils: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SchoolData:
    """One school at one moment. `starts` is the calendar year in which its academic year starts."""

    id: str
    name: str
    dfe_code: str
    starts: int
    pupils: tuple[SchoolPerson, ...]
    staff: tuple[SchoolPerson, ...]
    groups: tuple[SchoolGroup, ...]
