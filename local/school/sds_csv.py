"""Writes a generated school as School Data Sync CSV, v2.1 and v1 in its UK form, as far as the formats allow."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from local.school.data import SchoolData, SchoolGroup, SchoolPerson


def write_v2(data: SchoolData, folder: Path) -> None:
    """Teaching groups are classes, years the grades of roles; the first of a class's staff is its main teacher."""
    columns: tuple[str, ...]
    year = f"{data.starts + 1}"
    sessions = [("SY", year, "schoolYear", year, f"{data.starts}-09-01", f"{year}-07-21")]
    _table(folder, "orgs", ("sourcedId", "name", "type", "parentSourcedId"), [(data.id, data.name, "school", "")])
    _table(folder, "academicSessions", ("sourcedId", "title", "type", "schoolYear", "startDate", "endDate"), sessions)
    columns = ("sourcedId", "orgSourcedId", "title", "sessionSourcedIds", "courseSourcedId")
    _table(folder, "classes", columns, [(group.id, data.id, group.title, "SY", "") for group in _taught(data)])
    columns = ("sourcedId", "username", "givenName", "familyName", "password", "email", "phone")
    people = [(one.id, one.username, one.given, one.family, "", one.email, "") for one in (*data.staff, *data.pupils)]
    _table(folder, "users", columns, people)
    roles = [(one.id, data.id, "teacher", "SY", "") for one in data.staff]
    roles += [(one.id, data.id, "student", "SY", one.year) for one in data.pupils]
    _table(folder, "roles", ("userSourcedId", "orgSourcedId", "role", "sessionSourcedId", "grade"), roles)
    taught = [(group.id, person, "teacher") for group in _taught(data) for person in _staff(group)]
    taught += [(group.id, person, "student") for group in _taught(data) for person in group.pupils]
    _table(folder, "enrollments", ("classSourcedId", "userSourcedId", "role"), taught)


def write_v1(data: SchoolData, folder: Path) -> None:
    """As `write_v2`, with the DfE number as the id of the school."""
    columns: tuple[str, ...]
    code = data.dfe_code
    _table(folder, "School", ("DfE Number", "Name"), [(code, data.name)])
    columns = ("ID", "School DfE Number", "Section Name", "Term StartDate", "Status")
    sections = [(group.id, code, group.title, f"9/1/{data.starts}", "Active") for group in _taught(data)]
    _table(folder, "Section", columns, sections)
    columns = ("ID", "School DfE Number", "Username", "Password", "Secondary Email", "Grade", "Status")
    _table(folder, "Student", columns, [(*_person(one, code), one.year, "Active") for one in data.pupils])
    columns = ("ID", "School DfE Number", "Username", "Password", "Secondary Email", "Status")
    _table(folder, "Teacher", columns, [(*_person(one, code), "Active") for one in data.staff])
    taught = [(group.id, person) for group in _taught(data) for person in group.pupils]
    _table(folder, "StudentEnrollment", ("Section ID", "ID"), taught)
    teaching = [(group.id, person) for group in _taught(data) for person in _staff(group)]
    _table(folder, "TeacherRoster", ("Section ID", "ID"), teaching)


def _taught(data: SchoolData) -> list[SchoolGroup]:
    return [group for group in data.groups if not group.homeroom]


def _staff(group: SchoolGroup) -> list[str]:
    return [one.teacher for one in sorted(group.staff, key=lambda one: not one.primary)]


def _person(one: SchoolPerson, code: str) -> tuple[str, ...]:
    return (one.id, code, one.username, "", one.email)


def _table(folder: Path, name: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)
