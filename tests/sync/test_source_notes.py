"""What a source notes about its server is in the notes of the run."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sync_core.domain.roster import Snapshot
from sync_core.domain.school import SchoolSettings
from tests.builders import snapshot
from tests.sync.test_shared_names import Scene

NOTE = "this server sends no totals, so each list was read until nothing new came"


@dataclass(slots=True)
class NotedScene(Scene):
    async def snapshot(self, settings: SchoolSettings) -> Snapshot:
        return replace(snapshot(self.groups), notes=(NOTE,))


async def test_the_notes_of_a_source_come_first_in_the_notes_of_a_run() -> None:
    scene = NotedScene()
    await scene.refresh()
    assert (await scene.sync()).notes[0] == NOTE
    assert (await scene.preview()).run.notes[0] == NOTE
