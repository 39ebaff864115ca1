"""OneRoster 1.1 and 1.2 over REST (1EdTech): a school read whole by pages, and anew where it changes meanwhile."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from sync_core.adapters.mis_api import READINGS, MisApi, Torn, mis_client
from sync_core.adapters.mis_csv import Row
from sync_core.adapters.mis_oneroster import read_roster
from sync_core.choices import OneRosterApi, OneRosterVersion
from sync_core.model import Snapshot
from sync_core.ports import Clock

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
_TAUGHT = ("student", "teacher")
# No name, birth date, address or phone number is even asked for.
_FIELDS = {
    "org": "sourcedId,status,name,type,identifier",
    "academicSessions": "sourcedId,status,type,startDate,endDate,parent",
    "classes": "sourcedId,status,title,classType,school,terms",
    "users": "sourcedId,status,role,roles,username,email,grades",
    "enrollments": "sourcedId,status,class,user,role,primary",
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


async def read_oneroster_api(api: OneRosterApi, secret: str, school: str, clock: Clock) -> dict[str, Snapshot]:
    """The school with that sourcedId, by its id. Raises SnapshotRejected, Transient."""
    async with mis_client(api.url) as client:
        server = MisApi(f"the OneRoster server {urlsplit(api.url).hostname}", client, clock)
        token = secret
        if api.token_url:
            token = await server.token(api.token_url, api.client, secret, _SCOPE[api.version])
        server.sign_in(token)
        pull = _Pull(server, _ROOT[api.version], school)
        failed = f"the school changed under each of {READINGS} readings"
        return read_roster(_Tables(await server.whole(pull.tables, failed, "the vendor"), clock.now()))


class _Pull:
    """One reading of a school, all collections."""

    def __init__(self, server: MisApi, root: str, school: str) -> None:
        self._server = server
        self._root = root
        self._school = school

    async def tables(self) -> dict[str, list[dict[str, str]]]:
        """Raises Torn."""
        school = f"/schools/{quote(self._school, safe='')}"
        org = (await self._server.get(self._root + school, {"fields": _FIELDS["org"]})).body.get("org")
        if not isinstance(org, dict):
            raise self._server.rejected("it gave no school", "check the school id")
        sessions = await self._all("/academicSessions", "academicSessions")
        classes = await self._all(f"{school}/classes", "classes")
        students = await self._all(f"{school}/students", "users")
        teachers = await self._all(f"{school}/teachers", "users")
        enrolments = await self._all(f"{school}/enrollments", "enrollments")
        return {
            "orgs": [_cells(org)],
            "academicSessions": [
                _cells(one) | {"parentSourcedId": _reference(one.get("parent"))} for one in sessions.values()
            ],
            "classes": [
                _cells(one)
                | {"schoolSourcedId": _reference(one.get("school")), "termSourcedIds": _references(one.get("terms"))}
                for one in classes.values()
            ],
            "users": [self._user(one) for one in (teachers | students).values()],
            "enrollments": [
                _cells(one)
                | {"classSourcedId": _reference(one.get("class")), "userSourcedId": _reference(one.get("user"))}
                for one in enrolments.values()
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

    async def _all(self, path: str, collection: str) -> dict[str, dict[str, Any]]:
        """All pages, each record once, by its sourcedId.

        The links and totals that a server tells are believed only if they agree.
        """
        query = {"limit": str(_PAGE), "offset": "0", "fields": _FIELDS[collection]}
        found: dict[str, dict[str, Any]] = {}
        total: int | None = None
        while True:
            page = await self._server.get(self._root + path, query)
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
                query = dict(parse_qsl(page.next.partition("?")[2]))
            elif total is not None and len(found) < total:
                query |= {"offset": str(len(found))}
            else:
                break
            if not records:
                raise Torn
        if total is not None and len(found) != total:
            raise Torn
        return found


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
