"""Links on a connection: senders into queues, receivers out of them, and request / response pairs."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from local.servicebus.broker import DEAD_LETTER_QUEUE, BrokerError, Queue
from local.servicebus.codec import Described, Symbol

ACCEPTED, REJECTED, RELEASED, MODIFIED = 0x24, 0x25, 0x26, 0x27
SESSION_FILTER = Symbol("com.microsoft:session-filter")
MANAGEMENT = "/$management"
CBS = "$cbs"
_SETTLED_BY_SENDER = 1


@dataclass(eq=False, slots=True)
class Attach:
    """An attach as the client sent it, with the fields that matter by name."""

    fields: list[Any]

    @property
    def name(self) -> str:
        return str(self.fields[0])

    @property
    def handle(self) -> int:
        return int(self.fields[1])

    @property
    def client_receives(self) -> bool:
        return bool(self.fields[2])

    @property
    def address(self) -> str:
        """The entity's path: clients send `amqps://host/queue` or `queue`."""
        end = self.fields[5] if self.client_receives else self.fields[6]
        path = str(end.value[0] or "") if isinstance(end, Described) and end.value else ""
        return path.split("://", 1)[-1].split("/", 1)[-1] if "://" in path else path

    @property
    def receive_and_delete(self) -> bool:
        return bool(self.fields[3] == _SETTLED_BY_SENDER)

    @property
    def session_filter(self) -> tuple[bool, str | None]:
        """Whether a session is requested, and its id; None for the next available one."""
        source = self.fields[5].value
        filters = source[7] if len(source) > 7 and isinstance(source[7], dict) else {}
        for key, value in filters.items():
            if str(key) == SESSION_FILTER:
                return True, value.value if isinstance(value, Described) else value
        return False, None

    @property
    def timeout(self) -> float | None:
        properties = self.fields[13] if len(self.fields) > 13 and self.fields[13] else {}
        milliseconds = next((value for key, value in properties.items() if str(key) == "com.microsoft:timeout"), None)
        return None if milliseconds is None else milliseconds / 1000


@dataclass(eq=False, slots=True)
class SendingClient:
    """A link on which the client sends, into a queue or to `$cbs` or a `$management`."""

    attach: Attach
    handle: int
    address: str
    queue: Queue | None
    payload: bytearray = field(default_factory=bytearray)
    first: list[Any] = field(default_factory=list)
    received: int = 0


@dataclass(eq=False, slots=True)
class ReceivingClient:
    """A link on which the client receives: messages of a queue, or answers. It is the owner of its locks."""

    attach: Attach
    handle: int
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
    """Settle the locked message with the outcome that the client sent. Raises BrokerError."""
    code = state.code if state else ACCEPTED
    fields = state.value if state else []
    if code == ACCEPTED:
        queue.complete(lock)
    elif code == REJECTED:
        error = fields[0].value if fields and fields[0] else []
        info = {str(key): str(value) for key, value in (error[2] if len(error) > 2 and error[2] else {}).items()}
        queue.dead_letter(lock, info.get("DeadLetterReason", ""), info.get("DeadLetterErrorDescription", ""))
    elif code == RELEASED:
        queue.abandon(lock, counts=False)
    elif code == MODIFIED and len(fields) > 1 and fields[1]:
        queue.defer(lock)
    elif code == MODIFIED:
        queue.abandon(lock)
    else:
        raise BrokerError("amqp:not-implemented", f"Outcome {code} is not supported here.")
