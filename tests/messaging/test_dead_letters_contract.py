"""The contract of the port DeadLetters, for the fake and for Service Bus over the real client."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from uuid import uuid4

import pytest
from azure.servicebus import ServiceBusMessage

from sync_core.messaging.dead_letters import ServiceBusDeadLetters
from sync_core.messaging.messages import CLASS_CHANGES
from sync_core.messaging.port import DeadLetter, DeadLetters
from tests.builders import NOON
from tests.fakes.memory_dead_letters import MemoryDeadLetters
from tests.messaging.bus_client import bus_client


@dataclass(slots=True)
class Subject:
    """`dead_letter` dead-letters a message of a session. `receive` takes the session's messages off the queue."""

    letters: DeadLetters
    dead_letter: Callable[[str, bytes], Awaitable[None]]
    receive: Callable[[str], Awaitable[list[bytes]]]

    async def list_session(self, session: str) -> list[DeadLetter]:
        return [letter for letter in await self.letters.listed(CLASS_CHANGES) if letter.session == session]


@pytest.fixture(params=["memory", "service bus"])
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    if request.param == "memory":
        memory = MemoryDeadLetters()

        async def add(session: str, body: bytes) -> None:
            number = len(memory.dead) + len(memory.replayed) + 1
            memory.dead.append(
                DeadLetter(
                    queue=CLASS_CHANGES,
                    number=number,
                    message_id=uuid4().hex,
                    session=session,
                    body=body,
                    reason="Broken",
                    deliveries=1,
                    at=NOON,
                )
            )

        async def listed(session: str) -> list[bytes]:
            return [letter.body for letter in memory.replayed if letter.session == session]

        yield Subject(memory, add, listed)
        return
    async with bus_client(request.getfixturevalue("bus_ports")[0]) as client:

        async def dead_letter(session: str, body: bytes) -> None:
            async with client.get_queue_sender(CLASS_CHANGES) as sender:
                await sender.send_messages(ServiceBusMessage(body, session_id=session, message_id=uuid4().hex))
            async with client.get_queue_receiver(CLASS_CHANGES, session_id=session) as receiver:
                (message,) = await receiver.receive_messages(1, max_wait_time=5)
                await receiver.dead_letter_message(message, reason="Broken")

        async def receive(session: str) -> list[bytes]:
            bodies: list[bytes] = []
            async with client.get_queue_receiver(CLASS_CHANGES, session_id=session) as receiver:
                while messages := await receiver.receive_messages(100, max_wait_time=1):
                    for message in messages:
                        bodies.append(b"".join(bytes(part) for part in message.body))
                        await receiver.complete_message(message)
            return bodies

        yield Subject(ServiceBusDeadLetters(client), dead_letter, receive)


async def test_dead_letters_are_listed_and_stay(subject: Subject) -> None:
    session = uuid4().hex
    await subject.dead_letter(session, b"one")
    await subject.dead_letter(session, b"two")
    for _ in range(2):
        letters = await subject.list_session(session)
        assert [(letter.body, letter.reason, letter.queue) for letter in letters] == [
            (b"one", "Broken", CLASS_CHANGES),
            (b"two", "Broken", CLASS_CHANGES),
        ]
        assert all(letter.message_id for letter in letters)


async def test_one_dead_letter_is_replayed_and_the_others_stay(subject: Subject) -> None:
    session = uuid4().hex
    for body in (b"one", b"two", b"three"):
        await subject.dead_letter(session, body)
    second = (await subject.list_session(session))[1]
    assert await subject.letters.replay(CLASS_CHANGES, {second.number}) == {second.number}
    assert [letter.body for letter in await subject.list_session(session)] == [b"one", b"three"]
    assert await subject.receive(session) == [b"two"]


async def test_all_are_replayed_in_order_and_missing_ones_are_ignored(subject: Subject) -> None:
    session = uuid4().hex
    for body in (b"one", b"two", b"three"):
        await subject.dead_letter(session, body)
    numbers = {letter.number for letter in await subject.list_session(session)}
    assert await subject.letters.replay(CLASS_CHANGES, numbers | {10**9}) == numbers
    assert await subject.list_session(session) == []
    assert await subject.receive(session) == [b"one", b"two", b"three"]
    assert await subject.letters.replay(CLASS_CHANGES, numbers) == frozenset()
