"""The simulated tenant over HTTP: throttling, faults and the request log for every call of Graph."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections import Counter, deque
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

from aiohttp import web

from local.tenant.answers import Answers
from local.tenant.clock import Clock
from local.tenant.directory.directory import Directory
from local.tenant.directory.journal import Journal
from local.tenant.directory.objects import Event
from local.tenant.directory.refusals import Refusal
from local.tenant.faults import Fault
from local.tenant.graph import routes
from local.tenant.graph.context import Answer, Entity, Graph, Request, decode_body
from local.tenant.options import TenantOptions
from local.tenant.teams.client import TeamsClient
from local.tenant.teams.limits import TeamsThrottle, is_of_teams
from local.tenant.teams.service import TeamsService
from local.tenant.throttle import AppLimits, Call, Price, Throttle, price

_LOGGED_REQUESTS = 200_000
_SHAPE = re.compile(r"/[0-9a-f]{8}-[0-9a-f-]{27}")
_MEMBERSHIP = re.compile(r"(?<=/teams/\{id\})/members/(?!add$).+")
_SILENT_429S_EVERY = 2


@dataclass(slots=True)
class Stats:
    """What the calls cost; `writes` are those that the limits count."""

    requests: int = 0
    writes: int = 0
    resource_units: int = 0
    throttled: int = 0


class TenantServer:
    """One tenant, stored in the file `state` if given. `granted` are the permissions of tokens issued from now on."""

    def __init__(
        self, tenant_id: str, state: Path | None, clock: Clock, app_limits: AppLimits, options: TenantOptions
    ) -> None:
        self.clock = clock
        self.granted = options.granted
        self.answers = Answers()
        self.answers.choose(dict(options.answers))
        self._journal = Journal(state)
        self.directory = Directory(tenant_id, self.answers, self._remember)
        self.teams = TeamsService(self.directory, self.answers, self.clock.now, self._journal.append)
        for line in self._journal.read():
            if "team" in line or "no_team" in line:
                self.teams.load(line)
            else:
                self.directory.load(line)
        self._journal.restart(chain(self.directory.lines(), self.teams.lines()))
        self.teams_client = TeamsClient(self.teams, self.directory)
        self.graph = Graph(self.directory, self.teams, self.answers, self.clock.now)
        self.throttle = Throttle(app_limits)
        self.teams_throttle = TeamsThrottle()
        self.stats = Stats()
        self.by_route: Counter[str] = Counter()
        self.batches = 0
        self.log: deque[Entity] = deque(maxlen=_LOGGED_REQUESTS)
        self.faults: list[Fault] = []
        self.latency = 0.0

    def _remember(self, line: dict[str, Any]) -> None:
        self._journal.append(line)
        if "event" in line:
            self.teams.observe(Event(**line["event"]))

    async def serve(self, web_request: web.Request, roles: frozenset[str] | None) -> web.StreamResponse:
        """Answer a caller with these permissions; None is a caller without a valid token."""
        if self.latency:
            await asyncio.sleep(self.latency)
        path = unquote(web_request.rel_url.raw_path).removeprefix("/v1.0")
        query = dict(parse_qsl(web_request.rel_url.raw_query_string, keep_blank_values=True))
        raw = await web_request.read()
        base = f"http://{web_request.host}/v1.0"
        if roles is None:
            refusal = Refusal(401, "InvalidAuthenticationToken", "Access token is missing, invalid or expired.")
            return _respond(_error(refusal, self.clock))
        try:
            request = Request(web_request.method, path, query, decode_body(raw), base, roles)
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
            failed = any(answers[before].status >= 400 for before in part.get("dependsOn", []))
            answers[part["id"]] = self._failed_dependency() if failed else self._inner(part, request)
        if any(answer.status == 0 for answer in answers.values()):
            return Answer(0)
        listed = [
            {"id": id_, "status": answer.status, "headers": answer.headers, "body": answer.body}
            for id_, answer in answers.items()
        ]
        fails = self.answers.batch_envelope == "424" and any(answer.status >= 400 for answer in answers.values())
        return Answer(424 if fails else 200, {"responses": listed})

    def _failed_dependency(self) -> Answer:
        return _error(Refusal(424, "FailedDependency", "A request that this depends on failed."), self.clock)

    def _inner(self, part: Entity, envelope: Request) -> Answer:
        content_types = [value for name, value in part.get("headers", {}).items() if name.lower() == "content-type"]
        if "body" in part and not content_types:
            message = f"Write request id : {part['id']} does not contain Content-Type header or body."
            return _error(Refusal(400, "BadRequest", message), self.clock)
        path, _, query = part["url"].partition("?")
        parameters = dict(parse_qsl(query, keep_blank_values=True))
        called = replace(
            envelope, method=part["method"], path=unquote(path), query=parameters, body=part.get("body", {})
        )
        return self._one(called)

    def _one(self, request: Request) -> Answer:
        """One call, counted, throttled and possibly failed."""
        of_teams = is_of_teams(request.path)
        priced = Call(request.method, request.path, request.query, request.body)
        cost = Price(0, 0) if of_teams else price(priced, self.answers)
        self.stats.requests += 1
        fault = self._fault(request)
        roster = request.path.startswith("/education/") and request.method != "GET"
        wait = (
            self.teams_throttle.admit(request.method, request.path, request.body, self.clock.now())
            if of_teams
            else self.throttle.admit(cost, roster, len(self.directory.users), self.clock.now())
        )
        if wait is not None:
            answer = self._throttled(wait)
        elif fault and not fault.after_work:
            answer = _error(fault.refusal(), self.clock)
        else:
            self.stats.resource_units += cost.units
            self.stats.writes += cost.writes
            answer = self._work(request, cost)
            if fault:
                answer = Answer(0)
        self._record(request, answer, cost)
        return answer

    def _record(self, request: Request, answer: Answer, cost: Price) -> None:
        path = _MEMBERSHIP.sub("/members/{id}", _SHAPE.sub("/{id}", request.path))
        shape = f"{request.method} {path}"
        self.by_route[shape] += 1
        called = {"method": request.method, "path": request.path, "status": answer.status, "units": cost.units}
        note = {"note": answer.note} if answer.note else {}
        self.log.append({**called, "write": request.method != "GET", **note})

    def _work(self, request: Request, cost: Price) -> Answer:
        headers = {"x-ms-resource-unit": str(cost.units)} if cost.units else {}
        if cost.units and (warning := self.throttle.warning()):
            headers["x-ms-throttle-limit-percentage"] = warning
        try:
            answer = routes.answer(self.graph, request)
        except Refusal as refusal:
            return _error(refusal, self.clock, headers)
        return replace(answer, headers={**headers, **answer.headers})

    def _throttled(self, wait: float) -> Answer:
        self.stats.throttled += 1
        misses = self.answers.retry_after == "sometimes-missing" and self.stats.throttled % _SILENT_429S_EVERY == 0
        refusal = Refusal(429, "TooManyRequests", "Too many requests.")
        return _error(refusal, self.clock, {} if misses else {"Retry-After": str(int(wait))})

    def _fault(self, request: Request) -> Fault | None:
        for fault in self.faults:
            if fault.matches(request):
                fault.times -= 1
                return fault
        return None


def _error(refusal: Refusal, clock: Clock, headers: dict[str, str] | None = None) -> Answer:
    inner = {"date": clock.text(), "request-id": secrets.token_hex(8)}
    error: dict[str, Any] = {"code": refusal.code, "message": refusal.message, "innerError": inner}
    if refusal.details:
        error["details"] = refusal.details
    return Answer(refusal.status, {"error": error}, {**(headers or {}), **refusal.headers})


def _respond(answer: Answer) -> web.Response:
    if answer.body is None:
        return web.Response(status=answer.status or 500, headers=answer.headers)
    return web.json_response(answer.body, status=answer.status, headers=answer.headers)
