"""What the use cases need of the queues."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from sync_core.messaging.messages import Change, Priority, Request


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A message that its queue gave up, as it lies there. `number` is its own within the queue's dead letters."""

    queue: str
    number: int
    message_id: str
    session: str
    body: bytes = field(repr=False)
    reason: str
    deliveries: int
    at: datetime


class DeadLetters(Protocol):
    """What the queues gave up. Raises Transient."""

    async def listed(self) -> tuple[DeadLetter, ...]:
        """Of all queues, in order of queue and number; nothing is taken."""

    async def replay(self, queue: str, numbers: Set[int]) -> frozenset[int]:
        """Put these back onto their queue, in order. Returns those that were still there.

        A crash between the two halves of one leaves it in both places: a message that comes twice does no harm.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageFault:
    """Why a queue message could not be applied, kept beside the queue because a dead letter does not tell."""

    queue: str
    message_id: str
    session: str
    deliveries: int
    message: str
    remedy: str
    at: datetime


class Outbox(Protocol):
    """The way onto the queues. A message is on the queue when the method returns."""

    async def send_requests(self, requests: Sequence[Request]) -> None:
        """In order. Not atomic over many."""

    async def schedule_requests(self, requests: Sequence[tuple[datetime, Request]]) -> None:
        """Have the queue hold each until its moment; what is due already is sent. Not atomic over many."""

    async def schedule_once(self, at: datetime, request: Request) -> None:
        """As `schedule_requests`, but of all requests of one session for one moment the queue holds just one."""

    async def send_changes(self, changes: Sequence[Change], priority: Priority) -> None:
        """In order: those of one class stay in order. Not atomic over many."""
