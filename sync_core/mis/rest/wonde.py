"""Reads a school over Wonde's REST API, page by page, checks its counts, and repeats a read during which it changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, urlsplit

from sync_core.clock import Clock
from sync_core.domain.ids import MisId, SchoolId
from sync_core.domain.roster import GroupType, Person, School
from sync_core.domain.school import WondeApi, WondeEmail
from sync_core.errors import SnapshotRejected
from sync_core.mis.academic_years import Calendar
from sync_core.mis.files.strict_csv import Faults, Row, rejection
from sync_core.mis.files.words import Role
from sync_core.mis.quarantine import Quarantine
from sync_core.mis.rest.cache import CachedSchool, Collections, Record, SchoolCache
from sync_core.mis.rest.client import CHECK_URL, MisApi, Torn, at, link_query, text
from sync_core.mis.rest.left_out import LeftOut
from sync_core.mis.roster import RosterClass, Snapshots, YearGroups, build_snapshots, with_format

_PAGE = 200
_COUNTED = ("students", "classes", "employees")
_PEOPLE = ("students", "employees")
_OVERLAP = timedelta(hours=2)
"""Wonde does not say in which time zone it reads `updated_after`, and clocks differ."""
_TYPES = {"REGISTRATION": GroupType.REGISTRATION, "YEAR": GroupType.YEAR}
_SCOPES = "have Wonde give the token the scopes for this school's classes, groups, students, employees and emails"


async def read_wonde(
    api: WondeApi, secret: str, school: SchoolId, cache: SchoolCache, clock: Clock, calendar: Calendar
) -> Snapshots:
    """A snapshot of the school that the source names, by our id `school`. Raises SnapshotRejected, Transient."""
    async with _Server(api, clock) as server:
        server.sign_in(secret)
        records = await server.read_school(api, school, cache)
    return with_format(_snapshot(records, school, clock.now(), calendar), "Wonde", calendar)


class _Server(MisApi):
    """Wonde, for one school."""

    contact = "Wonde"
    cached = _PEOPLE

    def __init__(self, api: WondeApi, clock: Clock) -> None:
        self._host = urlsplit(api.url).hostname or ""
        self._root = f"/v1.0/schools/{quote(api.school, safe='')}"
        self._emails = {"students": api.student_email, "employees": api.staff_email}
        super().__init__(f"the Wonde server {self._host}", api.url, clock)

    async def read(self, cached: CachedSchool | None) -> Collections:
        """Raises Torn if a count differs from the records, or changed during the read.

        Classes and their members are always read in full, because Wonde does not say that a change of members changes
        the class.
        """
        school = at((await self.get(self._root, {})).body, "data")
        if not school:
            raise self._no_data("not even its name")
        before = await self._read_counts()
        records: dict[str, Mapping[str, Record]] = {"school": {"": school}}
        for name in ("classes", "groups"):
            records[name] = await self._read_pages(name, {"include": "students,employees"})
        if (await self._read_pages("groups", {})).keys() != records["groups"].keys():
            raise Torn("the list of groups, which has no count, changed during the read")
        for name in _PEOPLE:
            records[name] = await self._read_people(name, cached)
        after = await self._read_counts()
        if not any((records["classes"], records["students"], after["classes"], after["students"])):
            raise self._no_data("neither a class nor a student")
        for name in _COUNTED:
            if after[name] is None:
                raise self.rejection(f"returned no count of {name}", _SCOPES)
            if before[name] != after[name]:
                raise Torn(f"the count of {name} changed during the read")
            if len(records[name]) != after[name]:
                raise Torn(f"{len(records[name])} {name} were read, but the count is {after[name]}")
        return records

    def _no_data(self, missing: str) -> SnapshotRejected:
        """Each of Wonde's domains accepts requests for schools of other regions, but has no data for them."""
        return self.rejection(
            f"returned no data for the school, {missing}",
            f"check that {self._host} is the domain of the school's region, and that the school approved access",
        )

    async def _read_counts(self) -> dict[str, int | None]:
        page = await self.get(f"{self._root}/counts", {"include": ",".join(_COUNTED)})
        counts = {name: text(at(page.body, "data", name, "data").get("count")) for name in _COUNTED}
        return {name: int(count) if count.isdecimal() else None for name, count in counts.items()}

    async def _read_people(self, name: str, cached: CachedSchool | None) -> Mapping[str, Record]:
        """The `mis_id` and one address of each person. Wonde returns more, even names, and cannot be asked for less."""
        since: dict[str, str] = {}
        unchanged: dict[str, Record] = {}
        if cached:
            since = {"updated_after": (cached.began_at - _OVERLAP).strftime("%Y-%m-%d %H:%M:%S")}
            deleted = await self._read_pages("deletions", {**since, "type": name})
            unchanged = {id_: person for id_, person in cached.collections[name].items() if id_ not in deleted}
        people = await self._read_pages(name, {"include": "contact_details", **since})
        return unchanged | {
            id_: {
                "mis_id": text(person.get("mis_id")),
                "email": _email(person, self._emails[name]),
            }
            for id_, person in people.items()
        }

    async def _read_pages(self, collection: str, parameters: Mapping[str, str]) -> dict[str, Record]:
        """The records of all pages by Wonde's id. Raises Torn."""
        query: Mapping[str, str] | None = {**parameters, "per_page": str(_PAGE)}
        records: dict[str, Record] = {}
        while query is not None:
            body = (await self.get(f"{self._root}/{collection}", query)).body
            listed = body.get("data")
            if not isinstance(listed, list) or not all(isinstance(record, dict) for record in listed):
                raise self.rejection(f"returned a page without a list of {collection}", _SCOPES)
            for record in listed:
                id_ = text(record.get("id"))
                if not id_:
                    raise self.rejection(f"returned {collection} without an id", "ask Wonde about it")
                if id_ in records:
                    raise Torn(f"a record of {collection} was returned twice")
                records[id_] = record
            query = self._next_query(collection, body, query)
            if query is not None and not listed:
                raise Torn(f"a page of {collection} is empty, but more pages follow")
        return records

    def _next_query(self, collection: str, body: Mapping[str, Any], query: Mapping[str, str]) -> dict[str, str] | None:
        """The query of the next page; None after the last one. `more` may be missing, but not contradict the link."""
        pagination = at(body, "meta", "pagination")
        more, link = pagination.get("more", bool(pagination.get("next"))), pagination.get("next")
        known = isinstance(more, bool) and "next" in pagination and more is isinstance(link, str)
        if not known:
            raise self.rejection(f"returned a page of {collection} without valid paging details", CHECK_URL)
        return {**query, **link_query(str(link))} if more else None


