"""The port Webhook events: from the fake and from Azure Tables, over the real client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from local.azurite import Azurite
from sync_core.domain.webhooks import WebhookEvent
from sync_core.state.port import WebhookInbox
from sync_core.state.store import TableState
from tests.builders import NOON
from tests.fakes.memory_webhook_inbox import MemoryWebhookInbox

ONE = WebhookEvent(id="msg_1 / é#?", at=NOON, groups=("G 1", "G/2"), people=("p é",))
WHOLE = WebhookEvent(id="msg_2", at=NOON + timedelta(seconds=1))


@pytest.fixture(params=["memory", "tables"])
async def inbox(request: pytest.FixtureRequest) -> AsyncIterator[WebhookInbox]:
    if request.param == "memory":
        yield MemoryWebhookInbox()
        return
    azurite: Azurite = request.getfixturevalue("azurite")
    tables = TableState.from_connection_string(azurite.connection_string)
    await tables.ensure_tables()
    yield tables.inbox
    await tables.close()


async def test_what_is_added_waits(inbox: WebhookInbox, school: str) -> None:
    assert await inbox.waiting(school) == ()
    for event in (WHOLE, ONE):
        assert await inbox.add(school, event)
    assert await inbox.waiting(school) == (ONE, WHOLE)
    assert await inbox.waiting(f"{school}2") == ()


async def test_until_its_message_is_sent_it_may_come_again_and_is_the_first_one(
    inbox: WebhookInbox, school: str
) -> None:
    assert await inbox.add(school, ONE)
    assert await inbox.add(school, replace(ONE, groups=()))
    assert await inbox.waiting(school) == (ONE,)
    await inbox.mark_sent(school, ONE.id)
    assert not await inbox.add(school, ONE)
    assert await inbox.waiting(school) == (replace(ONE, sent=True),)


async def test_what_was_taken_waits_no_longer_and_is_known_until_it_is_forgotten(
    inbox: WebhookInbox, school: str
) -> None:
    await inbox.add(school, ONE)
    await inbox.add(school, WHOLE)
    for _ in range(2):
        await inbox.mark_planned(school, [ONE.id, "gone"], NOON)
    assert await inbox.waiting(school) == (WHOLE,)
    await inbox.mark_sent(school, ONE.id)
    assert not await inbox.add(school, ONE)
    await inbox.forget(school, NOON)
    assert not await inbox.add(school, ONE)
    await inbox.forget(school, NOON + timedelta(seconds=1))
    assert await inbox.add(school, ONE)
    assert await inbox.waiting(school) == (ONE, WHOLE)


async def test_hundreds_are_taken_at_once_and_forgotten(inbox: WebhookInbox, school: str) -> None:
    ids = [f"msg_{number}" for number in range(150)]
    for id_ in ids:
        await inbox.add(school, replace(WHOLE, id=id_))
    await inbox.mark_planned(school, ids, NOON)
    assert await inbox.waiting(school) == ()
    await inbox.forget(school, NOON + timedelta(days=1))
    assert await inbox.add(school, replace(WHOLE, id=ids[7]))


async def test_when_plans_began_is_kept_as_written(inbox: WebhookInbox, school: str) -> None:
    assert await inbox.plan_times(school) == ()
    moments = (NOON, NOON + timedelta(milliseconds=1500))
    await inbox.write_plan_times(school, moments)
    assert await inbox.plan_times(school) == moments
    await inbox.write_plan_times(school, moments[1:])
    assert await inbox.plan_times(school) == moments[1:]
