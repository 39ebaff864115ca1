"""A OneRoster REST server, 1.1 and 1.2, that serves a OneRoster CSV export and can be given faults."""

from __future__ import annotations

import base64
import csv
import io
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aiohttp import web

from local.mis.changes import Changes

TOKEN, CLIENT, SECRET = "a static bearer", "client", "a client's secret"
_ROOTS = {"/ims/oneroster/v1p1": "1.1", "/ims/oneroster/rostering/v1p2": "1.2"}
_Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Version:
    """A table as it was since a moment."""

    since: datetime
    content: bytes
    rows: list[dict[str, str]]


@dataclass(slots=True)
class OneRosterServer:
    """Serves the CSV files of `folder` as they are at each request. The runner sets `port` to the port in use.

    The other fields are its behaviour and its faults:

    - `links_to` replaces its own address in links to the next page.
    - `tears` is how often it inserts a record after a first page.
    - `busy` is how many requests it answers with 429, with Retry-After if `retry_after`.
    - `broken` is the status of all other answers, if not 0.
    - `lag` is the delay after which a change of the files is served.
    - `dated` records have the time of their last change, by the clock `now`.
    - `filters` is its treatment of a filter: "serve", "ignore" or "refuse".
    - `changes.hard` makes it forget deleted records.
    - `requests` are the paths and queries of all requests so far.
    """

    folder: Path
    port: int = 0
    page: int = 100
    links: bool = True
    links_to: str = ""
    totals: bool = True
    tears: int = 0
    busy: int = 0
    retry_after: bool = True
    broken: int = 0
    lag: timedelta = timedelta(0)
    dated: bool = False
    filters: str = "serve"
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    change: Callable[[str, list[_Record]], list[_Record]] = field(default=lambda _, records: records)
    requests: list[str] = field(default_factory=list)
    changes: Changes = field(init=False)
    _versions: dict[str, list[_Version]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.changes = Changes(lambda: self.now())

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/token", self._token)
        for root in _ROOTS:
            app.router.add_get(root + "/schools/{school}", self._school)
            app.router.add_get(root + "/academicSessions", self._collection)
            app.router.add_get(root + "/schools/{school}/{collection}", self._collection)
        return app

    async def _token(self, request: web.Request) -> web.Response:
        self.requests.append(request.path)
        basic = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        form = await request.post()
        if request.headers.get("Authorization") != f"Basic {basic}" or form.get("grant_type") != "client_credentials":
            return web.json_response({"error": "invalid_client"}, status=401)
        return web.json_response({"access_token": TOKEN, "token_type": "Bearer", "expires_in": 3600})

    async def _school(self, request: web.Request) -> web.Response:
        if refused := self._refused(request):
            return refused
        schools = [org for org in self._rows("orgs") if org["sourcedId"] == request.match_info["school"]]
        return web.json_response({"org": schools[0]}) if schools else web.json_response({}, status=404)

    async def _collection(self, request: web.Request) -> web.Response:
        if refused := self._refused(request):
            return refused
        name = request.match_info.get("collection", "academicSessions")
        body = {"students": "users", "teachers": "users"}.get(name, name)
        offset = int(request.query.get("offset", "0"))
        filter_ = request.query.get("filter", "")
        if filter_ and self.filters == "refuse":
            return web.json_response({"imsx_codeMinor": "invalid_filter_field"}, status=400)
        records = self.change(name, self._dated(request, name, "" if self.filters == "ignore" else filter_))
        if self.tears and offset:
            self.tears -= 1
            records = [{**records[0], "sourcedId": "torn"}, *records]
        limit = min(int(request.query.get("limit", "100")), self.page)
        fields = request.query.get("fields", "")
        shown = [_only(one, fields) if isinstance(one, dict) else one for one in records[offset : offset + limit]]
        headers = {"X-Total-Count": str(len(records))} if self.totals else {}
        if self.links and offset + limit < len(records):
            following = request.url.update_query(offset=str(offset + limit), limit=str(limit))
            host = self.links_to or str(request.url.origin())
            headers["Link"] = f'<{host}{following.raw_path_qs}>; rel="next"'
        return web.json_response({body: shown}, headers=headers)

    def _refused(self, request: web.Request) -> web.Response | None:
        self.requests.append(str(request.rel_url))
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.json_response({}, status=401)
        if self.busy:
            self.busy -= 1
            return web.Response(status=429, headers={"Retry-After": "3"} if self.retry_after else {})
        return web.Response(status=self.broken) if self.broken else None

    def _rows(self, table: str) -> list[dict[str, str]]:
        content = (self.folder / f"{table}.csv").read_bytes()
        versions, now = self._versions.setdefault(table, []), self.now()
        if not versions or versions[-1].content != content:
            rows = list(csv.DictReader(io.StringIO(content.decode(), newline="")))
            versions.append(_Version(now, content, rows))
        visible = [version for version in versions if version.since <= now - self.lag]
        return (visible[-1] if visible else versions[0]).rows

    def _dated(self, request: web.Request, name: str, filter_: str) -> list[_Record]:
        """The records, or those that a filter by date selects, deleted ones included."""
        records = self._records(request, name)
        if not self.dated:
            return records
        self.changes.note(request.path, records, "sourcedId")
        current, deleted = (self.changes.of(request.path, flag) for flag in (False, True))
        since = re.search(r"dateLastModified>'([^']*)'", filter_)
        dated = [{**record, "status": "active", "dateLastModified": _iso(at)} for record, at in current]
        if since:
            dated += [{**record, "status": "tobedeleted", "dateLastModified": _iso(at)} for record, at in deleted]
            return [record for record in dated if record["dateLastModified"] > since[1]]
        return dated

    def _records(self, request: web.Request, name: str) -> list[_Record]:
        version = next(version for root, version in _ROOTS.items() if request.path.startswith(root))
        school = request.match_info.get("school", "")
        match name:
            case "academicSessions":
                return [{**row, "parent": _to(row["parentSourcedId"])} for row in self._rows(name)]
            case "classes":
                return [
                    {**row, "school": _to(school), "terms": [_to(term) for term in row["termSourcedIds"].split(",")]}
                    for row in self._rows(name)
                    if row["schoolSourcedId"] == school
                ]
            case "students" | "teachers":
                return [
                    _user(row, version)
                    for row in self._rows("users")
                    if school in row["orgSourcedIds"].split(",") and (row["role"] == "student") is (name == "students")
                ]
            case "enrollments":
                return [
                    {
                        **row,
                        "class": _to(row["classSourcedId"]),
                        "user": _to(row["userSourcedId"]),
                        "primary": row["primary"] == "true",
                    }
                    for row in self._rows(name)
                    if row["schoolSourcedId"] == school
                ]
        raise web.HTTPNotFound


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
