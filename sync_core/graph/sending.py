"""One request to Graph: admitted in order, and sent again where it failed temporarily, within a wait budget."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Generic, Protocol, TypeVar

import httpx
from azure.core.exceptions import AzureError, ClientAuthenticationError
from kiota_abstractions.method import Method
from kiota_abstractions.native_response_handler import NativeResponseHandler
from kiota_abstractions.request_information import RequestInformation
from kiota_http.middleware.options import ResponseHandlerOption
from msgraph.graph_request_adapter import GraphRequestAdapter

from sync_core import tracing
from sync_core.backoff import WaitBudget, retry_after
from sync_core.errors import GraphDenied, Transient
from sync_core.graph.answers import unreadable
from sync_core.graph.rate_limiter import waited_too_long
from sync_core.graph.refusals import CONCURRENCY, NO_TOKEN, code_of
from sync_core.messaging.messages import Priority

C = TypeVar("C")
"""What a request takes from the limits."""


class Limiter(Protocol[C]):
    """A rate limiter, as a Sender needs it."""

    @property
    def places(self) -> Mapping[Priority, asyncio.Semaphore]:
        """The places of the requests of each priority under way."""

    async def admit(self, priority: Priority, cost: C, wait_budget: WaitBudget) -> C:
        """Wait until the request may be sent; a call of `answered` with what is returned must follow.

        Raises Transient past the wait budget.
        """

    def answered(self, cost: C, status: int, headers: Mapping[str, str]) -> None:
        """Record the answer to an admitted request; status 0 means no answer."""

    def backoff(self, failures: int) -> timedelta:
        """The wait after `failures` in a row."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Graph's answer; status 0 where there was none. `body` is None where it is not JSON."""

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None

    @property
    def done(self) -> bool:
        return 200 <= self.status < 300

    @property
    def temporary(self) -> bool:
        """Whether the same request may succeed later. Graph documents no redirect of a request of the app."""
        return not (self.done or 400 <= self.status < 500) or self.status == 429 or self.conflict

    @property
    def conflict(self) -> bool:
        """Whether Graph did nothing because another change of the same object was under way."""
        return self.status == 409 and code_of(self.body) == CONCURRENCY

    @property
    def throttled(self) -> int:
        """How many requests Graph throttled: this one, or some of its batch."""
        return [self.status, *(response["status"] for response in responses_of(self.body) or ())].count(429)


@dataclass(frozen=True, slots=True)
class Sender(Generic[C]):
    """Sends requests to one tenant for one piece of work. All pieces of work share the adapter and the limiter."""

    adapter: GraphRequestAdapter
    limiter: Limiter[C]
    priority: Priority
    wait_budget: WaitBudget

    async def send(
        self,
        method: Method,
        path: str,
        body: Mapping[str, object] | None,
        cost: C,
        unknown: Callable[[int], Transient] | None = None,
    ) -> Answer:
        """The answer that is final: done, or a permanent refusal. Raises Transient past the wait budget.

        A request that Graph may have carried out is sent again. Where `unknown` is given, it is not: what that
        makes of the status, 0 for no answer, is raised.
        """
        failures = 0
        while True:
            reserved = await self.limiter.admit(self.priority, cost, self.wait_budget)
            answer = await self.request_admitted(reserved, method, path, body)
            if not answer.temporary:
                return answer
            if answer.status == 429:
                continue
            failures += 1
            pause = retry_after(answer.headers) or self.limiter.backoff(failures)
            await self.wait_budget.sleep(pause, waited_too_long())
            if unknown and not answer.conflict:
                raise unknown(answer.status)

    async def request_admitted(
        self, reserved: C, method: Method, path: str, body: Mapping[str, object] | None
    ) -> Answer:
        """Send a request once, after it was admitted."""
        answer = Answer()
        try:
            answer = await self.request(method, path, body)
        finally:
            self.limiter.answered(reserved, answer.status, answer.headers)
        return answer

    async def request(self, method: Method, path: str, body: Mapping[str, object] | None) -> Answer:
        """Send a request once, without a word to the limiter. `path` is below the base URL, or a whole URL."""
        request = RequestInformation()
        request.http_method = method
        request.url = path if path.startswith("http") else f"{self.adapter.base_url}{path}"
        if body is not None:
            request.content = json.dumps(body).encode()
            request.headers.add("Content-Type", "application/json")
        request.add_request_options([ResponseHandlerOption(NativeResponseHandler())])
        async with self.limiter.places[self.priority]:
            with tracing.graph_request(method.value, request.url) as record_answer:
                answer = await self._answer(request)
                record_answer(answer.status, answer.throttled)
        return answer

    async def _answer(self, request: RequestInformation) -> Answer:
        try:
            response = await self.adapter.send_primitive_async(request, "bytes", {})
        except (httpx.HTTPError, AzureError) as failure:
            if refused_token(failure):
                raise no_token() from None
            return Answer()
        assert isinstance(response, httpx.Response)
        try:
            body = json.loads(response.content or "{}")
        except (ValueError, RecursionError):  # also of a number that is longer than Python reads
            body = None
        return Answer(response.status_code, response.headers, body)


def refused_token(failure: Exception) -> bool:
    """Whether the token endpoint answered that the identity gets no token.

    False for an endpoint that is busy or out of reach: a chain of credentials raises the same error for that, without
    the answer.
    """
    status = failure.status_code if isinstance(failure, ClientAuthenticationError) else None
    return status is not None and 400 <= status < 500 and status not in (408, 429)


def no_token() -> GraphDenied:
    return GraphDenied("NoToken", "the app's identity got no token for Graph", NO_TOKEN)


def content_of(answer: Answer) -> dict[str, Any]:
    """The object that an answer is. Raises Transient for anything else."""
    if not isinstance(answer.body, dict):
        raise unreadable()
    return answer.body


def responses_of(body: object) -> list[dict[str, Any]] | None:
    """The readable answers of a batch, each with an id and a status. None if there is no list of them."""
    listed = body.get("responses") if isinstance(body, dict) else None
    if not isinstance(listed, list):
        return None
    known = [one for one in listed if isinstance(one, dict) and isinstance(one.get("id"), str)]
    return [one for one in known if isinstance(one.get("status"), int)]
