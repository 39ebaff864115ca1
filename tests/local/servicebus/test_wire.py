"""The codec and the configuration: values survive a round trip, and errors name their place."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.servicebus.codec import (
    Array,
    Byte,
    Char,
    Decimal,
    Described,
    Float,
    Int,
    Long,
    ProtocolError,
    Short,
    Symbol,
    Timestamp,
    UByte,
    UInt,
    ULong,
    UShort,
    decode,
    encode,
)
from local.servicebus.config import ConfigError, read_config

_INTEGERS: list[tuple[type[int], int, int]] = [
    (UByte, 0, 2**8 - 1), (UShort, 0, 2**16 - 1), (UInt, 0, 2**32 - 1), (ULong, 0, 2**64 - 1),
    (Byte, -(2**7), 2**7 - 1), (Short, -(2**15), 2**15 - 1), (Int, -(2**31), 2**31 - 1), (Long, -(2**63), 2**63 - 1),
    (Timestamp, -(2**63), 2**63 - 1),
]  # fmt: skip
typed = [st.integers(least, most).map(kind) for kind, least, most in _INTEGERS] + [
    st.floats(allow_nan=False, width=32).map(Float),
    *(st.binary(min_size=width, max_size=width).map(Decimal) for width in (4, 8, 16)),
    st.characters().map(Char),
    st.text(st.characters(max_codepoint=127), max_size=300).map(Symbol),
    st.floats(allow_nan=False),
    st.text(max_size=300),
    st.binary(max_size=300),
    st.uuids(),
    st.booleans(),
]
scalars = st.one_of(st.none(), *typed)
arrays = st.one_of(*(st.lists(one, max_size=5).map(Array) for one in typed))
descriptors = st.one_of(st.integers(0, 2**64 - 1).map(ULong), st.just(Symbol("com.example:type")))
values = st.recursive(
    st.one_of(scalars, arrays),
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.lists(st.lists(inner, max_size=3), max_size=3).map(Array),
        st.dictionaries(st.text(max_size=5), inner, max_size=5),
        st.builds(Described, descriptors, inner),
    ),
    max_leaves=20,
)


def shape(value: Any) -> Any:
    """The value with the class of each part, because 1, True and UInt(1) are equal in Python."""
    match value:
        case Described():
            return "described", shape(value.descriptor), shape(value.value)
        case dict():
            return [(shape(key), shape(item)) for key, item in value.items()]
        case list() | tuple():
            return type(value), [shape(item) for item in value]
    return type(value), value


@given(values)
def test_values_and_their_types_survive_a_round_trip(value: Any) -> None:
    raw = encode(value)
    decoded, end = decode(raw)
    assert end == len(raw)
    assert shape(decoded) == shape(value)


@given(st.integers(-(2**63), 2**63 - 1))
def test_a_plain_int_is_an_int_or_a_long(value: int) -> None:
    kind = Int if -(2**31) <= value < 2**31 else Long
    assert shape(decode(encode(value))[0]) == (kind, value)


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("40", None), ("41", True), ("42", False), ("5601", True), ("5600", False),
        ("43", UInt(0)), ("5207", UInt(7)), ("7000000007", UInt(7)), ("44", ULong(0)), ("5307", ULong(7)),
        ("800000000000000007", ULong(7)), ("54ff", Int(-1)), ("55ff", Long(-1)), ("5007", UByte(7)), ("51ff", Byte(-1)),
        ("600007", UShort(7)), ("61ffff", Short(-1)), ("723f800000", Float(1)), ("823ff0000000000000", 1.0),
        ("7422000001", Decimal(b"\x22\0\0\1")), ("7300000041", Char("A")), ("830000000000000001", Timestamp(1)),
        ("a00178", b"x"), ("b00000000178", b"x"), ("a10178", "x"), ("b10000000178", "x"), ("a30178", Symbol("x")),
        ("b30000000178", Symbol("x")), ("45", []), ("c0020140", [None]), ("d0000000050000000140", [None]),
        ("c10502a1017840", {"x": None}), ("d10000000800000002a1017840", {"x": None}),
        ("e00402500102", Array((UByte(1), UByte(2)))), ("f00000000700000002500102", Array((UByte(1), UByte(2)))),
        ("e0020041", Array()), ("e00100", Array()), ("e0020240", Array((None, None))),
        ("e0050200532445", Array((Described(ULong(0x24), []), Described(ULong(0x24), [])))),
        ("00a3017840", Described(Symbol("x"), None)),
        ("00535400a3017842", Described(ULong(0x54), Described(Symbol("x"), False))),
    ],
)  # fmt: skip
def test_each_encoding_of_the_specification_is_decoded(raw: str, value: object) -> None:
    data = bytes.fromhex(raw)
    assert (shape(decode(data)[0]), decode(data)[1]) == (shape(value), len(data))


@pytest.mark.parametrize(
    "raw",
    ["", "00", "ff", "5602", "7300110000", "a1ff", "a102c328", "a301ff", "c0030140", "c00101", "c1030140", "c1034045",
     "e0030241", "f0000000057fffffff40", "c1050245404540"],
)  # fmt: skip
def test_what_the_specification_forbids_is_rejected(raw: str) -> None:
    with pytest.raises(ProtocolError):
        decode(bytes.fromhex(raw))


@pytest.mark.parametrize("value", [object(), UByte(256), Float(1e300), Array((1, "x")), Symbol("é"), 2**64])
def test_what_amqp_cannot_hold_is_rejected(value: object) -> None:
    with pytest.raises(ProtocolError):
        encode(value)


@given(st.binary(max_size=60))
def test_any_bytes_are_decoded_or_rejected(raw: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        decode(raw)


def test_typed_numbers_and_descriptors_are_encoded_as_the_client_expects() -> None:
    assert encode(UInt(5)) == b"\x70\x00\x00\x00\x05"
    assert encode(Long(-1)) == b"\x81" + b"\xff" * 8
    assert encode(Described(0x24, [])).startswith(b"\x00\x53\x24")
    assert encode(Symbol("a")) == b"\xa3\x01a"
    assert (
        decode(bytes.fromhex("e0 22 02 98") + bytes(range(16)) + bytes(range(16)))[0]
        == (UUID(bytes=bytes(range(16))),) * 2
    )


def test_the_configuration_of_the_project_is_read() -> None:
    queues = read_config(Path(__file__).parents[3] / "local" / "Config.json")
    assert set(queues) == {"sync-requests", "class-changes", "urgent-changes"}
    assert all(queue.requires_session and queue.requires_duplicate_detection for queue in queues.values())
    assert queues["class-changes"].lock_duration.total_seconds() == 60
    assert queues["class-changes"].max_delivery_count == 10


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ('{"LockDuration": "soon"}', "LockDuration"),
        ('{"LockDuration": "PT6M"}', "LockDuration"),
        ('{"Colour": "red"}', "Colour"),
        ('{"ForwardTo": "elsewhere"}', "ForwardTo"),
        ('{"MaxDeliveryCount": 0}', "MaxDeliveryCount"),
        ("nonsense", "is no emulator configuration"),
    ],
)
def test_an_unsupported_configuration_is_rejected_by_name(properties: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "Config.json"
    namespaces = f'[{{"Queues": [{{"Name": "q", "Properties": {properties}}}]}}]'
    path.write_text(f'/* why */ {{"UserConfig": {{"Namespaces": {namespaces}}}}} // end', encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        read_config(path)
