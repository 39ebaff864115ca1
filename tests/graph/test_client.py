"""How the Graph adapter handles throttling, failures, lost connections and refusals."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web

from bench.simulated import FixedToken
from sync_core.backoff import WaitBudget
from sync_core.domain.accounts import AccountProperty
from sync_core.domain.classes import ClassName
from sync_core.domain.ids import AccountId, ClassId, MisId
from sync_core.errors import AlreadyThere, GraphRefused, NicknameTaken, NotThere, Transient
from sync_core.graph.client import GraphClient
from sync_core.graph.connections import graph_request_adapter
from sync_core.graph.port import NewClass, Removals
from sync_core.graph.rate_limiter import RateLimiter
from sync_core.graph.tenant import GraphTenant
from sync_core.messaging.messages import Priority
from tests.fakes.fixed_clock import FixedClock

GROUP = MisId("n")
ID = ClassId("11111111-2222-4333-8444-555555555555")


@dataclass(slots=True)
class Server:
    """Returns `responses` in order, repeating the last, and records the requests."""

    responses: list[tuple[int, dict[str, str], object]] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        assert request.headers["Authorization"] == "Bearer token"
        self.seen.append(f"{request.method} {request.rel_url}")
        self.bodies.append(json.loads(await request.read() or "null"))
        status, headers, body = self.responses.pop(0) if len(self.responses) > 1 else self.responses[0]
        if status == 0:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        return web.json_response(body, status=status, headers=headers)


@dataclass(slots=True)
class Subject:
    """`tenant` serves one delivery, with a wait budget of a minute. `another` creates one for the next delivery."""

    server: Server
    clock: FixedClock
    another: Callable[[], GraphTenant]
    tenant: GraphTenant = field(init=False)

    def __post_init__(self) -> None:
        self.tenant = self.another()


@pytest.fixture
async def subject() -> AsyncIterator[Subject]:
    server = Server()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    clock = FixedClock()
    adapter = graph_request_adapter(FixedToken("token"), f"http://127.0.0.1:{runner.addresses[0][1]}/v1.0")
    rate_limiter = RateLimiter(clock, jitter=lambda: 1.0)
    minute = timedelta(minutes=1)
    yield Subject(
        server, clock, lambda: GraphTenant(GraphClient(adapter, rate_limiter, Priority.BULK, WaitBudget(clock, minute)))
    )
    await runner.cleanup()


def error(code: str, message: str) -> dict[str, object]:
    return {"error": {"code": code, "message": message}}


EMPTY: tuple[int, dict[str, str], object] = (200, {}, {"value": []})


async def test_a_retry_after_is_respected(subject: Subject) -> None:
    subject.server.responses = [(429, {"Retry-After": "17"}, {}), EMPTY]
    assert await subject.tenant.members(ID) == frozenset()
    assert subject.clock.slept == [17]


async def test_without_a_retry_after_the_pauses_grow(subject: Subject) -> None:
    subject.server.responses = [(500, {}, {}), (503, {}, {}), (500, {}, {}), EMPTY]
    await subject.tenant.members(ID)
    assert subject.clock.slept == [2, 4, 8]


async def test_a_lost_connection_is_retried(subject: Subject) -> None:
    subject.server.responses = [(0, {}, None), (0, {}, None), EMPTY]
    await subject.tenant.members(ID)
    assert subject.clock.slept == [2, 4]


@pytest.mark.parametrize("status", [429, 503, 500, 0])
async def test_a_failure_past_the_wait_budget_is_transient_with_a_remedy(subject: Subject, status: int) -> None:
    subject.server.responses = [(status, {}, {})]
    with pytest.raises(Transient, match="redelivers the message"):
        await subject.tenant.members(ID)
    assert sum(subject.clock.slept) <= 60


async def test_one_throttled_call_delays_the_others(subject: Subject) -> None:
    """No request is sent until Graph's Retry-After has passed."""
    subject.server.responses = [(429, {"Retry-After": "30"}, {}), EMPTY]
    await subject.tenant.members(ID)
    now = subject.clock.now()
    await subject.tenant.owners(ID)
    assert subject.clock.now() == now
    assert len(subject.server.seen) == 3
    subject.server.responses = [(429, {"Retry-After": "3600"}, {})]
    for _ in range(2):
        with pytest.raises(Transient):
            await subject.another().members(ID)
    assert len(subject.server.seen) == 4


async def test_all_waits_of_a_delivery_share_one_budget(subject: Subject) -> None:
    subject.server.responses = [(429, {"Retry-After": "25"}, {}), EMPTY]
    for _ in range(2):
        await subject.tenant.members(ID)
        subject.server.responses.insert(0, (429, {"Retry-After": "25"}, {}))
    with pytest.raises(Transient):
        await subject.tenant.members(ID)
    assert subject.clock.slept == [25, 25]
    await subject.another().members(ID)


async def test_throttling_without_a_retry_after_is_retried_with_growing_pauses(subject: Subject) -> None:
    subject.server.responses = [(429, {}, {}), (429, {}, {}), (429, {}, {}), EMPTY]
    await subject.tenant.members(ID)
    assert subject.clock.slept == [2, 4, 8]
    subject.server.responses = [(429, {}, {}), EMPTY]
    await subject.another().members(ID)
    assert subject.clock.slept[3:] == [2]


@pytest.mark.parametrize("status", [500, 503, 0])
async def test_a_create_is_never_repeated_blindly(subject: Subject, status: int) -> None:
    subject.server.responses = [(status, {}, {})]
    with pytest.raises(Transient, match="may have carried it out"):
        await subject.tenant.create_class(NewClass(ClassName("c", "c"), "e", GROUP))
    assert len(subject.server.seen) == 1


