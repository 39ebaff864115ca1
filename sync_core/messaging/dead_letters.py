"""The dead letters of the queues over azure-servicebus: listed without removal, and replayed with the same body."""

from __future__ import annotations

from collections.abc import AsyncIterator, Set
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import uuid4

from azure.servicebus import ServiceBusMessage, ServiceBusReceivedMessage, ServiceBusSubQueue
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver
from azure.servicebus.exceptions import ServiceBusError

from sync_core.messaging.bus_faults import bus_fault
from sync_core.messaging.port import DeadLetter

_PAGE = 100
_MAX_WAIT_SECONDS = 2


class ServiceBusDeadLetters:
    """Implements the port DeadLetters. The dead letters of a queue with sessions have no sessions themselves."""

    def __init__(self, client: ServiceBusClient) -> None:
        self._client = client

    async def listed(self, queue: str) -> tuple[DeadLetter, ...]:
        letters: list[DeadLetter] = []
        async with self._receiver(queue) as receiver:
            start = 0
            while page := await receiver.peek_messages(_PAGE, sequence_number=start):
                letters += [_dead_letter(queue, message) for message in page]
                start = letters[-1].number + 1
        return tuple(letters)

    async def replay(self, queue: str, numbers: Set[int]) -> frozenset[int]:
        remaining = set(numbers)
        skipped: list[ServiceBusReceivedMessage] = []
        async with self._receiver(queue) as receiver, self._client.get_queue_sender(queue) as sender:
            while remaining:
                page = await receiver.receive_messages(_PAGE, max_wait_time=_MAX_WAIT_SECONDS)
                if not page:
                    break
                for message in page:
                    letter = _dead_letter(queue, message)
                    if letter.number not in remaining:
                        skipped.append(message)
                        continue
                    await sender.send_messages(_copy(letter, message))
                    await receiver.complete_message(message)
                    remaining.discard(letter.number)
            for message in skipped:
                await receiver.abandon_message(message)
        return frozenset(numbers - remaining)

    @asynccontextmanager
    async def _receiver(self, queue: str) -> AsyncIterator[ServiceBusReceiver]:
        try:
            async with self._client.get_queue_receiver(queue, sub_queue=ServiceBusSubQueue.DEAD_LETTER) as receiver:
                yield receiver
        except ServiceBusError as error:
            raise bus_fault(f"the dead letters of queue {queue} cannot be reached", queue, error) from None


def _dead_letter(queue: str, message: ServiceBusReceivedMessage) -> DeadLetter:
    return DeadLetter(
        queue=queue,
        number=message.sequence_number or 0,
        message_id=message.message_id or "",
        session=message.session_id or "",
        body=b"".join(bytes(part) for part in message.body),
        reason=message.dead_letter_reason or "",
        deliveries=message.delivery_count or 0,
        at=message.enqueued_time_utc or datetime.fromtimestamp(0, UTC),
    )


def _copy(letter: DeadLetter, message: ServiceBusReceivedMessage) -> ServiceBusMessage:
    """The message to send again: with a new id, because of duplicate detection, and the session that a queue needs."""
    return ServiceBusMessage(
        letter.body,
        message_id=f"{letter.message_id[:100]}.{uuid4().hex[:12]}",
        session_id=letter.session or "none",
        content_type=message.content_type,
        application_properties=message.application_properties,
    )
