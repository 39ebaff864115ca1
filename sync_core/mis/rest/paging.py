"""Reads a OneRoster list to its end, whatever the server's totals and links say, and proves that it is the whole list.

A list that is capped, or that changed during the read, must never look like a shorter list.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sync_core.mis.budget import ENTRY, Budget
from sync_core.mis.records import Record
from sync_core.mis.rest.client import Torn
from sync_core.mis.rest.quirks import Totals

CUT_OFF = "have the vendor obey limit and offset, because a list that may be cut off is not used"
_TAIL = 2
"""The page size of the request at the last record: another than before, and with room for a record after it."""


@dataclass(frozen=True, slots=True)
class ListPage:
    """The records of one page, the total that the server reports, and the query of its link to the next page."""

    records: Sequence[Record]
    total: int | None = None
    next: Mapping[str, str] | None = None

    @property
    def ids(self) -> list[str]:
        return [record.id for record in self.records]


Fetch = Callable[[Mapping[str, str]], Awaitable[ListPage]]
"""Requests the page of a query with `limit` and `offset`, or of a link. A page that is not there is empty."""
Take = Callable[[Mapping[str, Record]], None]
"""Takes the records of a page, by id. Those without an id are among them, each under a key of its own that is no id."""


@dataclass(frozen=True, slots=True)
class ListFacts:
    """What the reading of a complete list showed. `count` is the number of its records.

    `unpaged` is the same number if the server returns all of them whatever page is requested, and has no total of
    them; otherwise 0.
    """

    count: int = 0
    totals: Totals = Totals.LIST
    unpaged: int = 0


@dataclass(frozen=True, slots=True)
class WholeList:
    """A complete list, or one school's part of it. `facts` are those of the complete list."""

    records: Mapping[str, Record]
    facts: ListFacts = ListFacts()


@dataclass(slots=True)
class _Pages:
    """The pages read so far, without their records, which `take` has. `linked` counts those that a link led to.

    `first` are the ids of the first page, and `links` the queries that links had. `tail` is the page that begins with
    the last record; None until it is requested.
    """

    name: str
    take: Take
    keep: Callable[[int], None]
    number: int = 0
    first: list[str] = field(default_factory=list)
    last: ListPage = ListPage(())
    totals: list[int] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    links: set[frozenset[tuple[str, str]]] = field(default_factory=set)
    linked: int = 0
    tail: ListPage | None = None

    @property
    def count(self) -> int:
        return len(self.ids)

    @property
    def several(self) -> bool:
        return self.number > 1

    def brings_new(self, page: ListPage) -> bool:
        """Raises Torn if only a part of the page is new: the list moved between two requests."""
        known = [id_ in self.ids for id_ in page.ids if id_]
        if any(known) and not all(known):
            raise Torn(f"a record of {self.name} was returned twice")
        return bool(known) and not any(known)

    def has_new(self, page: ListPage) -> bool:
        return any(id_ and id_ not in self.ids for id_ in page.ids)

    def add(self, page: ListPage) -> None:
        ids = [id_ or f"\0{self.count + number}" for number, id_ in enumerate(page.ids)]
        if len(set(ids)) != len(ids):
            raise Torn(f"a record of {self.name} was returned twice")
        if not self.number:
            self.first = page.ids
        if page.total is not None:
            self.totals.append(page.total)
        self.number += 1
        self.last, self.tail = page, None
        self.keep(sum(ENTRY + len(id_) for id_ in ids))
        self.ids.update(ids)
        self.take(dict(zip(ids, page.records, strict=True)))


async def read_list(fetch: Fetch, name: str, limit: int, budget: Budget) -> WholeList:
    """The whole list in memory. As `stream_list`."""
    records: dict[str, Record] = {}

    def take(page: Mapping[str, Record]) -> None:
        budget.keep(sum(record.size for record in page.values()))
        records.update(page)

    return WholeList(records, await stream_list(fetch, name, limit, take, budget))


async def stream_list(fetch: Fetch, name: str, limit: int, take: Take, budget: Budget) -> ListFacts:
    """Read the whole list, and give each page to `take`. After an error, what was taken is void.

    Raises Torn if the list changed, differs from its total or may be cut off, and what `fetch` raises. A total proves
    that a list of several pages is whole. One that is missing, or may count one page, proves nothing: the list is then
    requested at its last record and beyond its end, to see that the server obeys the offset, and is read twice if it
    has several pages.
    """
    with budget.loan() as keep:
        return await _stream(fetch, name, limit, take, keep)


