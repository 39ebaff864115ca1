"""The real azure-servicebus client behind the pump's protocols, and messages in the format that the worker decodes."""

import asyncio
import contextlib
import json
import ssl
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import cast

from azure.identity.aio import DefaultAzureCredential
from azure.servicebus import NEXT_AVAILABLE_SESSION, ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver
from azure.servicebus.exceptions import (
    MessageAlreadySettled,
    MessageLockLostError,
    OperationTimeoutError,
    ServiceBusConnectionError,
    ServiceBusError,
    SessionLockLostError,
)
from azure_functions_runtime.bindings.datumdef import Datum

from local.host.session_pump import BrokerDown, Delivery, Lease, LeaseLost, NothingWaiting
from local.host.settings import Connection, ConnectionString

_ACCEPT_SECONDS = 5.0
_CLOSE_SECONDS = 5.0


def open_client(connection: Connection) -> ServiceBusClient:
    """A client without its own retries: an accept that finds no session is a time-out, not a failure."""
    # Otherwise each receiver loads a CA bundle again: 20 ms of this loop for every session, even over plain TCP.
    tls = ssl.create_default_context()
    if isinstance(connection, ConnectionString):
        return ServiceBusClient.from_connection_string(connection.value, retry_total=0, ssl_context=tls)
    credential = DefaultAzureCredential(managed_identity_client_id=connection.client_id)
    return ServiceBusClient(connection.fully_qualified_namespace, credential, retry_total=0, ssl_context=tls)


def to_datum(delivery: Delivery, data_type: str) -> Datum:
    """The body as the host hands it over: bytes for dataType binary, else UTF-8 text."""
    if data_type.lower() == "binary":
        return Datum(delivery.body, "bytes")
    return Datum(delivery.body.decode("utf-8", "replace"), "string")


def metadata_datums(delivery: Delivery) -> dict[str, Datum]:
    """Trigger metadata: strings as they are, everything else as JSON, without absent values."""
    return {
        name: Datum(value, "string") if isinstance(value, str) else Datum(json.dumps(value), "json")
        for name, value in delivery.metadata.items()
        if value is not None
    }


class QueueLeases:
    """Leases on one queue: its next session with a message, or, without sessions, a receiver of its own."""

    def __init__(self, client: ServiceBusClient, queue: str, *, sessions: bool) -> None:
        self._client = client
        self._queue = queue
        self._sessions = sessions

    async def accept(self) -> Lease:
        receiver = self._client.get_queue_receiver(
            self._queue,
            session_id=NEXT_AVAILABLE_SESSION if self._sessions else None,
            max_wait_time=_ACCEPT_SECONDS,
            prefetch_count=0,
        )
        started = time.monotonic()
        try:
            await receiver.__aenter__()
        except OperationTimeoutError as error:
            # A time-out this early is not the broker's answer that no session has messages.
            if time.monotonic() - started < _ACCEPT_SECONDS / 4:
                await _close(receiver)
                raise BrokerDown(_describe(error)) from error
            raise NothingWaiting(ReceiverLease(receiver, self._sessions)) from error
        except (ServiceBusError, OSError, ValueError) as error:
            await _close(receiver)
            raise BrokerDown(_describe(error)) from error
        except BaseException:
            await _close(receiver)
            raise
        return ReceiverLease(receiver, self._sessions)


class ReceiverLease:
    """A lease held by an open receiver of the real client."""

    def __init__(self, receiver: ServiceBusReceiver, sessionful: bool) -> None:
        self._receiver = receiver
        self._sessionful = sessionful

    @property
    def sessionful(self) -> bool:
        return self._sessionful

    def lock_left(self, delivery: Delivery | None) -> float:
        if self._sessionful:
            until = self._receiver.session.locked_until_utc
        else:
            until = _message(delivery).locked_until_utc if delivery else None
        return (until - datetime.now(UTC)).total_seconds() if until else 3600.0

    async def receive(self, wait: float) -> Delivery | None:
        async with _translated():
            messages = await self._receiver.receive_messages(max_message_count=1, max_wait_time=wait)
        return _delivery(messages[0]) if messages else None

    async def complete(self, delivery: Delivery) -> None:
        async with _translated():
            await self._receiver.complete_message(_message(delivery))

    async def abandon(self, delivery: Delivery) -> None:
        async with _translated():
            await self._receiver.abandon_message(_message(delivery))

    async def renew(self, delivery: Delivery | None) -> None:
        async with _translated():
            if self._sessionful:
                await self._receiver.session.renew_lock()
            elif delivery is not None:
                await self._receiver.renew_message_lock(_message(delivery))

    async def close(self) -> None:
        await _close(self._receiver)


@asynccontextmanager
async def _translated() -> AsyncIterator[None]:
    try:
        yield
    except (SessionLockLostError, MessageLockLostError, MessageAlreadySettled) as error:
        raise LeaseLost(_describe(error)) from error
    except (ServiceBusConnectionError, OSError) as error:
        raise BrokerDown(_describe(error)) from error
    except (ServiceBusError, ValueError) as error:
        # The client closes a receiver whose link is gone, and then raises ValueError.
        raise LeaseLost(_describe(error)) from error


async def _close(receiver: ServiceBusReceiver) -> None:
    with contextlib.suppress(Exception):
        async with asyncio.timeout(_CLOSE_SECONDS):
            await receiver.close()


def _describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"


def _message(delivery: Delivery | None) -> ServiceBusReceivedMessage:
    assert delivery is not None
    return cast(ServiceBusReceivedMessage, delivery.received)


def _delivery(message: ServiceBusReceivedMessage) -> Delivery:
    properties = {_text(key): _plain(value) for key, value in (message.application_properties or {}).items()}
    return Delivery(
        body=_body(message.body),
        metadata={
            # Azure counts from one; the AMQP header, which the Python client returns as it is, from zero.
            "DeliveryCount": (message.delivery_count or 0) + 1,
            "LockToken": str(message.lock_token),
            "ExpiresAtUtc": _naive(message.expires_at_utc),
            "EnqueuedTimeUtc": _naive(message.enqueued_time_utc),
            "MessageId": message.message_id,
            "ContentType": message.content_type,
            "ReplyTo": message.reply_to,
            "SequenceNumber": message.sequence_number,
            "To": message.to,
            "Subject": message.subject,
            "CorrelationId": message.correlation_id,
            "ApplicationProperties": properties,
            "UserProperties": properties,
            "SessionId": message.session_id,
            "PartitionKey": message.partition_key,
            "DeadLetterSource": message.dead_letter_source,
        },
        received=message,
    )


def _body(body: object) -> bytes:
    if isinstance(body, bytes):
        return body
    if isinstance(body, str):
        return body.encode()
    return b"".join(cast(Iterable[bytes], body))


def _naive(moment: datetime | None) -> str | None:
    """The host serialises these without a zone."""
    return moment.replace(tzinfo=None).isoformat() if moment else None


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)
