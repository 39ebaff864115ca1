"""The contract of the port Store for synced export sets, for the fake and Azure Tables over the real client."""

from __future__ import annotations

from uuid import uuid4

from sync_core.domain.school.sources import AfterSync, FeedContainer, FeedFolder
from tests.builders import NOON
from tests.fakes.memory_state import Store


async def test_the_synced_set_of_a_file_drop_does_not_depend_on_archiving(state: Store) -> None:
    name = uuid4().hex
    drops = (FeedFolder(f"/feeds/{name}"), FeedContainer(name))
    for drop in drops:
        assert await state.synced_set(drop) is None
        for fingerprint in ("one", "two"):
            await state.write_synced_set(drop, f"{fingerprint} {drop}", NOON)
    assert [await state.synced_set(drop) for drop in drops] == [f"two {drop}" for drop in drops]
    assert await state.synced_set(FeedContainer(name, AfterSync.ARCHIVE)) == f"two {drops[1]}"
    assert name not in {settings.school for settings in await state.schools()}
