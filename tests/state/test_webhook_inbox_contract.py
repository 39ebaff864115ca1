"""The port Announcements: from the fake and from Azure Tables, over the real client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from local.azurite import Azurite
from sync_core.domain.webhooks import Announcement
from sync_core.state.port import Announcements
from sync_core.state.store import TableState
from tests.builders import NOON
from tests.fakes.memory_announcements import MemoryAnnouncements

ONE = Announcement("msg_1 / é#?", NOON, ("G 1", "G/2"), ("p é",))
WHOLE = Announcement("msg_2", NOON + timedelta(seconds=1))


@pytest.fixture(params=["memory", "tables"])
async def announcements(request: pytest.FixtureRequest) -> AsyncIterator[Announcements]:
    if request.param == "memory":
        yield MemoryAnnouncements()
        return
    azurite: Azurite = request.getfixturevalue("azurite")
    tables = TableState.from_connection_string(azurite.connection_string)
    await tables.ensure_tables()
    yield tables.announcements
    await tables.close()


async def test_what_is_added_waits(announcements: Announcements, school: str) -> None:
    assert await announcements.waiting(school) == ()
    for announcement in (WHOLE, ONE):
        assert await announcements.add(school, announcement)
    assert await announcements.waiting(school) == (ONE, WHOLE)
    assert await announcements.waiting(f"{school}2") == ()


async def test_until_its_message_is_sent_it_may_come_again_and_is_the_first_one(
    announcements: Announcements, school: str
) -> None:
    assert await announcements.add(school, ONE)
    assert await announcements.add(school, replace(ONE, groups=()))
    assert await announcements.waiting(school) == (ONE,)
    await announcements.sent(school, ONE.id)
    assert not await announcements.add(school, ONE)
    assert await announcements.waiting(school) == (replace(ONE, sent=True),)


async def test_what_was_taken_waits_no_longer_and_is_known_until_it_is_forgotten(
    announcements: Announcements, school: str
) -> None:
    await announcements.add(school, ONE)
    await announcements.add(school, WHOLE)
    for _ in range(2):
        await announcements.take(school, [ONE.id, "gone"], NOON)
    assert await announcements.waiting(school) == (WHOLE,)
    await announcements.sent(school, ONE.id)
    assert not await announcements.add(school, ONE)
    await announcements.forget(school, NOON)
    assert not await announcements.add(school, ONE)
    await announcements.forget(school, NOON + timedelta(seconds=1))
    assert await announcements.add(school, ONE)
    assert await announcements.waiting(school) == (ONE, WHOLE)


async def test_hundreds_are_taken_at_once_and_forgotten(announcements: Announcements, school: str) -> None:
    ids = [f"msg_{number}" for number in range(150)]
    for id_ in ids:
        await announcements.add(school, replace(WHOLE, id=id_))
    await announcements.take(school, ids, NOON)
    assert await announcements.waiting(school) == ()
    await announcements.forget(school, NOON + timedelta(days=1))
    assert await announcements.add(school, replace(WHOLE, id=ids[7]))


async def test_when_plans_began_is_kept_as_written(announcements: Announcements, school: str) -> None:
    assert await announcements.planned(school) == ()
    moments = (NOON, NOON + timedelta(milliseconds=1500))
    await announcements.write_planned(school, moments)
    assert await announcements.planned(school) == moments
    await announcements.write_planned(school, moments[1:])
    assert await announcements.planned(school) == moments[1:]
