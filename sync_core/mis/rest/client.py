"""An MIS vendor's REST interface: waited for where it is busy, and read whole or not at all."""

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
"""The longest that one read waits for a busy server in all: with the work of a plan, under five minutes of a lock."""

READINGS = 3
"""A reading that does not come out whole, as the school changes meanwhile, is begun anew, so often in all."""

_LARGEST_ANSWER = 64_000_000
_NEXT = re.compile(r'<([^>]*)>\s*;[^,]*rel="?next"?', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Page:
    """One answer: its JSON object, the total that the server tells, and the link to the next page."""

    body: Mapping[str, Any]
    total: int | None
    next: str | None


class Torn(Exception):
    """What was read is not the whole school at one moment; says why."""


class MisApi:
    """Reads from one server, for one snapshot. `name` is what the server is called in messages."""

    def __init__(self, name: str, client: httpx.AsyncClient, clock: Clock) -> None:
        self._name = name
        self._client = client
        self._wait_budget = WaitBudget(clock, _BUDGET)
        self._headers = {"Accept": "application/json"}

    def sign_in(self, token: str) -> None:
        """Show this bearer token from now on."""
        self._headers |= {"Authorization": f"Bearer {token}"}

    async def whole(self, read: Callable[[], Awaitable[_T]], failed: str, whom: str) -> _T:
        """What `read` gives that was not torn. Rejects with `failed`, and whom to ask, after READINGS."""
        why = ""
        for _ in range(READINGS):
            try:
                return await read()
            except Torn as torn:
                why = str(torn)
        raise self.rejected(f"{failed}{why}", f"sync it at a quieter time, or ask {whom}")

    async def get(self, path: str, query: Mapping[str, str]) -> Page:
        """Raises SnapshotRejected for what no waiting mends, Transient past the waiting budget."""
        response = await self._ask("GET", path, query, None, self._headers)
        total = response.headers.get("X-Total-Count", "")
        link = _NEXT.search(response.headers.get("Link", ""))
        return Page(self._object(response), int(total) if total.isdecimal() else None, link[1] if link else None)

    async def token(self, url: str, client: str, secret: str, scope: str) -> str:
        """OAuth 2 client credentials (RFC 6749, 4.4). Raises as `get`."""
        form = {"grant_type": "client_credentials", "scope": scope}
        answer = self._object(await self._ask("POST", url, {}, form, {}, (client, secret)))
        token = answer.get("access_token")
        if not isinstance(token, str) or not token:
            raise self.rejected("its token server gave no token", "check token_url in the school's source")
        return token

    def rejected(self, what: str, remedy: str) -> SnapshotRejected:
        return SnapshotRejected(f"{self._name}: {what}", f"{remedy}; nothing was changed")

    async def _ask(
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
            told: Mapping[str, str] = {}
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
                raise self.rejected("its address cannot be used", "check the urls in the school's source") from None
            except httpx.HTTPError:
                said = "nothing"
            else:
                if response.status_code < 300:
                    return response
                said, told = str(response.status_code), response.headers
                if response.status_code != 429 and response.status_code < 500:
                    raise self._refused(response.status_code)
            failures += 1
            spent = Transient(
                f"{self._name} answered {said} for longer than a read may wait",
                "the plan is made again by itself; if it stays so, look at the vendor's service status",
            )
            await self._wait_budget.sleep(retry_after(told) or growing_wait(failures), spent)

    def _refused(self, status: int) -> SnapshotRejected:
        remedies = {
            401: "check the client and the application setting that the source's secret names",
            403: "have the vendor give this client the scope for rosters, of this school",
            404: "check the url, the version and the school id in the school's source",
        }
        return self.rejected(f"it answered {status}", remedies.get(status, "check the url in the school's source"))

    def _object(self, response: httpx.Response) -> dict[str, Any]:
        if len(response.content) > _LARGEST_ANSWER:
            raise self.rejected("an answer is larger than 64 MB", "have the vendor honour the page size")
        try:
            body = json.loads(response.content)
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise self.rejected("an answer is no JSON object", "check the url in the school's source")
        return body


def mis_client(base_url: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=base_url, timeout=_TIMEOUT)