def _snapshot(records: Collections, school: SchoolId, now: datetime, calendar: Calendar) -> Snapshots:
    """The snapshot by school id, in the academic year of today, because Wonde names no year.

    Classes are teaching groups. Of the groups, only the types REGISTRATION and YEAR count. Raises SnapshotRejected.
    """
    faults, left_out = Faults(), LeftOut()
    ids, people = _people(records, faults)
    year = calendar.current_year
    classes: dict[str, RosterClass] = {}
    for collection in ("classes", "groups"):
        for number, (id_, record) in enumerate(records[collection].items(), start=1):
            type_ = _type(collection, record)
            if type_ is None:
                continue
            row = Row(f"{collection}, number", number, {}, ())
            faults.require(row, "id", id_ not in classes, f"id {id_} already belongs to a class or to another group")
            group = RosterClass(id=id_, school=school, name=_name(record), academic_year=year, type=type_)
            for person, _ in _members(row, record, "students", ids["students"], faults, left_out):
                group.students[person] = None
            for person, main in _members(row, record, "employees", ids["employees"], faults, left_out):
                group.add_staff(person, Role.TEACHER)
                if main:
                    group.main = group.main or person
            left_out.count(collection)
            if group.name:
                classes[id_] = group
            else:
                left_out.add(collection, row, "name", f"{id_} has neither a name nor a code or description")
    faults.raise_any()
    left_out.raise_if_many()
    if not classes:
        raise _no_group(records)
    details = records["school"][""]
    mis_school = School(school, text(details.get("name")), _dfe_code(details))
    snapshots = build_snapshots([mis_school], classes.values(), YearGroups(), people, calendar, now, Quarantine())
    return {id_: replace(snapshot, notes=(*snapshot.notes, *left_out.notes())) for id_, snapshot in snapshots.items()}


