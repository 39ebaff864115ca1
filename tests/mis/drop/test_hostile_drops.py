"""File drops with names, times and sizes that no export has: at most that drop is rejected."""

from __future__ import annotations

import os
import struct
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sync_core.errors import SnapshotRejected
from sync_core.mis.budget import MAX_NAME, MAX_READING, MAX_SECONDS, MAX_SETS
from sync_core.mis.drop.export_sets import DropFile, export_sets_of
from sync_core.mis.drop.folder import FolderDrop
from sync_core.mis.drop.reader import FileDropReader, FileDropStore
from sync_core.mis.drop.readings import SharedReadings
from tests.builders import NOON
from tests.fakes.fixed_clock import FixedClock
from tests.mis import feeds
from tests.mis.drop.scenes import JOINS, S1, SETTLE, Scene, pupils

NAMES = [
    "processed/users.csv",
    "processed/yesterday/users.csv",
    "processed/99999999T999999.999999Z-0123456789abcdef/users.csv",
    "processed/20260231T120000.000000Z-0123456789abcdef/users.csv",
    "processed/٢٠٢٦٠٩٠١T120000.000000Z-0123456789abcdef/users.csv",
    "\udcff.csv",
    "a\udcff/users.csv",
    "a\nb.csv",
    "a\x7f/users.csv",
    "a" * (MAX_NAME - 3) + ".csv",
    "a" * (MAX_NAME + 1) + "/users.csv",
    "a" * (MAX_NAME - 3) + ".zip",
    "/".join(["a"] * 2_000) + "/users.csv",
]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_a_file_with_such_a_name_belongs_to_no_set(name: str) -> None:
    (only,) = export_sets_of([DropFile("a/users.csv", 1, NOON, "1"), DropFile(name, 1, NOON, "1")])
    assert [file.name for file in only.files] == ["a/users.csv"]


@pytest.mark.parametrize(
    "name", ["a" * (MAX_NAME - 4) + ".csv", "a" * MAX_NAME + "/users.csv", "Übersicht\u00a0😀.csv"], ids=range(3)
)
def test_a_file_with_a_long_or_foreign_name_belongs_to_its_set(name: str) -> None:
    (only,) = export_sets_of([DropFile(name, 1, NOON, "1")])
    assert [file.name for file in only.files] == [name]


async def test_such_files_in_a_folder_stop_nothing(scene: Scene) -> None:
    scene.export(feeds.oneroster())
    (scene.folder / os.fsdecode(b"\xff\xfe.csv")).touch()
    (scene.folder / "a\nb.csv").touch()
    (scene.folder / "processed" / "99999999T999999.999999Z-0123456789abcdef").mkdir(parents=True)
    (scene.folder / "processed" / "99999999T999999.999999Z-0123456789abcdef" / "users.csv").touch()
    deep = scene.folder
    for _ in range(300):
        deep = deep / "deep"
    deep.mkdir(parents=True)
    (scene.folder / "broken.csv").symlink_to(scene.folder / "broken.csv")
    newest = await scene.drops.newest(scene.drop)
    assert not newest.missing
    assert pupils(await scene.read(), "C1") == ("p1",)


async def test_a_file_with_the_longest_name_is_archived(scene: Scene) -> None:
    scene.export(feeds.oneroster())
    (scene.folder / ("a" * (MAX_NAME - 4) + ".csv")).write_text("x\n")
    scene.touch(scene.folder / ("a" * (MAX_NAME - 4) + ".csv"))
    scene.clock.advance(SETTLE)
    newest = await scene.drops.newest(scene.drop)
    assert await scene.drops.archive(scene.drop, newest.fingerprint) == 1
    assert all(name.startswith("processed/2026") for name in scene.list_files())
    assert len(scene.list_files()) == len(feeds.oneroster()) + 1


