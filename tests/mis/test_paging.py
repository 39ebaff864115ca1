"""A list is read to its proven end from any server: whole, or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sync_core.mis.budget import Budget
from sync_core.mis.records import Record
from sync_core.mis.rest.client import Torn
from sync_core.mis.rest.oneroster_records import ID
from sync_core.mis.rest.paging import ListPage, read_list
from sync_core.mis.rest.quirks import Totals
from tests.properties.protocol_world import run_through

OFFSETS = ("records", "aligned", "pages", "ignored", "from one")
TOTALS = ("list", "page", "size", "limit", "none", "too many", "too few")
LINKS = ("none", "next", "always", "cursor")


def records_of(ids: Iterable[str]) -> list[Record]:
    return ID.read_all([{"sourcedId": id_} for id_ in ids])


@dataclass(slots=True)
class Server:
    """A server of `count` records with habits. `moves` has what happens to its list before a request, by number."""

    count: int
    cap: int
    offsets: str = "records"
    totals: str = "list"
    links: str = "none"
    limits: bool = True
    moves: Mapping[int, str] = field(default_factory=dict)
    requests: int = 0
    ids: list[str] = field(init=False)
    before: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.ids = [f"r{number}" for number in range(self.count)]
        self.before = [*self.ids]

    async def fetch(self, query: Mapping[str, str]) -> ListPage:
        self._move()
        limit = min(int(query["limit"]), self.cap) if self.limits else self.cap
        offset = int(query.get("cursor", query["offset"]))
        starts = {
            "aligned": offset // limit * limit,
            "pages": offset * limit,
            "ignored": 0,
            "from one": max(offset - 1, 0),
        }
        start = offset if "cursor" in query else starts.get(self.offsets, offset)
        page = self.ids[start : start + limit]
        return ListPage(records_of(page), self._total(len(page), query), self._link(start, limit))

    def _move(self) -> None:
        self.requests += 1
        match self.moves.get(self.requests):
            case "insert":
                self.ids.insert(0, f"new{self.requests}")
            case "delete":
                del self.ids[:1]

    def _total(self, page: int, query: Mapping[str, str]) -> int | None:
        count = len(self.ids)
        totals = {"page": page, "size": min(count, self.cap), "limit": int(query["limit"]), "none": None}
        return {**totals, "too many": count + 7, "too few": max(count - 1, 0)}.get(self.totals, count)

    def _link(self, start: int, limit: int) -> Mapping[str, str] | None:
        following = {"limit": str(limit), "offset": str(start + limit)}
        if self.links == "cursor":
            following = {"limit": str(limit), "offset": "0", "cursor": str(start + limit)}
        more = self.links == "always" or start + limit < len(self.ids)
        return following if more and self.links != "none" else None


servers = st.builds(
    Server,
    count=st.integers(0, 40),
    cap=st.integers(3, 15),
    offsets=st.sampled_from(OFFSETS),
    totals=st.sampled_from(TOTALS),
    links=st.sampled_from(LINKS),
)


@given(servers)
@example(Server(4, 3, offsets="pages", totals="size"))
@example(Server(5, 4, offsets="aligned", totals="size"))
@example(Server(12, 3, offsets="pages", totals="page"))
@example(Server(28, 3, offsets="pages", totals="page", links="next"))
def test_a_list_is_whole_or_refused(server: Server) -> None:
    """Whatever a server does with offsets, totals and links."""
    try:
        whole = run_through(read_list(server.fetch, "users", 1000, Budget()))
    except Torn:
        return
    assert [*whole.records] == server.ids
    assert server.requests <= 3 * server.count + 6


@given(
    st.integers(1, 40),
    st.integers(3, 15),
    st.sampled_from(("list", "none")),
    st.sampled_from(("none", "next")),
    st.integers(1, 12),
    st.sampled_from(("insert", "delete")),
)
def test_a_list_that_changes_once_is_as_before_or_as_after(
    count: int, cap: int, totals: str, links: str, when: int, move: str
) -> None:
    server = Server(count, cap, totals=totals, links=links, moves={when: move})
    try:
        whole = run_through(read_list(server.fetch, "users", 1000, Budget()))
    except Torn:
        return
    assert [*whole.records] in (server.before, server.ids)


@given(
    st.integers(0, 40),
    st.integers(3, 15),
    st.sampled_from(("records", "aligned")),
    st.sampled_from(("list", "page", "none")),
    st.sampled_from(LINKS),
)
@example(30, 15, "aligned", "page", "none")
def test_a_server_that_obeys_offsets_is_read(count: int, cap: int, offsets: str, totals: str, links: str) -> None:
    server = Server(count, cap, offsets=offsets, totals=totals, links=links)
    assert [*run_through(read_list(server.fetch, "users", 1000, Budget())).records] == server.ids


@pytest.mark.parametrize(("count", "requests"), [(0, 1), (1, 2), (12, 2), (13, 3), (24, 3), (25, 4)])
async def test_a_list_takes_one_request_more_than_it_has_pages(count: int, requests: int) -> None:
    server = Server(count, 12)
    await read_list(server.fetch, "users", 1000, Budget())
    assert server.requests == requests


async def test_records_without_an_id_are_kept_for_the_reader_to_leave_out() -> None:
    async def fetch(query: Mapping[str, str]) -> ListPage:
        return ListPage(records_of(["1", "", ""])[int(query["offset"]) :], 3)

    whole = await read_list(fetch, "users", 1000, Budget())
    assert [record.id for record in whole.records.values()] == ["1", "", ""]
    assert whole.facts.totals is Totals.LIST