async def _stream(fetch: Fetch, name: str, limit: int, take: Take, keep: Callable[[int], None]) -> ListFacts:
    pages = await _read(fetch, name, limit, take, keep)
    tail = pages.tail
    if tail is None:
        if total := pages.last.total:
            raise _disagreement(name, total, 0)
        return ListFacts()
    totals = _totals(pages, tail)
    if pages.several and totals is Totals.LIST:
        return ListFacts(pages.count)
    if pages.several:  # a server that takes an offset for a page number skips pages, and has another record here
        tail = await fetch(_at(pages.count - 1, 1))
    unpaged = not pages.several and tail.ids == pages.first and pages.count > _TAIL
    in_links = pages.several and pages.linked == pages.number - 1 and tail.ids and not pages.has_new(tail)
    if not (unpaged or in_links or tail.ids[-1:] == pages.last.ids[-1:]):
        raise Torn(f"it does not obey the offset of {name}, so it may have more of them", CUT_OFF)
    if pages.several and (await _read(fetch, name, limit, _ignore, keep)).ids != pages.ids:
        raise Torn(f"the list of {name} changed during the read")
    return ListFacts(pages.count, totals, pages.count if unpaged and totals is not Totals.LIST else 0)


def _ignore(_records: Mapping[str, Record]) -> None:
    """Takes the records of a second reading, which only shows that the list is the same."""


async def _read(fetch: Fetch, name: str, limit: int, take: Take, keep: Callable[[int], None]) -> _Pages:
    """All pages, and the tail unless the list is empty."""
    pages = _Pages(name, take, keep)
    page: ListPage | None = await fetch(_at(0, limit))
    while page is not None:
        pages.add(page)
        page = await _next_page(fetch, pages) if pages.count else None
    return pages


async def _next_page(fetch: Fetch, pages: _Pages) -> ListPage | None:
    """The next page that brings something new; None after the last, whose tail is then requested."""
    if page := await _linked(fetch, pages):
        return page
    tail_query = _at(pages.count - 1, _TAIL)
    if pages.last.total == pages.count:
        pages.tail = await fetch(tail_query)
        if _ends(pages, pages.tail):
            return None
    following = await fetch(_at(pages.count, len(pages.first)))
    if pages.brings_new(following):
        return following
    pages.tail = pages.tail or await fetch(tail_query)
    return None


async def _linked(fetch: Fetch, pages: _Pages) -> ListPage | None:
    """The page that the last page's link leads to; None if it brings nothing new."""
    link = pages.last.next
    key = frozenset((link or {}).items())
    if link is None or key in pages.links:
        return None
    pages.keep(sum(ENTRY + len(name) + len(value) for name, value in key))
    pages.links.add(key)
    page = await fetch(link)
    if not pages.brings_new(page):
        return None
    pages.linked += 1
    return page


def _ends(pages: _Pages, tail: ListPage) -> bool:
    """Whether the list ends with the last record read, as the offset of that record and the total both show."""
    return tail.ids == pages.last.ids[-1:] and pages.last.total == tail.total == pages.count


def _totals(pages: _Pages, tail: ListPage) -> Totals:
    """What the totals count. Raises Torn if they count the list, but changed or differ from the records read."""
    totals = pages.totals
    if not totals:
        return Totals.NONE
    if pages.several and max(totals) <= len(pages.first):
        return Totals.PAGE
    if not pages.several and tail.total in (len(tail.records), _TAIL) and tail.total != totals[0]:
        return Totals.PAGE
    totals = [*totals, tail.total] if tail.total is not None else totals
    if len(set(totals)) > 1:
        raise Torn(f"the total of {pages.name} changed during the read, from {totals[0]} to {totals[-1]}")
    if totals[0] != pages.count:
        raise _disagreement(pages.name, totals[0], pages.count)
    return Totals.LIST


def _disagreement(name: str, total: int, count: int) -> Torn:
    remedy = (
        "ask the vendor which number is right: a total must count the records of this school that the client may read"
    )
    return Torn(f"it tells of {total} {name}, but gave {count}", remedy)


def _at(offset: int, limit: int) -> dict[str, str]:
    return {"limit": str(limit), "offset": str(offset)}
