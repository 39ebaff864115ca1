"""Groups that are read again alone are what a reading of the whole school says, or the whole school must be read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from local.mis.oneroster_api import OneRosterServer
from local.mis.wonde_api import WondeServer
from local.school.data import SchoolData
from sync_core.domain.ids import SchoolId
from sync_core.domain.roster import GroupType, MisGroup, Snapshot
from sync_core.domain.school.sources import MisLocation, OneRosterApi, OneRosterVersion, WondeApi
from sync_core.mis.rest.again.oneroster import MOST_CLASSES
from sync_core.mis.rest.again.wonde import MOST_GROUPS
from sync_core.mis.rest.cache import FULL_EVERY
from sync_core.mis.sources import MisSources
from tests.builders import NOON, mis_sources, settings
from tests.mis.days import next_day
from tests.mis.vendor_scenes import SECRETS, OneRosterScene, WondeScene, no_total, oneroster_scene, wonde_scene

Record = dict[str, Any]


@dataclass(slots=True, repr=False)
class Vendor:
    """A school at a vendor, which `sources` have read once as `whole`. `of_group` is the number of requests of one.

    Python 3.11 shows what a fixture returned when it restores the handler of SIGINT: here, all records of the server.
    """

    scene: OneRosterScene | WondeScene
    source: MisLocation
    of_group: int
    most: int
    school: SchoolData
    sources: MisSources = field(init=False)
    whole: Snapshot = field(init=False)

    @property
    def server(self) -> OneRosterServer | WondeServer:
        return self.scene.server

    async def read(self) -> Snapshot:
        """The whole school, and nothing kept."""
        return await mis_sources(self.scene.clock, SECRETS).snapshot(self.settings())

    def settings(self, **chosen: Any) -> Any:
        return replace(settings(**chosen), school=SchoolId(self.school.id), source=self.source)

    async def begin(self) -> None:
        self.sources = mis_sources(self.scene.clock, SECRETS)
        self.whole = await self.sources.snapshot(self.settings())

    def change(self, school: SchoolData) -> None:
        self.school = school
        self.scene.publish(school)
        self.scene.clock.advance(timedelta(minutes=1))

    async def again(self, groups: Sequence[MisGroup], **chosen: Any) -> tuple[MisGroup, ...] | None:
        return await self.sources.again(self.settings(**chosen), self.whole, groups)

    def classes(self, type_: GroupType = GroupType.TEACHING) -> list[MisGroup]:
        return [group for group in self.whole.groups if group.type is type_]


@pytest.fixture(params=["oneroster 1.1", "oneroster 1.2", "wonde"])
async def vendor(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Vendor]:
    if request.param == "wonde":
        async with wonde_scene(tmp_path) as wonde:
            wonde.server.now = wonde.clock.now
            made = Vendor(wonde, wonde.api, 1, MOST_GROUPS, wonde.school)
            await made.begin()
            yield made
        return
    async with oneroster_scene(tmp_path) as oneroster:
        oneroster.server.now, oneroster.server.dated = oneroster.clock.now, True
        api = replace(oneroster.api(signed_in=False), version=OneRosterVersion(request.param.split()[1]))
        made = Vendor(oneroster, api, 3, MOST_CLASSES, oneroster.school)
        await made.begin()
        yield made


def comparable(group: MisGroup) -> object:
    """A group without the order of its students, which is that of a list."""
    return replace(group, students=tuple(sorted(group.students)))


async def test_a_group_takes_few_requests_and_is_what_it_was(vendor: Vendor) -> None:
    alone = [*vendor.classes(), *vendor.classes(GroupType.REGISTRATION)]
    for group in alone:
        vendor.server.requests.clear()
        assert await vendor.again([group]) == (group,)
        assert len(vendor.server.requests) == vendor.of_group


async def test_groups_after_changes_are_what_the_whole_school_says_or_it_is_read(vendor: Vendor) -> None:
    """For five days, on each of which people come and go, and groups end."""
    alone = 0
    for day in range(5):
        vendor.change(next_day(vendor.school, day))
        now = {group.id: group for group in (await vendor.read()).groups}
        for group in vendor.classes():
            read = await vendor.again([group])
            alone += read is not None
            assert read is None or comparable(read[0]) == comparable(now[group.id]), (day, group.id)
    assert alone > 2 * len(vendor.classes())


async def test_several_groups_are_read_in_their_order(vendor: Vendor) -> None:
    groups = vendor.classes()[: vendor.most]
    assert await vendor.again(groups) == tuple(groups)
    vendor.server.requests.clear()
    assert await vendor.again(vendor.classes()[: vendor.most + 1]) is None
    assert vendor.server.requests == []


def of_wonde(vendor: Vendor) -> bool:
    return isinstance(vendor.source, WondeApi)


def fail(vendor: Vendor, **faults: Any) -> None:
    for name, value in faults.items():
        setattr(vendor.server, name, value)


def change_records(vendor: Vendor, name: str, change: Callable[[Record], Record]) -> None:
    """Change every record of a collection."""
    vendor.server.change = lambda of, records: [change(one) for one in records] if of == name else records


def set_fields(vendor: Vendor, collection: str, **fields: Any) -> None:
    change_records(vendor, collection, lambda record: {**record, **fields})


UNKNOWN = {"id": "A1", "mis_id": "nobody", "meta": {"is_main_teacher": False}}
OF_ONEROSTER: dict[str, Callable[[Vendor], None]] = {
    "enrolments without a total": lambda v: fail(v, total=no_total),
    "a total that differs": lambda v: fail(v, total=lambda records, page: records + 1),
    "a total of the page": lambda v: fail(v, total=lambda records, page: page, page=5),
    "pages that are cut off": lambda v: fail(v, offsets="ignored", page=5),
    "no enrolment at all": lambda v: fail(v, change=lambda name, records: [] if name == "enrollments" else records),
    "enrolments of another class": lambda v: set_fields(v, "enrollments", **{"class": {"sourcedId": "other"}}),
    "an unknown user": lambda v: set_fields(v, "enrollments", user={"sourcedId": "nobody"}),
    "an unknown role": lambda v: set_fields(v, "enrollments", role="captain"),
    "an unknown status": lambda v: set_fields(v, "enrollments", status="perhaps"),
    "dates that other dates explain": lambda v: set_fields(v, "enrollments", beginDate="01/09/2026"),
    "a date that is none": lambda v: set_fields(v, "enrollments", beginDate="2026-99-99"),
    "a class of another school": lambda v: set_fields(v, "classes", school={"sourcedId": "S2"}),
    "a class to be deleted": lambda v: set_fields(v, "classes", status="tobedeleted"),
    "a class of an unknown session": lambda v: set_fields(v, "classes", terms=[{"sourcedId": "none"}]),
    "another class": lambda v: set_fields(v, "class", sourcedId="other"),
    "a class without a title": lambda v: set_fields(v, "classes", title=""),
    "a class of an unknown type": lambda v: set_fields(v, "classes", classType="club"),
    "no filter of fields, and no smaller page": lambda v: fail(v, fields="refuse", largest_limit=1),
    "a token that is refused": lambda v: setattr(v, "source", replace(one_roster(v), secret="MIS_SECRET_WRONG")),
}
OF_WONDE: dict[str, Callable[[Vendor], None]] = {
    "a person who is not the school's": lambda v: set_fields(v, "classes", students={"data": [UNKNOWN]}),
    "no list of students": lambda v: set_fields(v, "classes", students=None),
    "no list of employees": lambda v: set_fields(v, "classes", employees=None),
    "another id": lambda v: set_fields(v, "single", id="A1"),
    "no name": lambda v: set_fields(v, "classes", name=None, code="", description=None),
}
OF_BOTH: dict[str, Callable[[Vendor], None]] = {
    "no such path": lambda v: fail(v, alone=False),
    "a busy server": lambda v: fail(v, busy=1),
    "a broken server": lambda v: fail(v, broken=500),
    "a forbidden path": lambda v: fail(v, broken=403),
    "a bad request": lambda v: fail(v, broken=400),
    "an empty answer": lambda v: fail(v, broken=204),
    "another source": lambda v: setattr(v, "source", replace(of_server(v), url=f"{of_server(v).url}/")),
    "another school": lambda v: setattr(v, "whole", replace(v.whole, school=replace(v.whole.school, id=SchoolId("x")))),
    "a snapshot that was made elsewhere": lambda v: setattr(v, "whole", replace(v.whole, origin=None)),
    "people of long ago": lambda v: setattr(v, "whole", replace(v.whole, taken_at=NOON - FULL_EVERY)),
    "a school of which all is to be read": lambda v: v.scene.clock.advance(FULL_EVERY),
    "another day": lambda v: v.scene.clock.advance(FULL_EVERY - timedelta(minutes=1)),
    "a worker that has not read the school": lambda v: setattr(v, "sources", mis_sources(v.scene.clock, SECRETS)),
}


def one_roster(vendor: Vendor) -> OneRosterApi:
    assert isinstance(vendor.source, OneRosterApi)
    return vendor.source


def of_server(vendor: Vendor) -> OneRosterApi | WondeApi:
    assert isinstance(vendor.source, OneRosterApi | WondeApi)
    return vendor.source


@pytest.mark.parametrize("vendor", ["oneroster 1.2"], indirect=True)
@pytest.mark.parametrize("fault", OF_ONEROSTER)
async def test_what_oneroster_leaves_in_doubt_is_not_used(vendor: Vendor, fault: str) -> None:
    OF_ONEROSTER[fault](vendor)
    assert await vendor.again(vendor.classes()[:1]) is None


@pytest.mark.parametrize("vendor", ["wonde"], indirect=True)
@pytest.mark.parametrize("fault", OF_WONDE)
async def test_what_wonde_leaves_in_doubt_is_not_used(vendor: Vendor, fault: str) -> None:
    OF_WONDE[fault](vendor)
    assert await vendor.again(vendor.classes()[:1]) is None


@pytest.mark.parametrize("vendor", ["oneroster 1.1", "wonde"], indirect=True)
@pytest.mark.parametrize("fault", OF_BOTH)
async def test_a_failure_of_any_kind_is_left_to_the_reading_of_the_whole_school(vendor: Vendor, fault: str) -> None:
    OF_BOTH[fault](vendor)
    assert await vendor.again(vendor.classes()[:1]) is None


async def test_a_snapshot_of_another_source_is_not_used(vendor: Vendor) -> None:
    """Although the school has been read from this one, too."""
    vendor.source = replace(of_server(vendor), url=f"{of_server(vendor).url}/")
    await vendor.sources.snapshot(vendor.settings())
    assert await vendor.again(vendor.classes()[:1]) is None


async def test_a_server_without_totals_leaves_nothing_to_read_groups_with(tmp_path: Path) -> None:
    async with oneroster_scene(tmp_path) as scene:
        assert (await scene.read()).origin is not None
        scene.server.total = no_total
        assert (await scene.read()).origin is None


async def test_a_year_group_is_read_where_it_is_a_record_of_its_own(vendor: Vendor) -> None:
    """OneRoster has it as the grade of its pupils only."""
    group = vendor.classes(GroupType.YEAR)[0]
    assert await vendor.again([group]) == ((group,) if of_wonde(vendor) else None)


@pytest.mark.parametrize("vendor", ["wonde"], indirect=True)
async def test_a_group_of_another_type_at_wonde_is_no_group_of_the_sync(vendor: Vendor) -> None:
    set_fields(vendor, "groups", type="HOUSE")
    assert await vendor.again(vendor.classes(GroupType.REGISTRATION)[:1]) is None
