"""OneRoster 1.1 and 1.2 over REST (1EdTech): a school read whole by pages, and anew where it changes meanwhile."""

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
from sync_core.mis.rest.client import READINGS, MisApi, Torn, mis_client

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
"""A server may show a change a while after the moment that it puts on it."""
_TAUGHT = ("student", "teacher")
# No name, birth date, address or phone number is even asked for.
_FIELDS = {
    "org": "sourcedId,status,name,type,identifier",
    "academicSessions": "sourcedId,status,dateLastModified,type,startDate,endDate,parent",
    "classes": "sourcedId,status,dateLastModified,title,classType,school,terms",
    "users": "sourcedId,status,dateLastModified,role,roles,username,email,grades",
    "enrollments": "sourcedId,status,dateLastModified,class,user,role,primary",
}


@dataclass(frozen=True, slots=True)
class _Tables:
    """The collections as the tables of a CSV set, for the one reader of both."""

    rows: Mapping[str, Sequence[Mapping[str, str]]]
    taken_at: datetime

    def read(self, name: str, columns: Iterable[str], optional: Iterable[str] = ()) -> list[Row]:
        wanted = (*columns, *optional)
        table = name.removesuffix(".csv")
        return [
            Row(f"{table}, number {number}", {column: cells.get(column, "") for column in wanted})
            for number, cells in enumerate(self.rows[table], start=1)
        ]


async def read_oneroster_api(
    api: OneRosterApi, secret: str, school: str, cache: SchoolCache, clock: Clock
) -> dict[str, Snapshot]:
    """The school with that sourcedId, by its id. Raises SnapshotRejected, Transient.

    What changed since it is held is asked for, and all of it where that leaves a doubt.
    """
    async with mis_client(api.url) as client:
        server = MisApi(f"the OneRoster server {urlsplit(api.url).hostname}", client, clock)
        token = secret
        if api.token_url:
            token = await server.token(api.token_url, api.client, secret, _SCOPE[api.version])
        server.sign_in(token)
        pull = _Pull(server, _ROOT[api.version], school)
        began, before = clock.now(), cache.of(api, school, clock.now())
        found = await pull.changed(before.collections) if before else None
        whole_at = before.whole_at if before and found else began
        if found is None:
            failed = f"the school changed under each of {READINGS} readings"
            found = await server.whole(pull.all, failed, "the vendor")
        cache.put(api, school, CachedSchool(found, began, whole_at))
        return read_roster(_Tables(pull.tables(found), clock.now()))


