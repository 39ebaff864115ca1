"""Answers of servers: each limit with an answer at it and one past it, and bytes in any parts, damaged or not."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync_core.mis import budget
from sync_core.mis.records import Record, Schema, text
from sync_core.mis.rest.answer import Answer, AnswerRefused, read_answer
from sync_core.mis.rest.client import next_query

ANY = Schema({"id": text})
SIZES = [1, 7, 100_000]


class Parts(httpx.AsyncByteStream):
    """The body of a response, as it comes."""

    def __init__(self, parts: Iterable[bytes]) -> None:
        self._parts = parts

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self._parts:
            yield part


def read(
    body: bytes | Iterable[bytes], size: int = 100_000, encoding: str = "", schema: Schema = ANY
) -> tuple[Answer | None, int]:
    """The answer, and how many bytes were counted."""
    counted: list[int] = []
    parts = (body[at : at + size] for at in range(0, len(body), size)) if isinstance(body, bytes) else body
    headers = {"Content-Encoding": encoding} if encoding else {}
    response = httpx.Response(200, headers=headers, stream=Parts(parts))
    return asyncio.run(read_answer(response, schema.read, counted.append)), sum(counted)


def refusal(body: bytes | Iterable[bytes], encoding: str = "") -> str:
    try:
        read(body, encoding=encoding)
    except AnswerRefused as refused:
        assert refused.remedy
        return refused.message
    return ""


def objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from(["id", "a", "ж", "😀", '"\\', "[{,"]), inner, max_size=3)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | objects(inner),
)


def numbers_as_text(value: Any) -> Any:
    match value:
        case bool() | None:
            return value
        case int():
            return str(value)
        case list():
            return [*map(numbers_as_text, value)]
        case dict():
            return {name: numbers_as_text(part) for name, part in value.items()}
    return value


@settings(max_examples=60)
@given(objects(values), st.sampled_from(SIZES), st.booleans(), st.booleans(), st.sampled_from([None, 2]))
def test_any_object_is_read_from_any_parts(
    body: dict[str, Any], size: int, packed: bool, ascii_only: bool, indent: int | None
) -> None:
    content = json.dumps(body, ensure_ascii=ascii_only, indent=indent).encode()
    answer, counted = read(gzip.compress(content) if packed else content, size, "gzip" if packed else "")
    assert answer
    assert counted == len(content)
    expected = numbers_as_text(body)
    assert answer.fields == {name: value for name, value in expected.items() if not isinstance(value, list)}
    assert answer.lists == {
        name: [*map(ANY.read, value)] for name, value in expected.items() if isinstance(value, list)
    }


DAMAGED = json.dumps(
    {"data": [{"id": "P1", "roles": [{"a": 1.5}]}, {"id": "жа"}], "total": 2}, ensure_ascii=False
).encode()


@settings(max_examples=150)
@given(
    st.integers(0, len(DAMAGED) - 1), st.binary(max_size=3), st.integers(0, 5), st.booleans(), st.sampled_from(SIZES)
)
def test_damaged_bytes_are_an_answer_or_none_or_refused(
    at: int, instead: bytes, cut: int, packed: bool, size: int
) -> None:
    content = gzip.compress(DAMAGED) if packed else DAMAGED
    at %= len(content)
    try:
        read(content[:at] + instead + content[at + cut :], size, "gzip" if packed else "")
    except AnswerRefused as refused:
        assert packed or "more than" in refused.message


@pytest.mark.parametrize(
    "content",
    [
        *("", " ", "[]", "1", "{", "{}x", "{} {}", '{"a"}', '{"a":}', '{"a":1', '{"a":1,}', '{"a":[}', '{"a":[1,]}'),
        *('{"a":[1}', "{1:2}", '{"a" 1}', '{"a":[1 2]}', '{"a":tru}', '{"a":"\n"}', "{,}"),
    ],
)
def test_what_is_no_object_is_none(content: str) -> None:
    assert read(content.encode())[0] is None


CHARSETS = [
    ("iso-8859-1", "Zoë’s".encode("cp1252"), "Zoë’s"),
    ("ISO-8859-1", "Zoë".encode("latin-1"), "Zoë"),
    ('"windows-1252"', "Zoë".encode("cp1252"), "Zoë"),
    ("iso-8859-15", "€".encode("iso-8859-15"), "€"),
    ("iso-8859-1", "Zoë".encode(), "Zoë"),
    ("utf-8", "Zoë".encode(), "Zoë"),
    ("iso-8859-1", b"Zo\x81", "Zo\udc81"),
    ("zlib", "Zoë".encode("latin-1"), "Zo\udceb"),
]


@pytest.mark.parametrize(("charset", "name", "meant"), CHARSETS)
@pytest.mark.parametrize("size", SIZES)
def test_a_byte_that_is_not_utf_8_is_of_the_charset_that_the_answer_names(
    charset: str, name: bytes, meant: str, size: int
) -> None:
    body = b'{"name": "' + name + b'"}'
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    headers = {"Content-Type": f"application/json; charset={charset}"}
    response = httpx.Response(200, headers=headers, stream=Parts(parts))
    answer = asyncio.run(read_answer(response, ANY.read, lambda _: None))
    assert answer is not None
    assert answer.fields == {"name": meant}


def test_a_byte_that_is_not_utf_8_and_a_surrogate_are_faults_of_their_records() -> None:
    answer, _ = read(b'\xef\xbb\xbf{"a":[{"id":"\xff"},{"id":"\\ud800"},{"id":"1"}]}')
    assert answer
    faults = [(record.field, record.fault, record.id) for record in answer.lists["a"] if record]
    assert faults == [("id", "has a character that is not text", "")] * 2 + [("", "", "1")]


def fields(count: int) -> Iterator[bytes]:
    yield b"{" + b",".join(b'"%d":1' % number for number in range(count)) + b"}"


def record(count: int) -> Iterator[bytes]:
    yield b'{"a":[{"id":"' + b"x" * (count - 9) + b'"}]}'


def other(count: int) -> Iterator[bytes]:
    """All that is in no list counts as one record: two names and two texts."""
    half = (count - 10) // 2
    yield b'{"a":"' + b"x" * half + b'","b":"' + b"x" * (count - 10 - half) + b'"}'


def values_of(count: int) -> Iterator[bytes]:
    yield b'{"a":[{"b":[' + b",".join([b"0"] * (count - 1)) + b"]}]}"


def deep(count: int) -> Iterator[bytes]:
    yield b'{"a":[' + b"[" * count + b"]" * count + b"]}"


def whole(count: int) -> Iterator[bytes]:
    blanks = count - 2
    yield b"{"
    yield from (b" " * 1_000_000 for _ in range(blanks // 1_000_000))
    yield b" " * (blanks % 1_000_000) + b"}"


LIMITS: list[tuple[str, Callable[[int], Iterator[bytes]], str]] = [
    ("MAX_FIELDS", fields, "returned an object of more than 1,000 fields"),
    ("MAX_RECORD", record, "returned a record of more than 2,000,000 characters"),
    ("MAX_RECORD", other, "returned a record of more than 2,000,000 characters"),
    ("MAX_VALUES", values_of, "returned a record of more than 100,000 values"),
    ("MAX_DEPTH", deep, "returned a record of more than 20 lists or objects within each other"),
    ("MAX_ANSWER", whole, "returned more than 64 MB at once"),
]


@pytest.mark.parametrize(("limit", "make", "message"), LIMITS, ids=[f"{x[0]} {x[1].__name__}" for x in LIMITS])
def test_an_answer_past_a_limit_is_refused(limit: str, make: Callable[[int], Iterator[bytes]], message: str) -> None:
    most = getattr(budget, limit)
    assert refusal(make(most)) == ""
    assert refusal(make(most + 1)) == message


def test_what_python_cannot_nest_is_refused() -> None:
    assert "lists or objects within each other" in refusal(b'{"a":' + b"[" * 200_000)


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip", "zstd"])
def test_another_compression_is_refused(encoding: str) -> None:
    assert refusal(b"{}", encoding) == "compresses its answers in a way that the app does not accept"


def test_damaged_gzip_is_refused() -> None:
    assert refusal(b"{}", "gzip") == "returned damaged gzip"


def test_numbers_are_the_text_that_they_are() -> None:
    digits = "9" * 5_000
    answer, _ = read(f'{{"a":{digits},"b":-1.50e400,"c":[{{"id":7}}]}}'.encode())
    assert answer
    assert answer.fields == {"a": digits, "b": "-1.50e400"}
    assert [one.id for one in answer.lists["c"] if one] == ["7"]


@pytest.mark.parametrize(
    ("value", "number"),
    [
        *(("0", 0), ("007", 7), ("9" * 9, 999_999_999), ("9" * 10, None), ("9" * 5_000, None), ("-1", None)),
        *(("", None), ("1.0", None), ("٣", None), ("²", None), (7, None), (True, None), (None, None)),
    ],
)
def test_a_count_has_at_most_nine_digits(value: object, number: int | None) -> None:
    assert budget.whole_number(value) == number


LINKS: list[tuple[str, dict[str, str] | None]] = [
    ('<https://x/y?offset=5&limit=2>; rel="next"', {"offset": "5", "limit": "2"}),
    ('<https://x?a=1>; rel="prev", <https://x?a=2>;rel=next', {"a": "2"}),
    ('<https://x?a=1>; title="next"; rel="last"', None),
    ("<https://x?a=1>", None),
    ("", None),
    ("<" * budget.MAX_HEADER, None),
    ("<>" * (budget.MAX_HEADER // 2), None),
    ("<>;" * (budget.MAX_HEADER // 3), None),
    ("<a>" + " " * (budget.MAX_HEADER - 3), None),
]


@pytest.mark.parametrize(("header", "query"), LINKS, ids=range(len(LINKS)))
def test_the_link_to_the_next_page_is_found(header: str, query: dict[str, str] | None) -> None:
    assert next_query(header) == query


def test_a_list_is_one_of_records_only() -> None:
    answer, _ = read(b'{"a":[{"id":"1"},2,null,[3],"4"]}')
    assert answer
    first = Record(ANY.columns, ("1",), {})
    assert answer.lists == {"a": [first, None, None, None, None]}
