"""The performatives of AMQP 1.0 (part 2.7) as a peer sends them: mandatory fields are there, the others have defaults.

Only the fields that a Service Bus client's peer needs are named; a field that is not known here is read past.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Annotated, Any, Self, get_type_hints

from local.servicebus.codec import Described, ProtocolError, Symbol, UByte, UInt, ULong, UShort

OPEN, BEGIN, ATTACH, FLOW, TRANSFER, DISPOSITION, DETACH, END, CLOSE = range(0x10, 0x19)
ERROR = 0x1D
ACCEPTED, REJECTED, RELEASED, MODIFIED = 0x24, 0x25, 0x26, 0x27
SOURCE, TARGET, COORDINATOR = 0x28, 0x29, 0x30
SASL_MECHANISMS, SASL_INIT, SASL_OUTCOME = 0x40, 0x41, 0x44

CODES = {
    **{f"amqp:{name}:list": OPEN + number for number, name in enumerate(
        ("open", "begin", "attach", "flow", "transfer", "disposition", "detach", "end", "close"))},
    **{f"amqp:{name}:list": code for name, code in {
        "error": ERROR, "accepted": ACCEPTED, "rejected": REJECTED, "released": RELEASED, "modified": MODIFIED,
        "source": SOURCE, "target": TARGET, "coordinator": COORDINATOR, "sasl-init": SASL_INIT,
        "header": 0x70, "properties": 0x73}.items()},
    "amqp:delivery-annotations:map": 0x71, "amqp:message-annotations:map": 0x72,
    "amqp:application-properties:map": 0x74, "amqp:data:binary": 0x75, "amqp:amqp-sequence:list": 0x76,
    "amqp:amqp-value:*": 0x77, "amqp:footer:map": 0x78,
}  # fmt: skip
"""The numeric descriptors of the symbolic ones; a peer may use either (part 1.1.2)."""


def code_of(value: Any) -> Any:
    """The descriptor of a described value, by its number where that is known; None for any other value."""
    if not isinstance(value, Described):
        return None
    return CODES.get(value.descriptor, value.descriptor) if isinstance(value.descriptor, str) else value.descriptor


def list_of(value: Any, code: int, count: int) -> list[Any]:
    """The `count` first fields of a described list with this descriptor, None where they are left out.

    Raises ProtocolError for anything else.
    """
    if code_of(value) != code or not isinstance(value.value, list):
        raise ProtocolError(f"a list with descriptor {code:#x} is expected", "amqp:invalid-field")
    return (value.value + [None] * count)[:count]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Performative:
    @classmethod
    def read(cls, values: object) -> Self:
        """Raises ProtocolError if a mandatory field is missing, or a field has another type."""
        if not isinstance(values, list):
            raise ProtocolError(f"{cls.__name__} is not a list")
        named: dict[str, Any] = {}
        wire_types = _WIRE_TYPES[cls.__name__]
        for place, one in enumerate(fields(cls)):
            value = values[place] if place < len(values) else None
            if value is None:
                if one.default is MISSING:
                    raise ProtocolError(f"{cls.__name__} has no {one.name}", "amqp:invalid-field")
                continue
            if not isinstance(value, wire_types[one.name]):
                raise ProtocolError(f"{one.name} of {cls.__name__} has a wrong type", "amqp:invalid-field")
            named[one.name] = value
        return cls(**named)


@dataclass(frozen=True, slots=True, kw_only=True)
class Open(_Performative):
    container_id: str
    hostname: Any = None
    max_frame_size: Annotated[int, UInt] = 2**32 - 1
    channel_max: Annotated[int, UShort] = 65_535
    idle_time_out: Annotated[int | None, UInt] = None
    """Milliseconds without a frame after which the peer closes the connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Begin(_Performative):
    remote_channel: Annotated[int | None, UShort] = None
    next_outgoing_id: Annotated[int, UInt]
    incoming_window: Annotated[int, UInt]
    outgoing_window: Annotated[int, UInt]
    handle_max: Annotated[int, UInt] = 2**32 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachFields(_Performative):
    name: str
    handle: Annotated[int, UInt]
    is_receiver: bool
    snd_settle_mode: Annotated[int, UByte] = 2
    rcv_settle_mode: Annotated[int, UByte] = 0
    source: Annotated[Described | None, Described] = None
    target: Annotated[Described | None, Described] = None
    unsettled: Any = None
    incomplete_unsettled: Any = None
    initial_delivery_count: Annotated[int | None, UInt] = None
    max_message_size: Annotated[int | None, ULong] = None
    offered_capabilities: Any = None
    desired_capabilities: Any = None
    properties: Annotated[Mapping[Any, Any] | None, dict] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow(_Performative):
    next_incoming_id: Annotated[int | None, UInt] = None
    incoming_window: Annotated[int, UInt]
    next_outgoing_id: Annotated[int, UInt]
    outgoing_window: Annotated[int, UInt]
    handle: Annotated[int | None, UInt] = None
    delivery_count: Annotated[int | None, UInt] = None
    link_credit: Annotated[int, UInt] = 0
    available: Annotated[int, UInt] = 0
    drain: bool = False
    echo: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer(_Performative):
    handle: Annotated[int, UInt]
    delivery_id: Annotated[int | None, UInt] = None
    delivery_tag: Annotated[bytes | None, bytes] = None
    message_format: Annotated[int, UInt] = 0
    settled: bool = False
    more: bool = False
    rcv_settle_mode: Any = None
    state: Any = None
    resume: Any = None
    aborted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Disposition(_Performative):
    by_receiver: bool
    first: Annotated[int, UInt]
    last: Annotated[int | None, UInt] = None
    settled: bool = False
    state: Annotated[Described | None, Described] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Detach(_Performative):
    handle: Annotated[int, UInt]
    closed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SaslInit(_Performative):
    mechanism: Annotated[str, Symbol]


def error(condition: str, text: str) -> Described:
    return Described(ERROR, [Symbol(condition), text, None])


def _wire_types(performative: type[Any]) -> dict[str, type]:
    """The class of each field when it is decoded: what its annotation names, or the annotated type itself."""
    hints = get_type_hints(performative, include_extras=True)
    return {
        name: hint.__metadata__[0] if hasattr(hint, "__metadata__") else object if hint is Any else hint
        for name, hint in hints.items()
    }


_WIRE_TYPES = {
    performative.__name__: _wire_types(performative)
    for performative in (Open, Begin, AttachFields, Flow, Transfer, Disposition, Detach, SaslInit)
}
