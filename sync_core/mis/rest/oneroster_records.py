"""OneRoster's JSON: the fields that the app reads, the list in a response, and records as the rows of a CSV set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from sync_core.mis.budget import FIRST_YEAR
from sync_core.mis.records import Part, Record, Schema, if_text, items, reference, references, text, texts
from sync_core.mis.rest.answer import Answer
from sync_core.mis.rest.cache import Collections
from sync_core.mis.rows import Row, record_place

_BASE = {"sourcedId": text, "status": text, "dateLastModified": text}
_DATES = {"beginDate": text, "endDate": text}
_ROLES = {"roles": Part(Schema({"org": reference, "role": texts, "roleType": text, "status": text, **_DATES}), items)}
_USER = {"enabledUser": text, "role": texts, "username": text, "email": text, "grades": texts}
_ENROLMENT = {"class": reference, "user": reference, "role": texts, "primary": text, **_DATES}
_CLASS = {"title": text, "classType": text, "subjects": if_text(texts)}
# No name, birth date, address or phone number is requested.
SCHEMAS = {
    "orgs": Schema({"sourcedId": text, "status": text, "name": text, "type": text, "identifier": text}),
    "academicSessions": Schema(
        {**_BASE, "type": text, "startDate": text, "endDate": text, "parent": reference, "schoolYear": text}
    ),
    "classes": Schema({**_BASE, "school": reference, "terms": references, **_CLASS}),
    "users": Schema({**_BASE, **_USER}, _ROLES),
    "enrollments": Schema({**_BASE, **_ENROLMENT}),
}
ID = Schema({"sourcedId": text})
SCHEMAS_OF_ALL_SCHOOLS = SCHEMAS | {
    "users": Schema({**_BASE, "orgs": references, **_USER}, _ROLES),
    "enrollments": Schema({**_BASE, "school": reference, **_ENROLMENT}),
}
"""Those of lists of all schools, with the fields that tell the records of one school."""
_PLACING = ("school", "orgs", "roles", "class")
"""The fields that tell where a record belongs."""
NAMES = {
    "classSourcedId": "class",
    "userSourcedId": "user",
    "schoolSourcedId": "school",
    "termSourcedIds": "terms",
    "parentSourcedId": "parent",
    "orgSourcedId": "org",
    "orgSourcedIds": "orgs",
}
"""The fields of records by the names of the columns that they become."""
_OVERLAP = timedelta(minutes=10)
"""A server may show a change some time after the time stamp of the change."""
_CLOCKS_DIFFER = timedelta(days=1)
_COLUMNS = {name: column for column, name in NAMES.items()}


def find_list(answer: Answer, names: Iterable[str]) -> list[Record] | None:
    """The list under one of the names, or else the only list, if its records have ids. None if there is none.

    A server may report an error with status 200, whose only list, of faults, must not look like an empty school.
    """
    lists = answer.lists
    known = [lists[name] for name in names if name in lists]
    others = [listed for listed in lists.values() if len(lists) == 1 and any(record and record.id for record in listed)]
    found = next(iter(known or others), None)
    records = [record for record in found or () if record]
    return records if found is not None and len(records) == len(found) else None


def find_record(answer: Answer, schema: Schema) -> Record | None:
    """The only record in a response about one, whatever its name, alone or in a list of one. None if there is none."""
    listed = [records[0] for records in answer.lists.values() if len(records) == 1]
    records = [record for record in (*map(schema.read, answer.fields.values()), *listed) if record and record.id]
    return records[0] if len(records) == 1 else None


def is_active(record: Record) -> bool:
    return record["status"].casefold() != "tobedeleted"


def is_at_school(user: Record, school: str) -> bool:
    return school in _schools_of("users", user)


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
ANYWHERE = "anywhere"
"""The key of the records that may belong to any school, because the field that tells it cannot be read."""


def keys_of(collection: str, record: Record) -> frozenset[str]:
    """The keys of a record in the list of all schools."""
    if collection in ("orgs", "academicSessions"):
        return WHOLE
    keys = set(map(at_school, _schools_of(collection, record)))
    if collection == "users":
        keys.add(with_id(record.id))
    if collection == "enrollments" and record["class"]:
        keys.add(in_class(record["class"]))
    if record.field in _PLACING or any(role.field == "org" for role in record.parts.get("roles", ())):
        keys.add(ANYWHERE)
    return frozenset(keys)


def read_table(
    records: Collections, school: str, name: str, columns: Iterable[str], optional: Iterable[str]
) -> Iterator[Row]:
    """The records as a table of a CSV set, so that both have the same reader. `roles` are those of users."""
    names = (*columns, *optional)
    places = {column: place for place, column in enumerate(names)}
    of_table: Iterable[Record] = records.get(name, {}).values()
    if name in ("users", "roles"):
        of_table = {**records["others"], **records["teachers"], **records["students"]}.values()
    if name == "roles":
        for number, user in enumerate(of_table, start=1):
            for role in _roles(user, school) if user.id else ():
                cells = {"userSourcedId": user.id, "orgSourcedId": school, "role": user.get("role")}
                cells |= {column: role[column] for column in role.columns if column != "org"} if role else {}
                fault = _fault(role) if role else ("", "")
                place = record_place(user.id, number)
                yield Row(name, place, places, [cells.get(column, "") for column in names], *fault)
        return
    fields = [NAMES.get(column, column) for column in names]
    for number, record in enumerate(of_table, start=1):
        place = record_place(record.id, number)
        yield Row(name, place, places, list(map(record.get, fields)), *_fault(record))


def _fault(record: Record) -> tuple[str, str]:
    return record.fault, _COLUMNS.get(record.field, record.field)


def _schools_of(collection: str, record: Record) -> set[str]:
    """The ids of the orgs that a class, an enrolment or a user names: a user has orgs, and in 1.2 a role at each."""
    named = record["orgs"].split(",") if collection == "users" else [record["school"]]
    return {*named, *(role["org"] for role in record.parts.get("roles", ()))} - {""}


def _roles(user: Record, school: str) -> Sequence[Record | None]:
    """The roles of a user at the school: in 1.2 a list, each at an org; None for the one role of 1.1."""
    here = [role for role in user.parts.get("roles", ()) if role["org"] == school or role.field == "org"]
    return here or [None]


def changes_from(records: Iterable[Record], at: datetime) -> str | None:
    """The latest modification, by the server's clock, minus _OVERLAP.

    None without records, and if one has no time or one that a server cannot have had when they were read, at `at`.
    """
    times = [_moment(record["dateLastModified"]) for record in records]
    latest = max((time for time in times if time), default=None)
    if latest is None or None in times or latest > at + _CLOCKS_DIFFER:
        return None
    return (latest - _OVERLAP).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.year >= FIRST_YEAR else None
    except (ValueError, OverflowError):
        return None
