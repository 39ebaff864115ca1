"""Reads the JSON of an answer record by record, as its bytes come: in memory is only what is kept of it."""

from __future__ import annotations

import codecs
import json
import re
import zlib
from collections.abc import AsyncIterator, Callable, Generator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import httpx

from sync_core.mis.budget import MAX_ANSWER, MAX_DEPTH, MAX_FIELDS, MAX_RECORD, MAX_VALUES
from sync_core.mis.records import Record

CHECK_URL = "check the URL in the school's source"
_LEAVE_OUT = "have the vendor leave out what the app does not request"
_STEP, _LONGEST_STEP = 65_536, 262_144
"""How many bytes are parsed at once: the first, and up to the second while a record goes on."""
# Python makes no number of more than 4,300 digits, so a number is read as the text that it is.
_DECODER = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)
_CHARSETS = {"iso-8859-1": "cp1252", "latin1": "cp1252", "latin-1": "cp1252"} | {
    name: name for name in ("cp1252", "windows-1252", "iso-8859-15")
}
"""The codecs of charsets by their names. As in browsers, ISO 8859-1 is Windows-1252."""
_BLANKS = re.compile(r"[ \t\n\r]*")
_NESTED = (dict, list)

ReadRecord = Callable[[object], Record | None]
"""Makes a record of an item of a list; None if the item is none."""
_Parsing = Generator[None, None, Any]
"""Yields when it needs more text."""


class AnswerRefused(Exception):
    """An answer that is not used. `message` continues a sentence that begins with the server's name."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.message, self.remedy = message, remedy


@dataclass(frozen=True, slots=True)
class Answer:
    """The fields of an answer's JSON object: those that are lists, as records, and the others."""

    lists: dict[str, list[Record | None]] = field(default_factory=dict)
    fields: dict[str, Any] = field(default_factory=dict)


async def read_answer(response: httpx.Response, read: ReadRecord, receive: Callable[[int], None]) -> Answer | None:
    """The JSON object of the response; None if there is none. `receive` gets the number of bytes of each part.

    A byte that is not UTF-8 is read by the charset that the answer names, because servers that send UTF-8 name others,
    too. Without one it becomes a lone surrogate. Raises AnswerRefused, and what `read` and `receive` raise.
    """
    reader, size = _Reader(read, _characters((response.charset_encoding or "").lower())), 0
    async for part in _unpacked(response):
        size += len(part)
        receive(len(part))
        if size > MAX_ANSWER:
            raise AnswerRefused("returned more than 64 MB at once", "have the vendor honour the page size")
        reader.feed(part)
    return reader.end()


@lru_cache(maxsize=10)
def _characters(charset: str) -> Mapping[int, str]:
    """What a byte that is not UTF-8 means in the charset, by the surrogate that Python reads for it."""
    if charset not in _CHARSETS:
        return {}
    decoded = {byte: bytes([byte]).decode(_CHARSETS[charset], "ignore") for byte in range(0x80, 0x100)}
    return {0xDC00 + byte: character for byte, character in decoded.items() if character}


async def _unpacked(response: httpx.Response) -> AsyncIterator[bytes]:
    """The bytes of the response in small parts: gzip may unpack to a thousand times its size."""
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in ("", "identity", "gzip"):
        raise AnswerRefused(
            "compresses its answers in a way that the app does not accept",
            "have the vendor obey the header Accept-Encoding, which allows gzip",
        )
    gzip = zlib.decompressobj(16 + zlib.MAX_WBITS)
    async for raw in response.aiter_raw():
        if encoding != "gzip":
            yield raw
            continue
        part = raw
        while part and not gzip.eof:
            try:
                part = gzip.decompress(raw, _STEP)
            except zlib.error:
                raise AnswerRefused("returned damaged gzip", "report it to the vendor if it stays") from None
            raw = gzip.unconsumed_tail
            yield part


class _NotAnObject(Exception):
    """The text is not a JSON object."""


