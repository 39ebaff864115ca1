"""Requests to Graph and their answers: admitted in order, retried where that is safe, failures as our own errors."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
from azure.core.exceptions import AzureError, ClientAuthenticationError
from kiota_abstractions.method import Method
from kiota_abstractions.native_response_handler import NativeResponseHandler
from kiota_abstractions.request_information import RequestInformation
from kiota_http.middleware.options import ResponseHandlerOption
from msgraph.graph_request_adapter import GraphRequestAdapter

from sync_core import tracing
from sync_core.backoff import WaitBudget, retry_after
from sync_core.errors import AlreadyThere, GraphRefused, NicknameTaken, NotThere, SyncError, Transient
from sync_core.graph.rate_limiter import Cost, RateLimiter, waited_too_long
from sync_core.messaging.messages import Priority

_READ, _WRITE = Cost(), Cost(writes=1)

# Graph has no code for these two answers, which the sync expects: both come as Request_BadRequest.
_ALREADY_THERE = "added object references already exist"
_NICKNAME_TAKEN = "another object with the same value for property mailnickname already exists"
_CLASS_PATH = re.compile(r"/education/classes/[0-9a-f-]{36}")
_ADDRESS = re.compile(r"[^\s'\"<>]+@[^\s'\"<>]+")
_REMEDIES = {
    401: (
        "check that the app's managed identity is enabled, "
        "and that a tenant other than its home tenant has consented to the app"
    ),
    403: "grant the app's identity the Graph permissions that docs/operations.md lists, with admin consent",
}


@dataclass(frozen=True, slots=True)
class _Answer:
    """Graph's answer; status 0 where there was none. `body` is None where it is not JSON."""

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None

    @property
    def done(self) -> bool:
        return 0 < self.status < 400

    @property
    def temporary(self) -> bool:
        """Whether the same request may succeed later."""
        return self.status in (0, 429) or self.status >= 500

    @property
    def throttled(self) -> int:
        """How many requests Graph throttled: this one, or some of its batch."""
        responses = self.body.get("responses", ()) if isinstance(self.body, dict) else ()
        return [self.status, *(response["status"] for response in responses)].count(429)


