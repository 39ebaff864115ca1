"""AMQP 1.0 on the wire: primitive types, described types and frames, as far as a Service Bus client uses them.

Decoded integers are plain ints; whoever encodes says which type with UInt, ULong, UByte, UShort, Long or Timestamp.
Section and performative descriptors are always smallulong, which is what the Azure client's decoder expects.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID


class Symbol(str):
    """AMQP symbol: ASCII text that names something."""

    __slots__ = ()


class UByte(int):
    """AMQP ubyte."""


class UShort(int):
    """AMQP ushort."""


class UInt(int):
    """AMQP uint."""


class ULong(int):
    """AMQP ulong."""


class Long(int):
    """AMQP long."""


class Timestamp(int):
    """AMQP timestamp: milliseconds since 1970."""


@dataclass(frozen=True, slots=True)
class Described:
    """A value with the code of its meaning: a performative, a section, a source, an outcome."""

    code: int
    value: Any


class ProtocolError(Exception):
    """Bytes that are no AMQP, or no AMQP that is understood here."""


def encode(value: Any) -> bytes:
    """One value with its constructor. Plain ints are encoded as int, or as long where they do not fit."""
    match value:
        case None:
            return b"\x40"
        case True:
            return b"\x41"
        case False:
            return b"\x42"
        case UInt():
            return b"\x70" + struct.pack(">I", value)
        case ULong():
            return b"\x80" + struct.pack(">Q", value)
        case UByte():
            return b"\x50" + struct.pack(">B", value)
        case UShort():
            return b"\x60" + struct.pack(">H", value)
        case Timestamp():
            return b"\x83" + struct.pack(">q", value)
        case Long():
            return b"\x81" + struct.pack(">q", value)
        case int():
            if -(2**31) <= value < 2**31:
                return b"\x71" + struct.pack(">i", value)
            return b"\x81" + struct.pack(">q", value)
        case float():
            return b"\x82" + struct.pack(">d", value)
        case Symbol():
            return _variable(0xA3, 0xB3, value.encode("ascii"))
        case str():
            return _variable(0xA1, 0xB1, value.encode())
        case bytes() | bytearray() | memoryview():
            return _variable(0xA0, 0xB0, bytes(value))
        case UUID():
            return b"\x98" + value.bytes
        case Described():
            return b"\x00\x53" + bytes((value.code,)) + encode(value.value)
        case Mapping():
            items = b"".join(encode(key) + encode(item) for key, item in value.items())
            return b"\xd1" + struct.pack(">II", len(items) + 4, 2 * len(value)) + items
        case Sequence():
            items = b"".join(encode(item) for item in value)
            return b"\xd0" + struct.pack(">II", len(items) + 4, len(value)) + items
    raise ProtocolError(f"no AMQP type for {type(value).__name__}")


def decode(data: bytes, at: int = 0) -> tuple[Any, int]:
    """The value at `at` and the place after it. Raises ProtocolError."""
    try:
        constructor = data[at]
        if constructor == 0:
            code, at = decode(data, at + 1)
            value, at = decode(data, at)
            return Described(code, value), at
        return _DECODERS[constructor](data, at + 1)
    except (KeyError, IndexError, struct.error, UnicodeDecodeError) as error:
        raise ProtocolError(f"torn or unknown AMQP value at byte {at} ({type(error).__name__})") from None


def frame(channel: int, performative: Described, payload: bytes = b"", kind: int = 0) -> bytes:
    """A whole frame; `kind` 1 is SASL."""
    body = encode(performative) + payload
    return struct.pack(">IBBH", len(body) + 8, 2, kind, channel) + body


def _variable(small: int, large: int, raw: bytes) -> bytes:
    if len(raw) < 256:
        return bytes((small, len(raw))) + raw
    return bytes((large,)) + struct.pack(">I", len(raw)) + raw


_Decoder = Callable[[bytes, int], tuple[Any, int]]


def _fixed(pattern: str) -> _Decoder:
    packing = struct.Struct(pattern)

    def read(data: bytes, at: int) -> tuple[Any, int]:
        return packing.unpack_from(data, at)[0], at + packing.size

    return read


def _constant(value: Any) -> _Decoder:
    return lambda _, at: (value, at)


def _sized(pattern: str, convert: Callable[[bytes], Any]) -> _Decoder:
    packing = struct.Struct(pattern)

    def read(data: bytes, at: int) -> tuple[Any, int]:
        first = at + packing.size
        last = first + packing.unpack_from(data, at)[0]
        if last > len(data):
            raise IndexError
        return convert(data[first:last]), last

    return read


def _compound(pattern: str, convert: Callable[[list[Any]], Any]) -> _Decoder:
    packing = struct.Struct(pattern)

    def read(data: bytes, at: int) -> tuple[Any, int]:
        count = packing.unpack_from(data, at)[1]
        at += packing.size
        items = []
        for _ in range(count):
            item, at = decode(data, at)
            items.append(item)
        return convert(items), at

    return read


def _array(pattern: str) -> _Decoder:
    packing = struct.Struct(pattern)

    def read(data: bytes, at: int) -> tuple[Any, int]:
        size, count = packing.unpack_from(data, at)
        end = at + packing.size // 2 + size
        at += packing.size
        items: list[Any] = []
        if count:
            if data[at] == 0:
                _, at = decode(data, at + 1)
            element = _DECODERS[data[at]]
            at += 1
            for _ in range(count):
                item, at = element(data, at)
                items.append(item)
        return items, end

    return read


def _pairs(items: list[Any]) -> dict[Any, Any]:
    return dict(zip(items[::2], items[1::2], strict=True))


def _bool(data: bytes, at: int) -> tuple[Any, int]:
    return data[at] == 1, at + 1


def _symbol(raw: bytes) -> Symbol:
    return Symbol(raw.decode("ascii"))


_DECODERS: dict[int, _Decoder] = {
    0x40: _constant(None),
    0x41: _constant(True),
    0x42: _constant(False),
    0x43: _constant(0),
    0x44: _constant(0),
    0x45: lambda _, at: ([], at),
    0x50: _fixed(">B"),
    0x51: _fixed(">b"),
    0x52: _fixed(">B"),
    0x53: _fixed(">B"),
    0x54: _fixed(">b"),
    0x55: _fixed(">b"),
    0x56: _bool,
    0x60: _fixed(">H"),
    0x61: _fixed(">h"),
    0x70: _fixed(">I"),
    0x71: _fixed(">i"),
    0x72: _fixed(">f"),
    0x80: _fixed(">Q"),
    0x81: _fixed(">q"),
    0x82: _fixed(">d"),
    0x83: _fixed(">q"),
    0x98: lambda data, at: (UUID(bytes=bytes(data[at : at + 16])), at + 16),
    0xA0: _sized(">B", bytes),
    0xB0: _sized(">I", bytes),
    0xA1: _sized(">B", lambda raw: raw.decode()),
    0xB1: _sized(">I", lambda raw: raw.decode()),
    0xA3: _sized(">B", _symbol),
    0xB3: _sized(">I", _symbol),
    0xC0: _compound(">BB", list),
    0xD0: _compound(">II", list),
    0xC1: _compound(">BB", _pairs),
    0xD1: _compound(">II", _pairs),
    0xE0: _array(">BB"),
    0xF0: _array(">II"),
}
