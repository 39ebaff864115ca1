"""Reads a OneRoster list to its end, whatever the server's totals and links say, and proves that it is the whole list.

A list that is capped, or that changed during the read, must never look like a shorter list.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sync_core.mis.rest.cache import Record
from sync_core.mis.rest.client import Torn, text
from sync_core.mis.rest.quirks import Totals

_ID = "sourcedId"
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
        return [text(record.get(_ID)) for record in self.records]


Fetch = Callable[[Mapping[str, str]], Awaitable[ListPage]]
"""Requests the page of a query with `limit` and `offset`, or of a link. A page that is not there is empty."""


@dataclass(frozen=True, slots=True)
class WholeList:
    """A complete list. Records without an id are kept too, each under a key of its own that is no id.

    `unpaged` is the number of records if the server returns all of them whatever page is requested, and has no total
    of them; otherwise 0.
    """

    records: Mapping[str, Record]
    totals: Totals = Totals.LIST
    unpaged: int = 0


@dataclass(slots=True)
class _Pages:
    """The pages read so far. `linked` is the number of those that a link led to.

    `tail` is the page that begins with the last record; None until it is requested.
    """

    name: str
    pages: list[ListPage] = field(default_factory=list)
    records: dict[str, Record] = field(default_factory=dict)
    links: list[Mapping[str, str]] = field(default_factory=list)
    linked: int = 0
    tail: ListPage | None = None

    @property
    def count(self) -> int:
        return len(self.records)

    @property
    def size(self) -> int:
        return len(self.pages[0].records)

    def brings_new(self, page: ListPage) -> bool:
        """Raises Torn if only a part of the page is new: the list moved between two requests."""
        known = [id_ in self.records for id_ in page.ids if id_]
        if any(known) and not all(known):
            raise Torn(f"a record of {self.name} was returned twice")
        return bool(known) and not any(known)

    def has_new(self, page: ListPage) -> bool:
        return any(id_ and id_ not in self.records for id_ in page.ids)

    def add(self, page: ListPage) -> None:
        ids = [id_ or f"\0{self.count + number}" for number, id_ in enumerate(page.ids)]
        if len(set(ids)) != len(ids):
            raise Torn(f"a record of {self.name} was returned twice")
        self.pages.append(page)
        self.tail = None
        self.records |= zip(ids, page.records, strict=True)


async def read_list(fetch: Fetch, name: str, limit: int) -> WholeList:
    """The whole list. Raises Torn if it changed, differs from its total or may be cut off, and what `fetch` raises.

    A total proves that a list of several pages is whole. One that is missing, or may count one page, proves nothing:
    the list is then requested at its last record and beyond its end, to see that the server obeys the offset, and is
    read twice if it has several pages.
    """
    pages = await _read(fetch, name, limit)
    tail = pages.tail
    if tail is None:
        if total := pages.pages[0].total:
            raise _disagreement(name, total, 0)
        return WholeList({})
    totals = _totals(pages, tail)
    several, first = len(pages.pages) > 1, pages.pages[0].ids
    if several and totals is Totals.LIST:
        return WholeList(pages.records)
    if several:  # a server that takes an offset for a page number skips pages, and has another record in this place
        tail = await fetch(_at(pages.count - 1, 1))
    unpaged = not several and tail.ids == first and pages.count > _TAIL
    in_links = several and pages.linked == len(pages.pages) - 1 and tail.ids and not pages.has_new(tail)
    if not (unpaged or in_links or tail.ids[-1:] == pages.pages[-1].ids[-1:]):
        raise Torn(f"it does not obey the offset of {name}, so it may have more of them", CUT_OFF)
    if several and (await _read(fetch, name, limit)).records.keys() != pages.records.keys():
        raise Torn(f"the list of {name} changed during the read")
    return WholeList(pages.records, totals, pages.count if unpaged and totals is not Totals.LIST else 0)


async def _read(fetch: Fetch, name: str, limit: int) -> _Pages:
    """All pages, and the tail unless the list is empty."""
    pages = _Pages(name)
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
    if pages.pages[-1].total == pages.count:
        pages.tail = await fetch(tail_query)
        if _ends(pages, pages.tail):
            return None
    following = await fetch(_at(pages.count, pages.size))
    if pages.brings_new(following):
        return following
    pages.tail = pages.tail or await fetch(tail_query)
    return None


async def _linked(fetch: Fetch, pages: _Pages) -> ListPage | None:
    """The page that the last page's link leads to; None if it brings nothing new."""
    link = pages.pages[-1].next
    if link is None or link in pages.links:
        return None
    pages.links.append(link)
    page = await fetch(link)
    if not pages.brings_new(page):
        return None
    pages.linked += 1
    return page


def _ends(pages: _Pages, tail: ListPage) -> bool:
    """Whether the list ends with the last record read, as the offset of that record and the total both show."""
    return tail.ids == pages.pages[-1].ids[-1:] and pages.pages[-1].total == tail.total == pages.count


def _totals(pages: _Pages, tail: ListPage) -> Totals:
    """What the totals count. Raises Torn if they count the list, but changed or differ from the records read."""
    totals = [page.total for page in pages.pages if page.total is not None]
    if not totals:
        return Totals.NONE
    several = len(pages.pages) > 1
    if several and max(totals) <= pages.size:
        return Totals.PAGE
    if not several and tail.total in (len(tail.records), _TAIL) and tail.total != totals[0]:
        return Totals.PAGE
    totals += [tail.total] if tail.total is not None else []
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