@pytest.mark.parametrize("moment", [datetime.min, datetime.max], ids=["year 1", "year 9999"])
def test_any_time_of_a_file_is_that_of_its_set(moment: datetime) -> None:
    moment = moment.replace(tzinfo=UTC)
    files = [DropFile("users.csv", 1, moment, "1"), DropFile("a/users.csv", 1, NOON, "1")]
    assert {export.written_at for export in export_sets_of(files)} == {moment, NOON}


async def test_a_set_of_more_bytes_than_a_reading_has_is_rejected(scene: Scene) -> None:
    scene.export(feeds.oneroster())
    rest = sum(file.stat().st_size for file in scene.folder.iterdir())
    more = scene.folder / "more.csv"
    more.touch()
    for size in (MAX_READING - rest, MAX_READING - rest + 1):
        os.truncate(more, size)
        scene.touch(more)
        scene.clock.advance(SETTLE)
        if size + rest == MAX_READING:
            assert pupils(await scene.read(), "C1") == ("p1",)
    assert await scene.rejection() == f"the sets in use of the file drop have more than {MAX_READING:,} bytes"


async def test_sets_in_zip_files_count_as_they_unpack(scene: Scene) -> None:
    """Each is within the limits of a zip file, and together they are not within those of a reading."""
    scene.export(feeds.oneroster(), "0000")
    for number in (1, 2):
        path = feeds.write_zip(JOINS, scene.folder / f"{number}.zip")
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("more.csv", b"x")
        declared = bytearray(path.read_bytes())
        at = declared.rindex(b"PK\x01\x02") + 24
        declared[at : at + 4] = struct.pack("<I", 90_000_000)
        path.write_bytes(declared)
        scene.touch(path)
        scene.clock.advance(SETTLE)
    assert pupils(await scene.read(), "C1") == ("p1", "p2")
    for number in range(3, 24):
        (scene.folder / f"{number}.zip").write_bytes(declared)
        scene.touch(scene.folder / f"{number}.zip")
        scene.clock.advance(SETTLE)
    assert await scene.rejection() == f"the sets in use of the file drop have more than {MAX_READING:,} bytes"


async def test_a_reading_of_more_sets_than_it_may_use_is_rejected(scene: Scene) -> None:
    for number in range(MAX_SETS + 1):
        scene.export(JOINS, f"{number:04}")
    assert await scene.rejection() == f"the file drop has more than {MAX_SETS} sets since the last full one"


async def test_a_set_whose_fetch_takes_longer_than_a_reading_may_is_rejected(scene: Scene) -> None:
    scene.export(feeds.oneroster())
    for late in (0.0, 0.001):
        drop = _SlowDrop(FolderDrop(str(scene.folder)), scene.clock, MAX_SECONDS + late)
        reading = _reader(drop, scene.clock).snapshots(scene.drop, feeds.TODAY)
        if late:
            with pytest.raises(SnapshotRejected, match=f"the feed was not read within {MAX_SECONDS} seconds"):
                await reading
        else:
            assert pupils((await reading)[S1], "C1") == ("p1",)


def _reader(drop: FileDropStore, clock: FixedClock) -> FileDropReader:
    return FileDropReader(lambda _: drop, SETTLE, clock, SharedReadings(clock))


@dataclass(frozen=True, slots=True)
class _SlowDrop:
    """Implements FileDropStore. The fetch of a whole set takes `seconds`."""

    store: FolderDrop
    clock: FixedClock
    seconds: float

    async def list_files(self) -> list[DropFile]:
        return await self.store.list_files()

    async def fetch(self, files: Sequence[DropFile], folder: Path) -> dict[str, Path]:
        if any(file.base_name == "users.csv" for file in files):
            self.clock.advance(timedelta(seconds=self.seconds))
        return await self.store.fetch(files, folder)

    async def copy(self, file: DropFile, name: str) -> None:
        raise AssertionError

    async def delete(self, file: DropFile) -> None:
        raise AssertionError
