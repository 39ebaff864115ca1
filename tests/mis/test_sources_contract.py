"""The same school read from every source gives the same snapshot, as far as the source's format can carry it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from azure.storage.blob.aio import ContainerClient

from local.mis.oneroster_api import OneRosterServer
from local.mis.token_server import CLIENT
from local.mis.wonde_api import SCHOOL, WondeServer
from local.school.data import SchoolData
from local.school.generate import generate
from local.school.oneroster_csv import write, write_1_2
from local.school.sds_csv import write_v1, write_v2
from sync_core.domain.ids import MisId, SchoolId
from sync_core.domain.roster import GroupType, Person, Snapshot
from sync_core.domain.school.sources import (
    FeedContainer,
    FeedFolder,
    MisLocation,
    OneRosterApi,
    OneRosterVersion,
    WondeApi,
)
from sync_core.errors import SnapshotRejected
from sync_core.mis.drop.reader import FileDropReader, open_store
from sync_core.mis.drop.readings import SharedReadings
from sync_core.mis.sources import MisSources
from tests.builders import settings
from tests.fakes.fixed_clock import FixedClock
from tests.mis import feeds
from tests.mis.vendor_scenes import SECRETS
from tests.serving import serve

DOMAIN = "school.onmicrosoft.com"
Export = Callable[[SchoolData, Path], None]
Connection = AbstractAsyncContextManager[tuple[MisLocation, ContainerClient | None]]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a source carries. `school` returns its id of the school, `person` its id of a person, by MIS id and role."""

    registration: bool = True
    usernames: bool = True
    school: Callable[[SchoolData], str] = lambda data: data.id
    person: Callable[[str, str], str] = lambda id_, role: id_


COMPLETE = Capabilities()
SDS_V2 = Capabilities(registration=False)
SDS_V1 = Capabilities(registration=False, school=lambda data: data.dfe_code, person=lambda id_, role: f"{role}:{id_}")
WONDE = Capabilities(usernames=False)


def in_folder(export: Export) -> Callable[[SchoolData, Path, str], Connection]:
    @asynccontextmanager
    async def connect(data: SchoolData, folder: Path, _: str) -> AsyncIterator[tuple[MisLocation, None]]:
        export(data, folder / "feed")
        yield FeedFolder(str(folder / "feed")), None

    return connect


@asynccontextmanager
async def in_a_zip(data: SchoolData, folder: Path, _: str) -> AsyncIterator[tuple[MisLocation, None]]:
    write(data, folder / "feed")
    files = {file.name: file.read_text(encoding="utf-8") for file in (folder / "feed").iterdir()}
    yield FeedFolder(str(feeds.write_zip(files, folder / "feed.zip"))), None


@asynccontextmanager
async def in_a_container(
    data: SchoolData, folder: Path, storage: str
) -> AsyncIterator[tuple[MisLocation, ContainerClient]]:
    write(data, folder / "feed")
    async with ContainerClient.from_connection_string(storage, "sources-contract") as container:
        await container.create_container()
        for file in sorted((folder / "feed").iterdir()):
            await container.upload_blob(f"oak/monday/{file.name}", file.read_bytes())
        yield FeedContainer("oak"), container


def at_oneroster(version: str, signed_in: bool) -> Callable[[SchoolData, Path, str], Connection]:
    @asynccontextmanager
    async def connect(data: SchoolData, folder: Path, _: str) -> AsyncIterator[tuple[MisLocation, None]]:
        write(data, folder / "feed")
        async with serve(OneRosterServer(folder / "feed").app()) as url:
            token, client = (f"{url}/token", CLIENT) if signed_in else ("", "")
            secret = "MIS_SECRET_CLIENT" if signed_in else "MIS_SECRET_BEARER"
            yield (
                OneRosterApi(url=url, version=OneRosterVersion(version), token_url=token, client=client, secret=secret),
                None,
            )

    return connect


@asynccontextmanager
async def at_wonde(data: SchoolData, folder: Path, _: str) -> AsyncIterator[tuple[MisLocation, None]]:
    async with serve(WondeServer(data).app()) as url:
        yield WondeApi(url=url, school=SCHOOL, secret="MIS_SECRET_WONDE"), None


