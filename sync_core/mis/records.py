"""Records of servers: the types of their fields are checked here once, and each field becomes a text."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import unquote

from sync_core.mis.budget import MAX_ITEMS, MAX_TEXT

_NOT_TEXT = re.compile("[\0\ud800-\udfff]")
_COLLECTIONS = frozenset(
    ("orgs", "schools", "academicSessions", "terms", "gradingPeriods", "classes", "users", "students", "teachers")
)
_RECORD = 400
"""Bytes that a record takes, without its texts."""


class Unexpected(Exception):
    """A value is not of the type that a field has. The text says what it is instead."""


@dataclass(frozen=True, slots=True)
class Record:
    """A record, or one within it: its texts at the places of `columns`, of which the first is its id.

    `parts` are the lists of records within it, such as the roles of a user. `fault` is what is wrong with `field`,
    which is then empty, or is not among the parts. All else is as the server has it.
    """

    columns: Mapping[str, int]
    texts: tuple[str, ...]
    parts: Mapping[str, Sequence[Record]]
    field: str = ""
    fault: str = ""

    def __getitem__(self, column: str) -> str:
        return self.texts[self.columns[column]]

    def get(self, column: str) -> str:
        """Empty for a column that it does not have."""
        return self[column] if column in self.columns else ""

    @property
    def id(self) -> str:
        return self.texts[0]

    @property
    def size(self) -> int:
        """Bytes of memory, about."""
        within = sum(part.size for parts in self.parts.values() for part in parts)
        return _RECORD + sum(map(sys.getsizeof, filter(None, self.texts))) + within

    def without(self, column: str) -> Record:
        return replace(
            self, texts=tuple("" if self.columns[column] == at else text for at, text in enumerate(self.texts))
        )


ReadText = Callable[[object], str]
"""Makes a text of a value. Raises Unexpected."""


@dataclass(frozen=True, slots=True)
class Part:
    """A list of records within a record. `unwrap` gives the list in the field's value, or raises Unexpected."""

    schema: Schema
    unwrap: Callable[[object], Sequence[object]]


@dataclass(frozen=True, slots=True)
class Schema:
    """The fields of a record that the app reads, the first of which is the id. All others are left out."""

    texts: Mapping[str, ReadText]
    parts: Mapping[str, Part] = field(default_factory=dict)
    columns: Mapping[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", {name: place for place, name in enumerate(self.texts)})

    @property
    def fields(self) -> tuple[str, ...]:
        return (*self.texts, *self.parts)

    def read(self, value: object) -> Record | None:
        """None if the value is no object."""
        if not isinstance(value, dict):
            return None
        faults: dict[str, str] = {}
        parts: dict[str, Sequence[Record]] = {}
        for name, part in self.parts.items():
            try:
                parts[name] = part.schema.read_all(part.unwrap(value.get(name)))
            except Unexpected as unexpected:
                faults[name] = str(unexpected)
        texts: list[str] = []
        for name, read in self.texts.items():
            try:
                texts.append(read(value.get(name)))
            except Unexpected as unexpected:
                faults[name] = str(unexpected)
                texts.append("")
        return Record(self.columns, tuple(texts), parts, *next(iter(faults.items()), ()))

    def read_all(self, values: Sequence[object]) -> list[Record]:
        """Raises Unexpected for a list of anything but objects, or of too many."""
        records = [record for record in map(self.read, values) if record]
        if len(records) < len(values):
            raise Unexpected("is not a list of objects")
        return records

    def dump(self, record: Record) -> list[Any]:
        """The record as JSON that `load` reads."""
        parts = {name: [*map(self.parts[name].schema.dump, parts)] for name, parts in record.parts.items()}
        return [record.texts, parts, record.field, record.fault]

    def load(self, dumped: Sequence[Any]) -> Record:
        texts, parts, field_, fault = dumped
        loaded = {name: [*map(self.parts[name].schema.load, listed)] for name, listed in parts.items()}
        return Record(self.columns, tuple(texts), loaded, field_, fault)


def text(value: object) -> str:
    """A text or a number without spaces around it, or `true` or `false`; empty for null. Raises Unexpected."""
    match value:
        case str():
            stripped = value.strip()
            if len(stripped) > MAX_TEXT:
                raise Unexpected(f"has more than {MAX_TEXT} characters")
            if not stripped.isprintable() and _NOT_TEXT.search(stripped):
                raise Unexpected("has a character that is not text")
            return stripped
        case None:
            return ""
        case bool():
            return str(value).lower()
        case _:
            raise Unexpected(f"is {_kind(value)} instead of text")


def texts(value: object) -> str:
    """A text as `text`, or those of a list with commas between them. Raises Unexpected."""
    return ",".join(map(text, items(value))) if isinstance(value, list) else text(value)


def if_text(read: ReadText) -> ReadText:
    """Reads a field without which the record counts as it is: any other value is empty."""

    def read_if_text(value: object) -> str:
        try:
            return read(value)
        except Unexpected:
            return ""

    return read_if_text


def reference(value: object) -> str:
    """The sourcedId of a reference, or of the record that its href leads to; empty for nothing. Raises Unexpected."""
    if value is None or value == "":
        return ""
    if not isinstance(value, dict):
        raise Unexpected(f"is {_kind(value)} instead of a reference")
    return text(value.get("sourcedId")) or _id_in_href(text(value.get("href")))


def references(value: object) -> str:
    """The sourcedIds of a list of references, with commas between them; empty for null. Raises Unexpected."""
    return ",".join(filter(None, map(reference, items(value))))


def items(value: object) -> Sequence[object]:
    """The items of a list; none for null and an empty text. Raises Unexpected."""
    if value is None or value == "":
        return ()
    if not isinstance(value, list):
        raise Unexpected(f"is {_kind(value)} instead of a list")
    if len(value) > MAX_ITEMS:
        raise Unexpected(f"has more than {MAX_ITEMS:,} items")
    return value


def _id_in_href(href: str) -> str:
    """The id at the end of the address of a record (OneRoster: `…/classes/ID`); empty if it is no such address."""
    *_, collection, id_ = ("", "", *href.partition("?")[0].split("/"))
    return unquote(id_) if collection in _COLLECTIONS else ""


def _kind(value: object) -> str:
    match value:
        case bool():
            return "true or false"
        case dict():
            return "an object"
        case list():
            return "a list"
        case _:
            return "text or a number"
