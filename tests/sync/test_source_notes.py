"""What a source notes about its server is in the notes of the run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sync_core.domain.roster import Snapshot
from sync_core.domain.runs import RunOutcome
from sync_core.domain.school.settings import SchoolSettings
from tests.builders import NOON, snapshot
from tests.sync.test_shared_names import Scene

NOTE = "this server sends no totals, so each list was read until nothing new came"


@dataclass(slots=True)
class NotedScene(Scene):
    async def snapshot(self, settings: SchoolSettings, since: datetime | None = None) -> Snapshot:
        return replace(snapshot(self.groups), notes=(NOTE,))


async def test_the_notes_of_a_source_come_first_in_the_notes_of_a_run() -> None:
    scene = NotedScene()
    await scene.refresh()
    assert (await scene.sync()).notes[0] == NOTE
    assert (await scene.preview()).run.notes[0] == NOTE


@dataclass(slots=True)
class EarlyScene(Scene):
    """A school whose files are dated `ahead` of the clock."""

    ahead: timedelta = timedelta(days=400)

    async def snapshot(self, settings: SchoolSettings, since: datetime | None = None) -> Snapshot:
        return replace(snapshot(self.groups), taken_at=NOON + self.ahead)


async def test_files_from_the_future_count_as_of_now_and_do_not_make_later_ones_look_old() -> None:
    scene = EarlyScene()
    await scene.refresh()
    (note, *_) = (await scene.sync()).notes
    assert note.startswith("the files of the feed are dated 12 Oct 2027 12:00 UTC, which is in the future")
    assert note.endswith("correct the clock of the machine that exports them")
    scene.ahead = timedelta(hours=2)
    assert not any("in the future" in note for note in (await scene.sync()).notes)
    scene.ahead = timedelta(0)
    assert (await scene.sync()).outcome is RunOutcome.PLANNED
