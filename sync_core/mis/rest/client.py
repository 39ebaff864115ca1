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
from sync_core.domain.school import OneRosterApi, WondeApi
from sync_core.errors import SnapshotRejected, Transient
from sync_core.mis.files.strict_csv import rejection
from sync_core.mis.rest.cache import CachedSchool, Collections, Record, SchoolCache

_TIMEOUT = httpx.Timeout(60.0, connect=20.0)
_BUDGET = timedelta(seconds=120)
"""The wait budget of one read. Together with the work of a plan it stays far below the 30 minutes of a function."""
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


@dataclass(frozen=True, slots=True)
class Page:
    """One response: its JSON object, the total that the server reports, and the link to the next page."""

    body: Mapping[str, Any]
    total: int | None
    next: str | None


class Torn(Exception):
    """The records read are not the complete school at one moment. The text says why."""


class MisApi(ABC):
    """A vendor's server, open for one snapshot. `name` is the server's name in error messages.

    A vendor says who can help (`contact`), which collections to cache, where a page has its records (`list_field`, if
    not under the name of the collection) and their ids, and the remedy for a page without records.
    """

    contact: ClassVar[str]
    cached: ClassVar[tuple[str, ...]]
    list_field: ClassVar[str] = ""
    id_field: ClassVar[str]
    no_list_remedy: ClassVar[str]

    def __init__(self, name: str, url: str, clock: Clock) -> None:
        self._name = name
        self._client = httpx.AsyncClient(base_url=url, timeout=_TIMEOUT)
        self._clock = clock
        self._wait_budget = WaitBudget(clock, _BUDGET)
        self._headers = {"Accept": "application/json"}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._client.aclose()

    @abstractmethod
    async def read(self, cached: CachedSchool | None) -> Collections:
        """The complete school: `cached` with the changes since, or all of it. Raises Torn, SnapshotRejected."""

    async def read_school(self, source: OneRosterApi | WondeApi, school: str, cache: SchoolCache) -> Collections:
        """The complete school. Requests only what changed since the cached read, and all of it if that is in doubt.

        Repeats a full read while it raises Torn. Raises SnapshotRejected after _READS attempts, Transient.
        """
        began_at = self._clock.now()
        cached, reason = cache.of(source, school, began_at), ""
        attempts = [cached, *[None] * _READS] if cached else [None] * _READS
        for previous in attempts:
            try:
                records = await self.read(previous)
            except Torn as torn:
                reason = str(torn)
            except SnapshotRejected:
                if previous is None:
                    raise
            else:
                full_read_at = previous.full_read_at if previous else began_at
                kept = {name: records[name] for name in self.cached}
                cache.put(source, school, CachedSchool(kept, began_at, full_read_at))
                return records
        message = f"was inconsistent in {_READS} reads: {reason}"
        raise self.rejection(message, f"sync at a quiet time, or ask {self.contact}")

    async def read_pages(
        self,
        path: str,
        query: Mapping[str, str] | None,
        collection: str,
        next_query: Callable[[Page, int], Mapping[str, str] | None],
    ) -> dict[str, Record]:
        """The records of all pages by id, of which an empty one is left to the caller. Raises Torn.

        `next_query` gets a page and the number of records so far. It returns the next query, or None after the last.
        """
        records: dict[str, Record] = {}
        while query is not None:
            page = await self.get(path, query)
            listed = page.body.get(self.list_field or collection)
            if not isinstance(listed, list) or not all(isinstance(record, dict) for record in listed):
                raise self.rejection(f"returned a page without a list of {collection}", self.no_list_remedy)
            for record in listed:
                id_ = text(record.get(self.id_field))
                if id_ and id_ in records:
                    raise Torn(f"a record of {collection} was returned twice")
                records[id_] = record
            query = next_query(page, len(records))
            if query is not None and not listed:
                raise Torn(f"a page of {collection} is empty, but more pages follow")
        return records

    async def get(self, path: str, query: Mapping[str, str]) -> Page:
        """Raises SnapshotRejected if waiting cannot help, Transient when the wait budget is spent."""
        response = await self._send(lambda: self._client.get(path, params=dict(query), headers=self._headers))
        total = response.headers.get("X-Total-Count", "")
        link = _NEXT.search(response.headers.get("Link", ""))
        return Page(self._object(response), int(total) if total.isdecimal() else None, link[1] if link else None)

    def sign_in(self, token: str) -> None:
        """Send this bearer token with each later request."""
        self._headers |= {"Authorization": f"Bearer {token}"}

    async def token(self, url: str, client: str, secret: str, scope: str) -> str:
        """An access token by OAuth 2 client credentials (RFC 6749, 4.4). Raises the same as `get`."""
        form = {"grant_type": "client_credentials", "scope": scope}
        response = await self._send(lambda: self._client.post(url, data=form, auth=(client, secret)))
        token = self._object(response).get("access_token")
        if not isinstance(token, str) or not token:
            raise self.rejection("returned no access token", "check token_url in the school's source")
        return token

    def rejection(self, message: str, remedy: str) -> SnapshotRejected:
        """`message` continues a sentence that begins with the server's name."""
        return rejection(f"{self._name} {message}", remedy)

    async def _send(self, request: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
        """The response of `request`, which is repeated while the server is busy or unreachable."""
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
                if response.status_code < 300:
                    return response
                failure, response_headers = f"returned {response.status_code}", response.headers
                if response.status_code != 429 and response.status_code < 500:
                    raise self.rejection(failure, _REMEDIES.get(response.status_code, CHECK_URL))
            failures += 1
            spent = Transient(
                f"{self._name} {failure}, and the wait budget of {_BUDGET.seconds} seconds is spent",
                "nothing was changed; the app retries. If this continues, check the vendor's service status",
            )
            await self._wait_budget.sleep(retry_after(response_headers) or growing_wait(failures), spent)

    def _object(self, response: httpx.Response) -> dict[str, Any]:
        if len(response.content) > _MAX_RESPONSE:
            raise self.rejection("returned more than 64 MB at once", "have the vendor honour the page size")
        try:
            body = response.json()
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise self.rejection("returned no JSON object", CHECK_URL)
        return body


def link_query(link: str) -> dict[str, str]:
    """The query of a link to the next page. Only this part is used, so that no other server gets the token."""
    return dict(parse_qsl(link.partition("?")[2].partition("#")[0]))


def text(value: object) -> str:
    """A string or a number without spaces around it; empty for any other value."""
    return str(value).strip() if isinstance(value, str | int) else ""
