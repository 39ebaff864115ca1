"""The contract of the port Outbox, for the fake and for Service Bus over the real client."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from azure.core.exceptions import AzureError, ClientAuthenticationError
from azure.servicebus.exceptions import (
    ServiceBusAuthenticationError,
    ServiceBusAuthorizationError,
    ServiceBusConnectionError,
)

from local import loopback
from sync_core.domain.ids import AccountId, ClassKey, RunId, SchoolId
from sync_core.domain.runs import Cause
from sync_core.errors import Transient
from sync_core.messaging.bus_faults import bus_fault
from sync_core.messaging.messages import (
    QUEUES,
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
from tests.messaging.bus_client import bus_client

RUN = RunId("run")


@dataclass(slots=True)
class Subject:
    """An outbox. `receive` takes the messages of a session and priority; `count_waiting` counts scheduled ones."""

    outbox: Outbox
    receive: Callable[[str, Priority], Awaitable[list[bytes]]]
    count_waiting: Callable[[], int]


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

    async def receive(session: str, priority: Priority) -> list[bytes]:
        bodies: list[bytes] = []
        async with (
            bus_client(port) as client,
            client.get_queue_receiver(priority, session_id=session) as receiver,
        ):
            while messages := await receiver.receive_messages(100, max_wait_time=1):
                for message in messages:
                    assert message.content_type == "application/json"
                    assert message.message_id is not None
                    bodies.append(b"".join(bytes(part) for part in message.body))
                    await receiver.complete_message(message)
        return bodies

    def count_waiting() -> int:
        queues = loopback.get(f"http://127.0.0.1:{status_port}/status").json()["queues"]
        return int(queues["sync-requests"]["scheduled"])

    async with bus_client(port) as client:
        yield Subject(ServiceBusOutbox(client, FixedClock()), receive, count_waiting)


def make_changes(school: str, count: int) -> list[Change]:
    changes: list[Change] = []
    for number in range(count):
        target = (SchoolId(school), ClassKey(f"K{number}"), RUN, Cause.NIGHTLY)
        changes += [CreateClass(*target), ChangeMembers(*target, added=(AccountId("a"),))]
    return changes


async def test_the_changes_of_a_class_arrive_in_order(subject: Subject) -> None:
    school = uuid4().hex
    await subject.outbox.send_changes(make_changes(school, 5), Priority.BULK)
    bodies = await subject.receive(f"{school}|K3", Priority.BULK)
    assert [json.loads(body)["kind"] for body in bodies] == ["create-class", "change-members"]


async def test_sending_the_same_change_twice_sends_two_messages(subject: Subject) -> None:
    school = uuid4().hex
    for _ in range(2):
        await subject.outbox.send_changes(make_changes(school, 1), Priority.BULK)
    assert len(await subject.receive(f"{school}|K0", Priority.BULK)) == 4


async def test_many_and_large_messages_are_split_over_batches(subject: Subject) -> None:
    school = uuid4().hex
    people = tuple(AccountId(str(uuid4())) for _ in range(1000))
    target = (SchoolId(school), ClassKey("K0"), RUN, Cause.NIGHTLY)
    sent: list[Change] = [
        ChangeMembers(*target, added=people, removed=(AccountId(str(number)),)) for number in range(20)
    ]
    await subject.outbox.send_changes(sent, Priority.BULK)
    assert await subject.receive(f"{school}|K0", Priority.BULK) == [encode(change) for change in sent]


async def test_sending_pauses_at_the_namespaces_limit_per_second(bus_ports: tuple[int, int]) -> None:
    clock = FixedClock()
    async with bus_client(bus_ports[0]) as client:
        outbox = ServiceBusOutbox(client, clock)
        later = datetime.now(UTC) + timedelta(hours=1)
        for number, pauses in ((500, 0), (1201, 2)):
            clock.slept.clear()
            await outbox.schedule_requests([(later, RefreshTenant(uuid4().hex, RUN, Cause.NIGHTLY))] * number)
            assert len(clock.slept) == pauses


async def test_an_empty_list_sends_nothing(subject: Subject) -> None:
    await subject.outbox.send_changes([], Priority.BULK)


async def test_each_priority_has_its_own_queue(subject: Subject) -> None:
    school = uuid4().hex
    await subject.outbox.send_changes(make_changes(school, 1), Priority.URGENT)
    assert len(await subject.receive(f"{school}|K0", Priority.URGENT)) == 2
    await subject.outbox.send_changes(make_changes(school, 1)[:1], Priority.BULK)
    assert len(await subject.receive(f"{school}|K0", Priority.BULK)) == 1


async def test_only_one_request_is_scheduled_for_a_session_and_time(subject: Subject) -> None:
    before, moment = subject.count_waiting(), datetime.now(UTC) + timedelta(hours=1)
    one, other = uuid4().hex, uuid4().hex
    for run in ("run1", "run2"):
        for school in (one, other):
            await subject.outbox.schedule_once(moment, SyncWebhookEvents(SchoolId(school), RunId(run)))
    assert subject.count_waiting() == before + 2
    await subject.outbox.schedule_once(moment + timedelta(seconds=1), SyncWebhookEvents(SchoolId(one), RunId("run3")))
    assert subject.count_waiting() == before + 3


async def test_a_request_waits_until_it_is_due(subject: Subject) -> None:
    before = subject.count_waiting()
    request = SyncSchool(SchoolId(uuid4().hex), RUN, Cause.NIGHTLY)
    await subject.outbox.schedule_requests([(datetime.now(UTC) + timedelta(hours=1), request)])
    assert subject.count_waiting() == before + 1


async def test_the_check_of_a_queue_sends_nothing(bus_ports: tuple[int, int]) -> None:
    port, status_port = bus_ports
    status = f"http://127.0.0.1:{status_port}/status"
    async with bus_client(port) as client:
        outbox, before = ServiceBusOutbox(client, FixedClock()), loopback.get(status).json()
        for queue in QUEUES:
            await outbox.check_send(queue)
        assert loopback.get(status).json() == before


async def test_the_check_of_a_queue_that_is_not_there_says_what_to_do(bus_ports: tuple[int, int]) -> None:
    async with bus_client(bus_ports[0], retry_total=0) as client:
        with pytest.raises(Transient) as caught:
            await ServiceBusOutbox(client, FixedClock()).check_send("nowhere")
    assert caught.value.message == "nothing can be sent to queue nowhere (MessagingEntityNotFoundError)"
    assert caught.value.remedy == "the namespace has no queue nowhere: deploy the templates again, which make it"


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (
            ServiceBusAuthorizationError(),
            "grant the app's identity the role Azure Service Bus Data Owner on the queue Q",
        ),
        (
            ServiceBusAuthenticationError(),
            "grant the app's identity the role Azure Service Bus Data Owner on the queue Q",
        ),
        (
            ServiceBusConnectionError(),
            "it is retried; if it keeps failing, check the Service Bus namespace and the network",
        ),
        (
            ClientAuthenticationError(),
            "it is retried; if it keeps failing, check the Service Bus namespace and the network",
        ),
    ],
)
def test_a_failure_of_the_bus_has_the_remedy_that_fits_it(error: AzureError, remedy: str) -> None:
    fault = bus_fault("nothing can be sent to queue Q", "Q", error)
    assert (fault.message, fault.remedy) == (f"nothing can be sent to queue Q ({type(error).__name__})", remedy)
