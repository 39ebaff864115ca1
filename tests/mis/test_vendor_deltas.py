"""Between full reads only changes are requested, and give the complete school. In doubt, the school is read in full."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest

from local.mis.changes import Changes
from local.school.data import SchoolData
from sync_core.domain.ids import SchoolId
from sync_core.domain.roster import Snapshot
from sync_core.domain.school.sources import MisLocation, OneRosterApi, OneRosterVersion, WondeApi
from sync_core.errors import SnapshotRejected
from sync_core.mis.rest.cache import FULL_EVERY, CachedSchool, SchoolCache
from sync_core.mis.sources import MisSources
from tests.builders import NOON, mis_sources, settings
from tests.mis.days import comparable, next_day
from tests.mis.vendor_scenes import SECRETS, OneRosterScene, WondeScene, no_total, oneroster_scene, wonde_scene


@dataclass(slots=True)
class Vendor:
    """A school at a vendor. `full` and `delta` are the requests of a full read and of a read without changes.

    `sources` keep their cache. `last_full` is the number of requests of the last full read.
    """

    scene: OneRosterScene | WondeScene
    source: MisLocation
    full: int
    delta: int
    school: SchoolData
    sources: MisSources = field(init=False)
    last_full: int = 0

    def __post_init__(self) -> None:
        self.sources = self.make_sources()

    def make_sources(self) -> MisSources:
        return mis_sources(self.scene.clock, SECRETS)

    def change(self, school: SchoolData) -> None:
        """Change the school, and advance the clock by half an hour."""
        self.school = school
        self.scene.publish(school)
        self.scene.clock.advance(timedelta(minutes=30))

    async def read(self, sources: MisSources | None = None) -> Snapshot:
        chosen = replace(settings(), school=SchoolId(self.school.id), source=self.source)
        return await (sources or self.sources).snapshot(chosen)

    async def count_requests(self) -> int:
        """The number of requests that a read takes. It must give the same school as a full read."""
        asked = self.scene.server.requests
        before = len(asked)
        read = await self.read()
        count = len(asked) - before
        assert comparable(read) == comparable(await self.read(self.make_sources()))
        self.last_full = len(asked) - before - count
        return count


@pytest.fixture(params=["oneroster 1.1", "oneroster 1.2", "wonde"])
async def vendor(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Vendor]:
    if request.param == "wonde":
        async with wonde_scene(tmp_path) as scene:
            scene.server.now, scene.server.page = scene.clock.now, 5
            yield Vendor(scene, scene.api, 28, 18, scene.school)
        return
    async with oneroster_scene(tmp_path) as scene:
        scene.server.now, scene.server.dated, scene.server.page = scene.clock.now, True, 20
        api = replace(scene.api(signed_in=False), version=OneRosterVersion(request.param.split()[1]))
        yield Vendor(scene, api, 29, 16, scene.school)


async def test_only_changes_are_requested_for_twenty_days(vendor: Vendor) -> None:
    assert await vendor.count_requests() == vendor.full
    for day in range(20):
        vendor.change(next_day(vendor.school, day))
        assert await vendor.count_requests() < vendor.last_full, f"day {day}"


async def test_an_unchanged_school_takes_few_requests(vendor: Vendor) -> None:
    await vendor.count_requests()
    vendor.scene.clock.advance(timedelta(hours=3))
    assert await vendor.count_requests() == vendor.delta


async def test_a_full_read_runs_twice_a_day(vendor: Vendor) -> None:
    counts = []
    for _ in range(5):
        counts.append(await vendor.count_requests())
        vendor.scene.clock.advance(FULL_EVERY / 3)
    assert counts == [vendor.full, vendor.delta, vendor.delta, vendor.full, vendor.delta]


async def test_a_deletion_without_a_trace_is_noticed_by_the_count(vendor: Vendor) -> None:
    vendor.scene.server.changes.hard = True
    await vendor.count_requests()
    vendor.change(replace(vendor.school, pupils=vendor.school.pupils[:-1], groups=vendor.school.groups[:5]))
    assert await vendor.count_requests() > vendor.last_full


async def test_other_settings_start_a_full_read(vendor: Vendor) -> None:
    await vendor.count_requests()
    assert isinstance(vendor.source, OneRosterApi | WondeApi)
    vendor.source = replace(vendor.source, url=f"{vendor.source.url}/")
    assert await vendor.count_requests() == vendor.full


async def test_a_failed_read_keeps_the_cache(vendor: Vendor) -> None:
    await vendor.count_requests()
    vendor.scene.server.broken = 403
    with pytest.raises(SnapshotRejected, match="returned 403"):
        await vendor.read()
    vendor.scene.server.broken = 0
    assert await vendor.count_requests() == vendor.delta


async def test_a_lagging_server_gives_an_old_but_complete_school(vendor: Vendor) -> None:
    vendor.scene.server.lag = timedelta(hours=1)
    await vendor.read()
    vendor.scene.clock.advance(timedelta(hours=2))
    before = comparable(await vendor.read())
    vendor.change(next_day(vendor.school, 1))
    assert comparable(await vendor.read()) == before
    vendor.scene.clock.advance(timedelta(hours=1))
    assert comparable(await vendor.read()) == comparable(await vendor.read(vendor.make_sources())) != before


@pytest.mark.parametrize(
    "switches", [{"filters": "refuse"}, {"filters": "ignore"}, {"dated": False}, {"total": no_total}]
)
async def test_an_unreliable_server_is_read_fully(switches: dict[str, object], tmp_path: Path) -> None:
    async with oneroster_scene(tmp_path) as scene:
        scene.server.now, scene.server.dated, scene.server.page = scene.clock.now, True, 20
        vendor = Vendor(scene, scene.api(signed_in=False), 29, 16, scene.school)
        await vendor.count_requests()
        vendor.change(next_day(vendor.school, 1))
        for name, value in switches.items():
            setattr(scene.server, name, value)
        assert await vendor.count_requests() > vendor.last_full


async def test_wonde_without_the_updated_filter_takes_more_requests_for_the_same_school(tmp_path: Path) -> None:
    async with wonde_scene(tmp_path) as scene:
        scene.server.now, scene.server.page, scene.server.updates = scene.clock.now, 5, False
        vendor = Vendor(scene, scene.api, 28, 18, scene.school)
        await vendor.count_requests()
        vendor.change(next_day(vendor.school, 1))
        assert await vendor.count_requests() > vendor.last_full


def test_the_cache_keeps_the_latest_schools() -> None:
    def make_source(number: int) -> WondeApi:
        return WondeApi(url="https://w", school=str(number), secret="S")

    cache, first = SchoolCache(), SchoolId("S1")
    for number in range(21):
        cache.put(make_source(number), first, CachedSchool({}, NOON, NOON))
    is_cached = [cache.of(make_source(number), first, NOON) is not None for number in range(21)]
    assert is_cached == [False, *[True] * 20]
    assert cache.of(make_source(5), SchoolId("S2"), NOON) is None


def test_the_simulated_vendors_record_additions_changes_and_deletions() -> None:
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
