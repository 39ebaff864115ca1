"""A reading of a file drop that all its schools share: when it is made again, and what is on disk meanwhile."""

from __future__ import annotations

import asyncio
import gc
import os
import stat
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.feed import read_feed
from sync_core.domain.ids import MisId, SchoolId
from sync_core.domain.roster import Doubt, LeftOut, MisGroup, Person, Snapshot
from sync_core.domain.school.sources import FeedFolder
from sync_core.errors import SnapshotRejected
from sync_core.mis.drop.readings import StoredSnapshots
from tests.mis import feeds
from tests.mis.drop.scenes import JOINS, S1, SETTLE, Scene, make_delta, pupils
from tests.waiting import wait_until

S2 = SchoolId("S2")
TOMORROW = replace(feeds.TODAY, today=feeds.TODAY.today + timedelta(days=1))


def two_schools() -> feeds.Feed:
    """A set of two schools: the first has a row about nobody, and one row could be either's."""
    feed = feeds.oneroster()
    feed["orgs.csv"] += "S2,,,Another School,school,7654321,D1\n"
    feed["classes.csv"] += "C2,,,7B/En,scheduled,S2,T1\n"
    feed["users.csv"] += (
        "q1,,,true,S2,student,Quick,,Q,Pupil,,7,secret\nu1,,,true,S2,teacher,Head,,U,Teacher,,,secret\n"
    )
    feed["enrollments.csv"] += (
        "E6,,,C1,S1,p9,student,\nE7,,,C2,S2,q1,student,\nE8,,,C2,S2,u1,teacher,\nE9,,,C9,,p9,student,\n"
    )
    return feed


def fetches(scene: Scene) -> int:
    """How many times the table of enrolments was fetched, which only a reading of the set does."""
    return sum(count for name, count in scene.fetched.items() if name.endswith("enrollments.csv"))


def unnamed_files() -> Counter[int]:
    """The modes of the regular files that this process has open and that are in no folder."""
    files: list[os.stat_result] = []
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            files.append(os.fstat(int(descriptor.name)))
        except OSError:
            continue  # the listing itself was open
    return Counter(stat.S_IMODE(file.st_mode) for file in files if stat.S_ISREG(file.st_mode) and not file.st_nlink)


ids = st.text(max_size=4).map(MisId)
people = st.builds(Person, ids, st.text(max_size=8), st.text(max_size=8))
snapshots = st.builds(
    Snapshot,
    groups=st.lists(st.builds(MisGroup, students=st.lists(ids, max_size=3).map(tuple)), max_size=2).map(tuple),
    people=st.dictionaries(ids, people, max_size=3),
    taken_at=st.datetimes(timezones=st.just(UTC)),
    left_out=st.lists(st.builds(LeftOut), max_size=2).map(tuple),
    doubt=st.builds(Doubt, groups=st.frozensets(ids), memberships=st.frozensets(st.tuples(ids, ids))),
)


@given(st.lists(snapshots, max_size=3))
def test_each_school_is_read_back_exactly(read: list[Snapshot]) -> None:
    by_school = {SchoolId(f"S{number}"): snapshot for number, snapshot in enumerate(read)}
    stored = StoredSnapshots(by_school, 10**9)
    assert dict(stored) == by_school
    assert [stored[school] for school in reversed(by_school)] == [*reversed(by_school.values())]
    assert "S9" not in stored


async def test_a_set_is_read_once_for_all_its_schools(scene: Scene) -> None:
    """Also by those that wait for it, each of which then gets what it would have read itself."""
    scene.export(two_schools())
    alone = read_feed(scene.folder, feeds.TODAY)

    async def read(school: SchoolId) -> Snapshot:
        return (await scene.drops.snapshots(scene.drop, feeds.TODAY))[school]

    shared = await asyncio.gather(*map(read, (S1, S2, S1, S2)))
    assert fetches(scene) == 1
    assert [replace(snapshot, taken_at=alone[S1].taken_at) for snapshot in shared] == [alone[S1], alone[S2]] * 2
    first, second = shared[:2]
    assert [row.place for row in first.left_out] == ["line 10", "line 7"]
    assert [row.place for row in second.left_out] == ["line 10"]
    assert second.people.keys() == {"q1", "u1"}


def change_nothing(scene: Scene) -> None:
    """The drop stays as it is."""


