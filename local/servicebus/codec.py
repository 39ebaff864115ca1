"""AMQP 1.0 on the wire: values and frames (OASIS AMQP 1.0, parts 1 and 2).

A decoded value keeps its AMQP type, and so is encoded as that type again: a number is an int or float of a class that
names the type, an array is not a list, and a descriptor may be a number or a symbol. A plain int is encoded as int, or
as long where it does not fit, and a plain float as double.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID


class UByte(int):
    __slots__ = ()


class UShort(int):
    __slots__ = ()


class UInt(int):
    __slots__ = ()


class ULong(int):
    __slots__ = ()


class Byte(int):
    __slots__ = ()


class Short(int):
    __slots__ = ()


class Int(int):
    __slots__ = ()


class Long(int):
    __slots__ = ()


class Timestamp(int):
    """Milliseconds since 1970."""

    __slots__ = ()


class Float(float):
    """32 bits; a plain float has 64."""

    __slots__ = ()


class Decimal(bytes):
    """An IEEE 754 decimal of 4, 8 or 16 bytes, which nobody here calculates with."""

    __slots__ = ()


class Char(str):
    """One Unicode character."""

    __slots__ = ()


class Symbol(str):
    """ASCII text that names something."""

    __slots__ = ()


class Array(tuple[Any, ...]):
    """Values of one type. AMQP sends as an array what can be several, such as the SASL mechanisms."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Described:
    """A value with a descriptor of its meaning: a performative, a section, an outcome, a type of a client's own."""

    descriptor: Any
    value: Any


class ProtocolError(Exception):
    """Bytes that are not AMQP, or frames against its rules. `condition` is the AMQP error that the peer gets."""

    def __init__(self, text: str, condition: str = "amqp:decode-error") -> None:
        super().__init__(text)
        self.condition = condition


_CONSTANTS: dict[int, Any] = {0x40: None, 0x41: True, 0x42: False, 0x43: UInt(0), 0x44: ULong(0)}
_EMPTY_LIST = 0x45
_NUMBERS: dict[int, tuple[str, Callable[[Any], Any]]] = {
    0x50: (">B", UByte), 0x60: (">H", UShort), 0x70: (">I", UInt), 0x80: (">Q", ULong),
    0x51: (">b", Byte), 0x61: (">h", Short), 0x71: (">i", Int), 0x81: (">q", Long),
    0x52: (">B", UInt), 0x53: (">B", ULong), 0x54: (">b", Int), 0x55: (">b", Long),
    0x72: (">f", Float), 0x82: (">d", float), 0x83: (">q", Timestamp),
}  # fmt: skip
_NUMBER_TYPES = {UByte: 0x50, UShort: 0x60, UInt: 0x70, ULong: 0x80, Byte: 0x51, Short: 0x61, Int: 0x71, Long: 0x81,
                 Float: 0x72, float: 0x82, Timestamp: 0x83}  # fmt: skip
_DECIMALS = {4: 0x74, 8: 0x84, 16: 0x94}
_MOST_EMPTY = 65_536
"""The most elements of no width in an array: a few bytes could otherwise stand for billions of them."""


# --- encoding


def encode(value: Any) -> bytes:
    """One value with its constructor. Raises ProtocolError for a value that AMQP cannot hold."""
    match value:
        case None:
            return b"\x40"
        case bool():
            return b"\x41" if value else b"\x42"
        case Described():
            return b"\x00" + _descriptor(value.descriptor) + encode(value.value)
    constructor, body = _split(value)
    if constructor in (b"\xb0", b"\xb1", b"\xb3") and len(body) < 4 + 256:
        return bytes((constructor[0] - 0x10, len(body) - 4)) + body[4:]
    return constructor + body


def _split(value: Any) -> tuple[bytes, bytes]:
    """The constructor and the data of a value at the full width of its type, as the elements of an array need it."""
    code = _NUMBER_TYPES.get(type(value))
    if type(value) is int:
        code = 0x71 if -(2**31) <= value < 2**31 else 0x81
    if code is not None:
        try:
            return bytes((code,)), struct.pack(_NUMBERS[code][0], value)
        except (struct.error, OverflowError):
            raise ProtocolError(f"{type(value).__name__} cannot hold this number") from None
    match value:
        case None:
            return b"\x40", b""
        case bool():
            return b"\x56", bytes((value,))
        case Decimal():
            return bytes((_DECIMALS[len(value)],)), value
        case Char():
            return b"\x73", struct.pack(">I", ord(value))
        case Symbol():
            if not value.isascii():
                raise ProtocolError("a symbol holds ASCII only")
            return b"\xb3", _counted(value.encode("ascii"))
        case str():
            return b"\xb1", _counted(value.encode())
        case bytes() | bytearray():
            return b"\xb0", _counted(bytes(value))
        case UUID():
            return b"\x98", value.bytes
        case Array():
            return b"\xf0", _array(value)
        case Mapping():
            items = b"".join(encode(key) + encode(item) for key, item in value.items())
            return b"\xd1", _counted(struct.pack(">I", 2 * len(value)) + items)
        case list() | tuple():
            return b"\xd0", _counted(struct.pack(">I", len(value)) + b"".join(map(encode, value)))
        case Described():
            constructor, body = _split(value.value)
            return b"\x00" + _descriptor(value.descriptor) + constructor, body
    raise ProtocolError(f"no AMQP type for {type(value).__name__}")


