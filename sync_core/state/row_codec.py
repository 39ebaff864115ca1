"""What a row of Azure Tables may hold, and how lists and long texts stand in it: plain words, as admins read them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, unquote

from sync_core.errors import SyncError

Entity = dict[str, Any]

CHUNK = 32_000
"""Characters in one property: 64 KiB of UTF-16 is the limit."""
_LARGEST_ENTITY = 1_000_000
"""Bytes in one entity: 1 MiB is the limit, of which some is kept for keys and names."""
SPLIT_THE_GROUP = "a class of this size cannot be followed: split the group in the MIS, or leave its type out"


def encode_key(text: str) -> str:
    """A partition or row key for any text: Tables refuses `/ \\ # ?` and control characters, and mishandles `%`."""
    return quote(text, safe="|:. ").replace("%", "!")


def decode_key(key: str) -> str:
    return unquote(key.replace("!", "%"))


def entity_size(entity: Mapping[str, Any]) -> int:
    """Bytes that `entity` takes in Tables, a little more than less. Raises SyncError past the limit of one entity.

    The local emulator takes larger entities than Azure does, so this is checked here.
    """
    size = sum(
        8 + 2 * len(name) + (2 * len(value) + 4 if isinstance(value, str) else 8) for name, value in entity.items()
    )
    if size > _LARGEST_ENTITY or len(entity) > 252:
        raise SyncError(
            f"row {entity['RowKey']} of {entity['PartitionKey']} has {size} bytes and does not fit into Table storage",
            SPLIT_THE_GROUP,
        )
    return size


def listed(name: str, items: Iterable[str]) -> Entity:
    ordered = sorted(items)
    return {f"{name}_count": len(ordered), **chunked(name, " ".join(ordered))}


def chunked(name: str, text: str) -> Entity:
    """`text` over as many properties as it needs, and their number: a merge leaves older, longer tails behind."""
    chunks = [text[at : at + CHUNK] for at in range(0, len(text), CHUNK)]
    return {f"{name}_parts": len(chunks), **{f"{name}_{at}": chunk for at, chunk in enumerate(chunks)}}


def joined(row: Mapping[str, Any], name: str) -> str:
    return "".join(row[f"{name}_{at}"] for at in range(row.get(f"{name}_parts", 0)))


def one_word(text: str) -> str:
    return encode_key(text).replace(" ", "!20")


def words(row: Mapping[str, Any], name: str) -> tuple[str, ...]:
    return tuple(joined(row, name).split())


def people(row: Mapping[str, Any], name: str) -> frozenset[str]:
    return frozenset(words(row, name))
