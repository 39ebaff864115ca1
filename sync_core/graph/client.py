"""Requests to Graph for classes and their people, each at its price; failures are raised as our own errors."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
from azure.core.exceptions import AzureError
from kiota_abstractions.method import Method
from kiota_abstractions.request_information import RequestInformation
from msgraph.graph_request_adapter import GraphRequestAdapter

from sync_core import tracing
from sync_core.backoff import WaitBudget
from sync_core.errors import SyncError, Transient
from sync_core.graph.answers import unreadable
from sync_core.graph.port import Told
from sync_core.graph.rate_limiter import Cost, RateLimiter, told_by, waited_too_long
from sync_core.graph.refusals import refusal_of
from sync_core.graph.sending import Answer, Sender, content_of, no_token, refused_token, responses_of
from sync_core.messaging.messages import Priority

_READ, _WRITE = Cost(), Cost(writes=1)

_CLASS_PATH = re.compile(r"/education/classes/[0-9a-f-]{36}")


@dataclass(frozen=True, slots=True)
class Sent:
    """The result of each request of a batch by its index: its error, None where it succeeded.

    `failure` is why the requests without a result are not done.
    """

    outcomes: Mapping[int, SyncError | None]
    failure: SyncError | None = None


class GraphClient:
    """Sends requests to one tenant for one piece of work: each is admitted in order, all within one wait budget.

    All pieces of work in the tenant share the adapter and the rate limiter.
    """

    def __init__(
        self, adapter: GraphRequestAdapter, rate_limiter: RateLimiter, priority: Priority, wait_budget: WaitBudget
    ) -> None:
        self._adapter = adapter
        self._rate_limiter = rate_limiter
        self._priority = priority
        self._wait_budget = wait_budget
        self._sender = Sender(adapter, rate_limiter, priority, wait_budget)

    def relative(self, link: str) -> str:
        """A link from Graph without the base URL, so that it can be stored even if the base URL changes."""
        return link.removeprefix(self._adapter.base_url)

    async def access_token(self) -> str:
        """The token that requests carry. Raises GraphDenied if the identity is refused one, Transient if unknown."""
        request = RequestInformation()
        request.http_method = Method.GET
        request.url = self._adapter.base_url
        try:
            with tracing.unrecorded():
                native = await self._adapter.convert_to_native_async(request)
        except (httpx.HTTPError, AzureError) as failure:
            if refused_token(failure):
                raise no_token() from None
            raise Transient(
                "no token for Graph could be fetched",
                "it is retried; if that does not help, check that the app's managed identity is enabled",
            ) from None
        authorization: str = native.headers.get("Authorization", "")
        return authorization.removeprefix("Bearer ")

    async def get(self, path: str, cost: Cost = _READ) -> dict[str, Any]:
        """GET `path`, which is below the base URL or a whole URL, as in links from Graph."""
        return content_of(await self._send(Method.GET, path, None, cost))

    async def get_once(self, path: str) -> Told:
        """GET `path`, without waiting or repeating. Raises Transient, which says whether Graph throttles the app."""
        if closed_for := self._rate_limiter.closed_for():
            raise _throttled(closed_for)
        reserved = await self._rate_limiter.admit(self._priority, _READ, self._wait_budget)
        answer = await self._sender.request_admitted(reserved, Method.GET, path, None)
        if answer.status == 429:
            raise _throttled(self._rate_limiter.closed_for())
        if answer.temporary:
            raise Transient(
                f"Graph answered {answer.status or 'nothing'}",
                "the sync retries; if this continues, check the network and the Microsoft 365 service health",
            )
        if not answer.done:
            raise refusal_of(answer.status, answer.body)
        return told_by(answer.headers)

    async def patch_people(self, path: str, body: Mapping[str, object], people: int) -> Told:
        """PATCH with `body`, which adds this many people."""
        return told_by((await self._send(Method.PATCH, path, body, Cost(writes=1, people=people))).headers)

    async def patch(self, path: str, body: Mapping[str, object]) -> None:
        """PATCH properties of an object; again if it is unknown whether Graph did the work."""
        await self._send(Method.PATCH, path, body, _WRITE)

    async def repeatable_post(self, path: str, body: Mapping[str, object] | None = None) -> None:
        """POST that may be sent again if it is unknown whether Graph did the work."""
        await self._send(Method.POST, path, body, _WRITE)

    async def create(self, path: str, body: Mapping[str, object]) -> dict[str, Any]:
        """POST `body`. Raises Transient if it is unknown whether Graph did the work: the caller must find out."""
        return content_of(await self._send(Method.POST, path, body, _WRITE, _unknown_result))

    async def remove_reference(self, path: str) -> None:
        """DELETE `path` with `/$ref` added: without `/$ref`, Graph would delete the person."""
        await self._send(Method.DELETE, f"{path}/$ref", None, _WRITE)

    async def remove_references(self, paths: Sequence[str]) -> Sent:
        """Remove at most 20 references in one $batch."""
        return await self._send_each([{"method": "DELETE", "url": f"{path}/$ref"} for path in paths])

    async def add_references(self, path: str, targets: Sequence[str]) -> Sent:
        """Add at most 20 references to the collection at `path` in one $batch."""
        request = {"method": "POST", "url": f"{path}/$ref", "headers": {"Content-Type": "application/json"}}
        return await self._send_each([{**request, "body": {"@odata.id": target}} for target in targets])

    async def delete_class(self, path: str) -> None:
        """DELETE the class at `path`. Any other path is an error, because a DELETE could remove a person."""
        if not _CLASS_PATH.fullmatch(path):
            raise ValueError("not the path of a class")
        await self._send(Method.DELETE, path, None, _WRITE)

    async def _send(
        self,
        method: Method,
        path: str,
        body: Mapping[str, object] | None,
        cost: Cost,
        unknown: Callable[[int], Transient] | None = None,
    ) -> Answer:
        answer = await self._sender.send(method, path, body, cost, unknown)
        if not answer.done:
            raise refusal_of(answer.status, answer.body)
        return answer

    async def _send_each(self, requests: Sequence[Mapping[str, object]]) -> Sent:
        """Send at most 20 writes in one $batch.

        Graph answers and throttles each request of a batch separately, within an answer with status 200. Only requests
        that failed temporarily are sent again, until they succeed or the wait budget is spent.
        """
        outcomes: dict[int, SyncError | None] = {}
        failures = 0
        while pending := [index for index in range(len(requests)) if index not in outcomes]:
            try:
                answers = await self._batch({index: requests[index] for index in pending})
                outcomes |= {
                    index: None if answer.done else refusal_of(answer.status, answer.body)
                    for index, answer in answers.items()
                    if not answer.temporary
                }
                if any(answer.temporary and answer.status != 429 for answer in answers.values()):
                    failures += 1
                    await self._wait_budget.sleep(self._rate_limiter.backoff(failures), waited_too_long())
            except SyncError as error:
                return Sent(outcomes, error)
        return Sent(outcomes)

    async def _batch(self, requests: Mapping[int, Mapping[str, object]]) -> dict[int, Answer]:
        """The answer to each write by its index; the same answer to all where the whole batch failed temporarily.

        An inner failure may make the status of the whole 424, with the answers to all inside.
        """
        listed = [{"id": str(index), **request} for index, request in requests.items()]
        cost = Cost(units=len(listed), writes=len(listed))
        await self._rate_limiter.admit(self._priority, cost, self._wait_budget)
        answers = dict.fromkeys(requests, Answer())
        try:
            envelope = await self._sender.request(Method.POST, "/$batch", {"requests": listed})
            inner = responses_of(envelope.body)
            if inner is not None:
                by_id = {one["id"]: _inner(one) for one in inner}
                answers |= {index: by_id[str(index)] for index in requests if str(index) in by_id}
            else:
                answers = dict.fromkeys(requests, envelope)
                if not envelope.temporary:
                    raise unreadable() if envelope.done else refusal_of(envelope.status, envelope.body)
        finally:
            for answer in answers.values():
                self._rate_limiter.answered(_WRITE, answer.status, answer.headers)
        return answers


def _unknown_result(status: int) -> Transient:
    return Transient(
        f"Graph answered {status or 'nothing'} to a create, and may have carried it out",
        "wait for the next delivery, or replay the message if it is a dead letter: the class is looked up "
        "first, so it is not created twice",
    )


def _throttled(wait: timedelta) -> Transient:
    return Transient(
        f"Graph throttles the app, and wants no requests for {math.ceil(wait.total_seconds())} s",
        "nothing to do: the sync waits and goes on; if this continues for hours, see whether another app in the tenant "
        "sends many requests",
    )


def _inner(response: Mapping[str, Any]) -> Answer:
    """One answer of a batch."""
    headers = response.get("headers")
    named = headers if isinstance(headers, dict) else {}
    return Answer(
        response["status"],
        httpx.Headers({name: value for name, value in named.items() if isinstance(value, str)}),
        response.get("body"),
    )
