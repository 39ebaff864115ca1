"""Reads a school over OneRoster 1.1 or 1.2 REST (1EdTech), page by page, and repeats a read during which it changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from sync_core.clock import Clock
from sync_core.domain.roster import Snapshot
from sync_core.domain.school import OneRosterApi, OneRosterVersion
from sync_core.errors import SnapshotRejected
from sync_core.mis.files.oneroster import read_roster
from sync_core.mis.files.strict_csv import Row
from sync_core.mis.rest.cache import CachedSchool, Collections, Record, SchoolCache
from sync_core.mis.rest.client import MisApi, Torn, mis_client

_ROOT = {
    OneRosterVersion.V1_1: "/ims/oneroster/v1p1",
    OneRosterVersion.V1_2: "/ims/oneroster/rostering/v1p2",
}
_SCOPE = {
    OneRosterVersion.V1_1: "https://purl.imsglobal.org/spec/or/v1p1/scope/roster-core.readonly",
    OneRosterVersion.V1_2: (
        "https://purl.imsglobal.org/spec/or/v1p2/scope/roster-core.readonly "
        "https://purl.imsglobal.org/spec/or/v1p2/scope/roster.readonly"
    ),
}
_PAGE = 1000
_OVERLAP = timedelta(minutes=10)
"""A server may show a change some time after the time stamp of the change."""
_CLASS_ROLES = ("student", "teacher")
# No name, birth date, address or phone number is requested.
_FIELDS = {
    "org": "sourcedId,status,name,type,identifier",
    "academicSessions": "sourcedId,status,dateLastModified,type,startDate,endDate,parent",
    "classes": "sourcedId,status,dateLastModified,title,classType,school,terms",
    "users": "sourcedId,status,dateLastModified,role,roles,username,email,grades",
    "enrollments": "sourcedId,status,dateLastModified,class,user,role,primary",
}


@dataclass(frozen=True, slots=True)
class _Tables:
    """The collections as the tables of a CSV set, so that both have the same reader."""

    rows: Mapping[str, Sequence[Mapping[str, str]]]

    def read(self, name: str, columns: Iterable[str], optional: Iterable[str] = ()) -> list[Row]:
        names = (*columns, *optional)
        table = name.removesuffix(".csv")
        return [
            Row(f"{table}, number {number}", {column: cells.get(column, "") for column in names})
            for number, cells in enumerate(self.rows[table], start=1)
        ]


async def read_oneroster_api(
    api: OneRosterApi, secret: str, school: str, cache: SchoolCache, clock: Clock
) -> dict[str, Snapshot]:
    """A snapshot of the school with this sourcedId, by its id. Raises SnapshotRejected, Transient.

    Requests only what changed since the cached read, and the full school if the result is in doubt.
    """
    async with mis_client(api.url) as client:
        server = MisApi(f"the OneRoster server {urlsplit(api.url).hostname}", client, clock)
        token = secret
        if api.token_url:
            token = await server.token(api.token_url, api.client, secret, _SCOPE[api.version])
        server.sign_in(token)
        pull = _Pull(server, _ROOT[api.version], school)
        began_at, cached = clock.now(), cache.of(api, school, clock.now())
        records = await pull.read_changes(cached.collections) if cached else None
        full_read_at = cached.full_read_at if cached and records else began_at
        if records is None:
            records = await server.read_full(pull.read_all, "the vendor")
        cache.put(api, school, CachedSchool(records, began_at, full_read_at))
        return read_roster(_Tables(pull.tables(records)), clock.now())


class _Pull:
    """One read of a school."""

    def __init__(self, server: MisApi, root: str, school: str) -> None:
        self._server = server
        self._root = root
        self._school = school
        school_path = f"{root}/schools/{quote(school, safe='')}"
        self._school_path = school_path
        self._paths = {
            "academicSessions": f"{root}/academicSessions",
            "classes": f"{school_path}/classes",
            "students": f"{school_path}/students",
            "teachers": f"{school_path}/teachers",
            "enrollments": f"{school_path}/enrollments",
        }

    async def read_all(self) -> Collections:
        """All collections in full. Raises Torn."""
        records = {"org": await self._read_org()}
        for name in self._paths:
            records[name] = await self._read_active(name)
        return records

    async def read_changes(self, cached: Collections) -> Collections | None:
        """`cached` with the changes since; None if they cannot be read, or a count differs.

        The count shows records that were deleted outright, because they are in no delta.
        """
        records = {"org": await self._read_org()}
        try:
            for name in self._paths:
                records[name] = await self._update(name, cached[name])
                if await self._read_count(name) != len(records[name]):
                    return None
        except (Torn, SnapshotRejected):
            return None
        return records

    async def _update(self, name: str, cached: Mapping[str, Record]) -> Mapping[str, Record]:
        since = _changes_from(cached.values())
        if since is None:
            return await self._read_active(name)
        records = dict(cached)
        for id_, record in (await self._read_pages(name, {"filter": f"dateLastModified>'{since}'"})).items():
            records.pop(id_, None)
            if _is_active(record):
                records[id_] = record
        return records

    async def _read_active(self, name: str) -> Mapping[str, Record]:
        return {id_: record for id_, record in (await self._read_pages(name, {})).items() if _is_active(record)}

    async def _read_count(self, name: str) -> int | None:
        """The server's number of active records; None if it does not report one."""
        query = {"limit": "1", "offset": "0", "fields": "sourcedId", "filter": "status='active'"}
        return (await self._server.get(self._paths[name], query)).total

    async def _read_org(self) -> Mapping[str, Record]:
        org = (await self._server.get(self._school_path, {"fields": _FIELDS["org"]})).body.get("org")
        if not isinstance(org, dict):
            raise self._server.rejection(f"returned no school {self._school}", "check the school's id")
        return {self._school: org}

    def tables(self, records: Collections) -> dict[str, list[dict[str, str]]]:
        """The records as the tables of a CSV set."""
        return {
            "orgs": [_cells(org) for org in records["org"].values()],
            "academicSessions": [
                _cells(session) | {"parentSourcedId": _reference(session.get("parent"))}
                for session in records["academicSessions"].values()
            ],
            "classes": [
                _cells(row)
                | {"schoolSourcedId": _reference(row.get("school")), "termSourcedIds": _references(row.get("terms"))}
                for row in records["classes"].values()
            ],
            "users": [self._user(user) for user in {**records["teachers"], **records["students"]}.values()],
            "enrollments": [
                _cells(row)
                | {"classSourcedId": _reference(row.get("class")), "userSourcedId": _reference(row.get("user"))}
                for row in records["enrollments"].values()
                if row.get("role") in _CLASS_ROLES
            ],
        }

    def _user(self, user: Mapping[str, Any]) -> dict[str, str]:
        """In 1.2 a user has a list of roles, each at an org, instead of one role."""
        grades = user.get("grades")
        roles_here = [
            role.get("role", "")
            for role in user.get("roles") or ()
            if isinstance(role, dict) and _reference(role.get("org")) == self._school
        ]
        role = "student" if "student" in roles_here else next(iter(roles_here), str(user.get("role") or ""))
        return _cells(user) | {
            "role": role,
            "orgSourcedIds": self._school,
            "grades": ",".join(map(str, grades)) if isinstance(grades, list) else str(grades or ""),
        }

    async def _read_pages(self, name: str, filters: Mapping[str, str]) -> dict[str, dict[str, Any]]:
        """The records of all pages by sourcedId. Raises Torn, also if the server's links and totals disagree."""
        collection = {"students": "users", "teachers": "users"}.get(name, name)
        query = {**filters, "limit": str(_PAGE), "offset": "0", "fields": _FIELDS[collection]}
        records: dict[str, dict[str, Any]] = {}
        total: int | None = None
        while True:
            page = await self._server.get(self._paths[name], query)
            listed = page.body.get(collection)
            if not isinstance(listed, list) or not all(isinstance(record, dict) for record in listed):
                remedy = "check the version in the school's source"
                raise self._server.rejection(f"returned a page without a list of {collection}", remedy)
            if total is not None and page.total != total:
                raise Torn(f"the total of {collection} changed during the read")
            total = page.total
            for record in listed:
                id_ = str(record.get("sourcedId") or "")
                if id_ in records:
                    raise Torn(f"a record of {collection} was returned twice")
                records[id_] = record
            if page.next is not None:
                # Only the query of the link is used, so that no other server gets the token.
                query = {**filters, **dict(parse_qsl(page.next.partition("?")[2]))}
            elif total is not None and len(records) < total:
                query |= {"offset": str(len(records))}
            else:
                break
            if not listed:
                raise Torn(f"a page of {collection} is empty, but more pages follow")
        if total is not None and len(records) != total:
            raise Torn(f"{len(records)} {collection} were read, but the total is {total}")
        return records


def _is_active(record: Record) -> bool:
    return record.get("status") != "tobedeleted"


def _changes_from(records: Iterable[Record]) -> str | None:
    """The time from which to request changes: the latest modification, by the server's clock, minus _OVERLAP.

    None if there is no record, or one has no modification time.
    """
    times: list[datetime] = []
    for record in records:
        try:
            times.append(datetime.fromisoformat(str(record.get("dateLastModified"))).astimezone(UTC))
        except ValueError:
            return None
    latest = max(times, default=None)
    return (latest - _OVERLAP).strftime("%Y-%m-%dT%H:%M:%S.000Z") if latest else None


def _cells(record: Mapping[str, Any]) -> dict[str, str]:
    """The plain values as text, with true and false in lower case."""
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value).strip()
        for name, value in record.items()
        if isinstance(value, str | int | float | bool)
    }


def _reference(value: object) -> str:
    return str(value.get("sourcedId") or "") if isinstance(value, dict) else ""


def _references(values: Iterable[object] | None) -> str:
    return ",".join(filter(None, map(_reference, values or ())))