@dataclass(frozen=True, slots=True)
class GraphClient:
    """Sends requests to one tenant for one piece of work: each is admitted in order, all within one wait budget.

    All pieces of work in the tenant share the adapter and the rate limiter.
    """

    _adapter: GraphRequestAdapter
    _rate_limiter: RateLimiter
    _priority: Priority
    _wait_budget: WaitBudget

    def relative(self, link: str) -> str:
        """A link from Graph without the base URL, so that it can be stored even if the base URL changes."""
        return link.removeprefix(self._adapter.base_url)

    async def access_token(self) -> str:
        """The token that requests carry. Raises GraphRefused if the identity gets none, Transient if unknown."""
        request = RequestInformation()
        request.http_method = Method.GET
        request.url = self._adapter.base_url
        try:
            with tracing.unrecorded():
                native = await self._adapter.convert_to_native_async(request)
        except ClientAuthenticationError:
            raise _no_token() from None
        except (httpx.HTTPError, AzureError):
            raise Transient("no token for Graph could be fetched", "it is retried") from None
        authorization: str = native.headers.get("Authorization", "")
        return authorization.removeprefix("Bearer ")

    async def get(self, path: str, cost: Cost = _READ) -> dict[str, Any]:
        """GET `path`, which is below the base URL or a whole URL, as in links from Graph."""
        return await self._send(Method.GET, path, None, cost)

    async def patch(self, path: str, body: Mapping[str, object]) -> None:
        await self._send(Method.PATCH, path, body, _WRITE)

    async def repeatable_post(self, path: str, body: Mapping[str, object] | None = None) -> None:
        """POST that may be sent again if it is unknown whether Graph did the work."""
        await self._send(Method.POST, path, body, _WRITE)

    async def create(self, path: str, body: Mapping[str, object]) -> dict[str, Any]:
        """POST `body`. Raises Transient if it is unknown whether Graph did the work: the caller must find out."""
        return await self._send(Method.POST, path, body, _WRITE, repeatable=False)

    async def remove_reference(self, path: str) -> None:
        """DELETE `path` with `/$ref` added: without `/$ref`, Graph would delete the person."""
        await self._send(Method.DELETE, f"{path}/$ref", None, _WRITE)

    async def remove_references(self, paths: Sequence[str]) -> list[SyncError | None]:
        """Remove at most 20 references in one $batch. Returns the error of each in order, None where it succeeded.

        Graph answers and throttles each request of a batch separately, within an answer with status 200. Only requests
        that failed temporarily are sent again, until they succeed or the wait budget is spent.
        """
        outcomes: dict[int, SyncError | None] = {}
        failures = 0
        while pending := [index for index in range(len(paths)) if index not in outcomes]:
            try:
                answers = await self._batch({index: f"{paths[index]}/$ref" for index in pending})
                outcomes |= {
                    index: None if answer.done else _permanent(answer)
                    for index, answer in answers.items()
                    if not answer.temporary
                }
                if any(answer.temporary and answer.status != 429 for answer in answers.values()):
                    failures += 1
                    await self._wait_budget.sleep(self._rate_limiter.backoff(failures), waited_too_long())
            except SyncError as error:
                outcomes |= {index: error for index in pending if index not in outcomes}
        return [outcomes[index] for index in range(len(paths))]

    async def delete_class(self, path: str) -> None:
        """DELETE the class at `path`. Any other path is an error, because a DELETE could remove a person."""
        if not _CLASS_PATH.fullmatch(path):
            raise ValueError("not the path of a class")
        await self._send(Method.DELETE, path, None, _WRITE)

    async def _send(
        self, method: Method, path: str, body: Mapping[str, object] | None, cost: Cost, *, repeatable: bool = True
    ) -> dict[str, Any]:
        failures = 0
        while True:
            await self._rate_limiter.admit(self._priority, cost, self._wait_budget)
            answer = _Answer()
            try:
                answer = await self._request(method, path, body)
            finally:
                self._rate_limiter.answered(cost, answer.status, answer.headers)
            if answer.done:
                content: dict[str, Any] = answer.body
                return content
            if not answer.temporary:
                raise _permanent(answer)
            if answer.status == 429:
                continue
            failures += 1
            pause = retry_after(answer.headers) or self._rate_limiter.backoff(failures)
            await self._wait_budget.sleep(pause, waited_too_long())
            if not repeatable:
                raise Transient(
                    f"Graph answered {answer.status or 'nothing'} to a create, and may have carried it out",
                    "the next delivery looks the class up before it creates one",
                )

    async def _batch(self, deletions: Mapping[int, str]) -> dict[int, _Answer]:
        """The answer to each deletion by its index; the same answer to all where Graph rejected the whole batch."""
        requests = [{"id": str(index), "method": "DELETE", "url": path} for index, path in deletions.items()]
        cost = Cost(units=len(requests), writes=len(requests))
        await self._rate_limiter.admit(self._priority, cost, self._wait_budget)
        answers = dict.fromkeys(deletions, _Answer())
        try:
            envelope = await self._request(Method.POST, "/$batch", {"requests": requests})
            if not envelope.done:
                answers = dict.fromkeys(deletions, envelope)
            else:
                for inner in envelope.body["responses"]:
                    headers = httpx.Headers(inner.get("headers") or {})
                    answers[int(inner["id"])] = _Answer(inner["status"], headers, inner.get("body"))
        finally:
            for answer in answers.values():
                self._rate_limiter.answered(_WRITE, answer.status, answer.headers)
        return answers

    async def _request(self, method: Method, path: str, body: Mapping[str, object] | None) -> _Answer:
        request = RequestInformation()
        request.http_method = method
        request.url = path if path.startswith("http") else f"{self._adapter.base_url}{path}"
        if body is not None:
            request.content = json.dumps(body).encode()
            request.headers.add("Content-Type", "application/json")
        request.add_request_options([ResponseHandlerOption(NativeResponseHandler())])
        async with self._rate_limiter.places[self._priority]:
            with tracing.graph_request(method.value, request.url) as record_answer:
                answer = await self._answer(request)
                record_answer(answer.status, answer.throttled)
        return answer

    async def _answer(self, request: RequestInformation) -> _Answer:
        try:
            response = await self._adapter.send_primitive_async(request, "bytes", {})
        except ClientAuthenticationError:
            raise _no_token() from None
        except (httpx.HTTPError, AzureError):
            return _Answer()
        assert isinstance(response, httpx.Response)
        try:
            body = json.loads(response.content or "{}")
        except ValueError:
            body = None
        return _Answer(response.status_code, response.headers, body)


def _no_token() -> GraphRefused:
    return GraphRefused("NoToken", "the app's identity got no token for Graph", _REMEDIES[401])


def _permanent(answer: _Answer) -> SyncError:
    try:
        code, message = str(answer.body["error"]["code"]), str(answer.body["error"]["message"])
    except (KeyError, TypeError):
        code, message = str(answer.status), "Graph gave no reason"
    lowered = message.lower()
    if answer.status == 404:
        return NotThere()
    if _ALREADY_THERE in lowered:
        return AlreadyThere()
    if _NICKNAME_TAKEN in lowered:
        return NicknameTaken()
    remedy = _REMEDIES.get(answer.status, "correct what Graph names, then resync the class")
    return GraphRefused(code, _ADDRESS.sub("(an address)", message), remedy)
