"""Links on a connection: senders into queues, receivers out of them, and request / response pairs."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from local.servicebus.broker import DEAD_LETTER_QUEUE, BrokerError, Queue
from local.servicebus.codec import Described, Symbol
from local.servicebus.performatives import (
    ACCEPTED,
    COORDINATOR,
    ERROR,
    MODIFIED,
    REJECTED,
    RELEASED,
    AttachFields,
    Transfer,
    code_of,
    list_of,
)

SESSION_FILTER = Symbol("com.microsoft:session-filter")
MANAGEMENT = "/$management"
CBS = "$cbs"
_SETTLED_BY_SENDER = 1
_REASON, _DESCRIPTION = "DeadLetterReason", "DeadLetterErrorDescription"


@dataclass(eq=False, slots=True)
class Attach:
    """An attach as the client sent it."""

    fields: AttachFields

    @property
    def name(self) -> str:
        return self.fields.name

    @property
    def handle(self) -> int:
        return self.fields.handle

    @property
    def client_receives(self) -> bool:
        return self.fields.is_receiver

    @property
    def address(self) -> str:
        """The entity's path: clients send `amqps://host/queue`, `/queue` or `queue`. Raises BrokerError."""
        end = self.fields.source if self.client_receives else self.fields.target
        if code_of(end) == COORDINATOR:
            raise BrokerError("amqp:not-implemented", "Transactions are not supported here.")
        path = address_of(end)
        return (path.split("://", 1)[-1].partition("/")[2] if "://" in path else path).lstrip("/")

    @property
    def reply_address(self) -> str:
        """Where a client that sends requests expects their answers."""
        return address_of(self.fields.target)

    @property
    def receive_and_delete(self) -> bool:
        return self.fields.snd_settle_mode == _SETTLED_BY_SENDER

    @property
    def session_filter(self) -> tuple[bool, str | None]:
        """Whether a session is requested, and its id; None for the next available one."""
        source = self.fields.source.value if self.fields.source else []
        filters = source[7] if len(source) > 7 and isinstance(source[7], dict) else {}
        for key, value in filters.items():
            if str(key) == SESSION_FILTER:
                return True, value.value if isinstance(value, Described) else value
        return False, None

    @property
    def timeout(self) -> float | None:
        """Seconds for which an attach may wait for the next session."""
        properties = self.fields.properties or {}
        milliseconds = next((value for key, value in properties.items() if str(key) == "com.microsoft:timeout"), None)
        return milliseconds / 1000 if isinstance(milliseconds, int) else None


@dataclass(eq=False, slots=True)
class SendingClient:
    """A link on which the client sends, into a queue or to `$cbs` or a `$management`."""

    attach: Attach
    address: str
    queue: Queue | None
    payload: bytearray = field(default_factory=bytearray)
    first: Transfer | None = None
    """The first transfer of the delivery that is under way."""
    received: int = 0

    @property
    def handle(self) -> int:
        return self.attach.handle


@dataclass(eq=False, slots=True)
class ReceivingClient:
    """A link on which the client receives: messages of a queue, or answers. It is the owner of its locks."""

    attach: Attach
    address: str
    queue: Queue | None
    session: str | None = None
    credit: int = 0
    delivered: int = 0
    drain: bool = False
    answers: deque[bytes] = field(default_factory=deque)

    @property
    def name(self) -> str:
        return self.attach.name

    @property
    def handle(self) -> int:
        return self.attach.handle


def address_of(end: Described | None) -> str:
    """The address of a source or target, or an empty text."""
    fields = end.value if end else None
    return str(fields[0] or "") if isinstance(fields, list) and fields else ""


def find_queue(queues: dict[str, Queue], address: str) -> Queue:
    """The queue, or dead-letter queue, at `address`, whatever the case of its letters. Raises BrokerError."""
    path = address.lower().removesuffix(MANAGEMENT)
    name, _, sub = path.partition("/")
    queue = queues.get(name)
    if queue is None or sub not in ("", DEAD_LETTER_QUEUE):
        raise BrokerError("amqp:not-found", f"The messaging entity '{address}' could not be found.")
    if not sub:
        return queue
    assert queue.dead is not None
    return queue.dead


def settle(queue: Queue, lock: UUID, state: Described | None) -> None:
    """Settle the locked message with the outcome that the client sent. Raises BrokerError or ProtocolError."""
    code = code_of(state) if state else ACCEPTED
    if code == ACCEPTED:
        queue.complete(lock)
    elif code == REJECTED:
        (error,) = list_of(state, REJECTED, 1)
        info = _properties(list_of(error, ERROR, 3)[2]) if error else {}
        # Microsoft's clients send the properties to change together with the reason.
        reason, description = (str(info.pop(name, None) or "") for name in (_REASON, _DESCRIPTION))
        queue.dead_letter(lock, reason, description, info)
    elif code == RELEASED:
        queue.abandon(lock, counts=False)
    elif code == MODIFIED:
        _, undeliverable_here, changed = list_of(state, MODIFIED, 3)
        (queue.defer if undeliverable_here else queue.abandon)(lock, _properties(changed))
    else:
        raise BrokerError("amqp:not-implemented", f"Outcome {code} is not supported here.")


def _properties(values: Any) -> dict[str, Any]:
    return {str(key): value for key, value in values.items()} if isinstance(values, Mapping) else {}
