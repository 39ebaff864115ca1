"""The types within Graph's answers. What Graph does not document is no answer: the request is tried again later."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any

from sync_core.errors import Transient

_MOST_PAGES = 20_000
"""Of one list: two million accounts, a hundred to a page."""


def unreadable() -> Transient:
    return Transient(
        "Graph's answer is not what its documentation says, so nothing is known of it",
        "it is retried; if it stays, ask Microsoft's support about the request in the trace",
    )


def items_of(page: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The items of a page. Raises Transient if it has no list of objects with ids."""
    return checked_items(page.get("value"))


def checked_items(listed: object) -> list[dict[str, Any]]:
    if not isinstance(listed, list):
        raise unreadable()
    for item in listed:
        id_of(item)
    return listed


def id_of(item: object) -> str:
    id_ = item.get("id") if isinstance(item, dict) else None
    if not isinstance(id_, str):
        raise unreadable()
    return id_


def text_of(item: Mapping[str, Any], name: str) -> str:
    """A text of an item; empty for null and if there is none. Raises Transient for anything else."""
    text = item.get(name) or ""
    if not isinstance(text, str):
        raise unreadable()
    return text


def created_at(group: Mapping[str, Any]) -> datetime:
    try:
        return datetime.fromisoformat(text_of(group, "createdDateTime"))
    except ValueError:
        raise unreadable() from None


def delta_link_of(page: Mapping[str, Any]) -> str:
    link = page.get("@odata.deltaLink")
    if not isinstance(link, str):
        raise unreadable()
    return link


async def pages_from(
    link: str | None, get: Callable[[str], Awaitable[dict[str, Any]]]
) -> AsyncIterator[dict[str, Any]]:
    """The pages from this link on, each read with `get`. Raises Transient if they have no end."""
    for _ in range(_MOST_PAGES):
        if not link:
            return
        page = await get(link)
        following = page.get("@odata.nextLink")
        if following == link or not isinstance(following, str | None):
            break
        yield page
        link = following
    raise unreadable()
