"""Answers that Graph does not document: each is tried again later or refused, and never an error of Python."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web

from sync_core.backoff import retry_after
from sync_core.domain.accounts import AccountProperty
from sync_core.domain.classes.desired import ClassName
from sync_core.domain.ids import AccountId, ClassId, MisId
from sync_core.errors import GraphRefused, SyncError, Transient
from sync_core.graph.port import NewClass
from sync_core.graph.rate_limiter import told_by
from sync_core.graph.refusals import refusal_of
from sync_core.graph.tenant import GraphTenant
from tests.fakes.fixed_clock import FixedClock
from tests.graph.tenants import tenants_at
from tests.serving import serve_all

ID = ClassId("11111111-2222-4333-8444-555555555555")
PERSON = AccountId("11111111-2222-4333-8444-000000000001")
UPN = frozenset({AccountProperty.UPN})
DAY = timedelta(days=1)
Answered = tuple[int, str]


class Graph:
    """Answers each request with `answer`: a status and the bytes of its body."""

    answer: Answered = (200, "{}")
    requests = 0

    async def handle(self, request: web.Request) -> web.Response:
        self.requests += 1
        assert self.requests < 100
        status, body = self.answer
        base = f"http://{request.host}{request.rel_url}"
        return web.Response(status=status, text=body.replace("SELF", base), content_type="application/json")


@pytest.fixture
async def graph() -> AsyncIterator[tuple[Graph, GraphTenant]]:
    graph = Graph()
    async with serve_all(graph.handle) as url:
        yield graph, tenants_at(url, FixedClock())()


async def first_accounts(tenant: GraphTenant) -> object:
    return [part async for part in tenant.first_accounts(None, UPN)]


CALLS: dict[str, Callable[[GraphTenant], Awaitable[object]]] = {
    "members": lambda tenant: tenant.members(ID),
    "accounts": lambda tenant: tenant.account_changes(None, UPN),
    "first accounts": first_accounts,
    "groups": lambda tenant: tenant.group_changes(None),
    "changes of a group": lambda tenant: tenant.changes_of(ID),
    "groups by nickname": lambda tenant: tenant.find_groups("n"),
    "classes": lambda tenant: tenant.classes(),
    "a class": lambda tenant: tenant.shown_class(ID),
    "create": lambda tenant: tenant.create_class(NewClass(ClassName("n", "n"), "S|n", MisId("n"))),
    "described": lambda tenant: tenant.described(ID),
    "known people": lambda tenant: tenant.known_people([PERSON]),
    "principals": lambda tenant: tenant.find_principals("n"),
    "remove": lambda tenant: tenant.remove_members(ID, [PERSON]),
    "add": lambda tenant: tenant.add_members(ID, [PERSON]),
}
ITEM = {"id": str(PERSON), "userPrincipalName": 5, "displayName": [], "createdDateTime": "soon", "visibility": {}}
BODIES: dict[str, Any] = {
    "null": None,
    "a list": [],
    "a number": 5,
    "a text": "x",
    "nothing": {},
    "a null list": {"value": None},
    "a list of numbers": {"value": [5]},
    "items without ids": {"value": [{}]},
    "a number as id": {"value": [{"id": 5}]},
    "other types": {"value": [ITEM], "@odata.deltaLink": "SELF", **ITEM},
    "members of other types": {"value": [{"id": str(ID), "members@delta": [5]}], "@odata.deltaLink": "SELF"},
    "members that are no list": {"value": [{"id": str(ID), "owners@delta": {"id": 5}}], "@odata.deltaLink": "SELF"},
    "a link of another type": {"value": [], "@odata.nextLink": 5},
    "no link of the delta": {"value": []},
    "the same link for ever": {"value": [], "@odata.nextLink": "SELF"},
    "answers of other types": {"responses": [5, {}, {"id": 0, "status": 204}, {"id": "0", "status": "204"}]},
    "answers to other requests": {"responses": [{"id": "7", "status": 204}, {"id": "x", "status": 204, "headers": 5}]},
    "an error of other types": {"error": {"code": [5], "message": {"a": "b"}}},
}
RAW = {"digits": '{"value": [{"id": ' + "9" * 5_000 + "}]}", "nests": "[" * 100_000, "no JSON": "<html>", "empty": ""}
ANSWERS = {**{name: json.dumps(body) for name, body in BODIES.items()}, **RAW}


@pytest.mark.parametrize("status", [200, 302, 400])
@pytest.mark.parametrize("name", ANSWERS)
async def test_any_answer_is_a_result_or_one_of_our_errors(
    graph: tuple[Graph, GraphTenant], name: str, status: int
) -> None:
    server, tenant = graph
    server.answer = (status, ANSWERS[name])
    for call in CALLS.values():
        server.requests = 0
        try:
            await call(tenant)
        except SyncError as error:
            assert isinstance(error, Transient) or status == 400 or "MembersHidden" in str(error)


async def test_an_answer_that_cannot_be_read_says_what_to_do(graph: tuple[Graph, GraphTenant]) -> None:
    server, tenant = graph
    server.answer = (200, '{"value": [5]}')
    with pytest.raises(Transient) as caught:
        await tenant.members(ID)
    assert str(caught.value) == (
        "Graph's answer is not what its documentation says, so nothing is known of it — "
        "it is retried; if it stays, ask Microsoft's support about the request in the trace"
    )


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        *(("17", timedelta(seconds=17)), ("0017", timedelta(seconds=17)), ("86400", DAY), ("86401", DAY)),
        *(("999999", DAY), ("9" * 5_000, DAY), ("0", None), ("0" * 5_000, None), ("", None), ("-1", None)),
        *(("1.5", None), ("²", None), ("٣", None), ("Wed, 21 Oct 2026 07:28:00 GMT", None)),
    ],
    ids=range(14),
)
def test_a_retry_after_is_a_day_at_most_whatever_it_says(header: str, wait: timedelta | None) -> None:
    assert retry_after({"Retry-After": header}) == wait


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *(("7", 7.0), ("0.8", 0.8), ("3500", 3_500.0), ("3501", None), ("1e300", None), ("9" * 5_000, None)),
        *(("nan", None), ("inf", None), ("-5", 0.0), ("x", None), ("", None)),
    ],
)
def test_a_price_that_no_request_has_is_not_believed(text: str, number: float | None) -> None:
    """With it, no request would be admitted any more."""
    assert told_by({"x-ms-resource-unit": text}).units == number


def test_a_long_refusal_is_read_in_time_and_cut() -> None:
    """A search for addresses that begins at each letter would take hours."""
    error = refusal_of(400, {"error": {"code": "x" * 1_000_000, "message": "a@x.org @odata.id " + "y" * 1_000_000}})
    assert isinstance(error, GraphRefused)
    assert error.code == "400"
    assert error.detail.startswith("(an address) @odata.id yyy")
    assert len(error.detail) < 4_100
