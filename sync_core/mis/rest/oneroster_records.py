"""OneRoster's JSON: the list in a response, references, and records as the rows that the CSV reader takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sync_core.mis.files.strict_csv import Row
from sync_core.mis.rest.cache import Collections, Record
from sync_core.mis.rest.client import text

_CLASS_ROLES = ("student", "teacher")


def find_list(body: Mapping[str, Any], names: Iterable[str]) -> list[Record] | None:
    """The list under one of the names, or else the only list, if its records have ids. None if there is none.

    A server may report an error with status 200, whose only list, of faults, must not look like an empty school.
    """
    lists = {name: value for name, value in body.items() if isinstance(value, list)}
    known = [lists[name] for name in names if name in lists]
    others = [value for value in lists.values() if len(lists) == 1 and any(map(id_of, value))]
    found = next(iter(known or others), None)
    return found if found is not None and all(isinstance(record, dict) for record in found) else None


def find_record(body: Mapping[str, Any]) -> Record | None:
    """The only record in a response about one, whatever its name, alone or in a list of one. None if there is none."""
    values = (value[0] if isinstance(value, list) and len(value) == 1 else value for value in body.values())
    records = [value for value in values if isinstance(value, dict) and id_of(value)]
    return records[0] if len(records) == 1 else None


def id_of(record: object) -> str:
    """The sourcedId of a record, or that of a reference; empty if there is none."""
    return text(record.get("sourcedId")) if isinstance(record, dict) else ""


def is_active(record: Record) -> bool:
    return text(record.get("status")).casefold() != "tobedeleted"


def is_class_role(enrolment: Record) -> bool:
    """Whether an enrolment is that of a student or a teacher. Others, such as an aide's, say nothing about a class."""
    return text(enrolment.get("role")).casefold() in _CLASS_ROLES


def is_at_school(record: Record, school: str) -> bool:
    """Whether a class, an enrolment or a user names the school: a user has orgs, and in 1.2 a role at each org."""
    roles = record.get("roles")
    orgs = [record.get("school"), record.get("org"), *_listed(record.get("orgs"))]
    orgs += [role.get("org") for role in _listed(roles) if isinstance(role, dict)]
    return school in map(id_of, orgs)


def read_table(
    records: Collections, school: str, name: str, columns: Iterable[str], optional: Iterable[str]
) -> list[Row]:
    """The records as a table of a CSV set, so that both have the same reader."""
    table, names = name.removesuffix(".csv"), (*columns, *optional)
    match table:
        case "users":
            users = {**records["others"], **records["teachers"], **records["students"]}
            rows = [_cells(user) | _role(user, school) for user in users.values()]
        case "enrollments":
            rows = [_cells(row) for row in records[table].values() if is_class_role(row)]
        case _:
            rows = [_cells(record) for record in records[table].values()]
    source, places = f"{table}, number", {column: place for place, column in enumerate(names)}
    return [
        Row(source, number, places, [cells.get(column, "") for column in names])
        for number, cells in enumerate(rows, start=1)
    ]


def _role(user: Record, school: str) -> dict[str, str]:
    """In 1.2 a user has a list of roles, each at an org, instead of one role."""
    roles_here = [
        role.get("role", "")
        for role in _listed(user.get("roles"))
        if isinstance(role, dict) and id_of(role.get("org")) == school
    ]
    role = "student" if "student" in roles_here else next(iter(roles_here), str(user.get("role") or ""))
    return {"role": role, "orgSourcedIds": school}


def _cells(record: Record) -> dict[str, str]:
    """The record as a row of a CSV set: `school` as schoolSourcedId, `terms` as termSourcedIds, lists with commas."""
    cells: dict[str, str] = {}
    for name, value in record.items():
        match value:
            case bool():
                cells[name] = str(value).lower()
            case str() | int() | float():
                cells[name] = str(value).strip()
            case dict():
                cells[f"{name}SourcedId"] = id_of(value)
            case list():
                cells[name] = ",".join(map(str, value))
                cells[f"{name[:-1]}SourcedIds"] = ",".join(filter(None, map(id_of, value)))
    return cells


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
