"""How much of one answer of Graph is read: up to the limit, and not one byte more, also unpacked."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from sync_core.domain.classes.desired import ClassName
from sync_core.domain.ids import ClassId, MisId
from sync_core.errors import Transient
from sync_core.graph.answer_limit import MAX_GRAPH_ANSWER
from sync_core.graph.port import NewClass
from sync_core.graph.tenant import GraphTenant
from tests.fakes.fixed_clock import FixedClock
from tests.graph.tenants import tenants_at
from tests.serving import serve_all

ID = ClassId("11111111-2222-4333-8444-555555555555")
EMPTY = b'{"value": []}'
AT_LIMIT = EMPTY.ljust(MAX_GRAPH_ANSWER)


@dataclass
class Graph:
    """Answers each request with these parts, and counts the requests and the parts that were sent."""

    parts: Iterable[bytes] = ()
    headers: dict[str, str] = field(default_factory=dict)
    requests: int = 0
    sent: int = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        assert request.headers["Accept-Encoding"] == "gzip"
        response = web.StreamResponse(headers={"Content-Type": "application/json", **self.headers})
        await response.prepare(request)
        with suppress(ConnectionError):  # the client hangs up past the limit
            for part in self.parts:
                await response.write(part)
                self.sent += 1
            await response.write_eof()
        return response


@pytest.fixture
async def graph() -> AsyncIterator[tuple[Graph, GraphTenant]]:
    graph = Graph()
    async with serve_all(graph.handle) as url:
        yield graph, tenants_at(url, FixedClock())()


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
async def test_an_answer_at_the_limit_is_read_and_one_past_it_is_not(
    graph: tuple[Graph, GraphTenant], packed: bool
) -> None:
    server, tenant = graph
    server.headers = {"Content-Encoding": "gzip"} if packed else {}
    server.parts = [gzip.compress(AT_LIMIT) if packed else AT_LIMIT]
    assert await tenant.members(ID) == frozenset()

    past = AT_LIMIT + b" "
    server.parts, server.requests = [gzip.compress(past) if packed else past], 0
    for call in (tenant.members(ID), tenant.create_class(NewClass(ClassName("n", "n"), "S|n", MisId("n")))):
        with pytest.raises(Transient) as refused:
            await call
        assert str(refused.value) == (
            "an answer of Graph has more than 16,000,000 bytes and was not read to its end, so nothing is known of it "
            "— it is retried; if it stays, ask Microsoft's support about the request in the trace"
        )
    assert server.requests == 2


def _endless(part: bytes, head: bytes) -> Iterator[bytes]:
    yield head
    while True:
        yield part


def _bomb() -> Iterator[bytes]:
    """Gzip without an end: a thousand times smaller than what it unpacks to."""
    packer, blanks = zlib.compressobj(9, wbits=16 + zlib.MAX_WBITS), b" " * 1_000_000
    head, block = (packer.compress(blanks) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    return _endless(block, head)


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
async def test_an_answer_without_an_end_is_left_at_the_limit(graph: tuple[Graph, GraphTenant], packed: bool) -> None:
    server, tenant = graph
    server.headers = {"Content-Encoding": "gzip"} if packed else {}
    server.parts = _bomb() if packed else _endless(b" " * 65_536, b" ")
    tracemalloc.start()
    try:
        with pytest.raises(Transient, match="more than 16,000,000 bytes"):
            await tenant.members(ID)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (server.requests, peak < 60_000_000) == (1, True)


@pytest.mark.parametrize(
    ("encoding", "body"), [("deflate", zlib.compress(EMPTY)), ("br", EMPTY), ("gzip", EMPTY), ("gzip", b"\x1f\x8b")]
)
async def test_an_answer_that_cannot_be_unpacked_is_tried_again(
    graph: tuple[Graph, GraphTenant], encoding: str, body: bytes
) -> None:
    server, tenant = graph
    server.headers, server.parts = {"Content-Encoding": encoding}, [body]
    with pytest.raises(Transient, match="not what its documentation says"):
        await tenant.members(ID)
