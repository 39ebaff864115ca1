"""The port Outbox: what is sent is on the queue, in order; from the fake and from Service Bus over the real client."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx
import pytest
from azure.servicebus.aio import ServiceBusClient

from local.servicebus import connection_string
from sync_core.domain.runs import Cause
from sync_core.messaging.messages import (
    Change,
    ChangeMembers,
    CreateClass,
    Priority,
    RefreshTenant,
    SyncSchool,
    SyncWebhookEvents,
    encode,
)
from sync_core.messaging.port import Outbox
from sync_core.messaging.service_bus import ServiceBusOutbox
from tests.fakes.fixed_clock import FixedClock
from tests.fakes.memory_outbox import MemoryOutbox


@dataclass(slots=True)
class Subject:
    """An outbox; `received` takes what is on a priority for a session, `waiting` counts requests not yet due."""

    outbox: Outbox
    received: Callable[[str, Priority], Awaitable[list[bytes]]]
    waiting: Callable[[], int]


@pytest.fixture(params=["memory", "service bus"])
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    if request.param == "memory":
        memory = MemoryOutbox()

        async def listed(session: str, priority: Priority) -> list[bytes]:
            sent = zip(memory.changes, memory.priorities, strict=True)
            return [encode(change) for change, on in sent if change.session == session and on is priority]

        yield Subject(memory, listed, lambda: sum(at is not None for _, at in memory.requests))
        return
    port, status_port = request.getfixturevalue("bus_ports")

    async def received(session: str, priority: Priority) -> list[bytes]:
        found: list[bytes] = []
        async with (
            ServiceBusClient.from_connection_string(connection_string(port)) as client,
            client.get_queue_receiver(priority, session_id=session) as receiver,
        ):
            while messages := await receiver.receive_messages(100, max_wait_time=1):
                for message in messages:
                    assert message.content_type == "application/json"
                    assert message.message_id is not None
                    found.append(b"".join(bytes(part) for part in message.body))
                    await receiver.complete_message(message)
        return found

    def waiting() -> int:
        queues = httpx.get(f"http://127.0.0.1:{status_port}/status").json()["queues"]
        return int(queues["sync-requests"]["scheduled"])

    async with ServiceBusClient.from_connection_string(connection_string(port)) as client:
        yield Subject(ServiceBusOutbox(client, FixedClock()), received, waiting)


def changes(school: str, count: int) -> list[Change]:
    made: list[Change] = []
    for number in range(count):
        where = ("T", school, f"K{number}", "run", Cause.NIGHTLY)
        made += [CreateClass(*where), ChangeMembers(*where, added=("a",))]
    return made


async def test_the_changes_of_a_class_arrive_in_order(subject: Subject) -> None:
    school = uuid4().hex
    await subject.outbox.send_changes(changes(school, 5), Priority.BULK)
    found = await subject.received(f"{school}|K3", Priority.BULK)
    assert [json.loads(body)["kind"] for body in found] == ["create-class", "change-members"]


async def test_sending_the_same_again_is_no_duplicate(subject: Subject) -> None:
    school = uuid4().hex
    for _ in range(2):
        await subject.outbox.send_changes(changes(school, 1), Priority.BULK)
    assert len(await subject.received(f"{school}|K0", Priority.BULK)) == 4


async def test_many_and_large_messages_are_split_over_batches(subject: Subject) -> None:
    school = uuid4().hex
    people = tuple(str(uuid4()) for _ in range(1000))
    where = ("T", school, "K0", "run", Cause.NIGHTLY)
    sent: list[Change] = [ChangeMembers(*where, added=people, removed=(str(number),)) for number in range(20)]
    await subject.outbox.send_changes(sent, Priority.BULK)
    assert await subject.received(f"{school}|K0", Priority.BULK) == [encode(change) for change in sent]


async def test_more_than_the_namespace_takes_in_a_second_is_sent_with_pauses(bus_ports: tuple[int, int]) -> None:
    clock = FixedClock()
    async with ServiceBusClient.from_connection_string(connection_string(bus_ports[0])) as client:
        outbox = ServiceBusOutbox(client, clock)
        later = datetime.now(UTC) + timedelta(hours=1)
        for many, pauses in ((500, 0), (1201, 2)):
            clock.slept.clear()
            await outbox.schedule_requests([(later, RefreshTenant(uuid4().hex, "run", Cause.NIGHTLY))] * many)
            assert len(clock.slept) == pauses


async def test_nothing_to_send_is_nothing_sent(subject: Subject) -> None:
    await subject.outbox.send_changes([], Priority.BULK)


async def test_a_priority_carries_what_was_sent_on_it_alone(subject: Subject) -> None:
    school = uuid4().hex
    await subject.outbox.send_changes(changes(school, 1), Priority.URGENT)
    assert len(await subject.received(f"{school}|K0", Priority.URGENT)) == 2
    await subject.outbox.send_changes(changes(school, 1)[:1], Priority.BULK)
    assert len(await subject.received(f"{school}|K0", Priority.BULK)) == 1


async def test_of_all_requests_of_a_session_for_one_moment_one_waits(subject: Subject) -> None:
    before, moment = subject.waiting(), datetime.now(UTC) + timedelta(hours=1)
    one, other = uuid4().hex, uuid4().hex
    for run in ("run1", "run2"):
        for school in (one, other):
            await subject.outbox.schedule_once(moment, SyncWebhookEvents(school, run))
    assert subject.waiting() == before + 2
    await subject.outbox.schedule_once(moment + timedelta(seconds=1), SyncWebhookEvents(one, "run3"))
    assert subject.waiting() == before + 3


async def test_a_request_waits_until_it_is_due(subject: Subject) -> None:
    before = subject.waiting()
    request = SyncSchool(uuid4().hex, "run", Cause.NIGHTLY)
    await subject.outbox.schedule_requests([(datetime.now(UTC) + timedelta(hours=1), request)])
    assert subject.waiting() == before + 1
