"""A message in a queue: its sections, left encoded except for the few that the broker reads or rewrites."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from local.servicebus.codec import Described, ProtocolError, Symbol, UByte, UInt, decode, encode
from local.servicebus.performatives import code_of

HEADER, DELIVERY_ANNOTATIONS, ANNOTATIONS, PROPERTIES, APPLICATION_PROPERTIES = range(0x70, 0x75)
DATA, SEQUENCE, VALUE, FOOTER = range(0x75, 0x79)
BATCH_FORMAT = 0x80013700
"""Marks a transfer whose data sections are messages of their own (Azure SDK batches)."""

SCHEDULED_AT = Symbol("x-opt-scheduled-enqueue-time")
_MESSAGE_ID, _REPLY_TO, _GROUP_ID = 0, 4, 10
_TYPES: dict[int, type] = {
    **dict.fromkeys((HEADER, PROPERTIES, SEQUENCE), list),
    **dict.fromkeys((DELIVERY_ANNOTATIONS, ANNOTATIONS, APPLICATION_PROPERTIES, FOOTER), dict),
    DATA: bytes,
    VALUE: object,
}


@dataclass(frozen=True, slots=True)
class BareMessage:
    """The message as sent. `ttl` is in seconds, `scheduled_at` in seconds since 1970; `body` is everything else."""

    message_id: str | None
    session_id: str | None
    ttl: float | None
    scheduled_at: float | None
    annotations: dict[Any, Any]
    properties: bytes
    application_properties: dict[Any, Any]
    body: bytes

    def encoded(self, deliveries: int, annotations: dict[Any, Any], changed: Mapping[str, object]) -> bytes:
        """The message as a receiver gets it, with the broker's annotations and the changed application properties."""
        ttl = UInt(min(int(self.ttl * 1000), 2**32 - 1)) if self.ttl is not None else None
        parts = [
            encode(Described(HEADER, [True, UByte(4), ttl, deliveries == 0, UInt(deliveries)])),
            encode(Described(ANNOTATIONS, self.annotations | annotations)),
            self.properties,
        ]
        if self.application_properties or changed:
            parts.append(encode(Described(APPLICATION_PROPERTIES, {**self.application_properties, **changed})))
        return b"".join((*parts, self.body))


def parse_messages(payload: bytes, message_format: int) -> list[BareMessage]:
    """The message in a transfer, or all the messages of a batch. Raises ProtocolError."""
    if message_format != BATCH_FORMAT:
        return [_parse(payload)]
    return [_parse(value) for code, value, _ in _sections(payload) if code == DATA]


@dataclass(frozen=True, slots=True)
class Request:
    """A request to `$cbs` or a `$management`. `reply_to` is the address of the link that the answer goes to."""

    message_id: Any
    reply_to: str
    application: Mapping[str, Any]
    body: Any


def parse_request(payload: bytes) -> Request:
    """Raises ProtocolError."""
    found = {code: value for code, value, _ in _sections(payload)}
    properties = _padded(found.get(PROPERTIES, []))
    application = {str(key): item for key, item in found.get(APPLICATION_PROPERTIES, {}).items()}
    return Request(properties[_MESSAGE_ID], str(properties[_REPLY_TO] or ""), application, found.get(VALUE))


def _parse(payload: bytes) -> BareMessage:
    header: list[Any] = []
    annotations: dict[Any, Any] = {}
    properties: list[Any] = []
    raw_properties = encode(Described(PROPERTIES, [None] * 13))
    application: dict[Any, Any] = {}
    body = bytearray()
    for code, value, raw in _sections(payload):
        match code:
            case 0x70:
                header = value
            case 0x71:
                pass
            case 0x72:
                annotations = value
            case 0x73:
                properties, raw_properties = value, raw
            case 0x74:
                application = value
            case _:
                body += raw
    scheduled = _typed(annotations.pop(SCHEDULED_AT, None), int)
    message_id = _padded(properties)[_MESSAGE_ID]
    ttl = _typed(_padded(header)[2], int)
    return BareMessage(
        message_id=None if message_id is None else str(message_id),
        session_id=_typed(_padded(properties)[_GROUP_ID], str),
        ttl=None if ttl is None else ttl / 1000,
        scheduled_at=None if scheduled is None else scheduled / 1000,
        annotations=annotations,
        properties=raw_properties,
        application_properties=application,
        body=bytes(body),
    )


def _sections(payload: bytes) -> Iterator[tuple[int, Any, bytes]]:
    """The code, the value and the bytes of each section. Raises ProtocolError."""
    at = 0
    while at < len(payload):
        first = at
        section, at = decode(payload, at)
        code = code_of(section)
        if code not in _TYPES or not isinstance(section.value, _TYPES[code]):
            raise ProtocolError("a message has a part that is no section of a message")
        yield code, section.value, payload[first:at]


def _padded(fields: list[Any]) -> list[Any]:
    return fields + [None] * (13 - len(fields))


def _typed(value: Any, expected: type) -> Any:
    if value is not None and not isinstance(value, expected):
        raise ProtocolError("a field of a message has a wrong type")
    return value
