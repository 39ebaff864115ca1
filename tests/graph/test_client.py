"""How the Graph adapter handles throttling, failures, lost connections and refusals."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from sync_core.domain.accounts import AccountProperty
from sync_core.domain.classes.desired import ClassName
from sync_core.domain.ids import AccountId, ClassId, MisId
from sync_core.errors import (
    AlreadyThere,
    DeltaExpired,
    GraphDenied,
    GraphRefused,
    MembersHidden,
    NicknameTaken,
    NotThere,
    Transient,
)
from sync_core.graph.port import NewClass, Removals, Told
from sync_core.graph.tenant import GraphTenant
from tests.fakes.fixed_clock import FixedClock
from tests.graph.tenants import tenants_at
from tests.serving import serve_all

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
    server, clock = Server(), FixedClock()
    async with serve_all(server.handle) as url:
        yield Subject(server, clock, tenants_at(url, clock))


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
    assert (await subject.tenant.create_class(NewClass(ClassName("c", "c"), "e", GROUP))).id == ID


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
        await subject.tenant.add_owner(ID, AccountId(ID))
    assert message in str(caught.value)
    assert "amy" not in str(caught.value)
    assert subject.clock.slept == []


CAUSES = [
    (
        403,
        "Authorization_RequestDenied",
        "Guests users are not allowed to join this Unified Group due to policy",
        "guest",
    ),
    (
        403,
        "Directory_QuotaExceeded",
        "The specified object would exceed the maximum quota count '100' for forward-link owners.",
        "choose fewer admin owners",
    ),
    (
        400,
        "Request_BadRequest",
        "The group must have at least one owner, hence this owner cannot be removed.",
        "another",
    ),
    (400, "Request_UnsupportedQuery", "Unsupported: Education_ObjectType.", "education subscription"),
    (400, "Request_BadRequest", "DisplayName contains a blocked word.", "Naming policy"),
    (400, "Request_BadRequest", "Missing per your organization's Group naming requirements.", "Naming policy"),
    (400, "Request_BadRequest", "The user has no licence for education.", "education licence"),
]


@pytest.mark.parametrize(("status", "code", "message", "remedy"), CAUSES)
async def test_a_refusal_has_the_remedy_of_its_cause(
    subject: Subject, status: int, code: str, message: str, remedy: str
) -> None:
    subject.server.responses = [(status, {}, error(code, message))]
    with pytest.raises(GraphRefused) as caught:
        await subject.tenant.add_owner(ID, AccountId(ID))
    assert (caught.value.code, caught.value.detail) == (code, message)
    assert remedy in caught.value.remedy
    assert not isinstance(caught.value, GraphDenied)


async def test_members_that_graph_refuses_to_show_are_hidden(subject: Subject) -> None:
    subject.server.responses = [(403, {}, error("Authorization_RequestDenied", "Insufficient privileges."))]
    with pytest.raises(MembersHidden, match=r"Member\.Read\.Hidden"):
        await subject.tenant.members(ID)


EXPIRED = [
    (410, "syncStateNotFound"),
    (410, "whatever"),
    (400, "SyncStateNotFound"),
    (404, "resyncChangesApplyDifferences"),
    (400, "ResyncRequired"),
    (400, "Directory_ExpiredPageToken"),
]


@pytest.mark.parametrize("middle", [False, True], ids=["link", "page"])
@pytest.mark.parametrize(("status", "code"), EXPIRED)
async def test_an_expired_delta_starts_a_full_read(subject: Subject, status: int, code: str, middle: bool) -> None:
    """Also where a page in the middle expires: what came before it is read again."""
    last = {"@odata.deltaLink": "https://elsewhere/v1.0/users/delta()?$deltatoken=new", "value": []}
    page = {"@odata.nextLink": "/users/delta()?$skiptoken=next", "value": [{"id": ID, "userPrincipalName": "a@b"}]}
    before = [(200, dict[str, str](), page)] if middle else []
    subject.server.responses = [*before, (status, {}, error(code, "gone")), (200, {}, last)]
    changes = await subject.tenant.account_changes(
        "id,accountEnabled,userPrincipalName|/users/delta()?$deltatoken=old", {AccountProperty.UPN}
    )
    assert changes.full
    assert not changes.accounts
    assert len(subject.server.seen) == 2 + middle


async def test_a_delta_that_ends_as_it_begins_is_tried_again_later(subject: Subject) -> None:
    subject.server.responses = [(410, {}, error("syncStateNotFound", "gone"))]
    with pytest.raises(Transient, match="redelivers"):
        await subject.tenant.group_changes("/groups/delta()?$deltatoken=old")
    assert len(subject.server.seen) == 2


async def test_of_one_person_on_two_pages_of_a_delta_the_later_page_counts(subject: Subject) -> None:
    gone = {"@removed": {"reason": "deleted"}}
    first = [{"id": ID, "members@delta": [{"id": "joined"}, {"id": "back", **gone}, {"id": "left", **gone}]}]
    second = [{"id": ID, "members@delta": [{"id": "joined", **gone}, {"id": "back"}]}]
    subject.server.responses = [
        (200, {}, {"value": first, "@odata.nextLink": "/groups/delta()?$skiptoken=next"}),
        (200, {}, {"value": second, "@odata.deltaLink": "/groups/delta()?$deltatoken=new"}),
    ]
    (change,) = (await subject.tenant.group_changes(None)).groups
    assert (set(change.members_added), set(change.members_removed)) == ({"back"}, {"joined", "left"})


async def test_a_change_that_met_another_one_is_repeated_after_a_pause(subject: Subject) -> None:
    conflict = error("Directory_ConcurrencyViolation", "Concurrency violation has occurred.")
    subject.server.responses = [(409, {}, conflict), (409, {}, conflict), (201, {}, {"id": ID})]
    assert (await subject.tenant.create_class(NewClass(ClassName("n", "n"), "S|n", GROUP))).id == ID
    assert subject.clock.slept == [2, 4]
    inner = {"id": "1", "status": 409, "body": conflict}
    subject.server.responses = [
        (200, {}, {"responses": [{"id": "0", "status": 204}, inner]}),
        (200, {}, {"responses": [{"id": "1", "status": 204}]}),
    ]
    assert await subject.another().remove_members(ID, PEOPLE[:2]) == Removals(frozenset(PEOPLE[:2]))


async def test_a_first_read_of_accounts_goes_on_after_any_part(subject: Subject) -> None:
    users = [{"id": f"u{number}", "userPrincipalName": f"u{number}@b"} for number in range(6000)]
    base = "/users/delta()?$skiptoken="
    subject.server.responses = [
        (200, {}, {"value": users[:3000], "@odata.nextLink": f"{base}1"}),
        (200, {}, {"value": users[3000:5500], "@odata.nextLink": f"{base}2"}),
        (200, {}, {"value": users[5500:], "@odata.deltaLink": "/users/delta()?$deltatoken=new"}),
    ]
    parts = [part async for part in subject.tenant.first_accounts(None, {AccountProperty.UPN})]
    assert [(len(part.accounts), part.more, part.full) for part in parts] == [(5500, True, False), (500, False, False)]
    select = "id,accountEnabled,userPrincipalName"
    assert [part.token for part in parts] == [f"{select}|{base}2", f"{select}|/users/delta()?$deltatoken=new"]
    (last,) = [part async for part in subject.tenant.first_accounts(parts[0].token, {AccountProperty.UPN})]
    assert last == parts[1]
    assert subject.server.seen[3] == "GET /v1.0/users/delta()?$skiptoken=2"
    subject.server.responses = [(410, {}, error("syncStateNotFound", "gone"))]
    with pytest.raises(DeltaExpired):
        [part async for part in subject.tenant.first_accounts(parts[0].token, {AccountProperty.UPN})]


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


async def test_the_answers_inside_a_failed_batch_count(subject: Subject) -> None:
    """Graph may answer 424 to the whole of a batch where a request of it failed."""
    _, headers, body = batch_response(204, 404)
    subject.server.responses = [(424, headers, body)]
    assert await subject.tenant.remove_members(ID, PEOPLE[:2]) == Removals(
        frozenset(PEOPLE[:1]), frozenset([PEOPLE[1]])
    )
    assert len(subject.server.seen) == 1


async def test_a_removal_of_somebody_who_is_no_member_may_be_400(subject: Subject) -> None:
    words = "One or more removed object references do not exist for the following modified properties: 'members'."
    inner = {"id": "0", "status": 400, "body": error("Request_BadRequest", words)}
    subject.server.responses = [(200, {}, {"responses": [inner]})]
    assert await subject.tenant.remove_members(ID, PEOPLE[:1]) == Removals(frozenset(), frozenset(PEOPLE[:1]))


GUEST = "Guests users are not allowed to join this Unified Group due to policy setting"


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation."),
        (403, "Authorization_RequestDenied", GUEST),
        (400, "Request_BadRequest", "Invalid object identifier"),
    ],
)
async def test_a_refused_write_of_twenty_becomes_one_request_a_person(
    subject: Subject, status: int, code: str, message: str
) -> None:
    """One bad person costs only their own place."""
    already = "One or more added object references already exist for the following modified properties: 'members'."
    inner = [
        {"id": "0", "status": 204},
        {"id": "1", "status": 403, "body": error("Authorization_RequestDenied", GUEST)},
        {"id": "2", "status": 404, "body": error("Request_ResourceNotFound", "Resource does not exist")},
        {"id": "3", "status": 400, "body": error("Request_BadRequest", already)},
    ]
    subject.server.responses = [(status, {}, error(code, message)), (424, {}, {"responses": inner})]
    additions = await subject.tenant.add_members(ID, PEOPLE)
    found = [*map(list, (additions.added, additions.already, additions.not_there))]
    assert found == [[PEOPLE[0]], [PEOPLE[3]], [PEOPLE[2]]]
    assert [(person, refusal.detail) for person, refusal in additions.refused.items()] == [(PEOPLE[1], GUEST)]
    assert additions.failure is None
    assert subject.server.seen == [f"PATCH /v1.0/groups/{ID}", "POST /v1.0/$batch"]
    assert subject.server.bodies[1]["requests"][0] == {
        "id": "0",
        "method": "POST",
        "url": f"/groups/{ID}/members/$ref",
        "headers": {"Content-Type": "application/json"},
        "body": {"@odata.id": f"https://graph.microsoft.com/v1.0/directoryObjects/{PEOPLE[0]}"},
    }


async def test_an_app_without_the_permission_refuses_nobody(subject: Subject) -> None:
    denied = error("Authorization_RequestDenied", "Insufficient privileges to complete the operation.")
    inner = [{"id": str(place), "status": 403, "body": denied} for place in range(2)]
    subject.server.responses = [(403, {}, denied), (200, {}, {"responses": inner})]
    additions = await subject.tenant.add_members(ID, PEOPLE[:2])
    assert not additions.refused
    assert isinstance(additions.failure, GraphDenied)
    assert "24 hours" in additions.failure.remedy


async def test_of_several_groups_with_one_nickname_each_is_found(subject: Subject) -> None:
    group = {"displayName": "n", "mailNickname": "n", "createdDateTime": "2026-09-01T00:00:00Z"}
    subject.server.responses = [
        (200, {}, {"value": [{"id": PEOPLE[0], **group}, {"id": PEOPLE[1], **group}]}),
        (404, {}, error("Request_ResourceNotFound", "no class")),
        (200, {}, {"id": PEOPLE[1], "externalId": "S|n"}),
    ]
    found = await subject.tenant.find_groups("n")
    assert [(str(group.id), group.external_id) for group in found] == [(PEOPLE[0], None), (PEOPLE[1], "S|n")]


async def test_known_people_are_requested_fifteen_at_a_time(subject: Subject) -> None:
    people = [AccountId(f"11111111-2222-4333-8444-{number:012}") for number in range(20)]
    subject.server.responses = [(200, {}, {"value": [{"id": people[0]}]}), (200, {}, {"value": [{"id": people[19]}]})]
    assert await subject.tenant.known_people(people) == {people[0], people[19]}
    assert len(subject.server.seen) == 2


# --- a ping


async def test_a_ping_is_one_read_of_no_group(subject: Subject) -> None:
    subject.server.responses = [(200, {"x-ms-throttle-limit-percentage": "0.9", "x-ms-resource-unit": "1"}, EMPTY[2])]
    assert await subject.tenant.ping() == Told(units=1.0, share=0.9)
    (request,) = subject.server.seen
    assert request.startswith("GET /v1.0/groups?$filter=mailNickname")


@pytest.mark.parametrize(
    ("response", "message"),
    [
        ((429, {"Retry-After": "17"}, {}), "Graph throttles the app, and wants no requests for 17 s"),
        ((503, {}, {}), "Graph answered 503"),
        ((0, {}, None), "Graph answered nothing"),
    ],
)
async def test_a_ping_is_neither_repeated_nor_waited_for(
    subject: Subject, response: tuple[int, dict[str, str], object], message: str
) -> None:
    subject.server.responses = [response]
    with pytest.raises(Transient) as caught:
        await subject.tenant.ping()
    assert (caught.value.message, len(subject.server.seen), subject.clock.slept) == (message, 1, [])


async def test_a_ping_is_not_sent_while_graph_wants_no_requests(subject: Subject) -> None:
    subject.server.responses = [(429, {"Retry-After": "17"}, {})]
    for _ in range(2):
        with pytest.raises(Transient, match="Graph throttles the app, and wants no requests for 17 s"):
            await subject.another().ping()
    assert len(subject.server.seen) == 1


async def test_a_ping_that_is_denied_has_the_remedy_of_graphs_refusals(subject: Subject) -> None:
    subject.server.responses = [(403, {}, error("Authorization_RequestDenied", "Insufficient privileges."))]
    with pytest.raises(GraphDenied):
        await subject.tenant.ping()


async def test_members_and_owners_are_requested_at_one_time() -> None:
    """Neither answer comes before both requests are there."""
    requests: list[str] = []
    both = asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        requests.append(request.path.rpartition("/")[2])
        if len(requests) == 2:
            both.set()
        await both.wait()
        return web.json_response({"value": [{"id": f"one of {request.path.rpartition('/')[2]}"}]})

    async with serve_all(answer) as url, asyncio.timeout(10):
        seen = await tenants_at(url, FixedClock())().members_and_owners(ID)
    assert seen == (frozenset(["one of members"]), frozenset(["one of owners"]))
    assert sorted(requests) == ["members", "owners"]
