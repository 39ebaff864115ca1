"""The port Store, what it remembers of drops: from the fake and from Azure Tables, over the real client."""

from __future__ import annotations

from uuid import uuid4

from sync_core.domain.school import AfterSync, FeedContainer, FeedFolder
from tests.builders import NOON
from tests.fakes.memory_state import Store


async def test_which_set_of_a_drop_was_taken_is_kept_whatever_becomes_of_it(state: Store) -> None:
    name = uuid4().hex
    drops = (FeedFolder(f"/feeds/{name}"), FeedContainer(name))
    for drop in drops:
        assert await state.synced_set(drop) is None
        for fingerprint in ("one", "two"):
            await state.write_synced_set(drop, f"{fingerprint} {drop}", NOON)
    assert [await state.synced_set(drop) for drop in drops] == [f"two {drop}" for drop in drops]
    assert await state.synced_set(FeedContainer(name, AfterSync.ARCHIVE)) == f"two {drops[1]}"
    assert name not in {found.school for found in await state.schools()}
