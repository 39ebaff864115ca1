"""Reads a school over Wonde's REST API, page by page, checks its counts, and repeats a read during which it changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import product
from typing import Any
from urllib.parse import quote, urlsplit

from sync_core.clock import Clock
from sync_core.domain.ids import MisId, SchoolId, plain_id
from sync_core.domain.roster import GroupType, Person, School
from sync_core.domain.school.sources import WondeApi
from sync_core.errors import SnapshotRejected
from sync_core.mis.academic_years import Calendar
from sync_core.mis.budget import ServerBudget, whole_number
from sync_core.mis.files.words import Role
from sync_core.mis.quarantine import CORRECT, Quarantine
from sync_core.mis.records import Record, Schema
from sync_core.mis.rejection import rejection
from sync_core.mis.rest.answer import CHECK_URL
from sync_core.mis.rest.cache import CachedSchool, Collections, SchoolCache
from sync_core.mis.rest.client import MisApi, Torn, at, link_query
from sync_core.mis.rest.wonde_records import EMAIL, GROUP, ID, MAIN, PERSON, SCHOOL, person_of
from sync_core.mis.roster import RosterClass, Snapshots, YearGroups, build_snapshots, with_format
from sync_core.mis.rows import Row, record_place

_PAGE = 200
_COUNTED = ("students", "classes", "employees")
_PEOPLE = ("students", "employees")
_OVERLAP = timedelta(hours=2)
"""Wonde does not say in which time zone it reads `updated_after`, and clocks differ."""
_TYPES = {"REGISTRATION": GroupType.REGISTRATION, "YEAR": GroupType.YEAR}
_NO_ID = "\0"
"""Begins the key of a record without an id."""
_SCOPES = "have Wonde give the token the scopes for this school's classes, groups, students, employees and emails"


@dataclass(frozen=True, slots=True)
class WondeOrigin:
    """What single groups are read again with: the ids that people have by Wonde's ids, on the day of the reading."""

    api: WondeApi
    calendar: Calendar
    ids: dict[str, dict[str, MisId]]


async def read_wonde(
    api: WondeApi, secret: str, school: SchoolId, cache: SchoolCache, clock: Clock, calendar: Calendar
) -> Snapshots:
    """A snapshot of the school that the source names, by our id `school`. Raises SnapshotRejected, Transient."""
    budget = ServerBudget()
    async with WondeServer(api, budget, clock) as server:
        server.sign_in(secret)
        records = await server.read_school(api, school, cache)
    quarantine = Quarantine(budget.memory)
    roster = Roster(records, school, calendar.current_year, quarantine)
    snapshots = with_format(roster.snapshots(clock.now(), calendar), "Wonde", calendar)
    origin = WondeOrigin(api, calendar, roster.ids)
    return {id_: replace(snapshot, origin=origin) for id_, snapshot in snapshots.items()}


async def reach_wonde(api: WondeApi, secret: str, clock: Clock) -> None:
    """Read the school without its people. Nothing is retried. Raises SnapshotRejected, Transient."""
    async with WondeServer(api, ServerBudget(waits=timedelta(0)), clock) as server:
        server.sign_in(secret)
        await server.read_itself()