def export_again(scene: Scene) -> None:
    scene.export(feeds.oneroster())


def write_one_file(scene: Scene) -> None:
    scene.touch(scene.folder / "users.csv")
    scene.clock.advance(SETTLE)


def wait_half_a_day(scene: Scene) -> None:
    scene.clock.advance(timedelta(hours=12))


@pytest.mark.parametrize(
    ("change", "readings"), [(change_nothing, 1), (export_again, 2), (write_one_file, 2), (wait_half_a_day, 2)]
)
async def test_a_reading_lasts_while_its_set_does(scene: Scene, change: Callable[[Scene], None], readings: int) -> None:
    scene.export(feeds.oneroster())
    await scene.read()
    change(scene)
    await scene.read()
    assert fetches(scene) == readings


async def test_a_reading_is_of_one_day(scene: Scene) -> None:
    feed = feeds.oneroster()
    feed["enrollments.csv"] = (
        "sourcedId,status,dateLastModified,classSourcedId,schoolSourcedId,userSourcedId,role,primary,beginDate,endDate\n"
        "E1,,,C1,S1,p1,student,,,2026-11-27\nE2,,,C1,S1,p2,student,,2026-11-28,\n"
    )
    scene.export(feed)
    read = [
        pupils((await scene.drops.snapshots(scene.drop, day))[S1], "C1")
        for day in (feeds.TODAY, TOMORROW, feeds.TODAY, TOMORROW)
    ]
    assert (read, fetches(scene)) == ([("p1",), ("p2",)] * 2, 2)


async def test_a_delta_between_those_that_were_read_makes_a_new_reading(scene: Scene) -> None:
    """It was exported before the newest one, and its files arrive later."""
    scene.export(feeds.oneroster(), "1")
    exported = scene.clock.now()
    scene.clock.advance(SETTLE)
    scene.export(make_delta(users="t2,active,,true,S1,teacher,Second,,Tia,Teacher,,,x\n"), "3")
    assert pupils(await scene.read(), "C1") == ("p1",)
    scene.export(JOINS, "2")
    for file in (scene.folder / "2").iterdir():
        os.utime(file, (exported.timestamp(), exported.timestamp()))
    assert pupils(await scene.read(), "C1") == ("p1", "p2")


async def test_a_failed_reading_is_not_kept(scene: Scene) -> None:
    scene.export(feeds.oneroster())
    await scene.read()
    scene.export({"users.csv": "sourcedId\n"})
    for count in (2, 3):
        with pytest.raises(SnapshotRejected, match=r"users\.csv line 1: no column"):
            await scene.read()
        assert fetches(scene) == count
    scene.export(feeds.oneroster())
    assert pupils(await scene.read(), "C1") == ("p1",)


async def test_readings_are_on_disk_for_this_process_alone(scene: Scene) -> None:
    """In a file of mode 0600 without a name, and no longer than until the next set is read."""
    gc.collect()
    before = unnamed_files()

    def wait_for(more: Counter[int]) -> None:
        """The thread that wrote a file refers to it for a moment longer."""
        wait_until(lambda: unnamed_files() == before + more)

    for _ in range(2):
        scene.export(feeds.oneroster())
        for files, day in enumerate((feeds.TODAY, TOMORROW), start=1):
            await scene.drops.snapshots(scene.drop, day)
            wait_for(Counter({0o600: files}))
    del scene.drops
    await asyncio.sleep(0)  # The event loop refers to its last result until its next step.
    wait_for(Counter())


@pytest.mark.parametrize(("room", "fetched"), [(10_000, (1, 1)), (1_000, (2, 1)), (10, (2, 2))])
async def test_the_oldest_readings_make_room(tmp_path: Path, room: int, fetched: tuple[int, int]) -> None:
    """A reading of the tiny feed takes about 800 bytes."""
    scene = Scene(tmp_path, max_bytes=room)
    drops = [FeedFolder(str(tmp_path / name)) for name in ("first", "second")]
    for name in ("first", "second"):
        scene.export(feeds.oneroster(), name)
    for drop in (*drops, *reversed(drops)):
        assert pupils((await scene.drops.snapshots(drop, feeds.TODAY))[S1], "C1") == ("p1",)
    assert tuple(scene.stores[drop].fetched["enrollments.csv"] for drop in drops) == fetched
