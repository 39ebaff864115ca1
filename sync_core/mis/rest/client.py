"""A client for MIS vendors' REST servers. It waits for a busy server, and reads a school in full or not at all."""

from __future__ import annotations

import asyncio
import re
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, ClassVar, Self, TypeVar
from urllib.parse import parse_qsl

import httpx

from sync_core.backoff import WaitBudget, growing_wait, retry_after
from sync_core.clock import Clock
from sync_core.domain.ids import SchoolId
from sync_core.domain.school.sources import OneRosterApi, WondeApi
from sync_core.errors import SnapshotRejected, Transient
from sync_core.mis.budget import ENTRY, MAX_HEADER, ServerBudget, whole_number
from sync_core.mis.records import Record, Schema
from sync_core.mis.rejection import rejection
from sync_core.mis.rest.answer import CHECK_URL, Answer, AnswerRefused, ReadRecord, read_answer
from sync_core.mis.rest.cache import CachedSchool, Collections, PackedRecords, SchoolCache

_TIMEOUT = httpx.Timeout(60.0, connect=20.0)
_READS = 3
"""How many times a school is read if it changes during each read."""
_REMEDIES = {
    401: "check the client and the application setting that the secret in the school's source names",
    403: "have the vendor give this client the scope for this school's roster",
    404: "check the URL, the version and the school id in the school's source",
}
_LINK = re.compile(r"<([^<>]*)>\s*+;([^<,]*)")
_NEXT = re.compile(r'rel="?next"?', re.IGNORECASE)
_TOTAL_FIELDS = ("total", "totalCount", "total_count", "totalRecords")


_T = TypeVar("_T")
Sending = Callable[[], AbstractAsyncContextManager[httpx.Response]]
"""Sends a request, each time it is called."""


@dataclass(frozen=True, slots=True)
class Page:
    """One response: its JSON object, the total that the server reports, and the query of its link to the next page."""

    answer: Answer
    total: int | None
    next: Mapping[str, str] | None


class Torn(Exception):
    """The records read are not the complete school at one moment. The text says why; `remedy` fits the cause."""

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(reason)
        self.remedy = remedy


class RequestRefused(SnapshotRejected):
    """The server answered that waiting cannot help. `status` is that of HTTP."""

    def __init__(self, status: int, rejected: SnapshotRejected) -> None:
        super().__init__(rejected.message, rejected.remedy)
        self.status = status


@asynccontextmanager
async def in_time(longest: timedelta) -> AsyncIterator[None]:
    """Raises SnapshotRejected if the block takes longer, whatever it waits for."""
    limit = asyncio.timeout(longest.total_seconds())
    try:
        async with limit:
            yield
    except TimeoutError:
        if not limit.expired():
            raise
        raise rejection(
            f"the server was not read to its end in {longest.total_seconds():,.0f} seconds",
            "the next night tries again; if this stays, tell the vendor how slowly its server answers",
        ) from None


class Server:
    """A server, open for one read. `name` is its name in error messages. `budget` is that of the whole reading."""

    def __init__(self, name: str, url: str, budget: ServerBudget, clock: Clock) -> None:
        self._name = name
        self._client = httpx.AsyncClient(
            base_url=url, timeout=_TIMEOUT, headers={"Accept-Encoding": "gzip"}, follow_redirects=False
        )
        self._budget = budget
        self._clock = clock
        self._wait_budget = WaitBudget(clock, budget.waits)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._client.aclose()

    def rejection(self, message: str, remedy: str, shown: str = "") -> SnapshotRejected:
        """`message` continues a sentence that begins with the server's name, and so does `shown`, for an admin."""
        return rejection(f"{self._name} {message}", remedy, f"{self._name} {shown or message}")

    async def send(self, sending: Sending, read: Callable[[httpx.Response], Awaitable[_T]]) -> _T:
        """What `read` makes of the response. The request is repeated while the server is busy or unreachable.

        The time of requests without an answer is part of the wait budget. Raises Transient when that is spent.
        """
        failures = 0
        while True:
            self._budget.request()
            began_at = self._clock.now()
            headers: Mapping[str, str] = {}
            try:
                async with sending() as response:
                    if response.status_code != 429 and response.status_code < 500:
                        return await read(response)
                    failure, headers = f"returned {response.status_code}", response.headers
            except (httpx.InvalidURL, UnicodeError):
                raise self.rejection("has an invalid URL", "check the URLs in the school's source") from None
            except AnswerRefused as refused:
                raise self.rejection(refused.message, refused.remedy) from None
            except httpx.HTTPError:
                failure = "did not respond"
            failures += 1
            waits = self._budget.waits
            waited = f", and the wait budget of {waits.seconds} seconds is spent" if waits else ""
            spent = Transient(
                f"{self._name} {failure}{waited}",
                "nothing was changed; the app retries. If this continues, check the vendor's service status",
            )
            self._wait_budget.waited(self._clock.now() - began_at)
            await self._wait_budget.sleep(retry_after(headers) or growing_wait(failures), spent)

    async def read_json(self, response: httpx.Response, read: ReadRecord) -> Answer | None:
        """The JSON object of the response; None if there is none. Raises AnswerRefused, SnapshotRejected."""
        left = replace(self._budget.memory)

        def read_one(item: object) -> Record | None:
            record = read(item)
            left.keep(record.size if record else ENTRY)
            return record

        return await read_answer(response, read_one, self._budget.receive)


