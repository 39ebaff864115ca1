"""What the queues gave up, over azure-servicebus: looked at without taking it, and put back with the same words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Set
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import uuid4

from azure.servicebus import ServiceBusMessage, ServiceBusReceivedMessage, ServiceBusSubQueue
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver
from azure.servicebus.exceptions import ServiceBusError

from sync_core.errors import Transient
from sync_core.messaging.messages import SYNC_REQUESTS, Priority
from sync_core.messaging.port import DeadLetter

_PAGE = 100
_SECONDS = 2


class ServiceBusDeadLetters:
    """Implements the port DeadLetters. The dead letters of a queue with sessions have no sessions themselves."""

    def __init__(self, client: ServiceBusClient) -> None:
        self._client = client

    async def listed(self) -> tuple[DeadLetter, ...]:
        of_each = await asyncio.gather(*(self._listed(queue) for queue in sorted((SYNC_REQUESTS, *Priority))))
        return tuple(letter for found in of_each for letter in found)

    async def _listed(self, queue: str) -> list[DeadLetter]:
        found: list[DeadLetter] = []
        async with self._receiver(queue) as receiver:
            start = 0
            while page := await receiver.peek_messages(_PAGE, sequence_number=start):
                found += [_dead_letter(queue, message) for message in page]
                start = found[-1].number + 1
        return found

    async def replay(self, queue: str, numbers: Set[int]) -> frozenset[int]:
        left = set(numbers)
        passed: list[ServiceBusReceivedMessage] = []
        async with self._receiver(queue) as receiver, self._client.get_queue_sender(queue) as sender:
            while left:
                page = await receiver.receive_messages(_PAGE, max_wait_time=_SECONDS)
                if not page:
                    break
                for message in page:
                    letter = _dead_letter(queue, message)
                    if letter.number not in left:
                        passed.append(message)
                        continue
                    await sender.send_messages(_again(letter, message))
                    await receiver.complete_message(message)
                    left.discard(letter.number)
            for message in passed:
                await receiver.abandon_message(message)
        return frozenset(numbers - left)

    @asynccontextmanager
    async def _receiver(self, queue: str) -> AsyncIterator[ServiceBusReceiver]:
        try:
            async with self._client.get_queue_receiver(queue, sub_queue=ServiceBusSubQueue.DEAD_LETTER) as receiver:
                yield receiver
        except ServiceBusError as error:
            raise Transient(
                f"the dead letters of queue {queue} cannot be reached ({type(error).__name__})",
                "try again; if it stays so, look at the Service Bus namespace and the roles Azure Service Bus Data "
                "Receiver and Data Sender of the app's identity",
            ) from None


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


def _again(letter: DeadLetter, message: ServiceBusReceivedMessage) -> ServiceBusMessage:
    """A new id, because duplicate detection remembers the old one; a session, because the queue wants one."""
    return ServiceBusMessage(
        letter.body,
        message_id=f"{letter.message_id[:100]}.{uuid4().hex[:12]}",
        session_id=letter.session or "none",
        content_type=message.content_type,
        application_properties=message.application_properties,
    )
