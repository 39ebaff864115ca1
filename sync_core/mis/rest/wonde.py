"""Wonde over REST: a school read whole by pages, checked by its counts, and anew where it changes meanwhile."""

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
from sync_core.mis.rest.client import READINGS, MisApi, Torn, mis_client
from sync_core.mis.roster import RosterClass, YearGroups, snapshots

_PAGE = 200
_FIRST_MONTH = 9
_COUNTED = ("students", "classes", "employees")
_PEOPLE = ("students", "employees")
_OVERLAP = timedelta(hours=2)
"""Wonde does not say in which time zone it reads a moment, and clocks differ."""
_TYPES = {"REGISTRATION": GroupType.REGISTRATION, "YEAR": GroupType.YEAR}
_TAUGHT = {"include": "students,employees"}
_REACHED = {"include": "contact_details"}
_SCOPES = "have Wonde give the token the scopes of this school's classes, groups, students, employees and their emails"


async def read_wonde(api: WondeApi, secret: str, school: str, cache: SchoolCache, clock: Clock) -> dict[str, Snapshot]:
    """The school that the source names, by our id `school`. Raises SnapshotRejected, Transient.

    Of its people, what changed since they are held is asked for, and all of them where that leaves a doubt. Who is in
    which class is always read whole: nothing says that a change of that is one of the class.
    """
    async with mis_client(api.url) as client:
        host = urlsplit(api.url).hostname or ""
        server = MisApi(f"the Wonde server {host}", client, clock)
        server.sign_in(secret)
        pull = _Pull(server, host, f"/v1.0/schools/{quote(api.school, safe='')}")
        began, before = clock.now(), cache.of(api, school, clock.now())
        found = await pull.changed(before) if before else None
        whole_at = before.whole_at if before and found else began
        if found is None:
            failed = f"the school was not read whole in {READINGS} readings: "
            found = await server.whole(pull.all, failed, "Wonde")
        cache.put(api, school, CachedSchool({name: _reachable(found[name]) for name in _PEOPLE}, began, whole_at))
        return _snapshot(found, school, clock.now())


class _Pull:
    """One reading of a school."""

    def __init__(self, server: MisApi, host: str, root: str) -> None:
        self._server = server
        self._host = host
        self._root = root

    async def all(self) -> Collections:
        """Raises Torn where the counts tell of other numbers than were read, or changed over the reading."""

        async def people(name: str) -> Mapping[str, Record]:
            return await self._listed(name, _REACHED)

        return await self._counted(people)

    async def changed(self, before: CachedSchool) -> Collections | None:
        """With the people of `before` and what changed of them; None where that cannot be had, or does not add up."""
        since = {"updated_after": (before.at - _OVERLAP).strftime("%Y-%m-%d %H:%M:%S")}

        async def people(name: str) -> Mapping[str, Record]:
            deleted = await self._listed("deletions", {**since, "type": name})
            left = {id_: one for id_, one in before.collections[name].items() if id_ not in deleted}
            return left | await self._listed(name, {**_REACHED, **since})

        try:
            return await self._counted(people)
        except (Torn, SnapshotRejected):
            return None

    async def _counted(self, people: Callable[[str], Awaitable[Mapping[str, Record]]]) -> Collections:
        school = (await self._server.get(self._root, {})).body.get("data")
        if not isinstance(school, dict) or not school:
            raise self._no_data("not even its name")
        before = await self._counts()
        found: dict[str, Mapping[str, Record]] = {"school": {"": school}}
        for name in ("classes", "groups"):
            found[name] = await self._listed(name, _TAUGHT)
        for name in _PEOPLE:
            found[name] = await people(name)
        after = await self._counts()
        if not any((found["classes"], found["students"], after["classes"], after["students"])):
            raise self._no_data("neither a class nor a student")
        for name in _COUNTED:
            if after[name] is None:
                raise self._server.rejected(f"its counts do not tell how many {name} there are", _SCOPES)
            if before[name] != after[name]:
                raise Torn(f"the count of {name} changed meanwhile")
            if len(found[name]) != after[name]:
                raise Torn(f"{len(found[name])} {name} were read, and the counts tell of {after[name]}")
        return found

    def _no_data(self, what: str) -> SnapshotRejected:
        """Wonde's domains answer for schools of other regions too, and have nothing of them."""
        return self._server.rejected(
            f"it has no data of the school, {what}",
            f"check whether {self._host} is the domain of the school's region, and whether the school approved access",
        )

    async def _counts(self) -> dict[str, int | None]:
        answer = await self._server.get(f"{self._root}/counts", {"include": ",".join(_COUNTED)})
        told = _dict(answer.body.get("data"))
        counts = {name: _text(_dict(_dict(told.get(name)).get("data")).get("count")) for name in _COUNTED}
        return {name: int(count) if count.isdecimal() else None for name, count in counts.items()}

    async def _listed(self, collection: str, asked: Mapping[str, str]) -> dict[str, Record]:
        """All pages, each record once, by Wonde's id. Raises Torn."""
        query = {**asked, "per_page": str(_PAGE)}
        found: dict[str, Record] = {}
        while True:
            page = await self._server.get(f"{self._root}/{collection}", query)
            records = page.body.get("data")
            if not isinstance(records, list) or not all(isinstance(one, dict) for one in records):
                raise self._server.rejected(f"a page has no list of {collection}", _SCOPES)
            for one in records:
                id_ = _text(one.get("id"))
                if not id_:
                    raise self._server.rejected(f"one of the {collection} has no id", "ask Wonde about it")
                if id_ in found:
                    raise Torn(f"one of the {collection} came twice")
                found[id_] = one
            pagination = _dict(_dict(page.body.get("meta")).get("pagination"))
            following = pagination.get("next")
            if not isinstance(pagination.get("more"), bool) or (pagination["more"] and not isinstance(following, str)):
                raise self._server.rejected(
                    f"a page of {collection} does not tell whether or where more follow", "check the url in the source"
                )
            if not pagination["more"]:
                return found
            if not records:
                raise Torn(f"a page of {collection} is empty, and more are to follow")
            # The query alone: the token must not follow a link to another server.
            query |= dict(parse_qsl(str(following).partition("?")[2].partition("#")[0]))