class _Pull:
    """One reading of a school."""

    def __init__(self, server: MisApi, root: str, school: str) -> None:
        self._server = server
        self._root = root
        self._school = school
        own = f"{root}/schools/{quote(school, safe='')}"
        self._own = own
        self._places = {
            "academicSessions": f"{root}/academicSessions",
            "classes": f"{own}/classes",
            "students": f"{own}/students",
            "teachers": f"{own}/teachers",
            "enrollments": f"{own}/enrollments",
        }

    async def all(self) -> Collections:
        """All collections, whole. Raises Torn."""
        found = {"org": await self._org()}
        for name in self._places:
            found[name] = await self._listed(name)
        return found

    async def changed(self, before: Collections) -> Collections | None:
        """`before` with what changed since; None where that cannot be had, or does not add up.

        A record that was deleted outright is in no delta: the number of those that are there tells.
        """
        found = {"org": await self._org()}
        try:
            for name in self._places:
                found[name] = await self._went_on(name, before[name])
                if await self._count(name) != len(found[name]):
                    return None
        except (Torn, SnapshotRejected):
            return None
        return found

    async def _went_on(self, name: str, before: Mapping[str, Record]) -> Mapping[str, Record]:
        since = _latest(before.values())
        if since is None:
            return await self._listed(name)
        found = dict(before)
        for id_, one in (await self._asked(name, {"filter": f"dateLastModified>'{since}'"})).items():
            found.pop(id_, None)
            if _there(one):
                found[id_] = one
        return found

    async def _listed(self, name: str) -> Mapping[str, Record]:
        return {id_: one for id_, one in (await self._asked(name, {})).items() if _there(one)}

    async def _count(self, name: str) -> int | None:
        """How many are there, as the server says; None if it does not."""
        query = {"limit": "1", "offset": "0", "fields": "sourcedId", "filter": "status='active'"}
        return (await self._server.get(self._places[name], query)).total

    async def _org(self) -> Mapping[str, Record]:
        org = (await self._server.get(self._own, {"fields": _FIELDS["org"]})).body.get("org")
        if not isinstance(org, dict):
            raise self._server.rejected("it gave no school", "check the school id")
        return {self._school: org}

    def tables(self, found: Collections) -> dict[str, list[dict[str, str]]]:
        """As the tables of a CSV set."""
        return {
            "orgs": [_cells(org) for org in found["org"].values()],
            "academicSessions": [
                _cells(one) | {"parentSourcedId": _reference(one.get("parent"))}
                for one in found["academicSessions"].values()
            ],
            "classes": [
                _cells(one)
                | {"schoolSourcedId": _reference(one.get("school")), "termSourcedIds": _references(one.get("terms"))}
                for one in found["classes"].values()
            ],
            "users": [self._user(one) for one in {**found["teachers"], **found["students"]}.values()],
            "enrollments": [
                _cells(one)
                | {"classSourcedId": _reference(one.get("class")), "userSourcedId": _reference(one.get("user"))}
                for one in found["enrollments"].values()
                if one.get("role") in _TAUGHT
            ],
        }

    def _user(self, user: Mapping[str, Any]) -> dict[str, str]:
        """In 1.2 a user has roles, each at an org, in place of one role."""
        grades = user.get("grades")
        here = [
            role.get("role", "")
            for role in user.get("roles") or ()
            if isinstance(role, dict) and _reference(role.get("org")) == self._school
        ]
        role = "student" if "student" in here else next(iter(here), str(user.get("role") or ""))
        return _cells(user) | {
            "role": role,
            "orgSourcedIds": self._school,
            "grades": ",".join(map(str, grades)) if isinstance(grades, list) else str(grades or ""),
        }

    async def _asked(self, name: str, asked: Mapping[str, str]) -> dict[str, dict[str, Any]]:
        """All pages of what is asked for, each record once, by its sourcedId. Raises Torn.

        The links and totals that a server tells are believed only if they agree.
        """
        collection = {"students": "users", "teachers": "users"}.get(name, name)
        query = {**asked, "limit": str(_PAGE), "offset": "0", "fields": _FIELDS[collection]}
        found: dict[str, dict[str, Any]] = {}
        total: int | None = None
        while True:
            page = await self._server.get(self._places[name], query)
            records = page.body.get(collection)
            if not isinstance(records, list) or not all(isinstance(one, dict) for one in records):
                raise self._server.rejected(f"a page has no list of {collection}", "check the version of the source")
            if total is not None and page.total != total:
                raise Torn
            total = page.total
            for one in records:
                id_ = str(one.get("sourcedId") or "")
                if id_ in found:
                    raise Torn
                found[id_] = one
            if page.next is not None:
                # The query alone: the token must not follow a link to another server.
                query = {**asked, **dict(parse_qsl(page.next.partition("?")[2]))}
            elif total is not None and len(found) < total:
                query |= {"offset": str(len(found))}
            else:
                break
            if not records:
                raise Torn
        if total is not None and len(found) != total:
            raise Torn
        return found


def _there(record: Record) -> bool:
    return record.get("status") != "tobedeleted"


def _latest(records: Iterable[Record]) -> str | None:
    """What a delta is asked from: when the youngest of these was modified, by the server's clock, less _OVERLAP.

    None where one of them does not tell, or there is none.
    """
    moments: list[datetime] = []
    for record in records:
        try:
            moments.append(datetime.fromisoformat(str(record.get("dateLastModified"))).astimezone(UTC))
        except ValueError:
            return None
    since = max(moments, default=None)
    return (since - _OVERLAP).strftime("%Y-%m-%dT%H:%M:%S.000Z") if since else None


def _cells(record: Mapping[str, Any]) -> dict[str, str]:
    """What is plain text, and true or false in small letters."""
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value).strip()
        for name, value in record.items()
        if isinstance(value, str | int | float | bool)
    }


def _reference(value: object) -> str:
    return str(value.get("sourcedId") or "") if isinstance(value, dict) else ""


def _references(values: Iterable[object] | None) -> str:
    return ",".join(filter(None, map(_reference, values or ())))
