"""One request to Graph and its answer: waiting out throttling together, and saying failures in our own words."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import httpx
from azure.core.exceptions import AzureError, ClientAuthenticationError
from kiota_abstractions.method import Method
from kiota_abstractions.native_response_handler import NativeResponseHandler
from kiota_abstractions.request_information import RequestInformation
from kiota_http.middleware.options import ResponseHandlerOption
from msgraph.graph_request_adapter import GraphRequestAdapter

from sync_core.errors import AlreadyThere, GraphRefused, NicknameTaken, NotThere, Transient
from sync_core.ports import Clock

WAITING_BUDGET = timedelta(seconds=180)
"""The longest that one call waits in all: well under the five minutes for which the queue's lock is renewed."""

CONCURRENT_REQUESTS = 16
_FIRST_WAIT, _LONGEST_WAIT = 2.0, 30.0

# Graph's words for what is no fault of ours. It has no code of its own for either; both come as Request_BadRequest.
_ALREADY_THERE = "added object references already exist"
_NICKNAME_TAKEN = "another object with the same value for property mailnickname already exists"
_CLASS_PATH = re.compile(r"/education/classes/[0-9a-f-]{36}")
_ADDRESS = re.compile(r"[^\s'\"<>]+@[^\s'\"<>]+")
_REMEDIES = {
    401: (
        "check that the app's managed identity is enabled, "
        "and that a tenant other than its own has consented to the app"
    ),
    403: "grant the app's identity the Graph permissions that docs/operations.md lists, with admin consent",
}


class GraphWire:
    """Sends to one tenant. A 429 closes a gate for every call: hammering on would only lengthen the penalty."""

    def __init__(self, adapter: GraphRequestAdapter, clock: Clock, budget: timedelta = WAITING_BUDGET) -> None:
        self._adapter = adapter
        self._clock = clock
        self._budget = budget
        self._places = asyncio.Semaphore(CONCURRENT_REQUESTS)
        self._open_at: datetime | None = None

    def relative(self, link: str) -> str:
        """One of Graph's own links without the base URL, to be kept whatever the way to Graph is tomorrow."""
        return link.removeprefix(self._adapter.base_url)

    async def get(self, path: str) -> dict[str, Any]:
        """`path` below the base URL, or a whole URL as Graph's own links are."""
        answer: dict[str, Any] = await self._send(Method.GET, path, None, repeatable=True)
        return answer

    async def patch(self, path: str, body: Mapping[str, object]) -> None:
        await self._send(Method.PATCH, path, body, repeatable=True)

    async def add_reference(self, path: str, body: Mapping[str, object]) -> None:
        await self._send(Method.POST, path, body, repeatable=True)

    async def create(self, path: str, body: Mapping[str, object]) -> dict[str, Any]:
        """Raises Transient where it is unknown whether Graph did the work: only the caller can find out."""
        answer: dict[str, Any] = await self._send(Method.POST, path, body, repeatable=False)
        return answer

    async def remove_reference(self, path: str) -> None:
        """`path` without its `/$ref`, which is added here: without it, Graph would delete the person himself."""
        await self._send(Method.DELETE, f"{path}/$ref", None, repeatable=True)

    async def delete_class(self, path: str) -> None:
        """`path` of a class, and of nothing else: a DELETE is the one verb that can take a person away."""
        if not _CLASS_PATH.fullmatch(path):
            raise ValueError("not the path of a class")
        await self._send(Method.DELETE, path, None, repeatable=True)

    async def restore(self, path: str) -> None:
        await self._send(Method.POST, path, None, repeatable=True)

    async def _send(self, method: Method, path: str, body: Mapping[str, object] | None, *, repeatable: bool) -> Any:
        give_up = self._clock.now() + self._budget
        wait = _FIRST_WAIT
        while True:
            await self._pass_gate(give_up)
            status, response = await self._ask(method, path, body)
            if response is not None and status < 400:
                return json.loads(response.content) if response.content else {}
            if response is not None and status != 429 and status < 500:
                raise _permanent(status, response)
            if status != 429 and not repeatable:
                await self._clock.sleep(wait)
                raise Transient(
                    f"Graph answered {_name(status)}, and may have done the work",
                    "it is looked up at the next delivery",
                )
            pause = _retry_after(response) or wait
            wait = min(wait * 2, _LONGEST_WAIT)
            if status == 429:
                self._close_gate(pause)
            elif self._clock.now() + timedelta(seconds=pause) > give_up:
                raise _waited_too_long(status)
            else:
                await self._clock.sleep(pause)

    async def _ask(
        self, method: Method, path: str, body: Mapping[str, object] | None
    ) -> tuple[int, httpx.Response | None]:
        """The status and the answer; 0 and None if there was none."""
        request = RequestInformation()
        request.http_method = method
        request.url = path if path.startswith("http") else f"{self._adapter.base_url}{path}"
        if body is not None:
            request.content = json.dumps(body).encode()
            request.headers.add("Content-Type", "application/json")
        request.add_request_options([ResponseHandlerOption(NativeResponseHandler())])
        async with self._places:
            try:
                response = await self._adapter.send_primitive_async(request, "bytes", {})
            except httpx.HTTPError:
                return 0, None
            except ClientAuthenticationError:
                raise GraphRefused("NoToken", "the app's identity got no token for Graph", _REMEDIES[401]) from None
            except AzureError:
                return 0, None
        assert isinstance(response, httpx.Response)
        return response.status_code, response

    async def _pass_gate(self, give_up: datetime) -> None:
        while self._open_at is not None and (closed_for := (self._open_at - self._clock.now()).total_seconds()) > 0:
            if self._open_at > give_up:
                raise _waited_too_long(429)
            await self._clock.sleep(closed_for)

    def _close_gate(self, seconds: float) -> None:
        opens = self._clock.now() + timedelta(seconds=seconds)
        self._open_at = max(opens, self._open_at or opens)


def _permanent(status: int, response: httpx.Response) -> Exception:
    try:
        error = json.loads(response.content)["error"]
        code, words = str(error["code"]), str(error["message"])
    except (ValueError, KeyError, TypeError):
        code, words = str(status), "no reason given"
    lowered = words.lower()
    if status == 404:
        return NotThere()
    if _ALREADY_THERE in lowered:
        return AlreadyThere()
    if _NICKNAME_TAKEN in lowered:
        return NicknameTaken()
    remedy = _REMEDIES.get(status, "correct what Graph names, then resync the class")
    return GraphRefused(code, _ADDRESS.sub("(an address)", words), remedy)


def _waited_too_long(status: int) -> Transient:
    return Transient(
        f"Graph answered {_name(status)} for longer than this call may wait",
        "it is delivered again by itself; if it stays so, look at the service health of Microsoft 365",
    )


def _name(status: int) -> str:
    return str(status) if status else "nothing"


def _retry_after(response: httpx.Response | None) -> float | None:
    """Seconds, where Graph says them: some 429s carry no Retry-After."""
    said = response.headers.get("Retry-After", "") if response is not None else ""
    return float(said) if said.isdecimal() and int(said) > 0 else None
