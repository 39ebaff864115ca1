"""Reads a school over Wonde's REST API, page by page, checks its counts, and repeats a read during which it changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from sync_core.clock import Clock
from sync_core.domain.roster import GroupType, Person, School, Snapshot
from sync_core.domain.school import WondeApi
from sync_core.errors import SnapshotRejected
from sync_core.mis.files.strict_csv import Faults, Row
from sync_core.mis.rest.cache import CachedSchool, Collections, Record, SchoolCache
from sync_core.mis.rest.client import MisApi, Torn, mis_client
from sync_core.mis.roster import RosterClass, YearGroups, build_snapshots

_PAGE = 200
_FIRST_MONTH = 9
_COUNTED = ("students", "classes", "employees")
_PEOPLE = ("students", "employees")
_OVERLAP = timedelta(hours=2)
"""Wonde does not say in which time zone it reads `updated_after`, and clocks differ."""
_TYPES = {"REGISTRATION": GroupType.REGISTRATION, "YEAR": GroupType.YEAR}
_WITH_MEMBERS = {"include": "students,employees"}
_WITH_EMAIL = {"include": "contact_details"}
_SCOPES = "have Wonde give the token the scopes for this school's classes, groups, students, employees and emails"


async def read_wonde(api: WondeApi, secret: str, school: str, cache: SchoolCache, clock: Clock) -> dict[str, Snapshot]:
    """A snapshot of the school that the source names, by our id `school`. Raises SnapshotRejected, Transient.

    Requests only the people who changed since the cached read, and all of them if the result is in doubt. Classes and
    their members are always read in full, because Wonde does not say that a change of members changes the class.
    """
    async with mis_client(api.url) as client:
        host = urlsplit(api.url).hostname or ""
        server = MisApi(f"the Wonde server {host}", client, clock)
        server.sign_in(secret)
        pull = _Pull(server, host, f"/v1.0/schools/{quote(api.school, safe='')}")
        began_at, cached = clock.now(), cache.of(api, school, clock.now())
        records = await pull.read_changes(cached) if cached else None
        full_read_at = cached.full_read_at if cached and records else began_at
        if records is None:
            records = await server.read_full(pull.read_all, "Wonde")
        people = {name: _ids_and_emails(records[name]) for name in _PEOPLE}
        cache.put(api, school, CachedSchool(people, began_at, full_read_at))
        return _snapshot(records, school, clock.now())


class _Pull:
    """One read of a school."""

    def __init__(self, server: MisApi, host: str, root: str) -> None:
        self._server = server
        self._host = host
        self._root = root

    async def read_all(self) -> Collections:
        """All collections in full. Raises Torn if a count differs from the records, or changed during the read."""

        async def read_people(name: str) -> Mapping[str, Record]:
            return await self._read_pages(name, _WITH_EMAIL)

        return await self._read_checked(read_people)

    async def read_changes(self, cached: CachedSchool) -> Collections | None:
        """The cached people with the changes since, and classes in full. None if the read fails, or a count differs."""
        since = {"updated_after": (cached.began_at - _OVERLAP).strftime("%Y-%m-%d %H:%M:%S")}

        async def read_people(name: str) -> Mapping[str, Record]:
            deleted = await self._read_pages("deletions", {**since, "type": name})
            kept = {id_: person for id_, person in cached.collections[name].items() if id_ not in deleted}
            return kept | await self._read_pages(name, {**_WITH_EMAIL, **since})

        try:
            return await self._read_checked(read_people)
        except (Torn, SnapshotRejected):
            return None

    async def _read_checked(self, read_people: Callable[[str], Awaitable[Mapping[str, Record]]]) -> Collections:
        school = (await self._server.get(self._root, {})).body.get("data")
        if not isinstance(school, dict) or not school:
            raise self._no_data("not even its name")
        before = await self._read_counts()
        records: dict[str, Mapping[str, Record]] = {"school": {"": school}}
        for name in ("classes", "groups"):
            records[name] = await self._read_pages(name, _WITH_MEMBERS)
        for name in _PEOPLE:
            records[name] = await read_people(name)
        after = await self._read_counts()
        if not any((records["classes"], records["students"], after["classes"], after["students"])):
            raise self._no_data("neither a class nor a student")
        for name in _COUNTED:
            if after[name] is None:
                raise self._server.rejection(f"returned no count of {name}", _SCOPES)
            if before[name] != after[name]:
                raise Torn(f"the count of {name} changed during the read")
            if len(records[name]) != after[name]:
                raise Torn(f"{len(records[name])} {name} were read, but the count is {after[name]}")
        return records

    def _no_data(self, missing: str) -> SnapshotRejected:
        """Each of Wonde's domains accepts requests for schools of other regions, but has no data for them."""
        return self._server.rejection(
            f"returned no data for the school, {missing}",
            f"check that {self._host} is the domain of the school's region, and that the school approved access",
        )

    async def _read_counts(self) -> dict[str, int | None]:
        page = await self._server.get(f"{self._root}/counts", {"include": ",".join(_COUNTED)})
        data = _dict(page.body.get("data"))
        counts = {name: _text(_dict(_dict(data.get(name)).get("data")).get("count")) for name in _COUNTED}
        return {name: int(count) if count.isdecimal() else None for name, count in counts.items()}

    async def _read_pages(self, collection: str, parameters: Mapping[str, str]) -> dict[str, Record]:
        """The records of all pages by Wonde's id. Raises Torn."""
        query = {**parameters, "per_page": str(_PAGE)}
        records: dict[str, Record] = {}
        while True:
            page = await self._server.get(f"{self._root}/{collection}", query)
            listed = page.body.get("data")
            if not isinstance(listed, list) or not all(isinstance(record, dict) for record in listed):
                raise self._server.rejection(f"returned a page without a list of {collection}", _SCOPES)
            for record in listed:
                id_ = _text(record.get("id"))
                if not id_:
                    raise self._server.rejection(f"returned {collection} without an id", "ask Wonde about it")
                if id_ in records:
                    raise Torn(f"a record of {collection} was returned twice")
                records[id_] = record
            pagination = _dict(_dict(page.body.get("meta")).get("pagination"))
            link = pagination.get("next")
            if not isinstance(pagination.get("more"), bool) or (pagination["more"] and not isinstance(link, str)):
                message = f"returned a page of {collection} without valid paging details"
                raise self._server.rejection(message, "check the URL in the school's source")
            if not pagination["more"]:
                return records
            if not listed:
                raise Torn(f"a page of {collection} is empty, but more pages follow")
            # Only the query of the link is used, so that no other server gets the token.
            query |= dict(parse_qsl(str(link).partition("?")[2].partition("#")[0]))