def _array(values: Array) -> bytes:
    elements = [_split(value) for value in values]
    constructors = {constructor for constructor, _ in elements} or {b"\x40"}
    if len(constructors) > 1:
        raise ProtocolError("the values of an array are of different types")
    return _counted(struct.pack(">I", len(values)) + constructors.pop() + b"".join(body for _, body in elements))


def _counted(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def _descriptor(descriptor: Any) -> bytes:
    # Of a performative or a section, the decoder of the Python client reads smallulong only.
    if isinstance(descriptor, int) and not isinstance(descriptor, bool) and 0 <= descriptor < 256:
        return bytes((0x53, descriptor))
    return encode(descriptor)


def frame(channel: int, performative: Described, payload: bytes = b"", kind: int = 0) -> bytes:
    """A whole frame; `kind` 1 is SASL."""
    body = encode(performative) + payload
    return struct.pack(">IBBH", len(body) + 8, 2, kind, channel) + body


HEARTBEAT = struct.pack(">IBBH", 8, 2, 0, 0)
"""A frame without a body, which only keeps the connection open."""


# --- decoding


def decode(data: bytes, at: int = 0) -> tuple[Any, int]:
    """The value at byte `at`, and the position after it. Raises ProtocolError."""
    try:
        return _value(data, at)
    except (LookupError, ValueError, TypeError, OverflowError, RecursionError, struct.error) as error:
        raise ProtocolError(f"torn or unknown AMQP value at byte {at} ({type(error).__name__})") from None


def _value(data: bytes, at: int) -> tuple[Any, int]:
    read, at = _constructor(data, at)
    return read(data, at)


_Decoder = Callable[[bytes, int], tuple[Any, int]]


def _constructor(data: bytes, at: int) -> tuple[_Decoder, int]:
    """The decoder of the constructor at `at`, and where its data begins."""
    if data[at]:
        return _DECODERS[data[at]], at + 1
    descriptor, at = _value(data, at + 1)
    inner, at = _constructor(data, at)

    def described(data: bytes, at: int) -> tuple[Described, int]:
        value, at = inner(data, at)
        return Described(descriptor, value), at

    return described, at


def _constant(value: Any) -> _Decoder:
    return lambda _, at: (value, at)


def _fixed(pattern: str, convert: Callable[[Any], Any]) -> _Decoder:
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


def _elements(pattern: str, read_all: Callable[[bytes, int, int], tuple[list[Any], int]]) -> _Decoder:
    """A list, map or array: a size, a count, and then what `read_all` reads, which must fill the size exactly."""
    packing = struct.Struct(pattern)

    def read(data: bytes, at: int) -> tuple[list[Any], int]:
        size, count = packing.unpack_from(data, at)
        end = at + packing.size // 2 + size
        # The constructor of an array without elements is left out by some clients.
        items, at = read_all(data, at + packing.size, count) if count else ([], end)
        if at != end or end > len(data):
            raise ValueError
        return items, at

    return read


def _each(data: bytes, at: int, count: int) -> tuple[list[Any], int]:
    items = []
    for _ in range(count):
        item, at = _value(data, at)
        items.append(item)
    return items, at


def _same(data: bytes, at: int, count: int) -> tuple[list[Any], int]:
    read, at = _constructor(data, at)
    items: list[Any] = []
    for number in range(count):
        item, after = read(data, at)
        if after == at and number >= _MOST_EMPTY:
            raise ValueError
        items.append(item)
        at = after
    return items, at


def _converted(inner: _Decoder, convert: Callable[[Any], Any]) -> _Decoder:
    def read(data: bytes, at: int) -> tuple[Any, int]:
        value, at = inner(data, at)
        return convert(value), at

    return read


def _pairs(items: list[Any]) -> dict[Any, Any]:
    return dict(zip(items[::2], items[1::2], strict=True))


def _boolean(number: int) -> bool:
    if number > 1:
        raise ValueError
    return bool(number)


_BYTE, _WORD = (">B", ">BB"), (">I", ">II")
_DECODERS: dict[int, _Decoder] = {
    **{code: _constant(value) for code, value in _CONSTANTS.items()},
    _EMPTY_LIST: lambda _, at: ([], at),
    **{code: _fixed(pattern, convert) for code, (pattern, convert) in _NUMBERS.items()},
    0x56: _fixed(">B", _boolean),
    0x73: _fixed(">I", lambda point: Char(chr(point))),
    **{code: _fixed(f">{width}s", Decimal) for width, code in _DECIMALS.items()},
    0x98: _fixed(">16s", lambda raw: UUID(bytes=raw)),
}
for _offset, (_size, _sizes) in ((0, _BYTE), (0x10, _WORD)):
    _DECODERS |= {
        0xA0 + _offset: _sized(_size, bytes),
        0xA1 + _offset: _sized(_size, bytes.decode),
        0xA3 + _offset: _sized(_size, lambda raw: Symbol(raw.decode("ascii"))),
        0xC0 + _offset: _elements(_sizes, _each),
        0xC1 + _offset: _converted(_elements(_sizes, _each), _pairs),
        0xE0 + _offset: _converted(_elements(_sizes, _same), Array),
    }
