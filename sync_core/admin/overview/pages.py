"""Long lists, page by page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

PER_PAGE = 50
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class ListPage(Generic[Item]):
    """A part of a list: `number` counts from 1, and a number beyond the last page has no items."""

    items: tuple[Item, ...]
    number: int
    pages: int
    total: int


def page_of(items: Sequence[Item], number: int) -> ListPage[Item]:
    """Page `number` of the items, in their order."""
    start = (number - 1) * PER_PAGE
    pages = max(1, -(-len(items) // PER_PAGE))
    return ListPage(tuple(items[start : start + PER_PAGE]), number, pages, len(items))
