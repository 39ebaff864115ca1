"""Reads a school over OneRoster 1.1 or 1.2 REST (1EdTech), as its server serves it, and all of it or nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence, Set
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import ClassVar
from urllib.parse import quote, urlsplit

from sync_core.clock import Clock
from sync_core.domain.ids import SchoolId
from sync_core.domain.school.sources import OneRosterApi, OneRosterVersion
from sync_core.errors import SnapshotRejected
from sync_core.mis.academic_years import Calendar
from sync_core.mis.budget import ServerBudget
from sync_core.mis.files.oneroster import Tables, may_be_in_class, read_roster
from sync_core.mis.files.oneroster_roles import with_roles
from sync_core.mis.quarantine import Quarantine
from sync_core.mis.records import Record, Schema
from sync_core.mis.rest.answer import ReadRecord
from sync_core.mis.rest.cache import CachedSchool, Collections, SchoolCache
from sync_core.mis.rest.client import MisApi, Page, RequestRefused, Torn
from sync_core.mis.rest.oneroster_records import (
    ANYWHERE,
    ID,
    NAMES,
    SCHEMAS,
    SCHEMAS_OF_ALL_SCHOOLS,
    WHOLE,
    at_school,
    changes_from,
    find_list,
    find_record,
    in_class,
    is_active,
    is_at_school,
    keys_of,
    read_table,
    with_id,
)
from sync_core.mis.rest.paging import CUT_OFF, Fetch, ListFacts, ListPage, Take, WholeList, read_list, stream_list
from sync_core.mis.rest.quirks import Quirks, Totals
from sync_core.mis.rest.shared_lists import ListsOfServer
from sync_core.mis.rest.sign_in import TokenServer
from sync_core.mis.roster import Snapshots, with_format

_ROOT = {OneRosterVersion.V1_1: "/ims/oneroster/v1p1", OneRosterVersion.V1_2: "/ims/oneroster/rostering/v1p2"}
_V1_1 = "https://purl.imsglobal.org/spec/or/v1p1/scope"
_V1_2 = "https://purl.imsglobal.org/spec/or/v1p2/scope"
_SCOPES = {
    OneRosterVersion.V1_1: (f"{_V1_1}/roster-core.readonly", f"{_V1_1}/roster.readonly", ""),
    OneRosterVersion.V1_2: (
        f"{_V1_2}/roster-core.readonly {_V1_2}/roster.readonly",
        f"{_V1_2}/roster-core.readonly",
        f"{_V1_2}/roster.readonly",
        "",
    ),
}
"""The choices of scopes, from the one that the standard recommends to none, which is the token server's default."""
_COLLECTIONS = ("academicSessions", "classes", "students", "teachers", "enrollments")
_USERS = {"students": "users", "teachers": "users"}
_SINGLE_READS = 20
"""Users beyond this number are found in the list of all users instead of one by one."""
_SHOWN_ORGS = 10
_CHECK_ID = "check the id under which the school is saved: it is the sourcedId of its org"
_NO_PAGE = (204, 404, 416)
"""What servers return for a page beyond the end of a list."""
_SMALLEST_PAGE = 10
"""A server whose page size is fixed has no smaller pages."""


@dataclass(frozen=True, slots=True)
class OneRosterOrigin:
    """What single classes are read again with: the school's org and the sessions, and the day of the first reading."""

    api: OneRosterApi
    calendar: Calendar
    records: Collections


async def read_oneroster_api(
    api: OneRosterApi,
    secret: str,
    school: SchoolId,
    cache: SchoolCache,
    lists: ListsOfServer,
    clock: Clock,
    calendar: Calendar,
) -> Snapshots:
    """A snapshot of the school with this sourcedId, by its id. Raises SnapshotRejected, Transient.

    `lists` are those of the server that all its schools share. The snapshot was taken when the oldest that was used
    was read. Its notes tell the server's quirks. They are kept for the next read, unless they led to a rejection.
    """
    budget = ServerBudget()
    try:
        async with signed_in(api, secret, school, cache.quirks(api), lists, budget, clock) as server:
            records = await server.read_school(api, school, cache)
    except SnapshotRejected:
        cache.put_quirks(api, Quirks())
        raise
    cache.put_quirks(api, server.quirks)
    quarantine = Quarantine(budget.memory, NAMES)
    for note in server.quirks.notes():
        quarantine.note(note)
    tables = with_roles(Tables(partial(read_table, records, school)), calendar, quarantine)
    snapshots = read_roster(tables, lists.oldest or clock.now(), calendar, quarantine)
    snapshots = with_format(snapshots, f"OneRoster {api.version} REST (the school's source says so)", calendar)
    if not server.counted:
        return snapshots
    origin = OneRosterOrigin(api, calendar, {name: records[name] for name in ("orgs", "academicSessions")})
    return {id_: replace(snapshot, origin=origin) for id_, snapshot in snapshots.items()}