class WondeServer(MisApi):
    """Wonde, for one school."""

    contact = "Wonde"
    cached = dict.fromkeys(_PEOPLE, PERSON)

    def __init__(self, api: WondeApi, budget: ServerBudget, clock: Clock) -> None:
        self._host = urlsplit(api.url).hostname or ""
        self._root = f"/v1.0/schools/{quote(api.school, safe='')}"
        self._emails = {"students": api.student_email, "employees": api.staff_email}
        super().__init__(f"the Wonde server {self._host}", api.url, budget, clock)

    async def read(self, cached: CachedSchool | None) -> Collections:
        """Raises Torn if a count differs from the records, or changed during the read.

        Classes and their members are always read in full, because Wonde does not say that a change of members changes
        the class.
        """
        school = await self.read_itself()
        before = await self._read_counts()
        records: dict[str, Mapping[str, Record]] = {"school": {"": school}}
        for name in ("classes", "groups"):
            records[name] = await self._read_pages(name, {"include": "students,employees"}, GROUP)
        if (await self._read_pages("groups", {}, ID)).keys() != records["groups"].keys():
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

    async def read_itself(self) -> Record:
        """The school without its people and classes."""
        details = at((await self.get(self._root, {}, SCHOOL.read)).answer.fields, "data")
        school = SCHOOL.read(details)
        if not (details and school):
            raise self._no_data("not even its name")
        return school

    def _no_data(self, missing: str) -> SnapshotRejected:
        """Each of Wonde's domains accepts requests for schools of other regions, but has no data for them."""
        return self.rejection(
            f"returned no data for the school, {missing}",
            f"check that {self._host} is the domain of the school's region, and that the school approved access",
        )

    async def read_group(self, collection: str, id_: str) -> Record:
        """One class or group with its people. Raises Torn if it is not there, SnapshotRejected."""
        path = f"{self._root}/{collection}/{quote(id_, safe='')}"
        page = await self.get(path, {"include": "students,employees"}, GROUP.read)
        group = GROUP.read(at(page.answer.fields, "data"))
        if group is None or group.id != id_:
            raise Torn("another record was returned than the requested group")
        return group

    async def _read_counts(self) -> dict[str, int | None]:
        page = await self.get(f"{self._root}/counts", {"include": ",".join(_COUNTED)}, ID.read)
        fields = page.answer.fields
        return {name: whole_number(at(fields, "data", name, "data").get("count")) for name in _COUNTED}

    async def _read_people(self, name: str, cached: CachedSchool | None) -> Mapping[str, Record]:
        """The people: those cached with the changes since, or all of them."""
        since: dict[str, str] = {}
        unchanged: dict[str, Record] = {}
        if cached:
            since = {"updated_after": (cached.began_at - _OVERLAP).strftime("%Y-%m-%d %H:%M:%S")}
            deleted = await self._read_pages("deletions", {**since, "type": name}, ID)
            known = cached.collections[name].unpack(self._budget.memory)
            unchanged = {id_: person for id_, person in known.items() if id_ not in deleted}
        people = await self._read_pages(name, {"include": "contact_details", **since}, person_of(self._emails[name]))
        return unchanged | people

    async def _read_pages(self, collection: str, parameters: Mapping[str, str], schema: Schema) -> dict[str, Record]:
        """The records of all pages by Wonde's id, or by a key that is no id where they have none. Raises Torn."""
        query: Mapping[str, str] | None = {**parameters, "per_page": str(_PAGE)}
        records: dict[str, Record] = {}
        while query is not None:
            answer = (await self.get(f"{self._root}/{collection}", query, schema.read)).answer
            listed = answer.lists.get("data")
            if listed is None or None in listed:
                raise self.rejection(f"returned a page without a list of {collection}", _SCOPES)
            for record in filter(None, listed):
                id_ = record.id or f"{_NO_ID}{len(records) + 1}"
                if id_ in records:
                    raise Torn(f"a record of {collection} was returned twice")
                self._budget.memory.keep(record.size)
                records[id_] = record
            query = self._next_query(collection, answer.fields, query)
            if query is not None and not listed:
                raise Torn(f"a page of {collection} is empty, but more pages follow")
        return records

    def _next_query(self, collection: str, body: Mapping[str, Any], query: Mapping[str, str]) -> dict[str, str] | None:
        """The query of the next page; None after the last one. `more` may be missing, but not contradict the link."""
        pagination = at(body, "meta", "pagination")
        more, link = pagination.get("more", bool(pagination.get("next"))), pagination.get("next")
        agree = more is isinstance(link, str) or (more is False and link == "")
        known = isinstance(more, bool) and "next" in pagination and agree
        if not known:
            raise self.rejection(f"returned a page of {collection} without valid paging details", CHECK_URL)
        return {**query, **link_query(str(link))} if more else None


