"""The outbox over azure-servicebus. Senders stay open, because opening a link takes half a second."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import uuid4

from azure.core.exceptions import AzureError
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusSender
from azure.servicebus.exceptions import MessageSizeExceededError, ServiceBusError

from sync_core import tracing
from sync_core.clock import Clock
from sync_core.messaging.bus_faults import bus_fault
from sync_core.messaging.messages import QUEUES, SYNC_REQUESTS, Change, Priority, Request, encode

# A namespace of the Standard tier allows a thousand operations a second for all senders and receivers together
# ("Service Bus throttling"): a timer that sends requests for thousands of tenants must leave room for the others.
MESSAGES_AT_ONCE = 500
_PAUSE = 1.0


class ServiceBusOutbox:
    """Implements the ports Outbox and QueueCheck."""

    def __init__(self, client: ServiceBusClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._senders: dict[str, ServiceBusSender] = {}
        self._locks = {queue: asyncio.Lock() for queue in QUEUES}

    async def send_requests(self, requests: Sequence[Request]) -> None:
        await self._send(SYNC_REQUESTS, [(None, request) for request in requests])

    async def schedule_requests(self, requests: Sequence[tuple[datetime, Request]]) -> None:
        await self._send(SYNC_REQUESTS, requests)

    async def schedule_once(self, at: datetime, request: Request) -> None:
        # The queue drops a second message with the same id, for the ten minutes of its duplicate detection.
        session = sha256(request.session.encode()).hexdigest()[:32]
        await self._post(SYNC_REQUESTS, [_message(request, f"{request.kind}.{session}.{at:%Y%m%dT%H%M%S}", at)])

    async def send_changes(self, changes: Sequence[Change], priority: Priority) -> None:
        await self._send(priority, [(None, change) for change in changes])

    async def schedule_changes(self, changes: Sequence[tuple[datetime, Change]], priority: Priority) -> None:
        await self._send(priority, changes)

    async def _send(self, queue: str, messages: Sequence[tuple[datetime | None, Request | Change]]) -> None:
        # New for each call: duplicate detection drops the client's own retries, but no legitimate second call.
        call = uuid4().hex[:12]
        await self._post(
            queue,
            [_message(message, f"{message.run}.{call}.{index}", at) for index, (at, message) in enumerate(messages)],
        )

    async def _post(self, queue: str, messages: Sequence[ServiceBusMessage]) -> None:
        async with self._locks[queue]:
            try:
                await self._send_in_batches(queue, messages)
            except ServiceBusError as error:
                # A sender that lost its link may stay unusable: the next call opens a new sender.
                if sender := self._senders.pop(queue, None):
                    await sender.close()
                raise bus_fault(f"messages could not be sent to queue {queue}", queue, error) from None

    async def check_send(self, queue: str) -> None:
        try:
            async with self._client.get_queue_sender(queue):
                pass  # the link is open, so the identity may send
        except AzureError as error:
            raise bus_fault(f"nothing can be sent to queue {queue}", queue, error) from None

    async def _send_in_batches(self, queue: str, messages: Sequence[ServiceBusMessage]) -> None:
        if not messages:
            return
        sender = self._senders.get(queue)
        if sender is None:
            sender = self._senders[queue] = self._client.get_queue_sender(queue)
        for start in range(0, len(messages), MESSAGES_AT_ONCE):
            if start:
                await self._clock.sleep(_PAUSE)
            await _send_at_once(sender, messages[start : start + MESSAGES_AT_ONCE])


async def _send_at_once(sender: ServiceBusSender, messages: Sequence[ServiceBusMessage]) -> None:
    batch = await sender.create_message_batch()
    for message in messages:
        try:
            batch.add_message(message)
        except MessageSizeExceededError:
            await sender.send_messages(batch)
            batch = await sender.create_message_batch()
            batch.add_message(message)
    await sender.send_messages(batch)


def _message(message: Request | Change, message_id: str, at: datetime | None) -> ServiceBusMessage:
    properties: dict[str | bytes, Any] = {"kind": message.kind, "run": message.run}
    properties.update(tracing.trace_to_carry().items())
    return ServiceBusMessage(
        encode(message),
        message_id=message_id,
        session_id=message.session,
        content_type="application/json",
        application_properties=properties,
        scheduled_enqueue_time_utc=at,
    )