def _snapshot(records: Collections, school: str, now: datetime) -> dict[str, Snapshot]:
    """All of it is of the academic year of `now`, from September to August: Wonde tells of none. Raises as `snapshots`.

    Classes are teaching groups; of the groups, those of type REGISTRATION and YEAR count. `school` is its id.
    """
    faults = Faults()
    students, staff, people = _people(records, faults)
    year = now.year if now.month >= _FIRST_MONTH else now.year - 1
    found: dict[str, RosterClass] = {}
    for collection in ("classes", "groups"):
        for number, one in enumerate(records[collection].values(), start=1):
            type_ = GroupType.TEACHING if collection == "classes" else _TYPES.get(_text(one.get("type")).upper())
            if type_ is None:
                continue
            row, id_ = Row(f"{collection}, number {number}", {}), _text(one.get("id"))
            if id_ in found:
                faults.add(row, "id", f"id {id_} is that of a class, or of another group")
            name = _text(one.get("name"))
            if not name:
                faults.add(row, "name", "is empty")
            group = found[id_] = RosterClass(id_, school, type_, name, year)
            for person, _ in _members(row, one, "students", students, faults):
                group.students[person] = None
            for person, main in _members(row, one, "employees", staff, faults):
                group.teachers[person] = None
                if main:
                    group.main[person] = None
    faults.raise_any()
    known = records["school"][""]
    named = School(school, _text(known.get("name")), _dfe_code(known))
    return snapshots([named], found.values(), YearGroups(), people, year, now)


def _reachable(people: Mapping[str, Record]) -> dict[str, Record]:
    """What is kept of them: Wonde tells more, names too, and has no way to be asked for less."""
    return {
        id_: {"id": id_, "mis_id": one.get("mis_id"), "contact_details": {"data": {"emails": {"email": _email(one)}}}}
        for id_, one in people.items()
    }


def _email(person: Record) -> str:
    emails = _dict(_dict(_dict(person.get("contact_details")).get("data")).get("emails"))
    return _text(emails.get("email"))


def _people(records: Collections, faults: Faults) -> tuple[dict[str, str], dict[str, str], dict[str, Person]]:
    """The person ids of students and of staff by Wonde's id, and everybody.

    A person's id is the `mis_id`; Wonde's own where there is none, or where a student and an employee, whom some MIS
    number apart, have the same. There is no username; the email is that of `contact_details`, and nothing else is kept.
    """
    everybody = [one for collection in _PEOPLE for one in records[collection].values()]
    taken = Counter(_text(one.get("mis_id")) for one in everybody)
    people: dict[str, Person] = {}
    ids: dict[str, dict[str, str]] = {"students": {}, "employees": {}}
    for collection in _PEOPLE:
        for number, one in enumerate(records[collection].values(), start=1):
            wonde_id, mis_id = _text(one.get("id")), _text(one.get("mis_id"))
            person = mis_id if mis_id and taken[mis_id] == 1 else wonde_id
            if person in people:
                faults.add(Row(f"{collection}, number {number}", {}), "id", f"id {person} is somebody else's already")
            people[person] = Person(person, "", _email(one))
            ids[collection][wonde_id] = person
    return ids["students"], ids["employees"], people


def _members(row: Row, group: Record, role: str, known: Mapping[str, str], faults: Faults) -> list[tuple[str, bool]]:
    """Person ids, and who is marked the main teacher. A list that is not there is a fault, never an empty one."""
    listed = _dict(group.get(role)).get("data")
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        faults.add(row, role, "is no list, as without the scope for it")
        return []
    found: list[tuple[str, bool]] = []
    for one in listed:
        id_ = _text(one.get("id"))
        if id_ in known:
            found.append((known[id_], _dict(one.get("meta")).get("is_main_teacher") is True))
        else:
            faults.add(row, role, f"id {id_} is not among the school's {role}")
    return found


def _dfe_code(school: Record) -> str:
    """The local authority's code of three digits and the establishment's number of four; empty if one is missing."""
    authority, number = _text(school.get("la_code")), _text(school.get("establishment_number"))
    return f"{authority.zfill(3)}{number.zfill(4)}" if authority and number else ""


def _dict(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return str(value).strip() if isinstance(value, str | int) else ""
