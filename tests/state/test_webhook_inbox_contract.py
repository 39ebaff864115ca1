"""The contract of the port WebhookInbox, for the fake and for Azure Tables over the real client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from sync_core.domain.ids import SchoolId
from sync_core.domain.webhooks import WebhookEvent
from sync_core.state.port import WebhookInbox
from sync_core.state.store import TableState
from tests.builders import NOON, mis_ids
from tests.fakes.memory_webhook_inbox import MemoryWebhookInbox

NAMED = WebhookEvent(id="msg_1 / é#?", at=NOON, groups=mis_ids("G 1", "G/2"), people=mis_ids("p é"))
WHOLE_SCHOOL = WebhookEvent(id="msg_2", at=NOON + timedelta(seconds=1))


@pytest.fixture(params=["memory", "tables"])
async def inbox(request: pytest.FixtureRequest) -> AsyncIterator[WebhookInbox]:
    if request.param == "memory":
        yield MemoryWebhookInbox()
        return
    tables = TableState.from_connection_string(request.getfixturevalue("shared_storage"))
    await tables.ensure_tables()
    yield tables.inbox
    await tables.close()


async def test_an_added_event_waits(inbox: WebhookInbox, school: SchoolId) -> None:
    assert await inbox.waiting(school) == ()
    for event in (WHOLE_SCHOOL, NAMED):
        assert await inbox.add(school, event)
    assert await inbox.waiting(school) == (NAMED, WHOLE_SCHOOL)
    assert await inbox.waiting(SchoolId(f"{school}2")) == ()


async def test_an_event_may_be_added_again_until_its_message_is_sent(inbox: WebhookInbox, school: SchoolId) -> None:
    assert await inbox.add(school, NAMED)
    assert await inbox.add(school, replace(NAMED, groups=()))
    assert await inbox.waiting(school) == (NAMED,)
    await inbox.mark_sent(school, NAMED.id)
    assert not await inbox.add(school, NAMED)
    assert await inbox.waiting(school) == (replace(NAMED, sent=True),)


async def test_a_planned_event_does_not_wait_and_is_remembered_until_forgotten(
    inbox: WebhookInbox, school: SchoolId
) -> None:
    await inbox.add(school, NAMED)
    await inbox.add(school, WHOLE_SCHOOL)
    for _ in range(2):
        await inbox.mark_planned(school, [NAMED.id, "gone"], NOON)
    assert await inbox.waiting(school) == (WHOLE_SCHOOL,)
    await inbox.mark_sent(school, NAMED.id)
    assert not await inbox.add(school, NAMED)
    await inbox.forget(school, NOON)
    assert not await inbox.add(school, NAMED)
    await inbox.forget(school, NOON + timedelta(seconds=1))
    assert await inbox.add(school, NAMED)
    assert await inbox.waiting(school) == (NAMED, WHOLE_SCHOOL)


async def test_whether_others_wait(inbox: WebhookInbox, school: SchoolId) -> None:
    assert not await inbox.others_wait(school, NAMED.id)
    await inbox.add(school, NAMED)
    await inbox.add(SchoolId(f"{school}2"), WHOLE_SCHOOL)
    assert not await inbox.others_wait(school, NAMED.id)
    assert await inbox.others_wait(school, WHOLE_SCHOOL.id)
    await inbox.mark_planned(school, [NAMED.id], NOON)
    assert not await inbox.others_wait(school, WHOLE_SCHOOL.id)


async def test_hundreds_of_events_are_planned_at_once_and_forgotten(inbox: WebhookInbox, school: SchoolId) -> None:
    ids = [f"msg_{number}" for number in range(150)]
    for id_ in ids:
        await inbox.add(school, replace(WHOLE_SCHOOL, id=id_))
    await inbox.mark_planned(school, ids, NOON)
    assert await inbox.waiting(school) == ()
    await inbox.forget(school, NOON + timedelta(days=1))
    assert await inbox.add(school, replace(WHOLE_SCHOOL, id=ids[7]))


async def test_plan_times_are_stored_as_written(inbox: WebhookInbox, school: SchoolId) -> None:
    assert await inbox.plan_times(school) == ()
    moments = (NOON, NOON + timedelta(milliseconds=1500))
    await inbox.write_plan_times(school, moments)
    assert await inbox.plan_times(school) == moments
    await inbox.write_plan_times(school, moments[1:])
    assert await inbox.plan_times(school) == moments[1:]
