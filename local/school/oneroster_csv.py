"""Writes a generated school as OneRoster CSV, 1.1 and 1.2, as an MIS exports it in bulk."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterable, Sequence, Set
from dataclasses import replace
from pathlib import Path

from local.school.data import SchoolData, SchoolPerson

_LEADING = ("sourcedId", "status", "dateLastModified")
_DISTRICT = "TRUST1"
_OF_THE_WHOLE_SET = ("manifest.csv", "academicSessions.csv")


def write(data: SchoolData, folder: Path) -> None:
    """Write the whole export set to `folder`. It replaces the last one at once, so that no reader sees half of it."""
    fresh = folder.with_name(f"{folder.name}.fresh")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    _write_files(data, fresh)
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)


def write_trust(schools: Iterable[SchoolData], folder: Path) -> None:
    """As `write`, but one set of several schools of the same year, whose people and groups all have different ids."""
    parts, whole = folder.with_name(f"{folder.name}.part"), folder.with_name(f"{folder.name}.fresh")
    shutil.rmtree(whole, ignore_errors=True)
    whole.mkdir(parents=True)
    for place, school in enumerate(schools):
        write(school, parts)
        for file in parts.iterdir():
            if place == 0 or file.name not in _OF_THE_WHOLE_SET:
                with file.open("rb") as rows, (whole / file.name).open("ab") as table:
                    table.writelines(list(rows)[min(place, 1) :])
    shutil.rmtree(folder, ignore_errors=True)
    whole.rename(folder)


def write_two_years(data: SchoolData, coming: SchoolData, folder: Path) -> None:
    """As `write`, with the groups of the next academic year and with those of its people who are not in `data`."""
    part, whole = folder.with_name(f"{folder.name}.part"), folder.with_name(f"{folder.name}.fresh")
    known = {person.id for person in (*data.staff, *data.pupils)}
    write(replace(coming, staff=_others(coming.staff, known), pupils=_others(coming.pupils, known)), part)
    shutil.rmtree(whole, ignore_errors=True)
    whole.mkdir(parents=True)
    _write_files(data, whole)
    for name in ("academicSessions.csv", "classes.csv", "enrollments.csv", "users.csv"):
        with (part / name).open("rb") as rows, (whole / name).open("ab") as table:
            table.writelines(list(rows)[1:])
    shutil.rmtree(part)
    shutil.rmtree(folder, ignore_errors=True)
    whole.rename(folder)


def _others(people: Iterable[SchoolPerson], known: Set[str]) -> tuple[SchoolPerson, ...]:
    return tuple(person for person in people if person.id not in known)


def write_1_2(data: SchoolData, folder: Path) -> None:
    """As `write`, but a set of 1.2, in which the roles of users are in a separate file."""
    write(data, folder)
    manifest = (folder / "manifest.csv").read_text(encoding="utf-8").replace("version,1.1", "version,1.2")
    (folder / "manifest.csv").write_text(manifest + "file.roles,bulk\r\n", encoding="utf-8", newline="")
    with (folder / "users.csv").open(encoding="utf-8", newline="") as file:
        header, *users = csv.reader(file)
    kept = [place for place, name in enumerate(header) if name not in ("orgSourcedIds", "role")]
    _table(folder / "users.csv", [header[place] for place in kept], [[user[place] for place in kept] for user in users])
    org, role = header.index("orgSourcedIds"), header.index("role")
    columns = ("userSourcedId", "roleType", "role", "beginDate", "endDate", "orgSourcedId")
    roles = [(f"R-{user[0]}", user[0], "primary", user[role], "", "", user[org]) for user in users]
    _records(folder / "roles.csv", columns, roles)


def accounts(data: SchoolData, domain: str = "school.onmicrosoft.com") -> list[tuple[str, str]]:
    """(userPrincipalName, displayName) of all people."""
    return [
        (person.email or f"{person.username}@{domain}", f"{person.given} {person.family}")
        for person in (*data.staff, *data.pupils)
    ]


def _write_files(data: SchoolData, folder: Path) -> None:
    year, terms = f"SY{data.starts}", ["Autumn", "Spring", "Summer"]
    files = ("academicSessions", "classes", "courses", "enrollments", "orgs", "users")
    absent = ("classResources", "courseResources", "demographics", "lineItems", "resources", "results", "categories")
    manifest = [("manifest.version", "1.0"), ("oneroster.version", "1.1")]
    manifest += [(f"file.{name}", "bulk") for name in files] + [(f"file.{name}", "absent") for name in absent]
    _table(folder / "manifest.csv", ("propertyName", "value"), manifest)
    _records(
        folder / "orgs.csv",
        ("name", "type", "identifier", "parentSourcedId"),
        [
            (_DISTRICT, "Highfield Trust", "district", "", ""),
            (data.id, data.name, "school", data.dfe_code, _DISTRICT),
        ],
    )
    starts = (f"{data.starts}-09-01", f"{data.starts + 1}-01-05", f"{data.starts + 1}-04-20")
    ends = (f"{data.starts}-12-18", f"{data.starts + 1}-03-27", f"{data.starts + 1}-07-21")
    named = str(data.starts + 1)
    _records(
        folder / "academicSessions.csv",
        ("title", "type", "startDate", "endDate", "parentSourcedId", "schoolYear"),
        [
            (year, f"{data.starts}/{named[2:]}", "schoolYear", starts[0], f"{named}-08-31", "", named),
            *(
                (f"{year}-{term}", term, "term", start, end, year, named)
                for term, start, end in zip(terms, starts, ends, strict=True)
            ),
        ],
    )
    _records(
        folder / "courses.csv",
        ("schoolYearSourcedId", "title", "courseCode", "grades", "orgSourcedId", "subjects", "subjectCodes"),
        [("COURSE1", year, "Everything", "ALL", "", data.id, "", "")],
    )
    _records(
        folder / "classes.csv",
        (
            "title",
            "grades",
            "courseSourcedId",
            "classCode",
            "classType",
            "location",
            "schoolSourcedId",
            "termSourcedIds",
            "subjects",
            "subjectCodes",
            "periods",
        ),
        [
            (
                group.id,
                group.title,
                "",
                "COURSE1",
                "",
                "homeroom" if group.homeroom else "scheduled",
                "",
                data.id,
                ",".join(f"{year}-{term}" for term in terms),
                "",
                "",
                "",
            )
            for group in data.groups
        ],
    )
    _records(
        folder / "users.csv",
        (
            "enabledUser",
            "orgSourcedIds",
            "role",
            "username",
            "userIds",
            "givenName",
            "familyName",
            "middleName",
            "identifier",
            "email",
            "sms",
            "phone",
            "agentSourcedIds",
            "grades",
            "password",
        ),
        [_user(data, person, "teacher") for person in data.staff]
        + [_user(data, person, "student") for person in data.pupils],
    )
    enrolments = []
    for group in data.groups:
        for staffing in group.staff:
            enrolments.append((group.id, staffing.teacher, "teacher", str(staffing.primary).lower()))
        enrolments += [(group.id, pupil, "student", "false") for pupil in group.pupils]
    _records(
        folder / "enrollments.csv",
        ("classSourcedId", "schoolSourcedId", "userSourcedId", "role", "primary", "beginDate", "endDate"),
        [
            (f"E-{class_id}-{person}", class_id, data.id, person, role, primary, "", "")
            for class_id, person, role, primary in enrolments
        ],
    )


def _user(data: SchoolData, person: SchoolPerson, role: str) -> tuple[str, ...]:
    names = (person.username, "", person.given, person.family, "", person.id, person.email)
    return (person.id, "true", data.id, role, *names, "", "", "", person.year, "")


def _records(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Rows are the id and the cells of `columns`; bulk files leave status and date empty."""
    _table(path, (*_LEADING, *columns), ((row[0], "", "", *row[1:]) for row in rows))


def _table(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
