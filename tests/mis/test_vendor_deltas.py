"""Between full reads only changes are requested, and give the complete school. In doubt, the school is read in full."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest

from local.mis.changes import Changes
from local.school.data import SchoolData
from local.school.oneroster_csv import write
from sync_core.domain.roster import Snapshot
from sync_core.domain.school import MisLocation, OneRosterApi, OneRosterVersion, WondeApi
from sync_core.errors import SnapshotRejected
from sync_core.mis.rest.cache import FULL_EVERY, CachedSchool, SchoolCache
from sync_core.mis.sources import MisSources
from tests.builders import NOON, mis_sources, settings
from tests.mis.days import facts, tomorrow
from tests.mis.vendor_scenes import SECRETS, OneRosterScene, WondeScene, oneroster_scene, wonde_scene


@dataclass(slots=True)
class Vendor:
    """A school at a vendor. `whole` and `delta` are the requests of a full read and of a read without changes.

    `sources` keep their cache. `whole_now` is the number of requests of the last full read.
    """

    scene: OneRosterScene | WondeScene
    source: MisLocation
    whole: int
    delta: int
    school: SchoolData
    sources: MisSources = field(init=False)
    whole_now: int = 0

    def __post_init__(self) -> None:
        self.sources = self.forgetful()

    def forgetful(self) -> MisSources:
        return mis_sources(self.scene.clock, SECRETS)

    def change(self, school: SchoolData) -> None:
        """Change the school, and advance the clock by half an hour."""
        self.school = school
        if isinstance(self.scene, OneRosterScene):
            write(school, self.scene.server.folder)
        else:
            self.scene.server.school = school
        self.scene.clock.advance(timedelta(minutes=30))

    async def read(self, sources: MisSources | None = None) -> Snapshot:
        chosen = replace(settings(), school=self.school.id, source=self.source)
        return await (sources or self.sources).snapshot(chosen)

    async def requests(self) -> int:
        """The number of requests that a read takes. It must give the same school as a full read."""
        asked = self.scene.server.requests
        before = len(asked)
        read = await self.read()
        took = len(asked) - before
        assert facts(read) == facts(await self.read(self.forgetful()))
        self.whole_now = len(asked) - before - took
        return took


@pytest.fixture(params=["oneroster 1.1", "oneroster 1.2", "wonde"])
async def vendor(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Vendor]:
    if request.param == "wonde":
        async with wonde_scene(tmp_path) as scene:
            scene.server.now, scene.server.page = scene.clock.now, 5
            yield Vendor(scene, scene.api, 25, 15, scene.school)
        return
    async with oneroster_scene(tmp_path) as scene:
        scene.server.now, scene.server.dated, scene.server.page = scene.clock.now, True, 20
        api = replace(scene.api(signed_in=False), version=OneRosterVersion(request.param.split()[1]))
        yield Vendor(scene, api, 24, 11, scene.school)


async def test_what_changed_alone_is_asked_for_and_is_the_whole_school_twenty_days_long(vendor: Vendor) -> None:
    assert await vendor.requests() == vendor.whole
    for day in range(20):
        vendor.change(tomorrow(vendor.school, day))
        assert await vendor.requests() < vendor.whole_now, f"day {day}"


async def test_a_quiet_school_is_asked_little(vendor: Vendor) -> None:
    await vendor.requests()
    vendor.scene.clock.advance(timedelta(hours=3))
    assert await vendor.requests() == vendor.delta


async def test_twice_a_day_all_is_asked_for(vendor: Vendor) -> None:
    taken = []
    for _ in range(5):
        taken.append(await vendor.requests())
        vendor.scene.clock.advance(FULL_EVERY / 3)
    assert taken == [vendor.whole, vendor.delta, vendor.delta, vendor.whole, vendor.delta]


async def test_what_is_deleted_without_a_trace_is_missed_by_the_count_and_all_is_asked_for(vendor: Vendor) -> None:
    vendor.scene.server.changes.hard = True
    await vendor.requests()
    vendor.change(replace(vendor.school, pupils=vendor.school.pupils[:-1], groups=vendor.school.groups[:5]))
    assert await vendor.requests() > vendor.whole_now


async def test_other_settings_begin_anew(vendor: Vendor) -> None:
    await vendor.requests()
    assert isinstance(vendor.source, OneRosterApi | WondeApi)
    vendor.source = replace(vendor.source, url=f"{vendor.source.url}/")
    assert await vendor.requests() == vendor.whole


async def test_a_reading_that_fails_leaves_what_is_held_as_it_was(vendor: Vendor) -> None:
    await vendor.requests()
    vendor.scene.server.broken = 403
    with pytest.raises(SnapshotRejected, match="returned 403"):
        await vendor.read()
    vendor.scene.server.broken = 0
    assert await vendor.requests() == vendor.delta


async def test_a_server_that_lags_is_as_late_and_never_half(vendor: Vendor) -> None:
    vendor.scene.server.lag = timedelta(hours=1)
    await vendor.read()
    vendor.scene.clock.advance(timedelta(hours=2))
    before = facts(await vendor.read())
    vendor.change(tomorrow(vendor.school, 1))
    assert facts(await vendor.read()) == before
    vendor.scene.clock.advance(timedelta(hours=1))
    assert facts(await vendor.read()) == facts(await vendor.read(vendor.forgetful())) != before


@pytest.mark.parametrize(
    "switches", [{"filters": "refuse"}, {"filters": "ignore"}, {"dated": False}, {"totals": False}]
)
async def test_a_server_that_leaves_a_doubt_is_read_whole(switches: dict[str, object], tmp_path: Path) -> None:
    async with oneroster_scene(tmp_path) as scene:
        scene.server.now, scene.server.dated, scene.server.page = scene.clock.now, True, 20
        vendor = Vendor(scene, scene.api(signed_in=False), 24, 11, scene.school)
        await vendor.requests()
        vendor.change(tomorrow(vendor.school, 1))
        for name, value in switches.items():
            setattr(scene.server, name, value)
        assert await vendor.requests() > vendor.whole_now


async def test_wonde_that_takes_no_notice_of_a_moment_tells_more_and_nothing_else(tmp_path: Path) -> None:
    async with wonde_scene(tmp_path) as scene:
        scene.server.now, scene.server.page, scene.server.updates = scene.clock.now, 5, False
        vendor = Vendor(scene, scene.api, 25, 15, scene.school)
        await vendor.requests()
        vendor.change(tomorrow(vendor.school, 1))
        assert await vendor.requests() > vendor.whole_now


def test_a_few_schools_are_held_the_latest_ones() -> None:
    def of(number: int) -> WondeApi:
        return WondeApi(url="https://w", school=str(number), secret="S")

    cache = SchoolCache()
    for number in range(21):
        cache.put(of(number), "S1", CachedSchool({}, NOON, NOON))
    there = [cache.of(of(number), "S1", NOON) is not None for number in range(21)]
    assert there == [False, *[True] * 20]
    assert cache.of(of(5), "S2", NOON) is None


def test_the_simulated_vendors_note_what_came_changed_and_went() -> None:
    clock = [NOON]
    changes = Changes(lambda: clock[0])
    changes.note("c", [{"id": "1"}, {"id": "2"}], "id")
    clock[0] += timedelta(minutes=1)
    changes.note("c", [{"id": "1", "name": "x"}, {"id": "3"}], "id")
    assert changes.of("c", deleted=False) == [({"id": "1", "name": "x"}, clock[0]), ({"id": "3"}, clock[0])]
    assert changes.of("c", deleted=True) == [({"id": "2"}, clock[0])]
    changes.hard = True
    changes.note("c", [], "id")
    assert changes.of("c", deleted=True) == []