SOURCES: dict[str, tuple[Callable[[SchoolData, Path, str], Connection], Capabilities]] = {
    "OneRoster 1.1 CSV": (in_folder(write), COMPLETE),
    "OneRoster 1.2 CSV": (in_folder(write_1_2), COMPLETE),
    "OneRoster CSV, zipped": (in_a_zip, COMPLETE),
    "OneRoster CSV in a container": (in_a_container, COMPLETE),
    "OneRoster 1.1 REST, bearer": (at_oneroster("1.1", signed_in=False), COMPLETE),
    "OneRoster 1.1 REST, OAuth 2": (at_oneroster("1.1", signed_in=True), COMPLETE),
    "OneRoster 1.2 REST, OAuth 2": (at_oneroster("1.2", signed_in=True), COMPLETE),
    "SDS v2.1 CSV": (in_folder(write_v2), SDS_V2),
    "SDS v1 CSV": (in_folder(write_v1), SDS_V1),
    "Wonde": (at_wonde, WONDE),
}


def expected_groups(data: SchoolData, capabilities: Capabilities) -> set[tuple[object, ...]]:
    """Type, name, academic year, students, main teacher and all teachers of each group, without the product's code."""

    def student(id_: str) -> str:
        return capabilities.person(id_, "student")

    def teacher(id_: str) -> str:
        return capabilities.person(id_, "teacher")

    groups: set[tuple[object, ...]] = set()
    for group in data.groups:
        if group.homeroom and not capabilities.registration:
            continue
        type_ = GroupType.REGISTRATION if group.homeroom else GroupType.TEACHING
        staff = [teacher(one.teacher) for one in sorted(group.staff, key=lambda one: (not one.primary, one.teacher))]
        pupils = frozenset(map(student, group.pupils))
        groups.add((type_, group.title, data.starts, pupils, staff[0], frozenset(staff)))
    for year in {pupil.year for pupil in data.pupils}:
        pupils = frozenset(student(pupil.id) for pupil in data.pupils if pupil.year == year)
        groups.add((GroupType.YEAR, year, data.starts, pupils, None, frozenset()))
    return groups


def describe_groups(snapshot: Snapshot) -> set[tuple[object, ...]]:
    return {
        (
            group.type,
            group.name,
            group.academic_year,
            frozenset(group.students),
            next(iter(group.teachers), None),
            frozenset(group.teachers),
        )
        for group in snapshot.groups
    }


def expected_people(data: SchoolData, capabilities: Capabilities) -> dict[str, Person]:
    expected = {}
    for role, listed in (("student", data.pupils), ("teacher", data.staff)):
        for one in listed:
            id_ = capabilities.person(one.id, role)
            expected[id_] = (
                Person(MisId(id_), one.username, one.email)
                if capabilities.usernames
                else Person(MisId(id_), "", one.email or f"{one.username}@{DOMAIN}")
            )
    return expected


@pytest.mark.parametrize("source", SOURCES)
async def test_every_source_gives_the_same_school(source: str, tmp_path: Path, shared_storage: str) -> None:
    data = generate(pupils=60)
    connect, capabilities = SOURCES[source]
    async with connect(data, tmp_path, shared_storage) as (location, container):
        clock = FixedClock()
        drops = FileDropReader(partial(open_store, container), timedelta(0), clock, SharedReadings(clock))
        sources = MisSources(drops, SECRETS, clock)
        chosen = replace(settings(), school=SchoolId(capabilities.school(data)), source=location)
        read = await sources.snapshot(chosen)
        assert describe_groups(read) == expected_groups(data, capabilities)
        assert len(read.groups) == len(expected_groups(data, capabilities))
        assert (read.school.id, read.school.name) == (capabilities.school(data), data.name)
        assert read.feed.schools == (read.school,)
        match location:
            case OneRosterApi():
                assert read.feed.format == f"OneRoster {location.version} REST (the school's source says so)"
            case WondeApi():
                assert read.feed.format == "Wonde"
            case _:
                assert " CSV " in read.feed.format
        assert {
            id_: one for id_, one in expected_people(data, capabilities).items() if id_ in read.people
        } == read.people
        # For Wonde, the source itself names the school.
        if not isinstance(location, WondeApi):
            with pytest.raises(SnapshotRejected):
                await sources.snapshot(replace(chosen, school=SchoolId("another")))
