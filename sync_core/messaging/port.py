"""The ports to the queues."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from sync_core.messaging.messages import Change, Priority, Request


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A dead-lettered message. `number` is unique within the dead letters of its queue."""

    queue: str
    number: int
    message_id: str
    session: str
    body: bytes = field(repr=False)
    reason: str
    deliveries: int
    at: datetime


class DeadLetters(Protocol):
    """The dead letters of the queues. Every method raises Transient."""

    async def listed(self, queue: str) -> tuple[DeadLetter, ...]:
        """The dead letters of the queue, in order of number. They stay where they are."""

    async def replay(self, queue: str, numbers: Set[int]) -> frozenset[int]:
        """Put these messages back on their queue, in order. Returns the numbers of those that still existed.

        A crash between sending a message and removing its dead letter leaves both: a duplicate message does no harm.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageFault:
    """Why a message could not be handled, kept in a table because a dead letter does not hold the reason."""

    queue: str
    message_id: str
    session: str
    deliveries: int
    message: str
    remedy: str
    at: datetime


class Outbox(Protocol):
    """Sends messages in order, which the queue keeps for each session.

    A message is on its queue when the method returns. Several messages are not atomic.
    """

    async def send_requests(self, requests: Sequence[Request]) -> None: ...
    async def send_changes(self, changes: Sequence[Change], priority: Priority) -> None: ...

    async def schedule_requests(self, requests: Sequence[tuple[datetime, Request]]) -> None:
        """Schedule each request for its time; one that is due is sent at once."""

    async def schedule_changes(self, changes: Sequence[tuple[datetime, Change]], priority: Priority) -> None:
        """Schedule each change for its time; one that is due is sent at once."""

    async def schedule_once(self, at: datetime, request: Request) -> None:
        """As `schedule_requests`, but the queue keeps only one request for each session and time."""


class QueueCheck(Protocol):
    async def check_send(self, queue: str) -> None:
        """Open a new link to the queue, as sending does, and send nothing. Raises Transient."""