class _Reader:
    """Parses the fields of an object and the items of its lists one after the other, from bytes in any parts."""

    def __init__(self, read: ReadRecord, characters: Mapping[int, str]) -> None:
        self._read = read
        self._characters = characters
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("surrogateescape")
        self._bytes, self._needed = bytearray(), _STEP
        self._text, self._at, self._ended = "", 0, False
        self._others = 0
        self._answer: Answer | None = None
        self._parsing = self._parse()

    def feed(self, part: bytes) -> None:
        self._bytes += part
        if len(self._bytes) >= self._needed:
            self._advance()

    def end(self) -> Answer | None:
        self._ended = True
        self._advance()
        return self._answer

    def _advance(self) -> None:
        decoded = self._decoder.decode(bytes(self._bytes), self._ended)
        self._text = self._text[self._at :] + (decoded.translate(self._characters) if self._characters else decoded)
        self._at = 0
        self._bytes.clear()
        next(self._parsing, None)
        self._needed = min(max(_STEP, len(self._text) - self._at), _LONGEST_STEP)

    def _parse(self) -> Generator[None, None, None]:
        try:
            self._answer = yield from self._object()
        except _NotAnObject:
            self._answer = None
            while True:  # the rest does not matter
                self._at = len(self._text)
                yield

    def _object(self) -> _Parsing:
        answer = Answer()
        yield from self._mark("{")
        following = yield from self._peek()
        if following == "}":
            yield from self._mark("}")
        while following != "}":
            if (yield from self._peek()) != '"':
                raise _NotAnObject
            name, size, _ = yield from self._value(":")
            self._count_other(size)
            if (yield from self._peek()) == "[":
                answer.lists[name] = yield from self._items()
                following = yield from self._mark(",}")
            else:
                answer.fields[name], size, following = yield from self._value(",}")
                self._count_other(size)
            if len(answer.lists) + len(answer.fields) > MAX_FIELDS:
                raise AnswerRefused(f"returned an object of more than {MAX_FIELDS:,} fields", _LEAVE_OUT)
        if (yield from self._peek()):
            raise _NotAnObject
        return answer

    def _items(self) -> _Parsing:
        items: list[Record | None] = []
        yield from self._mark("[")
        following = yield from self._peek()
        if following == "]":
            yield from self._mark("]")
        while following != "]":
            item, _, following = yield from self._value(",]")
            items.append(self._read(item))
        return items

    def _peek(self) -> _Parsing:
        """The next character that is not blank; empty at the end of the text."""
        while True:
            self._at = _after_blanks(self._text, self._at)
            if self._at < len(self._text) or self._ended:
                return self._text[self._at : self._at + 1]
            yield

    def _mark(self, marks: str) -> _Parsing:
        """The next character, which must be one of `marks`."""
        mark = yield from self._peek()
        if not mark or mark not in marks:
            raise _NotAnObject
        self._at += 1
        return mark

    def _value(self, marks: str) -> _Parsing:
        """The next value, its number of characters, and the one of `marks` after it."""
        while True:
            self._at = _after_blanks(self._text, self._at)
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except RecursionError:
                raise _too_deep() from None
            except ValueError:  # it is cut off, or no JSON
                after = len(self._text)
            else:
                after = _after_blanks(self._text, end)
            if after < len(self._text):
                break
            self._check_size(len(self._text))
            if self._ended:
                raise _NotAnObject
            yield
        self._check_size(end)
        # Without more marks than this, nothing can be deeper: the look at each value is rarely needed.
        if self._text.count("[", self._at, end) + self._text.count("{", self._at, end) > MAX_DEPTH:
            _check_depth(value)
        size, mark, self._at = end - self._at, self._text[after], after + 1
        if mark not in marks:
            raise _NotAnObject
        return value, size, mark

    def _count_other(self, size: int) -> None:
        self._others += size
        if self._others > MAX_RECORD:
            raise _too_long()

    def _check_size(self, end: int) -> None:
        size = end - self._at
        if size > MAX_RECORD:
            raise _too_long()
        if size > MAX_VALUES and sum(self._text.count(mark, self._at, end) for mark in "[{,") > MAX_VALUES:
            raise AnswerRefused(f"returned a record of more than {MAX_VALUES:,} values", _LEAVE_OUT)


def _after_blanks(text: str, at: int) -> int:
    blanks = _BLANKS.match(text, at)
    return blanks.end() if blanks else at


def _too_long() -> AnswerRefused:
    return AnswerRefused(f"returned a record of more than {MAX_RECORD:,} characters", _LEAVE_OUT)


def _too_deep() -> AnswerRefused:
    return AnswerRefused(f"returned a record of more than {MAX_DEPTH} lists or objects within each other", _LEAVE_OUT)


def _check_depth(value: object) -> None:
    """Raises AnswerRefused for a value with more than MAX_DEPTH lists or objects within each other."""
    level = [value] if isinstance(value, _NESTED) else []
    for _ in range(MAX_DEPTH):
        parts = (part.values() if isinstance(part, dict) else part for part in level)
        level = [each for part in parts for each in part if isinstance(each, _NESTED)]
        if not level:
            return
    raise _too_deep()
