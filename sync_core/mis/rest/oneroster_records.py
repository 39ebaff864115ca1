"""OneRoster's JSON: the list in a response, references, and records as the rows that the CSV reader takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sync_core.mis.rest.cache import Collections, Record
from sync_core.mis.rest.client import text
from sync_core.mis.rows import Row, record_place

NAMES = {
    "classSourcedId": "class",
    "userSourcedId": "user",
    "schoolSourcedId": "school",
    "termSourcedIds": "terms",
    "orgSourcedId": "org",
    "orgSourcedIds": "orgs",
}
"""The fields of records by the names of the columns that they become."""


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


def only(record: Record, fields: str) -> Record:
    """The record with the requested fields only, and without links, because a server may send more."""
    return {name: _without_links(record[name]) for name in fields.split(",") if name in record}


def _without_links(value: Any) -> Any:
    match value:
        case dict():
            return {name: _without_links(part) for name, part in value.items() if name != "href"}
        case list():
            return [_without_links(part) for part in value]
    return value


def id_of(record: object) -> str:
    """The sourcedId of a record, or that of a reference; empty if there is none."""
    return text(record.get("sourcedId")) if isinstance(record, dict) else ""


def is_active(record: Record) -> bool:
    return text(record.get("status")).casefold() != "tobedeleted"


def is_at_school(record: Record, school: str) -> bool:
    return school in _schools_of(record)


def at_school(school: str) -> str:
    """The key of the records that name the school."""
    return f"school {school}"


def in_class(class_: str) -> str:
    """The key of the enrolments in the class."""
    return f"class {class_}"


def with_id(user: str) -> str:
    """The key of the user with this id."""
    return f"user {user}"


WHOLE = frozenset(["all"])
"""The key of each record of a list that is the same for all schools."""


def keys_of(collection: str, record: Record) -> frozenset[str]:
    """The keys of a record in the list of all schools."""
    if collection in ("orgs", "academicSessions"):
        return WHOLE
    class_ = id_of(record.get("class"))
    others = [with_id(id_of(record))] if collection == "users" else [in_class(class_)] if class_ else []
    return frozenset([*map(at_school, _schools_of(record)), *others])


def read_table(
    records: Collections, school: str, name: str, columns: Iterable[str], optional: Iterable[str]
) -> list[Row]:
    """The records as a table of a CSV set, so that both have the same reader. `roles` are those of users."""
    names = (*columns, *optional)
    places = {column: place for place, column in enumerate(names)}
    users = {**records["others"], **records["teachers"], **records["students"]}
    match name:
        case "users":
            listed = [(id_of(user), _cells(user)) for user in users.values()]
        case "roles":
            listed = [(id_of(user), role) for user in users.values() if id_of(user) for role in _roles(user, school)]
        case _:
            listed = [(id_of(record), _cells(record)) for record in records[name].values()]
    return [
        Row(name, record_place(id_, number), places, [cells.get(column, "") for column in names])
        for number, (id_, cells) in enumerate(listed, start=1)
    ]


def _schools_of(record: Record) -> set[str]:
    """The ids of the orgs that a class, an enrolment or a user names: a user has orgs, and in 1.2 a role at each."""
    orgs = [record.get("school"), record.get("org"), *_listed(record.get("orgs"))]
    orgs += [role.get("org") for role in _listed(record.get("roles")) if isinstance(role, dict)]
    return set(filter(None, map(id_of, orgs)))


def _roles(user: Record, school: str) -> list[dict[str, str]]:
    """The roles of a user at the school. In 1.1 a user has one role, and in 1.2 a list of them, each at an org."""
    here = [
        role for role in _listed(user.get("roles")) if isinstance(role, dict) and id_of(role.get("org")) == school
    ] or [{"role": user.get("role")}]
    return [{**_cells(role), "userSourcedId": id_of(user), "orgSourcedId": school} for role in here]


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
