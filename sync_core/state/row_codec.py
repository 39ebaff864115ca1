"""How the fields of a dataclass are stored in a row of Azure Tables: in plain words, as admins read them.

The field gives its columns their name, and its type decides what they are:

- a text, number, time or choice (StrEnum): `name`
- a tuple or frozenset of texts: `name_count`, and `name_0`, `name_1` and so on, as many as it needs
- a mapping of texts to a dataclass: the same, of words `key:field:field`
- a mapping of choices to texts: `name_choice` for each choice
- a dataclass: `name_field` for each of its fields
- one of several dataclasses: `name_kind`, its tag, and the columns of that class
- any of these or None: an empty text, time or choice is None; the others have `name_known` as well
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from string import punctuation
from types import NoneType, UnionType
from typing import Any, Generic, TypeVar, Union, get_args, get_origin, get_type_hints
from urllib.parse import quote, unquote

from sync_core.errors import without_addresses

Entity = dict[str, Any]
Row = Mapping[str, Any]
Record = TypeVar("Record")

CHUNK = 32_000
"""Characters in one property: 64 KiB of UTF-16 is the limit."""


@dataclass(frozen=True, slots=True)
class Column:
    """The column, or the columns, of one field.

    `write` of None gives the same columns, empty: a merge would keep what is in a column that is left out. A row that
    has none of the columns `signs` was written by a version of the app that did not have the field.
    """

    write: Callable[[Any], Entity]
    read: Callable[[Row], Any]
    signs: tuple[str, ...]


class RowCodec(Generic[Record]):
    """The columns of a dataclass.

    Fields named in `elsewhere` have no columns and are passed to `read`. Fields in `special` have columns made from
    their name, whatever their type.
    """

    def __init__(
        self,
        record: type[Record],
        prefix: str = "",
        elsewhere: Collection[str] = (),
        **special: Callable[[str], Column],
    ) -> None:
        types = get_type_hints(record)
        stored = [field for field in fields(record) if field.name not in elsewhere]  # type: ignore[arg-type]  # no bound says "a dataclass"
        self._record = record
        self._required = {field.name for field in stored if field.default is field.default_factory is MISSING}
        self._columns: dict[str, Column] = {}
        for name in (field.name for field in stored):
            column = prefix + name
            self._columns[name] = special[name](column) if name in special else _column(column, types[name])
        self.signs = tuple(sign for column in self._columns.values() for sign in column.signs)

    def columns(self, record: Record | None) -> Entity:
        """All columns of the record, or all of them empty."""
        row: Entity = {}
        for name, column in self._columns.items():
            row |= column.write(None if record is None else getattr(record, name))
        return row

    def read(self, row: Row, **elsewhere: Any) -> Record:
        """The record in that row. A field that the row does not have has its default."""
        there = {name for name, column in self._columns.items() if not row.keys().isdisjoint(column.signs)}
        stored = {name: self._columns[name].read(row) for name in there | self._required}
        return self._record(**stored, **elsewhere)


class UnknownKind(ValueError):
    """A row names a kind of dataclass that this version of the app does not have."""


# --- texts


def encode_key(text: str) -> str:
    """A partition or row key for any text: Tables refuses `/ \\ # ?` and control characters, and mishandles `%`."""
    return quote(text, safe="|:. ").replace("%", "!")


def encode_time(moment: datetime) -> str:
    """In UTC and in one form, so that times compare as text."""
    return moment.astimezone(UTC).isoformat()


def chunked(name: str, text: str) -> Entity:
    """`text` in as many properties as it needs. The last one is not full: a merge keeps the tail of a longer text."""
    return {f"{name}_{at}": text[at * CHUNK : (at + 1) * CHUNK] for at in range(len(text) // CHUNK + 1)}


def chunks_of(row: Row, name: str) -> list[str]:
    """The properties of a text; none if the row does not have it."""
    chunks = [row[f"{name}_0"]] if f"{name}_0" in row else []
    while chunks and len(chunks[-1]) == CHUNK:
        chunks.append(row[f"{name}_{len(chunks)}"])
    return chunks


def joined(row: Row, name: str) -> str:
    return "".join(chunks_of(row, name))


_EMPTY_WORD = "%"
"""The word for an empty text: no other text is encoded so."""
_PLAIN = punctuation.replace("%", "").replace(":", "")
_QUOTED = re.compile(f"[^A-Za-z0-9:{re.escape(_PLAIN)}]")


def _encode_word(*texts: str) -> str:
    """The texts without spaces, with `:` between them."""
    word = ":".join(texts)
    # Nearly every text is an id that needs no quoting, and a night writes and reads each id of a school.
    if word.count(":") == len(texts) - 1 and not _QUOTED.search(word):
        return word or _EMPTY_WORD
    return ":".join(quote(text, safe=_PLAIN) for text in texts)


def _decode_word(word: str) -> list[str]:
    texts = word.split(":")
    if "%" not in word:
        return texts
    return [unquote(text) for text in texts] if word != _EMPTY_WORD else [""]


# --- columns that a type does not decide


def cut(name: str) -> Column:
    """The column of a text without addresses, cut to what one property can hold."""
    return Column(lambda text: {name: without_addresses(text or "")[:CHUNK]}, lambda row: row[name], (name,))


def sentences(name: str) -> Column:
    """The columns of a tuple of sentences without addresses, a line each."""
    return Column(
        lambda lines: chunked(name, without_addresses("\n".join(lines or ()))),
        lambda row: tuple(filter(None, joined(row, name).split("\n"))),
        (f"{name}_0",),
    )


# --- columns by type

_SCALARS: dict[Any, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    str: (lambda text: str(text or ""), str),
    bool: (bool, bool),
    int: (lambda number: number or 0, int),
    float: (lambda number: float(number or 0), float),
    datetime: (lambda moment: encode_time(moment) if moment else "", datetime.fromisoformat),
    date: (lambda day: day.isoformat() if day else "", date.fromisoformat),
}


def _column(name: str, type_: Any) -> Column:
    """Raises TypeError for a type that has no columns."""
    type_ = getattr(type_, "__supertype__", type_)  # a NewType is stored as the text that it is
    origin, arguments = get_origin(type_), get_args(type_)
    if origin in (Union, UnionType):
        types = [getattr(each, "__supertype__", each) for each in arguments if each is not NoneType]
        column = _column(name, types[0]) if len(types) == 1 else _one_of(name, types)
        return column if len(types) == len(arguments) else _or_none(name, types[0], column)
    if origin in (tuple, frozenset):
        return _collection(name, origin, arguments[0])
    if origin is Mapping:
        return _records_by_text(name, arguments[1])
    if is_dataclass(type_):
        codec = RowCodec[Any](type_, f"{name}_")  # type: ignore[arg-type]  # mypy takes it for a record, too
        return Column(codec.columns, codec.read, codec.signs)
    if type_ not in _SCALARS and not issubclass(type_, StrEnum):
        raise TypeError(f"no column can hold the field {name} of type {type_}")
    write, read = _SCALARS.get(type_) or (_SCALARS[str][0], type_)
    return Column(lambda value: {name: write(value)}, lambda row: read(row[name]), (name,))


def _or_none(name: str, type_: Any, column: Column) -> Column:
    if type_ in (str, datetime, date) or (isinstance(type_, type) and issubclass(type_, StrEnum)):
        return Column(column.write, lambda row: column.read(row) if row[name] else None, column.signs)
    known = f"{name}_known"
    return Column(
        lambda value: {known: value is not None, **column.write(value)},
        lambda row: column.read(row) if row[known] else None,
        (known,),
    )


def _one_of(name: str, types: Iterable[type]) -> Column:
    """Each of the types has its tag as the default of its field `kind`."""
    kind = f"{name}_kind"
    tags = {type_: field.default for type_ in types for field in fields(type_) if field.name == "kind"}
    codecs = {tag: RowCodec[Any](type_, f"{name}_", elsewhere=("kind",)) for type_, tag in tags.items()}

    def write(value: Any) -> Entity:
        return {kind: value.kind, **codecs[value.kind].columns(value)} if value is not None else {kind: ""}

    def read(row: Row) -> Any:
        if row[kind] not in codecs:
            raise UnknownKind(row[kind])
        return codecs[row[kind]].read(row)

    return Column(write, read, (kind,))


def _listed(name: str, words: Collection[str]) -> Entity:
    """The count is a text, because the client calls `eval` for each number that it reads.

    (azure-data-tables 12.7.0, Deserializer.deserialize_basic: the numbers of a class took longer than all its texts.)
    """
    return {f"{name}_count": str(len(words)), **chunked(name, " ".join(words))}


def _collection(name: str, collection: type, item: type) -> Column:
    order = sorted if collection is frozenset else list

    def read(row: Row) -> Any:
        text = joined(row, name)
        words = text.split()
        return collection(map(item, words if "%" not in text else (_decode_word(word)[0] for word in words)))

    return Column(lambda items: _listed(name, order(map(_encode_word, items or ()))), read, (f"{name}_0",))


def _records_by_text(name: str, record: Any) -> Column:
    """For a dataclass of texts, choices and times. What an older version wrote may not have the last of its fields."""
    types = get_type_hints(record)
    as_words = {field.name: _word(types[field.name]) for field in fields(record)}
    writers = [(field, write) for field, (write, _) in as_words.items()]
    readers = [read for _, read in as_words.values()]

    def write(records: Mapping[str, Any] | None) -> Entity:
        texts = ((key, *(write(getattr(each, of)) for of, write in writers)) for key, each in (records or {}).items())
        return _listed(name, sorted(_encode_word(*each) for each in texts))

    def read(row: Row) -> dict[str, Any]:
        texts = (_decode_word(word) for word in joined(row, name).split())
        return {key: record(*[read(text) for read, text in zip(readers, of, strict=False)]) for key, *of in texts}

    return Column(write, read, (f"{name}_0",))


def _word(type_: Any) -> tuple[Callable[[Any], str], Callable[[str], Any]]:
    """How a text, a choice or a time is written as a word, and read. An empty word is None if the type allows that."""
    kinds = {getattr(each, "__supertype__", each) for each in get_args(type_) or (type_,)}
    (kind,) = kinds - {NoneType}
    write, read = _SCALARS[kind] if kind in (date, datetime) else (str, kind)
    return write, (lambda text: read(text) if text else None) if NoneType in kinds else read
