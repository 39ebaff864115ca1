"""Overflow rows hold the lists that are too long for their row. A read puts each list back into its row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from typing import Any, TypeVar

from sync_core.state.row_codec import Entity, joined

_Row = TypeVar("_Row", bound=Entity)

PARTS_IN_ROW = 2
"""A list of more parts moves to overflow rows.

A merge keeps the earlier columns of a row, so a row has to hold the most that each of its lists ever put into it: for
a class that is seven lists of two parts, 896,000 bytes.
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
    for name, parts in _lists(entity):
        if parts <= PARTS_IN_ROW and not entity[f"{name}_0"].startswith(_POINTER):
            continue
        for number, columns in enumerate(_columns_by_row(name, parts), start=1):
            key = {"PartitionKey": entity["PartitionKey"], "RowKey": _overflow_key(entity["RowKey"], name, number)}
            taken = {column: row.pop(column) for column in columns}
            overflow.append(key | {column: entity[column] for column in carried} | taken)
        where = _overflow_key(entity["RowKey"], name, "…")
        row |= {f"{name}_0": f"{_POINTER}{where} sha256 {_digest(joined(entity, name))}", f"{name}_1": ""}
    return [row, *overflow]


def has_overflow(row: Mapping[str, Any]) -> bool:
    """Whether overflow rows belong to `row`."""
    return any(_long_lists(row))


def overflow_prefix(key: str) -> str:
    """The prefix of the keys of all overflow rows of the row `key`, and of no other keys."""
    return key + _SIGN


def whole(rows: Iterable[_Row]) -> list[_Row]:
    """The rows without the overflow rows, in order, with their long lists filled in. Raises Torn.

    Overflow rows that no pointer names are left from a longer list, and are ignored.
    """
    by_key = {row["RowKey"]: row for row in rows}
    for key, row in by_key.items():
        for name, parts, digest in list(_long_lists(row)):
            chunks: Entity = {}
            for number, columns in enumerate(_columns_by_row(name, parts), start=1):
                overflow = by_key.get(_overflow_key(key, name, number))
                chunks |= {column: overflow.get(column, "") if overflow else "" for column in columns}
            if _digest("".join(chunks.values())) != digest:
                raise Torn
            row.update(chunks)
    return [row for key, row in by_key.items() if _SIGN not in key]


def grouped_by_row(keys: Iterable[str]) -> list[list[str]]:
    """`keys` grouped by their row."""
    groups: dict[str, list[str]] = {}
    for key in keys:
        groups.setdefault(key.partition(_SIGN)[0], []).append(key)
    return list(groups.values())


def _lists(row: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    for column, value in row.items():
        if column.endswith("_parts") and value:
            yield column.removesuffix("_parts"), value


def _long_lists(row: Mapping[str, Any]) -> Iterator[tuple[str, int, str]]:
    for name, parts in _lists(row):
        if row[f"{name}_0"].startswith(_POINTER):
            yield name, parts, row[f"{name}_0"].rpartition(" ")[2]


def _columns_by_row(name: str, parts: int) -> list[list[str]]:
    columns = [f"{name}_{at}" for at in range(parts)]
    return [columns[at : at + _PARTS_IN_OVERFLOW_ROW] for at in range(0, parts, _PARTS_IN_OVERFLOW_ROW)]


def _overflow_key(key: str, name: str, number: int | str) -> str:
    return f"{key}{_SIGN}{name}{_SIGN}{number}"


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:16]
