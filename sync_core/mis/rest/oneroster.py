"""Reads a school over OneRoster 1.1 or 1.2 REST (1EdTech), page by page, and repeats a read during which it changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from urllib.parse import quote, urlsplit

from sync_core.clock import Clock
from sync_core.domain.ids import SchoolId
from sync_core.domain.school import OneRosterApi, OneRosterVersion
from sync_core.mis.files.oneroster import read_roster
from sync_core.mis.files.strict_csv import Row
from sync_core.mis.rest.cache import CachedSchool, Collections, Record, SchoolCache
from sync_core.mis.rest.client import MisApi, Page, Torn, link_query
from sync_core.mis.roster import Snapshots

_ROOT = {OneRosterVersion.V1_1: "/ims/oneroster/v1p1", OneRosterVersion.V1_2: "/ims/oneroster/rostering/v1p2"}
_SPEC = "https://purl.imsglobal.org/spec/or"
_SCOPE = {
    OneRosterVersion.V1_1: f"{_SPEC}/v1p1/scope/roster-core.readonly",
    OneRosterVersion.V1_2: f"{_SPEC}/v1p2/scope/roster-core.readonly {_SPEC}/v1p2/scope/roster.readonly",
}
_PAGE = 1000
_OVERLAP = timedelta(minutes=10)
"""A server may show a change some time after the time stamp of the change."""
_COLLECTIONS = ("academicSessions", "classes", "students", "teachers", "enrollments")
_CLASS_ROLES = ("student", "teacher")
# No name, birth date, address or phone number is requested.
_FIELDS = {
    "org": "sourcedId,status,name,type,identifier",
    "academicSessions": "sourcedId,status,dateLastModified,type,startDate,endDate,parent",
    "classes": "sourcedId,status,dateLastModified,title,classType,school,terms",
    "users": "sourcedId,status,dateLastModified,enabledUser,role,roles,username,email,grades",
    "enrollments": "sourcedId,status,dateLastModified,class,user,role,primary",
}


async def read_oneroster_api(
    api: OneRosterApi, secret: str, school: SchoolId, cache: SchoolCache, clock: Clock
) -> Snapshots:
    """A snapshot of the school with this sourcedId, by its id. Raises SnapshotRejected, Transient."""
    async with _Server(api, school, clock) as server:
        if api.token_url:
            secret = await server.token(api.token_url, api.client, secret, _SCOPE[api.version])
        server.sign_in(secret)
        records = await server.read_school(api, school, cache)
        return read_roster(partial(_read_table, records, school), clock.now())


class _Server(MisApi):
    """A OneRoster server, for one school."""

    contact = "the vendor"
    id_field = "sourcedId"
    no_list_remedy = "check the version in the school's source"
    cached = _COLLECTIONS

    def __init__(self, api: OneRosterApi, school: SchoolId, clock: Clock) -> None:
        super().__init__(f"the OneRoster server {urlsplit(api.url).hostname}", api.url, clock)
        root = _ROOT[api.version]
        self._school = school
        self._school_path = f"{root}/schools/{quote(school, safe='')}"
        self._paths = {name: f"{self._school_path}/{name}" for name in _COLLECTIONS}
        self._paths["academicSessions"] = f"{root}/academicSessions"

    async def read(self, cached: CachedSchool | None) -> Collections:
        """Raises Torn if a count differs: it shows records that were deleted outright, because they are in no delta."""
        org = (await self.get(self._school_path, {"fields": _FIELDS["org"]})).body.get("org")
        if not isinstance(org, dict):
            raise self.rejection(f"returned no school {self._school}", "check the school's id")
        records: dict[str, Mapping[str, Record]] = {"orgs": {self._school: org}}
        for name in _COLLECTIONS:
            records[name] = await self._update(name, cached.collections[name] if cached else {})
            if cached and await self._read_count(name) != len(records[name]):
                raise Torn(f"the count of {name} differs")
        return records

    async def _update(self, name: str, known: Mapping[str, Record]) -> Mapping[str, Record]:
        """The active records: `known` with the changes since, or all records if that time is not known."""
        since = _changes_from(known.values())
        changes = await self._read_pages(name, {"filter": f"dateLastModified>'{since}'"} if since else {})
        unchanged = {id_: record for id_, record in known.items() if since and id_ not in changes}
        return unchanged | {id_: record for id_, record in changes.items() if record.get("status") != "tobedeleted"}

    async def _read_count(self, name: str) -> int | None:
        """The server's number of active records; None if it does not report one."""
        query = {"limit": "1", "offset": "0", "fields": "sourcedId", "filter": "status='active'"}
        return (await self.get(self._paths[name], query)).total

    async def _read_pages(self, name: str, filters: Mapping[str, str]) -> dict[str, Record]:
        """The records of all pages by sourcedId. Raises Torn, also if the server's links and totals disagree."""
        collection = {"students": "users", "teachers": "users"}.get(name, name)
        query = {**filters, "limit": str(_PAGE), "offset": "0", "fields": _FIELDS[collection]}
        total: int | None = None

        def next_query(page: Page, count: int) -> Mapping[str, str] | None:
            nonlocal total
            if total is not None and page.total != total:
                raise Torn(f"the total of {collection} changed during the read")
            total = page.total
            if page.next is not None:
                return {**filters, **link_query(page.next)}
            if total is not None and count < total:
                return {**query, "offset": str(count)}
            if total is not None and count > total:
                raise Torn(f"{count} {collection} were read, but the total is {total}")
            return None

        return await self.read_pages(self._paths[name], query, collection, next_query)


def _read_table(
    records: Collections, school: str, name: str, columns: Iterable[str], optional: Iterable[str]
) -> list[Row]:
    """The records as a table of a CSV set, so that both have the same reader."""
    table, names = name.removesuffix(".csv"), (*columns, *optional)
    match table:
        case "users":
            users = {**records["teachers"], **records["students"]}
            rows = [_cells(user) | _role(user, school) for user in users.values()]
        case "enrollments":
            rows = [_cells(row) for row in records[table].values() if row.get("role") in _CLASS_ROLES]
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
        for role in user.get("roles") or ()
        if isinstance(role, dict) and _reference(role.get("org")) == school
    ]
    role = "student" if "student" in roles_here else next(iter(roles_here), str(user.get("role") or ""))
    return {"role": role, "orgSourcedIds": school}


def _changes_from(records: Iterable[Record]) -> str | None:
    """The latest modification, by the server's clock, minus _OVERLAP. None without records, or if one has no time."""
    try:
        latest = max(datetime.fromisoformat(str(record.get("dateLastModified"))).astimezone(UTC) for record in records)
    except ValueError:
        return None
    return (latest - _OVERLAP).strftime("%Y-%m-%dT%H:%M:%S.000Z")


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
                cells[f"{name}SourcedId"] = _reference(value)
            case list():
                cells[name] = ",".join(map(str, value))
                cells[f"{name[:-1]}SourcedIds"] = ",".join(filter(None, map(_reference, value)))
    return cells


def _reference(value: object) -> str:
    return str(value.get("sourcedId") or "") if isinstance(value, dict) else ""