async def reach_oneroster(
    api: OneRosterApi, secret: str, school: SchoolId, cache: SchoolCache, lists: ListsOfServer, clock: Clock
) -> None:
    """Sign in and read the school's org. Nothing is retried. Raises SnapshotRejected, Transient."""
    budget = ServerBudget(waits=timedelta(0))
    async with signed_in(api, secret, school, cache.quirks(api), lists, budget, clock) as server:
        await server.read_org()


@asynccontextmanager
async def signed_in(
    api: OneRosterApi,
    secret: str,
    school: SchoolId,
    quirks: Quirks,
    lists: ListsOfServer,
    budget: ServerBudget,
    clock: Clock,
) -> AsyncIterator[OneRosterServer]:
    async with OneRosterServer(api, school, quirks, lists, budget, clock) as server:
        if not api.token_url:
            server.sign_in(secret)
            yield server
            return
        async with TokenServer(api.token_url, api.client, secret, _SCOPES[api.version], budget, clock) as tokens:
            await server.sign_in_at(tokens)
            yield server


class OneRosterServer(MisApi):
    """A OneRoster server, for one school. `quirks` are those known, and then also those found."""

    contact = "the vendor"
    cached: ClassVar[Mapping[str, Schema]] = {name: SCHEMAS[_USERS.get(name, name)] for name in _COLLECTIONS}

    def __init__(
        self,
        api: OneRosterApi,
        school: SchoolId,
        quirks: Quirks,
        lists: ListsOfServer,
        budget: ServerBudget,
        clock: Clock,
    ) -> None:
        super().__init__(f"the OneRoster server {urlsplit(api.url).hostname}", api.url, budget, clock)
        self.quirks = quirks
        self._lists = lists
        self._root, self._school = _ROOT[api.version], school
        self._tokens: TokenServer | None = None
        self._accepted = False

    async def sign_in_at(self, tokens: TokenServer) -> None:
        """Send a new token of this token server with each later request. Raises SnapshotRejected, Transient."""
        token, self.quirks = await tokens.token(self.quirks)
        self.sign_in(token)
        self._tokens, self._accepted = tokens, False

    async def get(self, path: str, query: Mapping[str, str], read: ReadRecord) -> Page:
        """As every server's. A token that was accepted before may have expired: once, the request has a new one."""
        try:
            page = await super().get(path, query, read)
        except RequestRefused as refused:
            if refused.status != 401 or self._tokens is None or not self._accepted:
                raise
            await self.sign_in_at(self._tokens)
            page = await super().get(path, query, read)
        self._accepted = True
        return page

    @property
    def counted(self) -> bool:
        return self.quirks.counted

    async def read(self, cached: CachedSchool | None) -> Collections:
        """Raises Torn if a count differs: it shows records that were deleted outright, because they are in no delta."""
        if cached and not self.counted:
            raise Torn("without totals of the school, changes cannot be checked")
        records: dict[str, Mapping[str, Record]] = {"orgs": {self._school: await self.read_org()}}
        if cached:
            for name in _COLLECTIONS:
                known = cached.collections[name].unpack(self._budget.memory)
                records[name] = await self._read_changes(name, known, cached.began_at)
        else:
            records |= await self._read_all()
        return {**records, "others": await self._read_enrolled(records)}

    async def _read_all(self) -> Collections:
        """All lists of the school, which decide again what the server's totals count."""
        lists: dict[str, WholeList] = {}
        for name in _COLLECTIONS:
            lists[name] = await self._read_list(name, lists)
        facts = [whole.facts for whole in lists.values()]
        sizes = Counter(fact.unpaged for fact in facts if fact.unpaged >= _SMALLEST_PAGE)
        if alike := [size for size, times in sizes.items() if times > 1]:
            raise self.rejection(
                f"returned exactly {alike[0]} records of several lists, whatever page was requested, and no total",
                CUT_OFF,
            )
        seen = {fact.totals for fact in facts}
        totals = next(kind for kind in (Totals.NONE, Totals.PAGE, Totals.LIST) if kind in seen)
        self.quirks = replace(self.quirks, totals=totals)
        return {name: whole.records for name, whole in lists.items()}

    async def read_org(self) -> Record:
        """The school, by its id, as a school or as an org, or else from the list of all orgs."""
        refusals: list[RequestRefused] = []
        for kind in ("schools", "orgs"):
            try:
                page = await self._request(f"{self._root}/{kind}/{self._quoted(self._school)}", {}, SCHEMAS["orgs"])
            except RequestRefused as refused:
                refusals.append(refused)
                if refused.status != 404:
                    raise
            else:
                org = find_record(page.answer, SCHEMAS["orgs"])
                if org is None:
                    raise self.rejection(f"returned no school {self._school}", _CHECK_ID)
                return org
        try:
            orgs = (await self._shared("orgs", WHOLE)).records
        except RequestRefused:
            raise refusals[0] from None
        if self._school not in orgs:
            shown = ", ".join([*orgs][:_SHOWN_ORGS]) + (" and others" if len(orgs) > _SHOWN_ORGS else "")
            listed = f"lists no school {self._school}, but"
            others = f"{len(orgs)} other org{'s' if len(orgs) > 1 else ''}" if orgs else "no org at all"
            raise self.rejection(f"{listed} {others}", _CHECK_ID, f"{listed} {shown or others}")
        return orgs[self._school]

    async def _read_list(self, name: str, lists: Mapping[str, WholeList]) -> WholeList:
        """The school's list, or the school's part of the list of all schools, if the server has no other."""
        if name == "academicSessions":
            return await self._shared(name, WHOLE)
        collection = _USERS.get(name, name)
        if name not in self.quirks.missing:
            try:
                return await self._whole(name, self._path(name), SCHEMAS[collection])
            except RequestRefused as refused:
                if refused.status != 404:
                    raise
                self.quirks = replace(self.quirks, missing=self.quirks.missing | {name})
        if name == "teachers" and "students" in self.quirks.missing:
            return WholeList({})  # the list of all users has them already
        classes = lists["classes"].records if name == "enrollments" else {}
        mine = await self._shared(collection, {at_school(self._school), ANYWHERE, *map(in_class, classes)})
        if mine.facts.count and not mine.records:
            message = f"lists {mine.facts.count} {collection}, but none of school {self._school}"
            raise self.rejection(
                message, "check the school's id, and ask the vendor whether the records name the school"
            )
        return mine

    async def _shared(self, name: str, wanted: Set[str]) -> WholeList:
        """The records with one of the `wanted` keys, of a list that all schools of the server share."""
        schema, budget = SCHEMAS_OF_ALL_SCHOOLS[name], self._budget.memory
        fetch = self._fetcher(name, f"{self._root}/{name}", schema, {})

        async def stream(take: Take) -> ListFacts:
            return await stream_list(fetch, name, self.quirks.page, take, budget)

        return await self._lists.part(name, schema, partial(keys_of, name), wanted, budget, stream)

    async def _read_changes(self, name: str, known: Mapping[str, Record], at: datetime) -> Mapping[str, Record]:
        """`known` with the changes since, or all records if that time is unknown. Raises Torn if the count differs.

        `known` were read from the moment `at` on.
        """
        since = changes_from(known.values(), at)
        path, schema = self._path(name), SCHEMAS[_USERS.get(name, name)]
        filters = {"filter": f"dateLastModified>'{since}'"} if since else {}
        changes = (await self._whole(name, path, schema, filters)).records
        records = {**(known if since else {}), **changes}
        query = {"limit": "1", "offset": "0", "filter": "status='active'"}
        if (await self._request(path, query, ID)).total != sum(map(is_active, records.values())):
            raise Torn(f"the count of {name} differs")
        return records

    async def _read_enrolled(self, records: Collections) -> Mapping[str, Record]:
        """The people of the school's classes who are in none of its lists, such as a head who teaches.

        Only users of this school have grades, because a year group is of one school.
        """
        known, classes = {**records["students"], **records["teachers"]}, records["classes"]
        enrolled = dict.fromkeys(
            row["user"]
            for row in records["enrollments"].values()
            if is_active(row) and may_be_in_class(row["role"]) and row["class"] in classes
        )
        wanted = [id_ for id_ in enrolled if id_ and id_ not in known]
        listed = len(wanted) > _SINGLE_READS or self._lists.has("users")
        found = await (self._find_users(wanted) if listed else self._read_users(wanted))
        return {
            user: record if is_at_school(record, self._school) else record.without("grades")
            for user, record in found.items()
        }

    async def read_class(self, id_: str) -> tuple[Record, Mapping[str, Record]]:
        """One class, and its enrolments by id. Raises Torn if these are not beyond doubt, SnapshotRejected."""
        schema, path = SCHEMAS["classes"], f"classes/{self._quoted(id_)}"
        found = find_record((await self._request(f"{self._root}/{path}", {}, schema)).answer, schema)
        if found is None:
            raise Torn("no record of the class was returned")
        school = f"{self._root}/schools/{self._quoted(self._school)}"
        enrolments = await self._whole("enrollments", f"{school}/{path}/enrollments", SCHEMAS["enrollments"])
        if enrolments.facts.totals is not Totals.LIST or not enrolments.records:
            raise Torn("no total shows that the enrolments of the class are all there")
        return found, enrolments.records

    async def _read_users(self, ids: Iterable[str]) -> Mapping[str, Record]:
        """The users with these ids that the server has. Each is requested."""
        users: dict[str, Record] = {}
        schema = SCHEMAS_OF_ALL_SCHOOLS["users"]
        for id_ in ids:
            try:
                page = await self._request(f"{self._root}/users/{self._quoted(id_)}", {}, schema)
            except RequestRefused:
                continue
            user = find_record(page.answer, schema)
            if user and user.id == id_:
                self._budget.memory.keep(user.size)
                users[id_] = user
        return users

    async def _find_users(self, ids: Sequence[str]) -> Mapping[str, Record]:
        """The users with these ids in the list of all users."""
        try:
            users = (await self._shared("users", set(map(with_id, ids)))).records
        except RequestRefused:
            return {}
        return {id_: users[id_] for id_ in ids if id_ in users}

    async def _whole(self, name: str, path: str, schema: Schema, filters: Mapping[str, str] | None = None) -> WholeList:
        """The whole list of records at this path. Raises Torn, RequestRefused, SnapshotRejected."""
        fetch = self._fetcher(name, path, schema, filters or {})
        return await read_list(fetch, name, self.quirks.page, self._budget.memory)

    def _fetcher(self, name: str, path: str, schema: Schema, filters: Mapping[str, str]) -> Fetch:
        collection = _USERS.get(name, name)

        async def fetch(query: Mapping[str, str]) -> ListPage:
            try:
                page = await self._request(path, {**query, **filters}, schema)
            except RequestRefused as refused:
                if refused.status in _NO_PAGE and query.get("offset") != "0":
                    return ListPage(())
                raise
            listed = find_list(page.answer, (collection, name))
            if listed is None:
                raise self.rejection(
                    f"returned a page without a list of {collection}", "check the version in the school's source"
                )
            if collection not in page.answer.lists:
                self.quirks = replace(self.quirks, wrapped=True)
            return ListPage(listed, page.total, page.next)

        return fetch

    async def _request(self, path: str, query: Mapping[str, str], schema: Schema) -> Page:
        """The response, without the parameter `fields` or with smaller pages if the server refuses these."""
        refusals: list[RequestRefused] = []
        for quirks in self.quirks.alternatives():
            try:
                page = await self.get(path, quirks.parameters(query, ",".join(schema.fields)), schema.read)
            except RequestRefused as refused:
                refusals.append(refused)
                if refused.status != 400:
                    break
            else:
                self.quirks = quirks
                return page
        raise refusals[0]

    def _path(self, name: str) -> str:
        school = "" if name == "academicSessions" else f"/schools/{self._quoted(self._school)}"
        return f"{self._root}{school}/{name}"

    @staticmethod
    def _quoted(id_: str) -> str:
        return quote(id_, safe="")
