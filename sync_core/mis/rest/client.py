"""A client for MIS vendors' REST servers. It waits for a busy server, and reads a school in full or not at all."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar, Self
from urllib.parse import parse_qsl

import httpx

from sync_core.backoff import WaitBudget, growing_wait, retry_after
from sync_core.clock import Clock
from sync_core.domain.ids import SchoolId
from sync_core.domain.school import OneRosterApi, WondeApi
from sync_core.errors import SnapshotRejected, Transient
from sync_core.mis.rejection import rejection
from sync_core.mis.rest.cache import CachedSchool, Collections, SchoolCache

_TIMEOUT = httpx.Timeout(60.0, connect=20.0)
BUDGET = timedelta(seconds=120)
"""The wait budget of one server. Together with the work of a plan it stays far below the 30 minutes of a function."""
_READS = 3
"""How many times a school is read if it changes during each read."""
_MAX_RESPONSE = 64_000_000
CHECK_URL = "check the URL in the school's source"
_REMEDIES = {
    401: "check the client and the application setting that the secret in the school's source names",
    403: "have the vendor give this client the scope for this school's roster",
    404: "check the URL, the version and the school id in the school's source",
}
_NEXT = re.compile(r'<([^>]*)>\s*;[^,]*rel="?next"?', re.IGNORECASE)
_TOTAL_FIELDS = ("total", "totalCount", "total_count", "totalRecords")


@dataclass(frozen=True, slots=True)
class Page:
    """One response: its JSON object, the total that the server reports, and the query of its link to the next page."""

    body: Mapping[str, Any]
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


class Server:
    """A server, open for one read. `name` is its name in error messages."""

    def __init__(self, name: str, url: str, clock: Clock, budget: timedelta = BUDGET) -> None:
        self._name = name
        self._client = httpx.AsyncClient(base_url=url, timeout=_TIMEOUT)
        self._clock = clock
        self._budget = budget
        self._wait_budget = WaitBudget(clock, budget)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._client.aclose()

    def rejection(self, message: str, remedy: str, shown: str = "") -> SnapshotRejected:
        """`message` continues a sentence that begins with the server's name, and so does `shown`, for an admin."""
        return rejection(f"{self._name} {message}", remedy, f"{self._name} {shown or message}")

    async def send(self, request: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
        """The response of `request`, which is repeated while the server is busy or unreachable.

        Raises Transient when the wait budget is spent.
        """
        failures = 0
        while True:
            response_headers: Mapping[str, str] = {}
            try:
                response = await request()
            except (httpx.InvalidURL, UnicodeError):
                raise self.rejection("has an invalid URL", "check the URLs in the school's source") from None
            except httpx.HTTPError:
                failure = "did not respond"
            else:
                if response.status_code != 429 and response.status_code < 500:
                    return response
                failure, response_headers = f"returned {response.status_code}", response.headers
            failures += 1
            waited = f", and the wait budget of {self._budget.seconds} seconds is spent" if self._budget else ""
            spent = Transient(
                f"{self._name} {failure}{waited}",
                "nothing was changed; the app retries. If this continues, check the vendor's service status",
            )
            await self._wait_budget.sleep(retry_after(response_headers) or growing_wait(failures), spent)


class MisApi(Server, ABC):
    """A vendor's server, open for one snapshot. It says who can help (`contact`), and which collections to cache."""

    contact: ClassVar[str]
    cached: ClassVar[tuple[str, ...]]

    def __init__(self, name: str, url: str, clock: Clock, budget: timedelta = BUDGET) -> None:
        super().__init__(name, url, clock, budget)
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
        for previous in attempts:
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
                    kept = {name: records[name] for name in self.cached}
                    cache.put(source, school, CachedSchool(kept, began_at, full_read_at))
                return records
        message = f"was inconsistent in {_READS} reads: {reason}"
        raise self.rejection(message, reason.remedy or f"sync at a quiet time, or ask {self.contact}")

    async def get(self, path: str, query: Mapping[str, str]) -> Page:
        """Raises RequestRefused if waiting cannot help, Transient when the wait budget is spent."""
        response = await self.send(lambda: self._client.get(path, params=dict(query), headers=self._headers))
        status = response.status_code
        if status >= 300:
            refused = self.rejection(f"returned {status}", _REMEDIES.get(status, CHECK_URL))
            raise RequestRefused(status, refused)
        if len(response.content) > _MAX_RESPONSE:
            raise self.rejection("returned more than 64 MB at once", "have the vendor honour the page size")
        body = json_object(response)
        if body is None:
            raise self.rejection("returned no JSON object", CHECK_URL)
        link = _NEXT.search(response.headers.get("Link", ""))
        return Page(body, _total(response.headers, body), link_query(link[1]) if link else None)

    def sign_in(self, token: str) -> None:
        """Send this bearer token with each later request."""
        self._headers |= {"Authorization": f"Bearer {token}"}


def json_object(response: httpx.Response) -> dict[str, Any] | None:
    """The JSON object of the response; None if there is none."""
    try:
        body = response.json()
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def link_query(link: str) -> dict[str, str]:
    """The query of a link to the next page. Only this part is used, so that no other server gets the token."""
    return dict(parse_qsl(link.partition("?")[2].partition("#")[0]))


def text(value: object) -> str:
    """A string or a number without spaces around it; empty for any other value."""
    return str(value).strip() if isinstance(value, str | int) else ""


def at(record: object, *path: str) -> Mapping[str, Any]:
    """The object at a path of fields within a record; empty if there is none."""
    for name in path:
        record = record.get(name) if isinstance(record, dict) else None
    return record if isinstance(record, dict) else {}


def _total(headers: Mapping[str, str], body: Mapping[str, Any]) -> int | None:
    """The total that a header has, or else the body, where servers without the header put it."""
    places = [at(body, "meta"), at(body, "pagination"), body]
    totals = [headers.get("X-Total-Count"), *(place.get(name) for place in places for name in _TOTAL_FIELDS)]
    return next((int(total) for total in map(text, totals) if total.isdecimal()), None)
