"""Overflow rows hold the lists that are too long for their row. A read puts each list back into its row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from typing import Any, TypeVar

from sync_core.state.row_codec import CHUNK, Entity, chunks_of

_Row = TypeVar("_Row", bound=Entity)

PARTS_IN_ROW = 1
"""A list of more parts moves to overflow rows.

A merge keeps the earlier columns of a row, so a row has to hold the most that each of its lists ever put into it: for
a class that is thirteen lists of one part, 832,000 bytes.
"""
_PARTS_IN_OVERFLOW_ROW = 15
# No key that encode_key makes contains it: neither a class nor a moment looks like an overflow row.
_SIGN = ","
_POINTER = "in overflow rows: "


class Torn(Exception):
    """A row and its overflow rows come from two different writes and must be read again."""


def split(entity: Entity, *carried: str) -> list[Entity]:
    """`entity` without its long lists, followed by the overflow rows with these lists and the `carried` columns.

    A pointer replaces each list. Its digest shows a reader that the list is complete and is the right one.
    """
    row = dict(entity)
    overflow: list[Entity] = []
    for name in _lists(entity):
        chunks = chunks_of(entity, name)
        text = "".join(chunks)
        if len(text) <= PARTS_IN_ROW * CHUNK and not text.startswith(_POINTER):
            continue
        for number, columns in enumerate(_columns_by_row(name, len(chunks)), start=1):
            key = {"PartitionKey": entity["PartitionKey"], "RowKey": _overflow_key(entity["RowKey"], name, number)}
            taken = {column: row.pop(column) for column in columns}
            overflow.append(key | {column: entity[column] for column in carried} | taken)
        where = _overflow_key(entity["RowKey"], name, "…")
        row |= {f"{name}_0": f"{_POINTER}{where} parts {len(chunks)} sha256 {_digest(text)}", f"{name}_1": ""}
    return [row, *overflow]


def has_overflow(row: Mapping[str, Any]) -> bool:
    """Whether overflow rows belong to `row`."""
    return any(_long_lists(row))


def is_overflow(key: str) -> bool:
    """Whether `key` is that of an overflow row."""
    return _SIGN in key


def overflow_prefix(key: str) -> str:
    """The prefix of the keys of all overflow rows of the row `key`, and of no other keys."""
    return key + _SIGN


def whole(rows: Iterable[_Row]) -> list[_Row]:
    """The rows without the overflow rows, in order, with their long lists filled in. Raises Torn.

    Overflow rows that no pointer names are left from a longer list, and are ignored.
    """
    by_key = {row["RowKey"]: row for row in rows}
    complete = {key: row for key, row in by_key.items() if not is_overflow(key)}
    for key, row in complete.items():
        for name, parts, digest in list(_long_lists(row)):
            chunks: Entity = {}
            for number, columns in enumerate(_columns_by_row(name, parts), start=1):
                overflow = by_key.get(_overflow_key(key, name, number))
                chunks |= {column: overflow.get(column, "") if overflow else "" for column in columns}
            if _digest("".join(chunks.values())) != digest:
                raise Torn
            row.update(chunks)
    return list(complete.values())


def grouped_by_row(keys: Iterable[str]) -> list[list[str]]:
    """`keys` grouped by their row."""
    groups: dict[str, list[str]] = {}
    for key in keys:
        groups.setdefault(key.partition(_SIGN)[0], []).append(key)
    return list(groups.values())


def _lists(row: Mapping[str, Any]) -> Iterator[str]:
    return (column.removesuffix("_0") for column in row if column.endswith("_0"))


def _long_lists(row: Mapping[str, Any]) -> Iterator[tuple[str, int, str]]:
    for name in _lists(row):
        if row[f"{name}_0"].startswith(_POINTER):
            *_, parts, _, digest = row[f"{name}_0"].split(" ")
            yield name, int(parts), digest


def _columns_by_row(name: str, parts: int) -> list[list[str]]:
    columns = [f"{name}_{at}" for at in range(parts)]
    return [columns[at : at + _PARTS_IN_OVERFLOW_ROW] for at in range(0, parts, _PARTS_IN_OVERFLOW_ROW)]


def _overflow_key(key: str, name: str, number: int | str) -> str:
    return f"{key}{_SIGN}{name}{_SIGN}{number}"


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:16]
