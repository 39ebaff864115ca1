"""Pages of a long list, with their addresses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar
from urllib.parse import urlencode

from sync_core.admin.overview.pages import PER_PAGE, ListPage
from sync_core.admin.overview.pages import page_of as list_page_of

_Row = TypeVar("_Row")


@dataclass(frozen=True, slots=True)
class Paged(Generic[_Row]):
    """A page of a list at `path`, whose rows `query` chose."""

    page: ListPage[_Row]
    path: str
    query: Sequence[tuple[str, str]]

    @property
    def rows(self) -> Sequence[_Row]:
        return self.page.items

    @property
    def number(self) -> int:
        return self.page.number

    @property
    def pages(self) -> int:
        return self.page.pages

    @property
    def total(self) -> int:
        return self.page.total

    @property
    def first(self) -> int:
        """The place of the first row in the whole list, from 1."""
        return (self.number - 1) * PER_PAGE + 1

    @property
    def last(self) -> int:
        return self.first + len(self.rows) - 1

    def address(self, number: int) -> str:
        return f"{self.path}?{urlencode([*self.query, ('page', str(number))])}"


def page_of(
    rows: Sequence[_Row], number: int, path: str, query: Mapping[str, str] | Sequence[tuple[str, str]] = ()
) -> Paged[_Row]:
    """The page with this number, or the last one. Values of `query` that are empty are left out of its addresses."""
    page = list_page_of(rows, number)
    pairs = query.items() if isinstance(query, Mapping) else query
    kept = [(name, value) for name, value in pairs if value]
    return Paged(page if number <= page.pages else list_page_of(rows, page.pages), path, kept)
