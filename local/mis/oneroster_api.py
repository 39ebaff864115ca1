"""A OneRoster REST server, 1.1 and 1.2, that serves a OneRoster CSV export and can be given faults."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from aiohttp import web

from local.mis.changes import Changes
from local.mis.token_server import TokenServer

_ROOTS = {"/ims/oneroster/v1p1": "1.1", "/ims/oneroster/rostering/v1p2": "1.2"}
_TABLES = {
    "academicSessions": "academicSessions",
    "classes": "classes",
    "enrollments": "enrollments",
    "students": "users",
    "teachers": "users",
    "users": "users",
}
"""The file of each collection."""
_Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Version:
    """A table as it was since a moment, and the records that were made of it, by version, school and collection."""

    since: datetime
    content: bytes
    rows: list[dict[str, str]]
    records: dict[tuple[str, str, str], list[_Record]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Noted:
    """The records of a path that were compared last, and all that was ever there, dated, with the deleted ones last."""

    records: list[_Record]
    dated: list[_Record]


@dataclass(slots=True)
class OneRosterServer:
    """Serves the CSV files of `folder` as they are at each request. The runner sets `port` to the port in use.

    The other fields are its behaviour and its faults:

    - `page` is its largest page, and that of every response unless it `obeys_limit`.
    - `offsets` is what it takes an offset for: "records", "pages", "aligned" (the page that has the record; it needs
      offsets that are multiples of the limit) or "ignored".
    - `links` to the next page are on each page but the last; `endless_links` are on all pages.
    - `links_to` replaces its own address in these links, which repeat the query unless `bare_links`.
    - `beyond` is the status of a page beyond the end of a list.
    - `total` gets the number of records and of those on the page, and returns X-Total-Count; None is without.
    - `total_field` puts the total into the body, under this name.
    - `tears` is how often it inserts a pupil after a first page.
    - `busy` is how many requests it answers with 429, with Retry-After if `retry_after`.
    - `broken` is the status of all other answers, if not 0.
    - `lag` is the delay after which a change of the files is served.
    - `dated` records have the time of their last change, by the clock `now`.
    - `filters` and `fields` are its treatment of these parameters: "serve", "ignore" or "refuse".
    - `largest_limit` is the largest one that it does not refuse.
    - `missing` are the collections that it has for all schools only, `unlisted` the users who are in `/users` alone.
    - `alone` is whether it has single classes, and the enrolments of one.
    - `wrappers` are other names of the lists in its responses.
    - `tokens` is its token server.
    - `changes.hard` makes it forget deleted records.
    - `requests` are the paths and queries of all requests so far.
    """

    folder: Path
    port: int = 0
    page: int = 100
    obeys_limit: bool = True
    offsets: str = "records"
    links: bool = True
    endless_links: bool = False
    links_to: str = ""
    bare_links: bool = False
    beyond: int = 200
    total: Callable[[int, int], int | None] = lambda records, page: records
    total_field: str = ""
    tears: int = 0
    busy: int = 0
    retry_after: bool = True
    broken: int = 0
    lag: timedelta = timedelta(0)
    dated: bool = False
    filters: str = "serve"
    fields: str = "serve"
    largest_limit: int = 100_000
    missing: Collection[str] = ()
    unlisted: Collection[str] = ()
    alone: bool = True
    wrappers: Mapping[str, str] = field(default_factory=dict)
    tokens: TokenServer = field(default_factory=TokenServer)
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    change: Callable[[str, list[_Record]], list[_Record]] = field(default=lambda _, records: records)
    requests: list[str] = field(default_factory=list)
    changes: Changes = field(init=False)
    _versions: dict[str, list[_Version]] = field(default_factory=dict)
    _noted: dict[str, _Noted] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.changes = Changes(lambda: self.now())

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/token", self.tokens.token)
        for root in _ROOTS:
            app.router.add_get(root + "/schools/{school}", self._school)
            app.router.add_get(root + "/orgs", self._orgs)
            app.router.add_get(root + "/users/{user}", self._user)
            app.router.add_get(root + "/classes/{class}", self._class)
            app.router.add_get(root + "/schools/{school}/classes/{class}/enrollments", self._enrolments_of_class)
            app.router.add_get(root + "/{collection}", self._collection)
            app.router.add_get(root + "/schools/{school}/{collection}", self._collection)
        return app

    async def _school(self, request: web.Request) -> web.Response:
        if refused := self._refused(request):
            return refused
        schools = [org for org in self._version("orgs").rows if org["sourcedId"] == request.match_info["school"]]
        if not schools or "schools" in self.missing:
            return web.json_response({}, status=404)
        return web.json_response({self.wrappers.get("org", "org"): schools[0]})

    async def _orgs(self, request: web.Request) -> web.Response:
        if refused := self._refused(request):
            return refused
        return self._page(request, "orgs", [dict(row) for row in self._version("orgs").rows])

    async def _user(self, request: web.Request) -> web.Response:
        if refused := self._refused(request):
            return refused
        users = [user for user in self._records(request, "users") if user["sourcedId"] == request.match_info["user"]]
        return web.json_response({"user": users[0]} if users else {}, status=200 if users else 404)

    async def _class(self, request: web.Request) -> web.Response:
        if refused := self._refused(request):
            return refused
        fields = request.query.get("fields", "")
        if fields and self.fields == "refuse":
            return web.json_response({"imsx_codeMinor": "invalid_selection_field"}, status=400)
        records = self.change("classes", self._records(request, "classes"))
        found = [record for record in records if record["sourcedId"] == request.match_info["class"]]
        if not (found and self.alone):
            return web.json_response({}, status=404)
        [shown] = self.change("class", [_only(found[0], fields)])
        return web.json_response({self.wrappers.get("class", "class"): shown})

    async def _enrolments_of_class(self, request: web.Request) -> web.Response:
        if refused := self._refused(request):
            return refused
        if not self.alone:
            return web.json_response({}, status=404)
        records = self._records(request, "enrollments")
        of_class = [record for record in records if record["class"]["sourcedId"] == request.match_info["class"]]
        return self._page(request, "enrollments", of_class)

    async def _collection(self, request: web.Request) -> web.Response:
        if refused := self._refused(request):
            return refused
        name = request.match_info["collection"]
        filter_ = request.query.get("filter", "")
        if filter_ and self.filters == "refuse":
            return web.json_response({"imsx_codeMinor": "invalid_filter_field"}, status=400)
        if "school" in request.match_info and name in self.missing:
            return web.json_response({}, status=404)
        return self._page(request, name, self._dated(request, name, "" if self.filters == "ignore" else filter_))

    def _page(self, request: web.Request, name: str, records: list[_Record]) -> web.Response:
        asked = int(request.query.get("limit", "100"))
        fields = request.query.get("fields", "")
        if (fields and self.fields == "refuse") or asked > self.largest_limit:
            return web.json_response({"imsx_codeMinor": "invalid_selection_field"}, status=400)
        records, offset = self.change(name, records), int(request.query.get("offset", "0"))
        if self.tears and offset and name == "students":
            self.tears -= 1
            records = [{**records[0], "sourcedId": "torn"}, *records]
        limit = min(asked, self.page) if self.obeys_limit else self.page
        first = {"pages": offset * limit, "aligned": offset // max(limit, 1) * limit, "ignored": 0}
        start = first.get(self.offsets, offset)
        if self.beyond != 200 and offset and start >= len(records):
            return web.Response(status=self.beyond)
        page = records[start : start + limit]
        shown = [_only(one, fields) if isinstance(one, dict) and self.fields == "serve" else one for one in page]
        total = self.total(len(records), len(page))
        headers = {} if total is None or self.total_field else {"X-Total-Count": str(total)}
        if self.endless_links or (self.links and start + limit < len(records)):
            query = {"offset": str(offset + limit), "limit": str(limit)}
            following = request.url.with_query(query) if self.bare_links else request.url.update_query(query)
            headers["Link"] = f'<{self.links_to or request.url.origin()}{following.raw_path_qs}>; rel="next"'
        body = {"students": "users", "teachers": "users"}.get(name, name)
        counted = {self.total_field: total} if self.total_field else {}
        return web.json_response({self.wrappers.get(name, body): shown, **counted}, headers=headers)

    def _refused(self, request: web.Request) -> web.Response | None:
        self.requests.append(str(request.rel_url))
        if not self.tokens.accepts(request):
            return web.json_response({}, status=401)
        if self.busy:
            self.busy -= 1
            return web.Response(status=429, headers={"Retry-After": "3"} if self.retry_after else {})
        return web.Response(status=self.broken) if self.broken else None

    def _version(self, table: str) -> _Version:
        """The version of the table that is served now."""
        content = (self.folder / f"{table}.csv").read_bytes()
        versions, now = self._versions.setdefault(table, []), self.now()
        if not versions or versions[-1].content != content:
            rows = list(csv.DictReader(io.StringIO(content.decode(), newline="")))
            versions.append(_Version(now, content, rows))
        visible = [version for version in versions if version.since <= now - self.lag]
        return visible[-1] if visible else versions[0]

    def _dated(self, request: web.Request, name: str, filter_: str) -> list[_Record]:
        """The records, or those that a filter by date selects, deleted ones included."""
        records = self._records(request, name)
        if not self.dated:
            return records
        noted = self._noted.get(request.path)
        if noted is None or noted.records is not records:
            self.changes.note(request.path, records, "sourcedId")
            dated = [
                {**record, "status": status, "dateLastModified": _iso(at)}
                for status, deleted in [("active", False), ("tobedeleted", True)]
                for record, at in self.changes.of(request.path, deleted)
            ]
            noted = self._noted[request.path] = _Noted(records, dated)
        if since := re.search(r"dateLastModified>'([^']*)'", filter_):
            return [record for record in noted.dated if record["dateLastModified"] > since[1]]
        return [record for record in noted.dated if record["status"] == "active"]

    def _records(self, request: web.Request, name: str) -> list[_Record]:
        """Each record is made once for a version of its table, because most requests are for pages of one list."""
        if name not in _TABLES:
            raise web.HTTPNotFound
        version = next(version for root, version in _ROOTS.items() if request.path.startswith(root))
        table, key = self._version(_TABLES[name]), (version, request.match_info.get("school", ""), name)
        if key not in table.records:
            table.records[key] = _make_records(table.rows, *key)
        if name in ("students", "teachers") and self.unlisted:
            return [record for record in table.records[key] if record["sourcedId"] not in self.unlisted]
        return table.records[key]


def _make_records(rows: list[dict[str, str]], version: str, school: str, name: str) -> list[_Record]:
    match name:
        case "academicSessions":
            return [{**row, "parent": _to(row["parentSourcedId"])} for row in rows]
        case "classes":
            return [
                {
                    **row,
                    "school": _to(row["schoolSourcedId"]),
                    "terms": [_to(term) for term in row["termSourcedIds"].split(",")],
                }
                for row in rows
                if school in ("", row["schoolSourcedId"])
            ]
        case "enrollments":
            return [
                {
                    **row,
                    "school": _to(row["schoolSourcedId"]),
                    "class": _to(row["classSourcedId"]),
                    "user": _to(row["userSourcedId"]),
                    "primary": row["primary"] == "true",
                }
                for row in rows
                if school in ("", row["schoolSourcedId"])
            ]
        case "users":
            return [_user(row, version) for row in rows]
        case _:
            return [
                _user(row, version)
                for row in rows
                if school in row["orgSourcedIds"].split(",") and (row["role"] == "student") is (name == "students")
            ]


@cache
def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _user(row: Mapping[str, str], version: str) -> _Record:
    record: _Record = {**row, "grades": [grade for grade in row["grades"].split(",") if grade]}
    orgs = [_to(org) for org in row["orgSourcedIds"].split(",")]
    if version == "1.1":
        return record | {"orgs": orgs}
    del record["role"]
    return record | {"roles": [{"roleType": "primary", "role": row["role"], "org": org} for org in orgs]}


def _to(id_: str) -> dict[str, str] | None:
    return {"href": f"https://oneroster/{id_}", "sourcedId": id_} if id_ else None


def _only(record: _Record, fields: str) -> _Record:
    wanted = fields.split(",") if fields else list(record)
    return {name: record[name] for name in wanted if name in record}
