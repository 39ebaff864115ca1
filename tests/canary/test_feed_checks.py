"""The check of a feed: an admin of all schools sees what helps to mend it, and nobody else, nor a log, has it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from local.feed_check import check_feed
from sync_core.domain.ids import SchoolId
from sync_core.domain.school.sources import FeedFolder, MisLocation
from sync_core.errors import SyncError
from tests.builders import settings
from tests.canary.conftest import app_of
from tests.canary.outside import ADDRESS, NAME, Outside
from tests.canary.test_edges import CALLERS
from tests.canary.test_feeds import FILES, FORMATS, bad_cells, small_oneroster, small_wonde
from tests.fakes.memory_state import MemoryState
from tests.http.built import serve_api
from tests.http.memory_api import HEAD
from tests.mis import feeds
from tests.mis.vendor_scenes import SECRETS


class Checks:
    """The admin API over a school whose source each check changes. `shown` are the answers to an admin of all."""

    def __init__(self, outside: Outside) -> None:
        self.shown: list[str] = []
        self._outside = outside
        self._state = MemoryState()
        self._app = app_of(self._state, secrets=SECRETS)
        self._api = serve_api(self._app)

    async def check(self, source: MisLocation, school: str) -> None:
        await self._state.save_school(replace(settings(access=[HEAD]), school=SchoolId(school), source=source))
        path = f"/api/admin/schools/{school}/feed-check"
        async with httpx.AsyncClient(transport=httpx.ASGITransport(self._api), base_url="http://api") as client:
            for caller, header in CALLERS.items():
                answer = await client.post(path, headers=header)
                if caller == "an admin":
                    self.shown.append(answer.text)
                else:
                    self._outside.see("answer to a visitor", answer.text)


@pytest.mark.parametrize("name", ["OneRoster 1.1", "SDS v1"])
async def test_no_check_of_files_leaves_a_cell(outside: Outside, name: str, tmp_path: Path) -> None:
    checks, (make, school) = Checks(outside), FORMATS[name]
    feed = make()
    for number, (where, file, bad) in enumerate(bad_cells(name, feed)):
        outside.putting(f"check of {name}", f"{file} {where}")
        path = feeds.write(feed | {file: bad}, tmp_path / str(number))
        await checks.check(FeedFolder(str(path)), school)
        with suppress(SyncError):
            check_feed(path, {}, school, None)
    assert outside.report() == ""
    assert len(checks.shown) == number + 1


@pytest.mark.parametrize(
    ("where", "shown"),
    [
        ("an unknown format", f"unknown format (CSV files found: {NAME}.csv)"),
        ("a damaged zip file", f"{NAME}.zip is not a complete zip file"),
        ("a member twice", "ANNE ZYXCANARY.csv appears twice"),
    ],
)
async def test_an_admin_of_all_schools_sees_which_file_is_at_fault(
    outside: Outside, where: str, shown: str, tmp_path: Path
) -> None:
    checks = Checks(outside)
    outside.putting("check of a file drop", where)
    FILES[where](tmp_path)
    await checks.check(FeedFolder(str(tmp_path)), "S1")
    assert shown in checks.shown[0]
    assert outside.report() == ""


async def test_an_admin_of_all_schools_sees_the_schools_of_a_server_and_the_types_of_its_groups(
    outside: Outside, tmp_path: Path
) -> None:
    checks = Checks(outside)
    async with small_oneroster(tmp_path / "1") as scene, small_wonde(tmp_path / "2") as wonde:
        outside.putting("check of a server", "orgs")
        orgs = scene.server.folder / "orgs.csv"
        orgs.write_text(orgs.read_text().replace("D1,", f"{ADDRESS},", 1))
        await checks.check(scene.api(signed_in=False), "NONE")
        assert f"lists no school NONE, but {ADDRESS}, S1" in checks.shown[0]
        outside.putting("check of a server", "types of groups")
        wonde.server.change = lambda listed, records: (
            []
            if listed == "classes"
            else [{**each, "type": NAME} for each in records]
            if listed == "groups"
            else records
        )
        await checks.check(wonde.api, wonde.school.id)
        assert f"of the type {NAME.upper()}" in checks.shown[1]
    assert outside.report() == ""
