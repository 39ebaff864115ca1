"""AMQP 1.0 on the wire: values and frames, as far as a Service Bus client uses them.

Decoded integers are plain ints; where the type matters in a sent value, uint, ulong and the like encode it.
Descriptors of sections and performatives are always smallulong, which is what the Azure client's decoder expects.
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


class Encoded(bytes):
    """A value that is already encoded."""


@dataclass(frozen=True, slots=True)
class Described:
    """A value with the code of its meaning: a performative, a section, a source, an outcome."""

    code: int
    value: Any


class ProtocolError(Exception):
    """Bytes that are not AMQP, or AMQP that is not supported here."""


def _packer(constructor: int, pattern: str) -> Callable[[int], Encoded]:
    return lambda value: Encoded(bytes((constructor,)) + struct.pack(pattern, value))


ubyte, ushort, uint, ulong = _packer(0x50, ">B"), _packer(0x60, ">H"), _packer(0x70, ">I"), _packer(0x80, ">Q")
long, timestamp = _packer(0x81, ">q"), _packer(0x83, ">q")
"""A timestamp is in milliseconds since 1970."""


def encode(value: Any) -> bytes:
    """One value with its constructor. Plain ints are encoded as int, or as long where they do not fit."""
    match value:
        case None:
            return b"\x40"
        case bool():
            return b"\x41" if value else b"\x42"
        case Encoded():
            return bytes(value)
        case int():
            return b"\x71" + struct.pack(">i", value) if -(2**31) <= value < 2**31 else bytes(long(value))
        case float():
            return b"\x82" + struct.pack(">d", value)
        case Symbol():
            return _variable(0xA3, 0xB3, value.encode("ascii"))
        case str():
            return _variable(0xA1, 0xB1, value.encode())
        case bytes() | bytearray():
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
    """The value at byte `at`, and the position after it. Raises ProtocolError."""
    try:
        constructor = data[at]
        if constructor == 0:
            code, at = decode(data, at + 1)
            value, at = decode(data, at)
            return Described(code, value), at
        return _DECODERS[constructor](data, at + 1)
    except (LookupError, ValueError, TypeError, RecursionError, struct.error) as error:
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


def _constant(value: Any) -> _Decoder:
    return lambda _, at: (value, at)


def _fixed(pattern: str, convert: Callable[[Any], Any] = lambda value: value) -> _Decoder:
    packing = struct.Struct(pattern)
    return lambda data, at: (convert(packing.unpack_from(data, at)[0]), at + packing.size)


def _sized(pattern: str, convert: Callable[[bytes], Any]) -> _Decoder:
    packing = struct.Struct(pattern)

    def read(data: bytes, at: int) -> tuple[Any, int]:
        first = at + packing.size
        last = first + packing.unpack_from(data, at)[0]
        if last > len(data):
            raise IndexError
        return convert(data[first:last]), last

    return read


def _compound(pattern: str, convert: Callable[[list[Any]], Any], *, is_array: bool = False) -> _Decoder:
    packing = struct.Struct(pattern)

    def read(data: bytes, at: int) -> tuple[Any, int]:
        count = packing.unpack_from(data, at)[1]
        at += packing.size
        element: _Decoder = decode
        if is_array and count:
            element, at = _DECODERS[data[at]], at + 1
        items = []
        for _ in range(count):
            item, at = element(data, at)
            items.append(item)
        return convert(items), at

    return read


def _pairs(items: list[Any]) -> dict[Any, Any]:
    return dict(zip(items[::2], items[1::2], strict=True))


_DECODERS: dict[int, _Decoder] = {
    **{code: _constant(value) for code, value in {0x40: None, 0x41: True, 0x42: False, 0x43: 0, 0x44: 0}.items()},
    0x45: lambda _, at: ([], at),
    0x56: _fixed(">B", bool),
    **{code: _fixed(">B") for code in (0x50, 0x52, 0x53)},
    **{code: _fixed(">b") for code in (0x51, 0x54, 0x55)},
    0x60: _fixed(">H"),
    0x61: _fixed(">h"),
    0x70: _fixed(">I"),
    0x71: _fixed(">i"),
    0x72: _fixed(">f"),
    0x80: _fixed(">Q"),
    0x81: _fixed(">q"),
    0x82: _fixed(">d"),
    0x83: _fixed(">q"),
    0x98: _fixed("16s", lambda raw: UUID(bytes=raw)),
    0xA0: _sized(">B", bytes),
    0xB0: _sized(">I", bytes),
    0xA1: _sized(">B", bytes.decode),
    0xB1: _sized(">I", bytes.decode),
    **{code: _sized(size, lambda raw: Symbol(raw.decode("ascii"))) for code, size in {0xA3: ">B", 0xB3: ">I"}.items()},
    0xC0: _compound(">BB", list),
    0xD0: _compound(">II", list),
    0xC1: _compound(">BB", _pairs),
    0xD1: _compound(">II", _pairs),
    0xE0: _compound(">BB", list, is_array=True),
    0xF0: _compound(">II", list, is_array=True),
}
