"""Numbered stories of bad nights: a killed host, unreadable messages, a wrong deployment."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from pathlib import Path

from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient

from local import loopback
from local.nightly import NightReport
from local.tenant.names import TENANT_ID
from sync_core.domain.ids import ClassKey, RunId, SchoolId
from sync_core.domain.runs import Cause
from sync_core.messaging.messages import CLASS_CHANGES, CreateClass, encode
from sync_core.messaging.port import MessageFault
from sync_core.state.store import TableState
from tests.flow.conftest import ADMIN, Story
from tests.mis import feeds
from tests.waiting import wait_until

SCHOOL_ID = SchoolId("S")
KEY = ClassKey("K")
RUN = RunId("run")


def read_queue(story: Story, name: str) -> dict[str, int]:
    counts: dict[str, int] = loopback.get(f"{story.addresses.bus_status}/status").json()["queues"][name]
    return counts


def lose_locks(story: Story) -> None:
    """The messages of a killed host stay locked for a minute: advance the queues' clock instead of waiting."""
    loopback.post(f"{story.addresses.bus_status}/clock", json={"advance_seconds": 61}).raise_for_status()


def test_01_a_host_killed_during_the_first_night_loses_nothing(story: Story) -> None:
    reports: list[NightReport] = []
    night = threading.Thread(target=lambda: reports.append(story.run_night()))
    night.start()
    wait_until(lambda: read_queue(story, CLASS_CHANGES)["completed"] >= 20)
    assert story.world.host is not None
    story.world.host.kill()
    written = story.read_stats()["by_route"]["POST /education/classes"]
    assert 0 < written < 38
    story.world.start_host()
    lose_locks(story)
    night.join()
    assert story.find_differences() == []
    assert story.read_stats()["forbidden_deletes"] == 0
    assert len(story.classes_by_nickname()) == 38
    assert len({class_["externalId"] for class_ in story.classes_by_nickname().values()}) == 38
    assert reports[0].messages.dead_lettered == 0
    again = story.run_night()
    assert (again.messages.sent, again.graph.writes) == (0, 0)


def test_02_unreadable_messages_are_dead_lettered_with_their_reason_and_the_rest_is_applied(story: Story) -> None:
    future = encode(CreateClass(SCHOOL_ID, KEY, RUN, Cause.NIGHTLY)).replace(b'"version":1', b'"version":9')

    async def send() -> None:
        async with (
            ServiceBusClient.from_connection_string(story.addresses.service_bus) as client,
            client.get_queue_sender(CLASS_CHANGES) as sender,
        ):
            for id_, body in (("torn", b"{"), ("future", future)):
                await sender.send_messages(ServiceBusMessage(body, session_id=id_, message_id=id_))

    async def faults() -> dict[str, str]:
        state = TableState.from_connection_string(story.addresses.tables)
        try:
            return {fault.message_id: fault.message for fault in await state.message_faults(CLASS_CHANGES)}
        finally:
            await state.close()

    asyncio.run(send())
    groups = story.school.groups
    smaller = replace(groups[-1], pupils=groups[-1].pupils[1:])
    story.school = replace(story.school, groups=(*groups[:-1], smaller))
    report = story.run_night()
    assert report.schools[0].members_removed == 1
    assert story.find_differences() == []
    wait_until(lambda: read_queue(story, CLASS_CHANGES)["dead_lettered"] == 2)
    messages = asyncio.run(faults())
    assert "body: Invalid JSON" in messages["torn"]
    assert "create-class.version: Input should be 1" in messages["future"]


def test_03_every_school_of_a_feed_is_synced(story: Story, tmp_path: Path) -> None:
    feed = feeds.sds_v1()
    feed["School.csv"] += "7654321,Another School\n"
    feed["Section.csv"] += "C9,7654321,10A/Ma1,9/1/2026,7/21/2027,Active\n"
    feed["Student.csv"] += "9,7654321,Elsewhere,secret,,10,Active\n"
    feed["StudentEnrollment.csv"] += "C9,9\n"
    people = [f"{name}@school.onmicrosoft.com" for name in ("apupil", "second", "elsewhere")]
    listed = [(upn, "") for upn in (*people, "ted@else.org")]
    report = story.sync(feeds.write(feed, tmp_path), listed)
    assert [(school.id, school.groups, school.classes.created) for school in report.schools] == [
        ("1234567", 2, 2),
        ("7654321", 2, 2),
    ]
    classes = story.classes_by_nickname()
    assert classes["10AMa1.class.1234567.2026"]["owners"] == [ADMIN, "ted@else.org"]
    assert classes["10AMa1.class.7654321.2026"]["members"] == [
        "elsewhere@school.onmicrosoft.com",
        ADMIN,
    ]


def test_04_a_missing_setting_delays_messages_and_dead_letters_none(story: Story) -> None:
    """Ten deliveries within milliseconds would dead-letter a night before anybody could correct the deployment."""
    story.run_night()
    world, key = story.world, "botched"
    before = read_queue(story, CLASS_CHANGES)
    assert world.host is not None
    world.host.kill()
    world.start_host(TENANT_ID="")
    event = {"message_id": key, "error": "UnknownSetting"}

    def failures() -> list[dict[str, object]]:
        return [failure for failure in story.read_events() if event.items() <= failure.items()]

    asyncio.run(_send(story, CreateClass(SCHOOL_ID, KEY, RUN, Cause.NIGHTLY), key))
    wait_until(lambda: len(failures()) >= 3)
    assert {failure["remedy"] for failure in failures()} == {
        "correct the application settings (docs/operations.md lists them)"
    }
    recorded = asyncio.run(_read_fault(story, key))
    assert (recorded.message, recorded.deliveries >= 2) == ("TENANT_ID is not set", True)
    assert read_queue(story, CLASS_CHANGES)["dead_lettered"] == before["dead_lettered"]

    world.host.kill()
    world.start_host(TENANT_ID=TENANT_ID)
    lose_locks(story)
    wait_until(lambda: read_queue(story, CLASS_CHANGES)["completed"] > before["completed"])
    assert read_queue(story, CLASS_CHANGES)["dead_lettered"] == before["dead_lettered"]


async def _send(story: Story, change: CreateClass, message_id: str) -> None:
    async with (
        ServiceBusClient.from_connection_string(story.addresses.service_bus) as client,
        client.get_queue_sender(CLASS_CHANGES) as sender,
    ):
        await sender.send_messages(ServiceBusMessage(encode(change), session_id=message_id, message_id=message_id))


async def _read_fault(story: Story, message_id: str) -> MessageFault:
    state = TableState.from_connection_string(story.addresses.tables)
    try:
        (fault,) = [fault for fault in await state.message_faults(CLASS_CHANGES) if fault.message_id == message_id]
        return fault
    finally:
        await state.close()