@dataclass(slots=True)
class Roster:
    """The school's people and groups while its records are read, in the academic year of today: Wonde names none.

    Classes are teaching groups. Of the groups, only the types REGISTRATION and YEAR count. Records that cannot be
    understood are left out. `ids` are the person ids of students and of employees by Wonde's id.
    """

    records: Collections
    school: SchoolId
    year: int
    quarantine: Quarantine
    ids: dict[str, dict[str, MisId]] = field(default_factory=lambda: {name: {} for name in _PEOPLE})
    people: dict[str, Person] = field(default_factory=dict)
    classes: dict[str, RosterClass] = field(default_factory=dict)

    def snapshots(self, now: datetime, calendar: Calendar) -> Snapshots:
        """The snapshot by school id. Raises SnapshotRejected."""
        self.read_people()
        for collection in ("classes", "groups"):
            self.read_groups(collection)
        details = self.records["school"][""]
        schools = [School(self.school, details["name"], _dfe_code(details))]
        if not self.classes and not self.quarantine.has_left_out(self.school):
            raise _no_group(self.records)
        years = YearGroups(self.quarantine.budget)
        return build_snapshots(schools, self.classes.values(), years, self.people, calendar, now, self.quarantine)

    def read_people(self) -> None:
        """A person's id is the `mis_id`. Wonde gives no usernames, and only the email is kept.

        It is Wonde's id if there is no `mis_id`, or if a student and an employee have the same one, because some MIS
        number them separately.
        """
        uses = Counter(person["mis_id"] for name in _PEOPLE for person in self.records[name].values())
        for name in _PEOPLE:
            for number, (key, record) in enumerate(self.records[name].items(), start=1):
                wonde_id, mis_id = _real_id(key), record["mis_id"]
                person = MisId(mis_id if mis_id and uses[mis_id] == 1 else wonde_id)
                if record.fault or not wonde_id or person in self.people:
                    reason = f"{plain_id(person)} is already another person's" if wonde_id else "is empty"
                    field_, reason = (record.field, record.fault) if record.fault else ("id", reason)
                    self.quarantine.leave_out(_row(name, key, number), field_, reason, self.school)
                    for id_ in {wonde_id, mis_id, person} - {""} or {""}:
                        self.quarantine.doubt_person(id_, self.school)
                else:
                    self.people[person] = Person(person, "", record[EMAIL])
                    self.ids[name][wonde_id] = person
            self.quarantine.count(name, self.school, len(self.ids[name]))

    def read_groups(self, collection: str) -> None:
        """Read the groups of a collection. Raises SnapshotRejected if none of several of a type lists its people."""
        groups = {
            key: record
            for key, record in self.records[collection].items()
            if _type(collection, record) or record.field == "type"
        }
        numbers = {key: number for number, key in enumerate(self.records[collection], start=1)}
        for type_, role in product(GroupType, _PEOPLE):
            alike = [record for record in groups.values() if _type(collection, record) is type_]
            if len(alike) > 1 and not any(role in record.parts for record in alike):
                raise rejection(f"none of the {collection} of the type {type_} has a list of {role}", _SCOPES)
        for key, record in groups.items():
            self._read_group(_row(collection, key, numbers[key]), key, record)

    def _read_group(self, row: Row, key: str, record: Record) -> None:
        type_, id_ = _type(row.source, record), _real_id(key)
        if record.fault:
            remedy = _SCOPES if record.field in _PEOPLE else CORRECT
            self._leave_out(row, record.field, record.fault, id_, remedy)
        elif not id_:
            self._leave_out(row, "id", "is empty", id_)
        elif id_ in self.classes:
            self._leave_out(row, "id", "is already that of a class or of another group", id_)
            self.quarantine.doubt_group("", self.school)
        elif not _name(record):
            self._leave_out(row, "name", "is empty, as are its code and description", id_)
        elif type_:
            group = RosterClass(id_, self.school, _name(record), self.year, self.quarantine.budget, type_)
            group.subject = record["subject"]
            self.classes[id_] = group
            for person, _ in self._members(row, group.id, record, "students"):
                group.add_student(person)
            for person, main in self._members(row, group.id, record, "employees"):
                group.add_staff(person, Role.TEACHER, primary=main)
            self.quarantine.count(row.source, self.school, 1)

    def _leave_out(self, row: Row, field_: str, reason: str, group: str, remedy: str = CORRECT) -> None:
        self.quarantine.leave_out(row, field_, reason, self.school, remedy)
        self.quarantine.doubt_group(group, self.school)

    def _members(self, row: Row, group: str, record: Record, role: str) -> Iterator[tuple[MisId, bool]]:
        """Person ids, each with whether the person is the main teacher.

        A member who is not among the school's people is left out: some MIS keep those who left the school in its
        classes.
        """
        source, known = f"{row.source}.{role}", self.ids[role]
        for person in record.parts[role]:
            id_, mis_id = person["id"], person["mis_id"]
            if person.fault:
                self._leave_out_member(Row(source, row.at), group, person.field, person.fault, {id_, mis_id})
                continue
            if id_ in known:
                self.quarantine.count(source, self.school, 1)
                yield known[id_], person.get(MAIN) == "true"
            elif not (self.quarantine.is_unread(id_) or self.quarantine.is_unread(mis_id)):
                reason = f"{plain_id(id_)} is not among the school's {role}" if id_ else "is empty"
                self._leave_out_member(Row(source, row.at), group, "id", reason, {id_, mis_id})

    def _leave_out_member(self, row: Row, group: str, field_: str, reason: str, possible: set[str]) -> None:
        """`possible` are the ids that the member may be known by."""
        self.quarantine.leave_out(row, field_, reason, self.school)
        for person in possible - {""} or {""}:
            self.quarantine.doubt_membership(group, person, self.school)


def _row(collection: str, key: str, number: int) -> Row:
    return Row(collection, record_place(_real_id(key), number))


def _real_id(key: str) -> str:
    """The id of the record under this key; empty if it has none."""
    return "" if key.startswith(_NO_ID) else key


def _type(collection: str, record: Record) -> GroupType | None:
    return GroupType.TEACHING if collection == "classes" else _TYPES.get(record["type"].upper())


def _name(record: Record) -> str:
    """Wonde has `null` for the name of some classes, and then a code or a description."""
    return record["name"] or record["code"] or record["description"]


def _no_group(records: Collections) -> SnapshotRejected:
    types = Counter(record["type"].upper() for record in records["groups"].values())
    counts = [f"{number} of {f'the type {type_}' if type_ else 'no type'}" for type_, number in sorted(types.items())]
    named = ", ".join(counts) or "none"
    message = f"the school has no class at Wonde, and no group of the types {' and '.join(_TYPES)}; its groups:"
    return rejection(
        f"{message} {types.total()} of other types",
        "check the feed to see their types; ask the school how its MIS names year and registration groups, and Wonde "
        "how it exports them",
        f"{message} {named}",
    )


def _dfe_code(school: Record) -> str:
    """The local authority's three-digit code and the establishment's four-digit number; empty if one is missing."""
    authority, number = school["la_code"], school["establishment_number"]
    return f"{authority.zfill(3)}{number.zfill(4)}" if authority and number else ""