class MisApi(Server, ABC):
    """A vendor's server, open for one snapshot. It says who can help (`contact`), and which collections to cache."""

    contact: ClassVar[str]
    cached: ClassVar[Mapping[str, Schema]]

    def __init__(self, name: str, url: str, budget: ServerBudget, clock: Clock) -> None:
        super().__init__(name, url, budget, clock)
        self._headers = {"Accept": "application/json"}

    @property
    def counted(self) -> bool:
        """Whether the server's counts show that a cached school with the changes since is complete."""
        return True

    @abstractmethod
    async def read(self, cached: CachedSchool | None) -> Collections:
        """The complete school: `cached` with the changes since, or all of it. Raises Torn, SnapshotRejected."""

    async def read_school(self, source: OneRosterApi | WondeApi, school: SchoolId, cache: SchoolCache) -> Collections:
        """The complete school. Requests only what changed since the cached read, and all of it if that is in doubt.

        Repeats a full read while it raises Torn. Raises SnapshotRejected after _READS attempts, Transient.
        """
        began_at = self._clock.now()
        cached, reason = cache.of(source, school, began_at), Torn("")
        attempts = [cached, *[None] * _READS] if cached else [None] * _READS
        memory = self._budget.memory.left
        for previous in attempts:
            self._budget.memory.left = memory  # what an earlier attempt read is dropped
            try:
                records = await self.read(previous)
            except Torn as torn:
                reason = torn
            except SnapshotRejected:
                if previous is None:
                    raise
            else:
                full_read_at = previous.full_read_at if previous else began_at
                if self.counted:
                    kept = {name: PackedRecords.of(schema, records[name]) for name, schema in self.cached.items()}
                    cache.put(source, school, CachedSchool(kept, began_at, full_read_at))
                return records
        message = f"was inconsistent in {_READS} reads: {reason}"
        raise self.rejection(message, reason.remedy or f"sync at a quiet time, or ask {self.contact}")

    async def get(self, path: str, query: Mapping[str, str], read: ReadRecord) -> Page:
        """The page. `read` makes records of the items of its lists.

        Raises RequestRefused if waiting cannot help, Transient when the wait budget is spent.
        """

        async def read_page(response: httpx.Response) -> Page:
            status = response.status_code
            if status == 204 or status >= 300:
                refused = self.rejection(f"returned {status}", _REMEDIES.get(status, CHECK_URL))
                raise RequestRefused(status, refused)
            answer = await self.read_json(response, read)
            if answer is None:
                raise AnswerRefused("returned no JSON object", CHECK_URL)
            return Page(answer, _total(response.headers, answer.fields), next_query(response.headers.get("Link", "")))

        params = dict(query)
        return await self.send(
            lambda: self._client.stream("GET", path, params=params, headers=self._headers), read_page
        )

    def sign_in(self, token: str) -> None:
        """Send this bearer token with each later request."""
        self._headers |= {"Authorization": f"Bearer {token}"}


def next_query(header: str) -> dict[str, str] | None:
    """The query of the link to the next page in a Link header (RFC 8288). None if it has none."""
    _check_length(header)
    return next((link_query(link) for link, parameters in _LINK.findall(header) if _NEXT.search(parameters)), None)


def link_query(link: str) -> dict[str, str]:
    """The query of a link to the next page. Only this part is used, so that no other server gets the token."""
    _check_length(link)
    return dict(parse_qsl(link.partition("?")[2].partition("#")[0]))


def at(record: object, *path: str) -> Mapping[str, Any]:
    """The object at a path of fields within an answer; empty if there is none."""
    for name in path:
        record = record.get(name) if isinstance(record, dict) else None
    return record if isinstance(record, dict) else {}


def _check_length(link: str) -> None:
    if len(link) > MAX_HEADER:
        raise rejection(
            f"the server returned a link to the next page of more than {MAX_HEADER:,} characters",
            "have the vendor shorten its links",
        )


def _total(headers: Mapping[str, str], fields: Mapping[str, Any]) -> int | None:
    """The total that a header has, or else the body, where servers without the header put it."""
    places = [at(fields, "meta"), at(fields, "pagination"), fields]
    totals = [headers.get("X-Total-Count"), *(place.get(name) for place in places for name in _TOTAL_FIELDS)]
    return next((total for total in map(whole_number, totals) if total is not None), None)
