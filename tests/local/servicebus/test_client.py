"""The real azure-servicebus client against the stand-in: what the contract tests do not cover."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from azure.servicebus import (
    NEXT_AVAILABLE_SESSION,
    ServiceBusMessage,
    ServiceBusReceivedMessage,
    ServiceBusReceiveMode,
    ServiceBusSubQueue,
)
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver
from azure.servicebus.exceptions import (
    OperationTimeoutError,
    ServiceBusError,
    SessionCannotBeLockedError,
    SessionLockLostError,
)

from local import loopback
from tests.forked import Forked
from tests.messaging.bus_client import bus_client

_QUEUE = '{{"Name": "{name}", "Properties": {{"LockDuration": "PT1M", "MaxDeliveryCount": 3, "RequiresSession": {s}}}}}'
_CONFIG = '{{"UserConfig": {{"Namespaces": [{{"Queues": [{0}, {1}]}}]}}}}'


@dataclass(slots=True)
class Bus:
    client: ServiceBusClient
    status_url: str

    async def send(self, queue: str, *messages: ServiceBusMessage) -> None:
        async with self.client.get_queue_sender(queue) as sender:
            await sender.send_messages(list(messages))

    def advance(self, seconds: float) -> None:
        loopback.post(f"{self.status_url}/clock", json={"advance_seconds": seconds}).raise_for_status()

    def status(self, queue: str, settled_within: float = 0) -> dict[str, int]:
        status = loopback.get(f"{self.status_url}/status", params={"settled_within": settled_within})
        counts: dict[str, int] = status.json()["queues"][queue]
        return counts


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    folder = tmp_path_factory.mktemp("bus")
    queues = (_QUEUE.format(name="plain", s="false"), _QUEUE.format(name="sessions", s="true"))
    (folder / "Config.json").write_text(_CONFIG.format(*queues), encoding="utf-8")
    config = str(folder / "Config.json")
    options = ("--config", config, "--port", "0", "--status-port", "0")
    child = Forked("local.servicebus", options, folder / "bus.log", {})
    ready = child.ready_line()
    yield ready["port"], ready["status_port"]
    child.stop()


@pytest.fixture
async def bus(ports: tuple[int, int]) -> AsyncIterator[Bus]:
    async with bus_client(ports[0], retry_total=0) as client:
        yield Bus(client, f"http://127.0.0.1:{ports[1]}")


async def receive_one(receiver: ServiceBusReceiver) -> ServiceBusReceivedMessage:
    (message,) = await receiver.receive_messages(1, max_wait_time=5)
    return message


async def test_counts_wait_until_every_message_is_settled(bus: Bus) -> None:
    await bus.send("plain", ServiceBusMessage("x"))
    assert bus.status("plain", settled_within=0.1)["active"] == 1
    async with bus.client.get_queue_receiver("plain") as receiver:
        message = await receive_one(receiver)
        waiting = asyncio.create_task(asyncio.to_thread(bus.status, "plain", settled_within=4))
        assert not (await asyncio.wait([waiting], timeout=0.5))[0]
        await receiver.complete_message(message)
        assert (await waiting)["completed"] == 1


def test_a_wait_that_is_no_number_is_refused(ports: tuple[int, int]) -> None:
    status = loopback.get(f"http://127.0.0.1:{ports[1]}/status", params={"settled_within": "soon"})
    assert (status.status_code, status.json()) == (400, {"error": "send a number as settled_within"})


async def test_properties_and_bodies_survive_a_round_trip(bus: Bus) -> None:
    body = bytes(range(256)) * 300
    sent = ServiceBusMessage(body, message_id="m", application_properties={"n": 7, "s": "é"}, subject="subject")
    await bus.send("plain", sent)
    async with bus.client.get_queue_receiver("plain") as receiver:
        message = await receive_one(receiver)
        assert b"".join(bytes(part) for part in message.body) == body
        assert (message.message_id, message.subject) == ("m", "subject")
        assert message.application_properties == {b"n": 7, b"s": "é".encode()}
        assert message.locked_until_utc is not None
        assert message.enqueued_time_utc is not None
        await receiver.complete_message(message)


async def test_a_dead_letter_keeps_its_reason(bus: Bus) -> None:
    await bus.send("plain", ServiceBusMessage("x"))
    async with bus.client.get_queue_receiver("plain") as receiver:
        await receiver.dead_letter_message(await receive_one(receiver), reason="why", error_description="because")
    async with bus.client.get_queue_receiver("plain", sub_queue=ServiceBusSubQueue.DEAD_LETTER) as dead:
        message = await receive_one(dead)
        assert (message.dead_letter_reason, message.dead_letter_error_description) == ("why", "because")
        await dead.complete_message(message)


async def test_a_message_can_be_abandoned_deferred_and_peeked(bus: Bus) -> None:
    await bus.send("plain", ServiceBusMessage("a"), ServiceBusMessage("b"))
    async with bus.client.get_queue_receiver("plain") as receiver:
        first = await receive_one(receiver)
        await receiver.abandon_message(first)
        redelivered = await receive_one(receiver)
        assert (str(redelivered), redelivered.delivery_count) == (str(first), 1)
        assert redelivered.sequence_number is not None
        await receiver.defer_message(redelivered)
        assert [str(message) for message in await receiver.peek_messages(5, sequence_number=1)] == ["a", "b"]
        (deferred,) = await receiver.receive_deferred_messages(redelivered.sequence_number)
        await receiver.complete_message(deferred)
        await receiver.complete_message(await receive_one(receiver))


async def test_a_message_can_be_received_and_deleted(bus: Bus) -> None:
    await bus.send("plain", ServiceBusMessage("gone"))
    mode = ServiceBusReceiveMode.RECEIVE_AND_DELETE
    async with bus.client.get_queue_receiver("plain", receive_mode=mode) as receiver:
        assert str(await receive_one(receiver)) == "gone"
    assert bus.status("plain")["active"] == 0


async def test_a_message_lock_is_renewed(bus: Bus) -> None:
    await bus.send("plain", ServiceBusMessage("x"))
    async with bus.client.get_queue_receiver("plain") as receiver:
        message = await receive_one(receiver)
        bus.advance(50)
        renewed = await receiver.renew_message_lock(message)
        assert renewed > datetime.now(UTC) + timedelta(seconds=80)
        bus.advance(50)
        await receiver.complete_message(message)
    assert bus.status("plain")["active"] == 0


async def test_scheduled_messages_are_delivered_when_due(bus: Bus) -> None:
    async with bus.client.get_queue_sender("plain") as sender:
        due = datetime.now(UTC) + timedelta(days=1)
        (cancelled,) = await sender.schedule_messages(ServiceBusMessage("never"), due)
        await sender.schedule_messages(ServiceBusMessage("tomorrow"), due)
        await sender.cancel_scheduled_messages(cancelled)
    assert bus.status("plain")["scheduled"] == 1
    bus.advance(2 * 86_400)
    async with bus.client.get_queue_receiver("plain") as receiver:
        message = await receive_one(receiver)
        assert str(message) == "tomorrow"
        await receiver.complete_message(message)


async def test_accepting_without_a_session_times_out(bus: Bus) -> None:
    with pytest.raises(OperationTimeoutError):
        async with bus.client.get_queue_receiver("sessions", session_id=NEXT_AVAILABLE_SESSION, max_wait_time=1):
            pass


async def test_a_waiting_accept_gets_the_next_session(bus: Bus) -> None:
    session = uuid4().hex
    receiver = bus.client.get_queue_receiver("sessions", session_id=NEXT_AVAILABLE_SESSION, max_wait_time=20)
    waiting = asyncio.create_task(receiver.__aenter__())
    await bus.send("sessions", ServiceBusMessage("x", session_id=session))
    await waiting
    assert receiver.session.session_id == session
    await receiver.complete_message(await receive_one(receiver))
    await receiver.close()


async def test_a_session_has_one_holder_and_a_state(bus: Bus) -> None:
    session = uuid4().hex
    await bus.send("sessions", ServiceBusMessage("x", session_id=session))
    async with bus.client.get_queue_receiver("sessions", session_id=session) as holder:
        with pytest.raises(SessionCannotBeLockedError):
            async with bus.client.get_queue_receiver("sessions", session_id=session):
                pass
        await holder.session.set_state("half-way")
        assert await holder.session.get_state() == b"half-way"
        assert holder.session.locked_until_utc is not None
        await holder.complete_message(await receive_one(holder))


async def test_a_session_with_a_lost_lock_goes_to_another_receiver(bus: Bus) -> None:
    session = uuid4().hex
    await bus.send("sessions", ServiceBusMessage("x", session_id=session))
    slow = bus.client.get_queue_receiver("sessions", session_id=session)
    async with slow:
        message = await receive_one(slow)
        bus.advance(61)
        async with bus.client.get_queue_receiver("sessions", session_id=session) as fast:
            redelivered = await receive_one(fast)
            assert redelivered.delivery_count == 1
            with pytest.raises((SessionLockLostError, ServiceBusError)):
                await slow.session.renew_lock()
            await fast.complete_message(redelivered)
        with pytest.raises((SessionLockLostError, ServiceBusError)):
            await slow.complete_message(message)
    assert bus.status("sessions")["active"] == 0


@pytest.mark.parametrize(
    ("queue", "session", "message"),
    [
        ("sessions", None, "requires sessions"),
        ("plain", "S", "does not use sessions"),
        ("nowhere", None, "could not be found"),
    ],
)
async def test_an_invalid_receiver_is_rejected(bus: Bus, queue: str, session: str | None, message: str) -> None:
    with pytest.raises(ServiceBusError, match=message):
        async with bus.client.get_queue_receiver(queue, session_id=session) as receiver:
            await receiver.receive_messages(1, max_wait_time=1)


async def test_a_message_without_a_session_is_rejected(bus: Bus) -> None:
    with pytest.raises(ServiceBusError, match="without a session id"):
        await bus.send("sessions", ServiceBusMessage("x"))
