"""Long lists in pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar
from urllib.parse import urlencode

PER_PAGE = 50
_Row = TypeVar("_Row")


@dataclass(frozen=True, slots=True, kw_only=True)
class Paged(Generic[_Row]):
    """One page of a list. `number` counts from 1; `total` is the number of all rows, and `query` chose them."""

    rows: Sequence[_Row]
    number: int
    total: int
    path: str
    query: Mapping[str, str]

    @property
    def pages(self) -> int:
        return max(1, -(-self.total // PER_PAGE))

    @property
    def first(self) -> int:
        """The place of the first row in the whole list, from 1."""
        return (self.number - 1) * PER_PAGE + 1

    @property
    def last(self) -> int:
        return self.first + len(self.rows) - 1

    def address(self, number: int) -> str:
        return f"{self.path}?{urlencode({**self.query, 'page': number})}"


def page_of(rows: Sequence[_Row], number: int, path: str, query: Mapping[str, str] | None = None) -> Paged[_Row]:
    """The page with this number, or the last one. Values of `query` that are empty are left out of its addresses."""
    number = min(number, max(1, -(-len(rows) // PER_PAGE)))
    shown = rows[(number - 1) * PER_PAGE : number * PER_PAGE]
    kept = {name: value for name, value in (query or {}).items() if value}
    return Paged(rows=shown, number=number, total=len(rows), path=path, query=kept)
