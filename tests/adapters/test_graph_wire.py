"""Waiting and giving up: what the Graph adapter does with throttling, failures, silence and refusals."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from aiohttp import web
from azure.core.credentials import AccessToken

from sync_core.adapters.graph_client import graph_request_adapter
from sync_core.adapters.graph_tenant import GraphTenant
from sync_core.adapters.graph_wire import GraphWire
from sync_core.errors import AlreadyThere, GraphRefused, NicknameTaken, NotThere, Transient
from sync_core.model import AccountProperty, ClassName
from sync_core.ports import NewClass
from tests.fakes.fixed_clock import FixedClock

ID = "11111111-2222-4333-8444-555555555555"
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Credential:
    """A token for anybody who asks."""

    async def get_token(self, *_: str, **__: object) -> AccessToken:
        return AccessToken("token", int(time.time()) + 3600)

    async def close(self) -> None: ...

    async def __aenter__(self) -> Credential:
        return self

    async def __aexit__(self, *_: object) -> None: ...


@dataclass(slots=True)
class Server:
    """Answers what it is told to, in order, and the last again and again; and remembers what came."""

    answers: list[tuple[int, dict[str, str], object]] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        assert request.headers["Authorization"] == "Bearer token"
        self.seen.append(f"{request.method} {request.rel_url}")
        status, headers, body = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if status == 0:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        return web.json_response(body, status=status, headers=headers)


@dataclass(slots=True)
class Subject:
    server: Server
    clock: FixedClock
    tenant: GraphTenant


@pytest.fixture
async def subject() -> AsyncIterator[Subject]:
    server = Server()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    clock = FixedClock()
    adapter = graph_request_adapter(Credential(), f"http://127.0.0.1:{runner.addresses[0][1]}/v1.0")
    yield Subject(server, clock, GraphTenant(GraphWire(adapter, clock, timedelta(seconds=60))))
    await runner.cleanup()


def error(code: str, message: str) -> dict[str, object]:
    return {"error": {"code": code, "message": message}}


EMPTY: tuple[int, dict[str, str], object] = (200, {}, {"value": []})


async def test_a_retry_after_is_honoured(subject: Subject) -> None:
    subject.server.answers = [(429, {"Retry-After": "17"}, {}), EMPTY]
    assert await subject.tenant.members(ID) == frozenset()
    assert subject.clock.slept == [17]


async def test_without_a_retry_after_the_waits_grow(subject: Subject) -> None:
    subject.server.answers = [(429, {}, {}), (503, {}, {}), (500, {}, {}), EMPTY]
    await subject.tenant.members(ID)
    assert subject.clock.slept == [2, 4, 8]


async def test_silence_is_waited_out(subject: Subject) -> None:
    subject.server.answers = [(0, {}, None), (0, {}, None), EMPTY]
    await subject.tenant.members(ID)
    assert subject.clock.slept == [2, 4]


@pytest.mark.parametrize("status", [429, 503, 500, 0])
async def test_past_the_budget_it_is_transient_with_a_remedy(subject: Subject, status: int) -> None:
    subject.server.answers = [(status, {}, {})]
    with pytest.raises(Transient, match="delivered again"):
        await subject.tenant.members(ID)
    assert sum(subject.clock.slept) <= 60


async def test_one_throttled_call_holds_back_the_others(subject: Subject) -> None:
    """The gate is shut for everybody until Graph's time is up."""
    subject.server.answers = [(429, {"Retry-After": "30"}, {}), EMPTY]
    await subject.tenant.members(ID)
    now = subject.clock.now()
    await subject.tenant.owners(ID)
    assert subject.clock.now() == now
    assert len(subject.server.seen) == 3
    subject.server.answers = [(429, {"Retry-After": "3600"}, {})]
    for _ in range(2):
        with pytest.raises(Transient):
            await subject.tenant.members(ID)
    assert len(subject.server.seen) == 4


@pytest.mark.parametrize("status", [500, 503, 0])
async def test_a_create_is_never_repeated_blindly(subject: Subject, status: int) -> None:
    subject.server.answers = [(status, {}, {})]
    with pytest.raises(Transient, match="may have done the work"):
        await subject.tenant.create_class(NewClass(ClassName("c", "c"), "e", "n"))
    assert len(subject.server.seen) == 1


async def test_a_create_that_was_throttled_is_repeated(subject: Subject) -> None:
    subject.server.answers = [(429, {"Retry-After": "1"}, {}), (201, {}, {"id": ID})]
    assert await subject.tenant.create_class(NewClass(ClassName("c", "c"), "e", "n")) == ID


REFUSALS = [
    (404, error("Request_ResourceNotFound", "x"), NotThere, ""),
    (400, error("x", "One or more added object references already exist for ..."), AlreadyThere, ""),
    (
        400,
        error("x", "Another object with the same value for property mailNickname already exists."),
        NicknameTaken,
        "",
    ),
    (400, error("Request_BadRequest", "wrong"), GraphRefused, "Request_BadRequest: wrong"),
    (403, error("Authorization_RequestDenied", "no"), GraphRefused, "grant the app's identity the Graph permissions"),
    (401, error("InvalidAuthenticationToken", "no"), GraphRefused, "managed identity"),
    (409, "not even an error", GraphRefused, "409: no reason given"),
    (400, error("x", "amy.smith@school.org is wrong"), GraphRefused, "(an address) is wrong"),
]


@pytest.mark.parametrize(("status", "body", "kind", "words"), REFUSALS)
async def test_a_permanent_no_is_said_in_our_words(
    subject: Subject, status: int, body: object, kind: type[Exception], words: str
) -> None:
    subject.server.answers = [(status, {}, body)]
    with pytest.raises(kind) as caught:
        await subject.tenant.add_members(ID, [ID])
    assert words in str(caught.value)
    assert "amy" not in str(caught.value)
    assert subject.clock.slept == []


async def test_an_expired_delta_starts_over(subject: Subject) -> None:
    link = {"@odata.deltaLink": "https://elsewhere/v1.0/users/delta()?$deltatoken=new", "value": []}
    subject.server.answers = [(410, {}, error("syncStateNotFound", "gone")), (200, {}, link)]
    changes = await subject.tenant.account_changes(
        "id,accountEnabled,userPrincipalName|/users/delta()?$deltatoken=old", {AccountProperty.UPN}
    )
    assert changes.full
    assert len(subject.server.seen) == 2


async def test_no_path_is_made_of_anything_but_an_id(subject: Subject) -> None:
    for class_id, person in ((f"{ID}/../../users/{ID}?", ID), (ID, f"{ID}?x="), ("", ID)):
        with pytest.raises(ValueError, match="badly formed"):
            await subject.tenant.remove_member(class_id, person)
    assert subject.server.seen == []


async def test_a_removal_always_ends_in_ref(subject: Subject) -> None:
    subject.server.answers = [(204, {}, None)]
    await subject.tenant.remove_member(ID, ID)
    assert subject.server.seen == [f"DELETE /v1.0/groups/{ID}/members/{ID}/$ref"]