def _snapshot(records: Collections, school: str, now: datetime) -> dict[str, Snapshot]:
    """The snapshot by school id, in the academic year of `now` (September to August), because Wonde names no year.

    Classes are teaching groups. Of the groups, only the types REGISTRATION and YEAR count. Raises SnapshotRejected.
    """
    faults = Faults()
    students, staff, people = _people(records, faults)
    year = now.year if now.month >= _FIRST_MONTH else now.year - 1
    classes: dict[str, RosterClass] = {}
    for collection in ("classes", "groups"):
        for number, record in enumerate(records[collection].values(), start=1):
            type_ = GroupType.TEACHING if collection == "classes" else _TYPES.get(_text(record.get("type")).upper())
            if type_ is None:
                continue
            row, id_ = Row(f"{collection}, number {number}", {}), _text(record.get("id"))
            if id_ in classes:
                faults.add(row, "id", f"id {id_} already belongs to a class or to another group")
            name = _text(record.get("name"))
            if not name:
                faults.add(row, "name", "is empty")
            group = classes[id_] = RosterClass(id=id_, school=school, type=type_, name=name, academic_year=year)
            for person, _ in _members(row, record, "students", students, faults):
                group.students[person] = None
            for person, main in _members(row, record, "employees", staff, faults):
                group.teachers[person] = None
                if main:
                    group.main[person] = None
    faults.raise_any()
    details = records["school"][""]
    mis_school = School(school, _text(details.get("name")), _dfe_code(details))
    return build_snapshots([mis_school], classes.values(), YearGroups(), people, year, now)


def _ids_and_emails(people: Mapping[str, Record]) -> dict[str, Record]:
    """The fields to cache. Wonde returns more, names among them, and cannot be asked for less."""
    return {
        id_: {"id": id_, "mis_id": user.get("mis_id"), "contact_details": {"data": {"emails": {"email": _email(user)}}}}
        for id_, user in people.items()
    }


def _email(person: Record) -> str:
    emails = _dict(_dict(_dict(person.get("contact_details")).get("data")).get("emails"))
    return _text(emails.get("email"))


def _people(records: Collections, faults: Faults) -> tuple[dict[str, str], dict[str, str], dict[str, Person]]:
    """The person ids of students and of staff by Wonde's id, and all people by person id.

    A person's id is the `mis_id`. It is Wonde's id if there is no `mis_id`, or if a student and an employee have the
    same one, because some MIS number them separately. Wonde gives no usernames. Only the email is kept.
    """
    everybody = [record for collection in _PEOPLE for record in records[collection].values()]
    uses = Counter(_text(record.get("mis_id")) for record in everybody)
    people: dict[str, Person] = {}
    ids: dict[str, dict[str, str]] = {"students": {}, "employees": {}}
    for collection in _PEOPLE:
        for number, record in enumerate(records[collection].values(), start=1):
            wonde_id, mis_id = _text(record.get("id")), _text(record.get("mis_id"))
            person = mis_id if mis_id and uses[mis_id] == 1 else wonde_id
            if person in people:
                faults.add(Row(f"{collection}, number {number}", {}), "id", f"id {person} is already another person's")
            people[person] = Person(person, "", _email(record))
            ids[collection][wonde_id] = person
    return ids["students"], ids["employees"], people


def _members(row: Row, group: Record, role: str, known: Mapping[str, str], faults: Faults) -> list[tuple[str, bool]]:
    """Person ids, each with whether the person is the main teacher. A missing list is a fault, not an empty list."""
    listed = _dict(group.get(role)).get("data")
    if not isinstance(listed, list) or not all(isinstance(person, dict) for person in listed):
        faults.add(row, role, "is not a list (the token may lack the scope for it)")
        return []
    members: list[tuple[str, bool]] = []
    for person in listed:
        id_ = _text(person.get("id"))
        if id_ in known:
            members.append((known[id_], _dict(person.get("meta")).get("is_main_teacher") is True))
        else:
            faults.add(row, role, f"id {id_} is not among the school's {role}")
    return members


def _dfe_code(school: Record) -> str:
    """The local authority's three-digit code and the establishment's four-digit number; empty if one is missing."""
    authority, number = _text(school.get("la_code")), _text(school.get("establishment_number"))
    return f"{authority.zfill(3)}{number.zfill(4)}" if authority and number else ""


def _dict(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return str(value).strip() if isinstance(value, str | int) else ""
