"""Export sets in a file drop: which are complete, how they are read and archived, and what the others report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from local.feed import read_feed
from local.school.generate import generate
from local.school.oneroster_csv import write
from sync_core.domain.ids import RunId, SchoolId
from sync_core.domain.runs import Cause, FileDropCheck
from sync_core.domain.school.settings import SchoolSettings
from sync_core.domain.school.sources import AfterSync, FeedContainer, FeedFolder
from sync_core.errors import SnapshotRejected
from sync_core.messaging.messages import SyncSchool
from sync_core.mis.drop.export_sets import DropFile, export_sets_of
from sync_core.mis.drop.reader import FileDropReader, open_store
from sync_core.mis.drop.readings import SharedReadings
from sync_core.sync.file_drops import check_file_drops
from tests.builders import NOON, settings
from tests.fakes.counting_drop import CountingDrop
from tests.fakes.fixed_clock import FixedClock
from tests.fakes.memory_outbox import MemoryOutbox
from tests.fakes.memory_state import MemoryState
from tests.fakes.services import services
from tests.mis import feeds
from tests.mis.days import comparable, next_day
from tests.mis.drop.scenes import JOINS, LEAVES, S1, SETTLE, Scene, make_delta, pupils

SCH1 = SchoolId("SCH1")
RUN = RunId("run")
DELTA = {"manifest.csv": feeds.oneroster()["manifest.csv"].replace("bulk", "delta")}


@pytest.mark.parametrize("place", ["", "2026-09-07"])
async def test_a_set_is_read_from_the_drop_itself_or_a_folder_in_it(scene: Scene, place: str) -> None:
    scene.export(feeds.oneroster(), place)
    assert pupils(await scene.read(), "C1") == ("p1",)


async def test_a_set_is_read_from_a_zip_file(scene: Scene) -> None:
    scene.folder.mkdir()
    scene.touch(feeds.write_zip(feeds.oneroster(), scene.folder / "export.zip"))
    scene.clock.advance(SETTLE)
    assert pupils(await scene.read(), "C1") == ("p1",)


async def test_the_newest_complete_set_is_read(scene: Scene) -> None:
    scene.export(feeds.oneroster(), "monday")
    tuesday = feeds.oneroster()
    tuesday["enrollments.csv"] += "E9,,,C1,S1,p2,student,\n"
    half = {name: text for name, text in tuesday.items() if name != "enrollments.csv"}
    before = await scene.drops.newest(scene.drop)
    scene.export(half, "tuesday")
    assert before.missing == ""
    assert await scene.drops.newest(scene.drop) == replace(before, missing="enrollments.csv is missing")
    assert pupils(await scene.read(), "C1") == ("p1",)
    scene.export(tuesday, "tuesday", settled=False)
    assert await scene.drops.newest(scene.drop) == replace(before, missing="files are still being written")
    scene.clock.advance(SETTLE)
    newest = await scene.drops.newest(scene.drop)
    assert (newest.missing, newest.fingerprint != before.fingerprint) == ("", True)
    assert pupils(await scene.read(), "C1") == ("p1", "p2")


async def test_a_manifest_that_is_written_last_ends_the_settling_time(scene: Scene) -> None:
    scene.export(feeds.oneroster(), settled=False)
    assert await scene.rejection() == "the set in the file drop is incomplete: files are still being written"
    scene.clock.advance(timedelta(seconds=1))
    scene.touch(scene.folder / "manifest.csv")
    assert pupils(await scene.read(), "C1") == ("p1",)


async def test_deltas_build_on_the_bulk_set_before_them(scene: Scene) -> None:
    scene.export(LEAVES, "0 forgotten")
    scene.export(feeds.oneroster(), "1")
    scene.export(JOINS, "2")
    assert pupils(await scene.read(), "C1") == ("p1", "p2")
    scene.export(LEAVES, "3")
    assert pupils(await scene.read(), "C1") == ("p2",)
    scene.export(make_delta(users="p2,tobedeleted,,true,S1,student,,,Ben,Pupil,,10,x\n"), "4")
    assert pupils(await scene.read(), "C1") == ()
    scene.export(feeds.oneroster(), "5")
    assert pupils(await scene.read(), "C1") == ("p1",)


async def test_deltas_of_a_1_2_set_include_roles(scene: Scene) -> None:
    bulk = feeds.oneroster_1_2()
    scene.export(bulk, "1")
    manifest = bulk["manifest.csv"].replace("bulk", "absent").replace("file.roles,absent", "file.roles,delta")
    header = bulk["roles.csv"].splitlines()[0]
    scene.export({"manifest.csv": manifest, "roles.csv": f"{header}\nr2,tobedeleted,,p2,primary,student,,,S1\n"}, "2")
    years = [group for group in (await scene.read()).groups if group.id == "grade:10"]
    assert years[0].students == ("p1",)


def write_delta(before: Path, after: Path, target: Path) -> None:
    """The delta set that an MIS would export: new and changed rows, and deleted rows marked `tobedeleted`."""
    target.mkdir(parents=True)
    manifest = (after / "manifest.csv").read_text(encoding="utf-8").replace(",bulk", ",delta")
    (target / "manifest.csv").write_text(manifest, encoding="utf-8")
    for file in after.glob("*.csv"):
        if file.name != "manifest.csv":
            old, new = (_rows(folder / file.name) for folder in (before, after))
            changed = [row for id_, row in new[1].items() if old[1].get(id_) != row]
            gone = [
                row.replace(f"{id_},,", f"{id_},tobedeleted,", 1) for id_, row in old[1].items() if id_ not in new[1]
            ]
            (target / file.name).write_text("".join([new[0], *changed, *gone]), encoding="utf-8")


def _rows(file: Path) -> tuple[str, dict[str, str]]:
    header, *rows = file.read_text(encoding="utf-8").splitlines(keepends=True)
    return header, {row.split(",", 1)[0]: row for row in rows}


async def test_twenty_days_of_deltas_equal_the_bulk_export(tmp_path: Path) -> None:
    scene, school = Scene(tmp_path / "drop"), next_day(generate(pupils=60), 99)
    days: list[Path] = []
    for day in range(20):
        days.append(tmp_path / f"day {day}")
        write(school, days[-1])
        if day == 0:
            write(school, scene.folder / "000")
        else:
            write_delta(days[-2], days[-1], scene.folder / f"{day:03}")
        for file in (scene.folder / f"{day:03}").iterdir():
            scene.touch(file)
        scene.clock.advance(SETTLE)
        combined, bulk = (
            (await scene.drops.snapshots(scene.drop, feeds.TODAY))[SCH1],
            read_feed(days[-1], feeds.TODAY)[SCH1],
        )
        assert comparable(combined) == comparable(bulk), f"day {day}"
        school = next_day(school, day)


Spoil = Callable[[Scene], None]


def without(name: str) -> Spoil:
    return lambda scene: scene.export({key: text for key, text in feeds.oneroster().items() if key != name})


BAD: list[tuple[str, Spoil, str]] = [
    ("nothing there", lambda scene: None, "there is no feed at"),
    ("an empty folder", lambda scene: scene.folder.mkdir(), "the file drop has no set of CSV files"),
    ("pictures", lambda scene: scene.export({"logo.png": ""}), "the file drop has no set of CSV files"),
    ("one file missing", without("users.csv"), "incomplete: users.csv is missing"),
    ("a format that is not known", lambda scene: scene.export({"pupils.csv": "a\n"}), "incomplete: unknown format"),
    ("a delta and nothing before", lambda scene: scene.export(JOINS, "1"), 'orgs.csv is "absent", and no earlier set'),
    ("a delta that is overwritten", lambda scene: scene.export(JOINS), "the next export will overwrite it"),
    (
        "a version that is not known",
        lambda scene: scene.export({**feeds.oneroster(), "manifest.csv": "propertyName,value\noneroster.version,9\n"}),
        "manifest.csv says OneRoster 9",
    ),
    (
        "a mode that is not known",
        lambda scene: scene.export({**feeds.oneroster(), "manifest.csv": "propertyName,value\nfile.orgs,some\n"}),
        "manifest.csv says of orgs.csv neither bulk, delta nor absent",
    ),
    (
        "SDS v2.1 with a file missing",
        lambda scene: scene.export({**feeds.sds_v2(), "roles.csv": ""}),
        "roles.csv is empty",
    ),
]


@pytest.mark.parametrize(("what", "spoil", "message"), BAD)
async def test_a_bad_file_drop_is_rejected(scene: Scene, what: str, spoil: Spoil, message: str) -> None:
    spoil(scene)
    assert message in await scene.rejection()


async def test_a_set_without_a_manifest_is_read_in_full_with_a_note(scene: Scene) -> None:
    without("manifest.csv")(scene)
    (note,) = (await scene.read()).notes
    assert note.startswith("the set has no manifest.csv and was read as a full set")


async def test_a_container_that_is_not_configured_names_the_setting(scene: Scene) -> None:
    with pytest.raises(SnapshotRejected, match="set FILE_DROP_CONTAINER_URL"):
        await scene.drops.snapshots(FeedContainer("oak"), feeds.TODAY)


async def check(scene: Scene, state: MemoryState, outbox: MemoryOutbox) -> FileDropCheck:
    (result,) = await check_file_drops(RUN, services(state, outbox=outbox, clock=scene.clock, file_drops=scene.drops))
    return result


async def add_schools(scene: Scene, *schools: str) -> tuple[MemoryState, MemoryOutbox]:
    state = MemoryState(scene.step)
    for school in schools or ("S1",):
        await state.save_school(_school(scene, school))
    return state, MemoryOutbox(scene.step)


def _school(scene: Scene, school: str) -> SchoolSettings:
    return replace(settings(), school=SchoolId(school), source=scene.drop)


async def test_each_new_set_is_synced_once_for_each_of_its_schools(scene: Scene) -> None:
    state, outbox = await add_schools(scene, "S1", "S2")
    scene.export(feeds.oneroster())
    for count in (2, 0, 0):
        assert await check(scene, state, outbox) == FileDropCheck(scene.drop, count, 0)
    assert outbox.requests == [(SyncSchool(SchoolId(school), RUN, Cause.FILE_DROP), None) for school in ("S1", "S2")]
    scene.export(feeds.oneroster())
    assert (await check(scene, state, outbox)).schools == 2


async def test_archived_sets_are_still_read(scene: Scene) -> None:
    scene.after_sync = AfterSync.ARCHIVE
    state, outbox = await add_schools(scene)
    scene.export(feeds.oneroster())
    assert await check(scene, state, outbox) == FileDropCheck(scene.drop, 1, 1)
    assert all(name.startswith("processed/20260907T120000.000000Z-") for name in scene.list_files())
    assert pupils(await scene.read(), "C1") == ("p1",)
    assert (await scene.read()).taken_at == NOON
    scene.export(JOINS)
    scene.export({"users.csv": "half of the next"}, "later")
    checked = await check(scene, state, outbox)
    assert (checked.schools, checked.archived) == (1, 1)
    assert isinstance(checked.failure, SnapshotRejected)
    assert "a newer set in the file drop is incomplete: unknown format" in checked.failure.message
    assert [name for name in scene.list_files() if not name.startswith("processed/")] == ["later/users.csv"]
    assert pupils(await scene.read(), "C1") == ("p1", "p2")
    repeated = await check(scene, state, outbox)
    assert (repeated.schools, repeated.archived) == (0, 0)


class Crash(BaseException):
    """The process stops here."""


@pytest.mark.parametrize("steps", range(30))
async def test_a_crash_at_any_step_never_loses_a_set(scene: Scene, steps: int) -> None:
    left = 99

    async def step(_: str) -> None:
        nonlocal left
        left -= 1
        if left == -1:
            raise Crash

    scene.step, scene.after_sync = step, AfterSync.ARCHIVE
    state, outbox = await add_schools(scene)
    scene.export(feeds.oneroster())
    left = steps
    with pytest.raises(Crash):
        await check(scene, state, outbox)
    await check(scene, state, outbox)
    assert {request for request, _ in outbox.requests} == {SyncSchool(S1, RUN, Cause.FILE_DROP)}
    assert all(name.startswith("processed/") for name in scene.list_files())
    assert pupils(await scene.read(), "C1") == ("p1",)


async def test_a_failing_file_drop_does_not_affect_others(scene: Scene, tmp_path: Path) -> None:
    state, outbox = await add_schools(scene)
    other = Scene(tmp_path / "nowhere")
    await state.save_school(_school(other, "S0"))
    scene.export(feeds.oneroster())
    first, second = await check_file_drops(
        RUN, services(state, outbox=outbox, clock=scene.clock, file_drops=scene.drops)
    )
    assert isinstance(first.failure, SnapshotRejected)
    assert second == FileDropCheck(scene.drop, 1, 0)


async def test_a_kept_zip_file_is_fetched_once_to_check_it(tmp_path: Path) -> None:
    feeds.write_zip(feeds.oneroster(), tmp_path / "monday.zip")
    store = CountingDrop(open_store(None, FeedFolder(str(tmp_path))))
    clock = FixedClock()
    drops = FileDropReader(lambda _: store, timedelta(0), clock, SharedReadings(clock))
    first, second = [await drops.newest(FeedFolder(str(tmp_path))) for _ in range(2)]
    assert (first, store.fetched) == (second, {"monday.zip": 1})


def test_archived_sets_of_the_same_second_keep_their_order() -> None:
    """A container lists times in whole seconds, and fingerprints have no order."""
    monday, tuesday, wednesday = (
        (DropFile(f"{day}/orgs.csv", 1, NOON, str(number)),) for number, day in enumerate(("a", "b", "c"))
    )
    first, second = export_sets_of([*tuesday, *monday])
    assert [first.path, second.path] == ["a", "b"]
    moved = first.as_archived([first, second])
    later = second.as_archived([first, second, moved])
    assert moved.written_at < later.written_at
    assert (moved.fingerprint, later.fingerprint) == (first.fingerprint, second.fingerprint)
    files = [DropFile(f"{one.path}/orgs.csv", 1, NOON, "moved") for one in (later, moved)]
    assert [one.fingerprint for one in export_sets_of([*files, *wednesday])][:2] == [
        first.fingerprint,
        second.fingerprint,
    ]
    assert export_sets_of([*files, *wednesday])[-1].path == "c"
    # After a crash during archiving, the set gets the same folder.
    assert second.as_archived([first, second, moved, later]) == later