def _type(collection: str, record: Record) -> GroupType | None:
    return GroupType.TEACHING if collection == "classes" else _TYPES.get(text(record.get("type")).upper())


def _name(record: Record) -> str:
    """Wonde has `null` for the name of some classes, and then a code or a description."""
    return next(filter(None, (text(record.get(name)) for name in ("name", "code", "description"))), "")


def _no_group(records: Collections) -> SnapshotRejected:
    types = Counter(text(record.get("type")).upper() for record in records["groups"].values())
    counts = [f"{number} of {f'the type {type_}' if type_ else 'no type'}" for type_, number in sorted(types.items())]
    named = ", ".join(counts) or "none"
    return rejection(
        f"the school has no class at Wonde, and no group of the types {' and '.join(_TYPES)}; its groups: {named}",
        "ask the school how its MIS names year and registration groups, and Wonde how it exports them",
    )


def _people(records: Collections, faults: Faults) -> tuple[dict[str, dict[str, MisId]], dict[str, Person]]:
    """The person ids of students and of employees by Wonde's id, and all people by person id.

    A person's id is the `mis_id`. It is Wonde's id if there is no `mis_id`, or if a student and an employee have the
    same one, because some MIS number them separately. Wonde gives no usernames. Only the email is kept.
    """
    uses = Counter(person["mis_id"] for name in _PEOPLE for person in records[name].values())
    people: dict[str, Person] = {}
    ids: dict[str, dict[str, MisId]] = {name: {} for name in _PEOPLE}
    for name in _PEOPLE:
        for number, (wonde_id, record) in enumerate(records[name].items(), start=1):
            mis_id = record["mis_id"]
            person = MisId(mis_id if mis_id and uses[mis_id] == 1 else wonde_id)
            if person in people:
                faults.add(Row(f"{name}, number", number, {}, ()), "id", f"id {person} is already another person's")
            people[person] = Person(person, "", record["email"])
            ids[name][wonde_id] = person
    return ids, people


def _members(
    row: Row, group: Record, role: str, known: Mapping[str, MisId], faults: Faults, left_out: LeftOut
) -> Iterator[tuple[MisId, bool]]:
    """Person ids, each with whether the person is the main teacher. A missing list is a fault, not an empty list.

    A member who is not among the school's people is left out: some MIS keep those who left the school in its classes.
    """
    listed = at(group, role).get("data")
    if not isinstance(listed, list) or not all(isinstance(person, dict) for person in listed):
        faults.add(row, role, "is not a list (the token may lack the scope for it)")
        return
    name = f"memberships of {role}"
    left_out.count(name, len(listed))
    for person in listed:
        id_ = text(person.get("id"))
        if id_ in known:
            yield known[id_], at(person, "meta").get("is_main_teacher") is True
        else:
            left_out.add(name, row, role, f"id {id_} is not among the school's {role}")


def _email(person: Record, wanted: Iterable[WondeEmail]) -> str:
    """The first of the wanted addresses that the person's contact details have; empty if they have none of them."""
    emails = at(person, "contact_details", "data", "emails")
    return next(filter(None, (text(emails.get(name)) for name in wanted)), "")


def _dfe_code(school: Record) -> str:
    """The local authority's three-digit code and the establishment's four-digit number; empty if one is missing."""
    authority, number = text(school.get("la_code")), text(school.get("establishment_number"))
    return f"{authority.zfill(3)}{number.zfill(4)}" if authority and number else ""