async def test_a_create_that_was_throttled_is_repeated(subject: Subject) -> None:
    subject.server.responses = [(429, {"Retry-After": "1"}, {}), (201, {}, {"id": ID})]
    assert await subject.tenant.create_class(NewClass(ClassName("c", "c"), "e", GROUP)) == ID


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
    (409, "not even an error", GraphRefused, "409: Graph gave no reason"),
    (400, error("x", "amy.smith@school.org is wrong"), GraphRefused, "(an address) is wrong"),
]


@pytest.mark.parametrize(("status", "body", "kind", "message"), REFUSALS)
async def test_a_permanent_refusal_has_our_message_and_no_address(
    subject: Subject, status: int, body: object, kind: type[Exception], message: str
) -> None:
    subject.server.responses = [(status, {}, body)]
    with pytest.raises(kind) as caught:
        await subject.tenant.add_members(ID, [AccountId(ID)])
    assert message in str(caught.value)
    assert "amy" not in str(caught.value)
    assert subject.clock.slept == []


async def test_an_expired_delta_token_starts_a_full_read(subject: Subject) -> None:
    link = {"@odata.deltaLink": "https://elsewhere/v1.0/users/delta()?$deltatoken=new", "value": []}
    subject.server.responses = [(410, {}, error("syncStateNotFound", "gone")), (200, {}, link)]
    changes = await subject.tenant.account_changes(
        "id,accountEnabled,userPrincipalName|/users/delta()?$deltatoken=old", {AccountProperty.UPN}
    )
    assert changes.full
    assert len(subject.server.seen) == 2


async def test_a_path_is_built_only_from_valid_ids(subject: Subject) -> None:
    for class_id, person in ((f"{ID}/../../users/{ID}?", ID), (ID, f"{ID}?x="), ("", ID)):
        with pytest.raises(ValueError, match="badly formed"):
            await subject.tenant.remove_members(ClassId(class_id), [AccountId(person)])
    assert subject.server.seen == []


def batch_response(*statuses: int, headers: dict[str, str] | None = None) -> tuple[int, dict[str, str], object]:
    responses = [
        {"id": str(place), "status": status, "headers": headers or {}, "body": error("code", "words")}
        for place, status in enumerate(statuses)
    ]
    return (200, {}, {"responses": responses})


PEOPLE = [AccountId(f"11111111-2222-4333-8444-{number:012}") for number in range(4)]


async def test_removals_are_one_batch_of_ref_deletions(subject: Subject) -> None:
    subject.server.responses = [batch_response(204, 404, 204, 204)]
    assert await subject.tenant.remove_members(ID, PEOPLE) == Removals(
        frozenset([PEOPLE[0], *PEOPLE[2:]]), frozenset([PEOPLE[1]])
    )
    assert subject.server.seen == ["POST /v1.0/$batch"]
    assert [(part["method"], part["url"]) for part in subject.server.bodies[0]["requests"]] == [
        ("DELETE", f"/groups/{ID}/members/{person}/$ref") for person in PEOPLE
    ]


async def test_only_throttled_parts_of_a_batch_are_sent_again_after_the_retry_after(subject: Subject) -> None:
    retried = {"id": "2", "status": 204}
    subject.server.responses = [
        batch_response(204, 204, 429, headers={"Retry-After": "7"}),
        (200, {}, {"responses": [retried]}),
    ]
    assert await subject.tenant.remove_members(ID, PEOPLE[:3]) == Removals(frozenset(PEOPLE[:3]))
    assert subject.clock.slept == [7]
    assert [[part["id"] for part in body["requests"]] for body in subject.server.bodies] == [["0", "1", "2"], ["2"]]


async def test_removals_are_reported_even_if_others_failed(subject: Subject) -> None:
    subject.server.responses = [batch_response(204, 503, 403), (200, {}, {"responses": [{"id": "1", "status": 503}]})]
    removals = await subject.tenant.remove_members(ID, PEOPLE[:3])
    assert (removals.removed, removals.not_there) == (frozenset(PEOPLE[:1]), frozenset())
    assert isinstance(removals.failure, Transient)
    assert sum(subject.clock.slept) <= 60
    subject.server.responses = [batch_response(204, 403)]
    removals = await subject.another().remove_members(ID, PEOPLE[:2])
    assert removals.removed == frozenset(PEOPLE[:1])
    assert isinstance(removals.failure, GraphRefused)


async def test_a_failed_or_incomplete_batch_is_sent_again(subject: Subject) -> None:
    subject.server.responses = [
        (503, {}, {}),
        batch_response(204),
        (200, {}, {"responses": [{"id": "1", "status": 404}]}),
    ]
    removals = await subject.tenant.remove_members(ID, PEOPLE[:2])
    assert removals == Removals(frozenset(PEOPLE[:1]), frozenset([PEOPLE[1]]))
    assert [[part["id"] for part in body["requests"]] for body in subject.server.bodies] == [
        ["0", "1"],
        ["0", "1"],
        ["1"],
    ]


async def test_known_people_are_requested_fifteen_at_a_time(subject: Subject) -> None:
    people = [AccountId(f"11111111-2222-4333-8444-{number:012}") for number in range(20)]
    subject.server.responses = [(200, {}, {"value": [{"id": people[0]}]}), (200, {}, {"value": [{"id": people[19]}]})]
    assert await subject.tenant.known_people(people) == {people[0], people[19]}
    assert len(subject.server.seen) == 2
