"""A client for MIS vendors' REST servers. It waits for a busy server, and reads a school in full or not at all."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import httpx

from sync_core.backoff import WaitBudget, growing_wait, retry_after
from sync_core.clock import Clock
from sync_core.errors import SnapshotRejected, Transient

_T = TypeVar("_T")
_TIMEOUT = httpx.Timeout(60.0, connect=20.0)
_BUDGET = timedelta(seconds=120)
"""The wait budget of one read. Together with the work of a plan it stays under the five minutes of a message lock."""

_READS = 3
"""How many times a school is read if it changes during each read."""

_MAX_RESPONSE = 64_000_000
_NEXT = re.compile(r'<([^>]*)>\s*;[^,]*rel="?next"?', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Page:
    """One response: its JSON object, the total that the server reports, and the link to the next page."""

    body: Mapping[str, Any]
    total: int | None
    next: str | None


class Torn(Exception):
    """The records read are not the complete school at one moment. The text says why."""


class MisApi:
    """Reads from one server, for one snapshot. `name` is the server's name in error messages."""

    def __init__(self, name: str, client: httpx.AsyncClient, clock: Clock) -> None:
        self._name = name
        self._client = client
        self._wait_budget = WaitBudget(clock, _BUDGET)
        self._headers = {"Accept": "application/json"}

    def sign_in(self, token: str) -> None:
        """Send this bearer token with each later request."""
        self._headers |= {"Authorization": f"Bearer {token}"}

    async def read_full(self, read: Callable[[], Awaitable[_T]], contact: str) -> _T:
        """The result of `read`, repeated while it raises Torn. Raises SnapshotRejected after _READS attempts."""
        reason = ""
        for _ in range(_READS):
            try:
                return await read()
            except Torn as torn:
                reason = str(torn)
        raise self.rejection(f"was inconsistent in {_READS} reads: {reason}", f"sync at a quiet time, or ask {contact}")

    async def get(self, path: str, query: Mapping[str, str]) -> Page:
        """Raises SnapshotRejected if waiting cannot help, Transient when the wait budget is spent."""
        response = await self._request("GET", path, query, None, self._headers)
        total = response.headers.get("X-Total-Count", "")
        link = _NEXT.search(response.headers.get("Link", ""))
        return Page(self._object(response), int(total) if total.isdecimal() else None, link[1] if link else None)

    async def token(self, url: str, client: str, secret: str, scope: str) -> str:
        """An access token by OAuth 2 client credentials (RFC 6749, 4.4). Raises the same as `get`."""
        form = {"grant_type": "client_credentials", "scope": scope}
        body = self._object(await self._request("POST", url, {}, form, {}, (client, secret)))
        token = body.get("access_token")
        if not isinstance(token, str) or not token:
            raise self.rejection("returned no access token", "check token_url in the school's source")
        return token

    def rejection(self, message: str, remedy: str) -> SnapshotRejected:
        """`message` continues a sentence that begins with the server's name."""
        return SnapshotRejected(f"{self._name} {message}", f"nothing was changed; {remedy}")

    async def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        form: Mapping[str, str] | None,
        headers: Mapping[str, str],
        identity: tuple[str, str] | None = None,
    ) -> httpx.Response:
        failures = 0
        while True:
            response_headers: Mapping[str, str] = {}
            try:
                response = await self._client.request(
                    method,
                    path,
                    params=dict(query),
                    data=dict(form) if form else None,
                    headers=dict(headers),
                    auth=identity,
                    follow_redirects=False,
                )
            except (httpx.InvalidURL, UnicodeError):
                raise self.rejection("has an invalid URL", "check the URLs in the school's source") from None
            except httpx.HTTPError:
                failure = "did not respond"
            else:
                if response.status_code < 300:
                    return response
                failure, response_headers = f"returned {response.status_code}", response.headers
                if response.status_code != 429 and response.status_code < 500:
                    raise self._status_rejection(response.status_code)
            failures += 1
            spent = Transient(
                f"{self._name} {failure}, and the wait budget of {_BUDGET.seconds} seconds is spent",
                "nothing was changed; the app retries. If this continues, check the vendor's service status",
            )
            await self._wait_budget.sleep(retry_after(response_headers) or growing_wait(failures), spent)

    def _status_rejection(self, status: int) -> SnapshotRejected:
        remedies = {
            401: "check the client and the application setting that the secret in the school's source names",
            403: "have the vendor give this client the scope for this school's roster",
            404: "check the URL, the version and the school id in the school's source",
        }
        return self.rejection(f"returned {status}", remedies.get(status, "check the URL in the school's source"))

    def _object(self, response: httpx.Response) -> dict[str, Any]:
        if len(response.content) > _MAX_RESPONSE:
            raise self.rejection("returned more than 64 MB at once", "have the vendor honour the page size")
        try:
            body = json.loads(response.content)
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise self.rejection("returned no JSON object", "check the URL in the school's source")
        return body


def mis_client(base_url: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=base_url, timeout=_TIMEOUT)
