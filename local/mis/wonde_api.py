"""Wonde's REST server, which serves a generated school and can be given faults."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from zlib import crc32

from aiohttp import web

from local.mis.changes import Changes
from local.school.data import SchoolData, SchoolPerson

TOKEN = "a token of Wonde's"
SCHOOL = "A1930499544"
_LARGEST_PAGE = 200
_COLLECTIONS = ("classes", "groups", "students", "employees")
_Record = dict[str, Any]


@dataclass(slots=True)
class WondeServer:
    """Serves `school` as it is at each request, under Wonde's id SCHOOL. The runner sets `port` to the port in use.

    The other fields are its behaviour and its faults:

    - `links_to` is the address in links to the next page; `whole_links` repeat the whole query of the request.
    - `says_more` is whether a page says `more`; its link to the next page says it, too.
    - `tears` is how often it inserts a record after a first page.
    - `miscounts` is how many of its counts have one student too many.
    - `left_out` is the number of a page that its links skip.
    - `wrong_region` makes it another of Wonde's domains, which has no data.
    - `busy` is how many requests it answers with 429, with Retry-After if `retry_after`.
    - `broken` is the status of all other answers, if not 0, and `broken_page` that of pages after the first.
    - `lag` is the delay after which a change of the school is served.
    - `updates` is whether it serves the changes since a time, by its clock `now`, or ignores that parameter.
    - `alone` is whether it has single classes and groups.
    - `changes.hard` makes it report no deletion.
    - `requests` are the paths and queries of all requests so far.
    """

    school: SchoolData
    port: int = 0
    page: int = _LARGEST_PAGE
    links_to: str = "https://api.wonde.com"
    whole_links: bool = True
    says_more: bool = True
    tears: int = 0
    miscounts: int = 0
    left_out: int = 0
    wrong_region: bool = False
    busy: int = 0
    retry_after: bool = True
    broken: int = 0
    broken_page: int = 0
    lag: timedelta = timedelta(0)
    updates: bool = True
    alone: bool = True
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    change: Callable[[str, list[_Record]], list[_Record]] = field(default=lambda _, records: records)
    requests: list[str] = field(default_factory=list)
    changes: Changes = field(init=False)
    _versions: list[tuple[datetime, SchoolData]] = field(default_factory=list)
    _noted: object = None

    def __post_init__(self) -> None:
        self.changes = Changes(lambda: self.now())

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/v1.0/schools/{school}", self._school)
        app.router.add_get("/v1.0/schools/{school}/counts", self._counts)
        app.router.add_get("/v1.0/schools/{school}/{collection}", self._collection)
        app.router.add_get("/v1.0/schools/{school}/{collection}/{id}", self._single)
        return app

    async def _school(self, request: web.Request) -> web.Response:
        if refused := self._refused(request):
            return refused
        if self.wrong_region:
            return web.json_response({"data": []})
        code = self.school.dfe_code
        school = {"id": SCHOOL, "name": self.school.name, "la_code": code[:3], "establishment_number": code[3:]}
        return web.json_response({"data": self.change("school", [school])[0]})

    async def _counts(self, request: web.Request) -> web.Response:
        if refused := self._refused(request):
            return refused
        names = [name for name in request.query.get("include", "").split(",") if name in _COLLECTIONS]
        counts = {name: len(self._records(name, "")) for name in names}
        if self.miscounts:
            self.miscounts -= 1
            counts["students"] += 1
        record = {name: {"data": {"count": count}} for name, count in counts.items()}
        return web.json_response({"data": self.change("counts", [record])[0], "meta": {}})

    async def _collection(self, request: web.Request) -> web.Response:
        if refused := self._refused(request):
            return refused
        name = request.match_info["collection"]
        if name not in (*_COLLECTIONS, "deletions"):
            return web.json_response({"error": "resource_not_found"}, status=404)
        number = int(request.query.get("page", "1"))
        if self.broken_page and number > 1:
            return web.Response(status=self.broken_page)
        limit = min(int(request.query.get("per_page", "50")), self.page, _LARGEST_PAGE)
        records = self._since(name, request.query)
        if self.tears and number > 1:
            self.tears -= 1
            records = [{**records[0], "id": "A0"}, *records]
        more = number * limit < len(records)
        query = {**(request.query if self.whole_links else {}), "page": str(number + 1 + (number + 1 == self.left_out))}
        link = f"{self.links_to}{request.path}?{request.url.with_query(query).raw_query_string}"
        pagination: _Record = {"next": link if more else None, "per_page": limit, "current_page": number}
        pagination |= {"more": more} if self.says_more else {}
        page = records[(number - 1) * limit : number * limit]
        return web.json_response({"data": page, "meta": {"pagination": pagination}})

    async def _single(self, request: web.Request) -> web.Response:
        if refused := self._refused(request):
            return refused
        name, id_ = request.match_info["collection"], request.match_info["id"]
        known = self._records(name, request.query.get("include", "")) if name in ("classes", "groups") else []
        found = [record for record in known if record["id"] == id_]
        if not (found and self.alone):
            return web.json_response({"error": "resource_not_found"}, status=404)
        return web.json_response({"data": self.change("single", found)[0], "meta": {}})

    def _refused(self, request: web.Request) -> web.Response | None:
        self.requests.append(str(request.rel_url))
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.json_response({"error": "invalid_token"}, status=401)
        if self.busy:
            self.busy -= 1
            return web.Response(status=429, headers={"Retry-After": "3"} if self.retry_after else {})
        if self.broken:
            return web.Response(status=self.broken)
        if request.match_info["school"] != SCHOOL:
            return web.json_response({"error": "resource_not_found"}, status=404)
        return None

    def _since(self, name: str, query: Mapping[str, str]) -> list[_Record]:
        """The records of a collection, or those that changed after the time in the query."""
        if (served := (self._school_now(), self.change, self.wrong_region)) != self._noted:
            for collection in ("students", "employees"):
                self.changes.note(collection, self._records(collection, "contact_details"), "id")
            self._noted = served
        since = query.get("updated_after", "") if self.updates else ""
        if name == "deletions":
            deleted = self.changes.of(query.get("type", ""), deleted=True)
            return [{"id": record["id"], "type": query["type"]} for record, at in deleted if _time(at) > since]
        records = self._records(name, query.get("include", ""))
        if not since:
            return records
        changed = {record["id"] for record, at in self.changes.of(name, deleted=False) if _time(at) > since}
        return [record for record in records if record["id"] in changed]

    def _school_now(self) -> SchoolData:
        """The version of the school that is served now."""
        now = self.now()
        if not self._versions or self._versions[-1][1] != self.school:
            self._versions.append((now, self.school))
        visible = [version for since, version in self._versions if since <= now - self.lag]
        return visible[-1] if visible else self._versions[0][1]

    def _records(self, name: str, include: str) -> list[_Record]:
        if self.wrong_region:
            return []
        school = self._school_now()
        included = include.split(",")
        match name:
            case "students":
                records = [_person(one, "contact_details" in included) for one in school.pupils]
            case "employees":
                records = [_person(one, "contact_details" in included) for one in school.staff]
            case "classes":
                records = _classes(school, homerooms=False)
            case _:
                records = [{**one, "type": "REGISTRATION"} for one in _classes(school, homerooms=True)]
                records += _years(school)
        for record in records:
            for list_ in {"students", "employees"} - set(included):
                record.pop(list_, None)
        return self.change(name, records)


def _classes(school: SchoolData, *, homerooms: bool) -> list[_Record]:
    return [
        {
            "id": wonde_id(group.id),
            "mis_id": group.id,
            "name": group.title,
            "code": group.title,
            "description": group.title,
            "subject": None,
            "students": _listed(group.pupils),
            "employees": {
                "data": [{**_named(one.teacher), "meta": {"is_main_teacher": one.primary}} for one in group.staff]
            },
        }
        for group in school.groups
        if group.homeroom is homerooms
    ]


def _years(school: SchoolData) -> list[_Record]:
    """Year groups, and a house, which the sync must ignore."""
    years = dict.fromkeys(pupil.year for pupil in school.pupils)
    members = {year: [pupil.id for pupil in school.pupils if pupil.year == year] for year in years}
    groups = [("YEAR", year, pupils) for year, pupils in members.items()]
    groups.append(("HOUSE", "Red", [pupil.id for pupil in school.pupils]))
    return [
        {
            "id": wonde_id(f"{type_} {name}"),
            "mis_id": name,
            "name": name,
            "code": name,
            "description": name,
            "type": type_,
            "students": _listed(pupils),
            "employees": {"data": []},
        }
        for type_, name, pupils in groups
    ]


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S")


@cache
def wonde_id(mis_id: str) -> str:
    """Wonde's own id of the MIS record with the id `mis_id`."""
    return f"A{crc32(mis_id.encode()):010}"


def _named(mis_id: str) -> _Record:
    return {"id": wonde_id(mis_id), "mis_id": mis_id}


def _listed(mis_ids: Iterable[str]) -> _Record:
    return {"data": [_named(mis_id) for mis_id in mis_ids]}


def _person(person: SchoolPerson, with_details: bool) -> _Record:
    """A person, with the personal data that Wonde really sends and the app must not keep."""
    email = person.email or f"{person.username}@school.onmicrosoft.com"
    record = {**_named(person.id), "forename": person.given, "surname": person.family, "date_of_birth": "2012-02-29"}
    private = f"{person.family.lower()}@home.example"
    if person.year:
        emails = {"email": email, "primary": email, "work": None, "home": private}
    else:
        emails = {"email": private, "primary": private, "work": email, "home": private}
    details = {"emails": emails, "phones": {"phone": "01632 960000"}}
    return record | ({"contact_details": {"data": details}} if with_details else {})
