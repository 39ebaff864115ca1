"""A file drop in a folder, and export sets for it."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from sync_core.domain.ids import SchoolId
from sync_core.domain.roster import Snapshot
from sync_core.domain.school.sources import AfterSync, FeedFolder, FileDrop
from sync_core.errors import SnapshotRejected
from sync_core.mis.drop.reader import FileDropReader, FileDropStore, open_store
from sync_core.mis.drop.readings import SharedReadings
from tests.fakes.counting_drop import CountingDrop
from tests.fakes.fixed_clock import FixedClock
from tests.fakes.steps import Step, no_step
from tests.mis import feeds

S1 = SchoolId("S1")
SETTLE = timedelta(seconds=60)


@dataclass(slots=True)
class Scene:
    """A file drop in a folder. `export` writes a set at the clock's time, and then advances the clock by SETTLE."""

    folder: Path
    after_sync: AfterSync = AfterSync.KEEP
    clock: FixedClock = field(default_factory=FixedClock)
    step: Step = no_step
    max_bytes: int = 1_000_000
    stores: dict[FileDrop, CountingDrop] = field(default_factory=dict)
    drops: FileDropReader = field(init=False)

    def __post_init__(self) -> None:
        self.drops = FileDropReader(self.store, SETTLE, self.clock, SharedReadings(self.clock, self.max_bytes))

    def store(self, drop: FileDrop) -> FileDropStore:
        return self.stores.setdefault(drop, CountingDrop(open_store(None, drop), lambda step: self.step(step)))

    @property
    def fetched(self) -> Counter[str]:
        """How many times each file of the drop was fetched."""
        return self.stores[self.drop].fetched

    @property
    def drop(self) -> FeedFolder:
        return FeedFolder(str(self.folder), self.after_sync)

    def export(self, feed: feeds.Feed, place: str = "", settled: bool = True) -> None:
        folder = self.folder / place
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in feed.items():
            (folder / name).write_text(text, encoding="utf-8")
            self.touch(folder / name)
        self.clock.advance(SETTLE if settled else timedelta(0))

    def touch(self, file: Path) -> None:
        moment = self.clock.now().timestamp()
        os.utime(file, (moment, moment))

    async def read(self) -> Snapshot:
        return (await self.drops.snapshots(self.drop, feeds.TODAY))[S1]

    async def rejection(self) -> str:
        with pytest.raises(SnapshotRejected) as caught:
            await self.read()
        assert caught.value.remedy.startswith("nothing was changed")
        return caught.value.message

    def list_files(self) -> list[str]:
        return sorted(file.relative_to(self.folder).as_posix() for file in self.folder.rglob("*") if file.is_file())


def pupils(snapshot: Snapshot, group: str) -> tuple[str, ...]:
    return next(one.students for one in snapshot.groups if one.id == group)


def make_delta(**files: str) -> feeds.Feed:
    """A delta set of these files. Its manifest says that the others are absent."""
    manifest = "propertyName,value\noneroster.version,1.1\n"
    bulk = feeds.oneroster()
    for name in ("orgs", "academicSessions", "classes", "users", "enrollments"):
        manifest += f"file.{name},{'delta' if name in files else 'absent'}\n"
    headers = {name: bulk[f"{name}.csv"].splitlines()[0] + "\n" for name in files}
    return {"manifest.csv": manifest} | {f"{name}.csv": headers[name] + rows for name, rows in files.items()}


JOINS = make_delta(enrollments="E9,active,2026-09-08,C1,S1,p2,student,\n")
LEAVES = make_delta(enrollments="E3,tobedeleted,2026-09-09,C1,S1,p1,student,false\n")
