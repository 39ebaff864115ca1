"""The simulated tenant over HTTP: throttling, faults and the request log for every call of Graph."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
from collections import Counter, deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

from aiohttp import web

from local.tenant.clock import Clock
from local.tenant.directory import Directory, Refusal
from local.tenant.graph import Answer, Graph, Request, decode_body
from local.tenant.journal import Journal
from local.tenant.odata import Entity
from local.tenant.throttle import Throttle, resource_units

_LOG = logging.getLogger(__name__)
_LOGGED_REQUESTS = 200_000
_SHAPE = re.compile(r"/[0-9a-f]{8}-[0-9a-f-]{27}")


@dataclass(slots=True)
class Fault:
    """The fault of the next `times` matching requests: an error, or with `after_work` the work without an answer."""

    method: str
    path: re.Pattern[str]
    times: int
    status: int | None
    retry_after: int | None
    after_work: bool


@dataclass(slots=True)
class Stats:
    requests: int = 0
    writes: int = 0
    resource_units: int = 0
    throttled: int = 0


class TenantServer:
    """One tenant, stored in the file `state` if given."""

    def __init__(self, tenant_id: str, state: Path | None, clock: Clock) -> None:
        self.clock = clock
        journal = Journal(state)
        self.directory = Directory(tenant_id, journal.append)
        for line in journal.read():
            self.directory.load(line)
        journal.restart(self.directory.lines())
        self.graph = Graph(self.directory, self.clock.now)
        self.throttle = Throttle()
        self.stats = Stats()
        self.by_route: Counter[str] = Counter()
        self.batches = 0
        self.log: deque[Entity] = deque(maxlen=_LOGGED_REQUESTS)
        self.faults: list[Fault] = []
        self.latency = 0.0
        self.silent_429s_every = 0

    async def serve(self, web_request: web.Request, *, signed_in: bool) -> web.StreamResponse:
        if self.latency:
            await asyncio.sleep(self.latency)
        path = unquote(web_request.rel_url.raw_path).removeprefix("/v1.0")
        query = dict(parse_qsl(web_request.rel_url.raw_query_string, keep_blank_values=True))
        raw = await web_request.read()
        base = f"http://{web_request.host}/v1.0"
        if not signed_in:
            refusal = Refusal(401, "InvalidAuthenticationToken", "Access token is missing, invalid or expired.")
            return _respond(_error(refusal, self.clock))
        try:
            request = Request(web_request.method, path, query, decode_body(raw), base)
        except Refusal as refusal:
            return _respond(_error(refusal, self.clock))
        answer = self._batch(request) if path == "/$batch" else self._one(request)
        if answer.status == 0:
            assert web_request.transport is not None
            web_request.transport.abort()
        return _respond(answer)

    def _batch(self, request: Request) -> Answer:
        """Each inner request is throttled on its own; one that depends on a failed one is not sent."""
        self.batches += 1
        inner = request.body.get("requests", [])
        if not isinstance(inner, list) or not 1 <= len(inner) <= 20:
            return _error(Refusal(400, "BadRequest", "A batch holds 1 to 20 requests."), self.clock)
        answers: dict[str, Answer] = {}
        for part in inner:
            if any(answers[before].status >= 400 for before in part.get("dependsOn", [])):
                refusal = Refusal(424, "FailedDependency", "A request that this depends on failed.")
                answers[part["id"]] = _error(refusal, self.clock)
                continue
            path, _, query = part["url"].partition("?")
            called = Request(part["method"], unquote(path), dict(parse_qsl(query)), part.get("body", {}), request.base)
            answers[part["id"]] = self._one(called)
        listed = [
            {"id": id_, "status": answer.status, "headers": answer.headers, "body": answer.body}
            for id_, answer in answers.items()
        ]
        return Answer(200, {"responses": listed})

    def _one(self, request: Request) -> Answer:
        """One call, counted, throttled and possibly failed. Status 0: the work is done and the answer is lost."""
        write = request.method != "GET"
        units = resource_units(request.method, request.path, request.query)
        self.stats.requests += 1
        fault = self._fault(request)
        users = len(self.directory.users)
        roster = request.path.startswith("/education/") and not write
        wait = self.throttle.admit(units, write, roster, users, self.clock.now())
        if wait is not None:
            answer = self._throttled(wait)
        elif fault and not fault.after_work:
            headers = {"Retry-After": str(fault.retry_after)} if fault.retry_after else {}
            refusal = Refusal(fault.status or 500, "InjectedFault", "A fault on demand.")
            answer = _error(refusal, self.clock, headers)
        else:
            self.stats.resource_units += units
            self.stats.writes += write
            answer = self._work(request, units)
            if fault:
                answer = Answer(0)
        shape = f"{request.method} {_SHAPE.sub('/{id}', request.path)}"
        self.by_route[shape] += 1
        entry = {"method": request.method, "path": request.path, "status": answer.status, "units": units}
        self.log.append({**entry, "write": write})
        return answer

    def _work(self, request: Request, units: int) -> Answer:
        headers = {"x-ms-resource-unit": str(units)}
        if warning := self.throttle.warning():
            headers["x-ms-throttle-limit-percentage"] = warning
        try:
            answer = self.graph.answer(request)
        except Refusal as refusal:
            return _error(refusal, self.clock, headers)
        return Answer(answer.status, answer.body, headers)

    def _throttled(self, wait: float) -> Answer:
        self.stats.throttled += 1
        every = self.silent_429s_every
        silent = every and self.stats.throttled % every == 0
        refusal = Refusal(429, "TooManyRequests", "Too many requests.")
        return _error(refusal, self.clock, {} if silent else {"Retry-After": str(int(wait))})

    def _fault(self, request: Request) -> Fault | None:
        for fault in self.faults:
            if fault.times and fault.method in ("*", request.method) and fault.path.search(request.path):
                fault.times -= 1
                return fault
        return None


def _error(refusal: Refusal, clock: Clock, headers: dict[str, str] | None = None) -> Answer:
    inner = {"date": clock.text(), "request-id": secrets.token_hex(8)}
    body: dict[str, Any] = {"error": {"code": refusal.code, "message": refusal.message, "innerError": inner}}
    return Answer(refusal.status, body, headers or {})


def _respond(answer: Answer) -> web.Response:
    if answer.body is None:
        return web.Response(status=answer.status or 500, headers=answer.headers)
    return web.json_response(answer.body, status=answer.status, headers=answer.headers)
