"""The same generated school behind each vendor's server, and how to read it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from local.feed import read_feed
from local.mis.oneroster_api import OneRosterServer
from local.mis.token_server import CLIENT, SECRET
from local.mis.token_server import TOKEN as ONEROSTER_TOKEN
from local.mis.wonde_api import SCHOOL, WondeServer
from local.mis.wonde_api import TOKEN as WONDE_TOKEN
from local.school.data import SchoolData
from local.school.generate import generate
from local.school.oneroster_csv import write
from sync_core.domain.ids import SchoolId
from sync_core.domain.roster import Snapshot
from sync_core.domain.school.sources import MisLocation, OneRosterApi, OneRosterVersion, WondeApi
from sync_core.errors import SnapshotRejected
from tests.builders import NOON, mis_sources, settings
from tests.fakes.fixed_clock import FixedClock
from tests.mis import feeds
from tests.serving import serve

SECRETS = {
    "MIS_SECRET_BEARER": ONEROSTER_TOKEN,
    "MIS_SECRET_CLIENT": SECRET,
    "MIS_SECRET_WONDE": WONDE_TOKEN,
    "MIS_SECRET_WRONG": "nonsense",
}


def no_total(_records: int, _page: int) -> None:
    """The total of a server that sends none."""


@dataclass(slots=True)
class OneRosterScene:
    """A school's OneRoster server."""

    server: OneRosterServer
    url: str
    school: SchoolData
    clock: FixedClock

    def api(self, version: str = "1.2", *, signed_in: bool = True, secret: str = "") -> OneRosterApi:
        token_url = f"{self.url}/token" if signed_in else ""
        name = secret or ("MIS_SECRET_CLIENT" if signed_in else "MIS_SECRET_BEARER")
        client = CLIENT if signed_in else ""
        return OneRosterApi(
            url=self.url, version=OneRosterVersion(version), token_url=token_url, client=client, secret=name
        )

    def elsewhere(self, url: str) -> OneRosterApi:
        return replace(self.api(), url=url, token_url=f"{url}/token")

    async def read(self, api: MisLocation | None = None, school: str = "") -> Snapshot:
        chosen = replace(settings(), school=SchoolId(school or self.school.id), source=api or self.api())
        return await mis_sources(self.clock, SECRETS).snapshot(chosen)

    def publish(self, school: SchoolData) -> None:
        """Have the server show this school from now on."""
        write(school, self.server.folder)

    def exported(self) -> Snapshot:
        return replace(read_feed(self.server.folder, feeds.TODAY)[SchoolId(self.school.id)], taken_at=NOON)

    def is_the_school(self, read: Snapshot) -> bool:
        return read.groups == self.exported().groups


@dataclass(slots=True)
class WondeScene:
    """A school at Wonde."""

    server: WondeServer
    api: WondeApi
    school: SchoolData
    feed: Path
    clock: FixedClock

    def elsewhere(self, url: str) -> WondeApi:
        return replace(self.api, url=url)

    async def read(self, api: MisLocation | None = None) -> Snapshot:
        chosen = replace(settings(), school=SchoolId(self.school.id), source=api or self.api)
        return await mis_sources(self.clock, SECRETS).snapshot(chosen)

    async def refusal(self, api: MisLocation | None = None) -> str:
        """The text of the rejection. It contains no person and no token."""
        with pytest.raises(SnapshotRejected) as caught:
            await self.read(api)
        message = str(caught.value)
        assert caught.value.remedy.startswith("nothing was changed; ")
        people = (*self.school.pupils, *self.school.staff)
        assert not any(
            word in message for person in people for word in (person.family, person.username or person.email)
        )
        assert not any(word in message for word in ("@", "Nobody"))
        assert not any(secret in message for secret in SECRETS.values())
        return message

    def publish(self, school: SchoolData) -> None:
        self.server.school = school

    def exported(self) -> Snapshot:
        return read_feed(self.feed, feeds.TODAY)[SchoolId(self.school.id)]

    def is_the_school(self, read: Snapshot) -> bool:
        return groups_in_order(read) == groups_in_order(self.exported())

    def count_reads(self) -> int:
        return self.server.requests.count(f"/v1.0/schools/{SCHOOL}")


def groups_in_order(snapshot: Snapshot) -> set[tuple[object, ...]]:
    """The groups without their ids, each with its people in their order."""
    return {(group.type, group.name, group.academic_year, group.students, group.teachers) for group in snapshot.groups}


@asynccontextmanager
async def oneroster_scene(folder: Path) -> AsyncIterator[OneRosterScene]:
    school = generate(pupils=60)
    write(school, folder / "feed")
    server = OneRosterServer(folder / "feed")
    async with serve(server.app()) as url:
        yield OneRosterScene(server, url, school, FixedClock())


@asynccontextmanager
async def wonde_scene(folder: Path) -> AsyncIterator[WondeScene]:
    school = generate(pupils=60)
    write(school, folder / "feed")
    server = WondeServer(school)
    async with serve(server.app()) as url:
        yield WondeScene(
            server, WondeApi(url=url, school=SCHOOL, secret="MIS_SECRET_WONDE"), school, folder / "feed", FixedClock()
        )
