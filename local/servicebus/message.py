"""A message in a queue: its sections, left encoded except for the few that the broker reads or rewrites."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from local.servicebus.codec import Described, ProtocolError, Symbol, decode, encode, ubyte, uint

HEADER, ANNOTATIONS, PROPERTIES, APPLICATION_PROPERTIES, DATA, VALUE = 0x70, 0x72, 0x73, 0x74, 0x75, 0x77
BATCH_FORMAT = 0x80013700
"""Marks a transfer whose data sections are messages of their own (Azure SDK batches)."""

SCHEDULED_AT = Symbol("x-opt-scheduled-enqueue-time")
_MESSAGE_ID, _GROUP_ID = 0, 10


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

    def encoded(self, deliveries: int, annotations: dict[Any, Any], extra_properties: dict[str, str]) -> bytes:
        """The message as a receiver gets it, with the broker's annotations and, once dead-lettered, the reason."""
        ttl = uint(min(int(self.ttl * 1000), 2**32 - 1)) if self.ttl is not None else None
        parts = [
            encode(Described(HEADER, [True, ubyte(4), ttl, deliveries == 0, uint(deliveries)])),
            encode(Described(ANNOTATIONS, self.annotations | annotations)),
            self.properties,
        ]
        if self.application_properties or extra_properties:
            parts.append(encode(Described(APPLICATION_PROPERTIES, self.application_properties | extra_properties)))
        return b"".join((*parts, self.body))


def parse_messages(payload: bytes, message_format: int) -> list[BareMessage]:
    """The message in a transfer, or all the messages of a batch. Raises ProtocolError."""
    if message_format != BATCH_FORMAT:
        return [_parse(payload)]
    messages = []
    at = 0
    while at < len(payload):
        section, at = decode(payload, at)
        if section.code == DATA:
            messages.append(_parse(section.value))
    return messages


def read_value(payload: bytes) -> tuple[list[Any], dict[str, Any], Any]:
    """Properties, application properties and body value of a management request."""
    properties: list[Any] = []
    application: dict[str, Any] = {}
    value = None
    at = 0
    while at < len(payload):
        section, at = decode(payload, at)
        if section.code == PROPERTIES:
            properties = section.value
        elif section.code == APPLICATION_PROPERTIES:
            application = {str(key): item for key, item in section.value.items()}
        elif section.code == VALUE:
            value = section.value
    return properties, application, value


def _parse(payload: bytes) -> BareMessage:
    header: list[Any] = []
    annotations: dict[Any, Any] = {}
    properties: list[Any] = []
    raw_properties = encode(Described(PROPERTIES, [None] * 13))
    application: dict[Any, Any] = {}
    body = bytearray()
    at = 0
    while at < len(payload):
        first = at
        section, at = decode(payload, at)
        if not isinstance(section, Described):
            raise ProtocolError("a message section has no descriptor")
        match section.code:
            case 0x70:
                header = section.value
            case 0x71:
                pass
            case 0x72:
                annotations = section.value
            case 0x73:
                properties, raw_properties = section.value, payload[first:at]
            case 0x74:
                application = section.value
            case _:
                body += payload[first:at]
    scheduled = annotations.pop(SCHEDULED_AT, None)
    message_id = properties[_MESSAGE_ID] if properties else None
    session_id = properties[_GROUP_ID] if len(properties) > _GROUP_ID else None
    ttl = header[2] if len(header) > 2 else None
    return BareMessage(
        message_id=None if message_id is None else str(message_id),
        session_id=session_id,
        ttl=None if ttl is None else ttl / 1000,
        scheduled_at=None if scheduled is None else scheduled / 1000,
        annotations=annotations,
        properties=raw_properties,
        application_properties=application,
        body=bytes(body),
    )
