"""Whether a source can be read, found out without reading the school: over the servers of vendors, and file drops."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from local.mis.wonde_api import SCHOOL
from sync_core.domain.ids import SchoolId
from sync_core.domain.school.sources import FeedContainer, FeedFolder, MisLocation
from sync_core.errors import SnapshotRejected, SyncError, Transient
from tests.builders import mis_sources, settings
from tests.fakes.fixed_clock import FixedClock
from tests.mis import feeds
from tests.mis.drop.scenes import Scene as Drop
from tests.mis.vendor_scenes import SECRETS, OneRosterScene, WondeScene, oneroster_scene, wonde_scene
from tests.serving import serve

IS_THERE = "the server signs the app in and has the school"


@pytest.fixture
async def oneroster(tmp_path: Path) -> AsyncIterator[OneRosterScene]:
    async with oneroster_scene(tmp_path) as scene:
        yield scene


@pytest.fixture
async def wonde(tmp_path: Path) -> AsyncIterator[WondeScene]:
    async with wonde_scene(tmp_path) as scene:
        yield scene


async def reach(
    source: MisLocation, school: str = "S1", clock: FixedClock | None = None, secrets: Mapping[str, str] = SECRETS
) -> str:
    chosen = replace(settings(), school=SchoolId(school), source=source)
    return await mis_sources(clock or FixedClock(), secrets).reach(chosen)


async def refusal(source: MisLocation, school: str = "S1", secrets: Mapping[str, str] = SECRETS) -> SyncError:
    """The error, which is raised without a pause."""
    clock = FixedClock()
    with pytest.raises((SnapshotRejected, Transient)) as caught:
        await reach(source, school, clock, secrets)
    assert clock.slept == []
    assert not any(secret in str(caught.value) for secret in SECRETS.values())
    return caught.value


# --- OneRoster


@pytest.mark.parametrize("version", ["1.1", "1.2"])
@pytest.mark.parametrize("signed_in", [True, False])
async def test_a_oneroster_server_answers_one_request(oneroster: OneRosterScene, version: str, signed_in: bool) -> None:
    assert await reach(oneroster.api(version, signed_in=signed_in), oneroster.school.id) == IS_THERE
    (request,) = oneroster.server.requests
    assert f"/schools/{oneroster.school.id}?" in request


async def test_a_oneroster_server_that_refuses_the_client(oneroster: OneRosterScene) -> None:
    token = await refusal(oneroster.api(secret="MIS_SECRET_WRONG"), oneroster.school.id)
    assert token.message == "the token server 127.0.0.1 returned 401, invalid_client"
    bearer = await refusal(oneroster.api(signed_in=False, secret="MIS_SECRET_WRONG"), oneroster.school.id)
    assert (bearer.message, "the application setting" in bearer.remedy) == (
        "the OneRoster server 127.0.0.1 returned 401",
        True,
    )


async def test_a_oneroster_server_without_the_school_names_those_that_it_has(oneroster: OneRosterScene) -> None:
    error = await refusal(oneroster.api(), "ELM")
    assert error.message.startswith("the OneRoster server 127.0.0.1 lists no school ELM, but ")


async def test_a_server_that_is_down_or_busy_is_not_waited_for(oneroster: OneRosterScene) -> None:
    down = await refusal(oneroster.elsewhere("http://127.0.0.1:1"), oneroster.school.id)
    assert down.message == "the token server 127.0.0.1 did not respond"
    oneroster.server.busy = 1
    busy = await refusal(oneroster.api(), oneroster.school.id)
    assert (type(busy), busy.message) == (Transient, "the OneRoster server 127.0.0.1 returned 429")


# --- Wonde


async def test_wonde_answers_one_request(wonde: WondeScene) -> None:
    assert await reach(wonde.api) == IS_THERE
    assert wonde.server.requests == [f"/v1.0/schools/{SCHOOL}"]


async def test_wonde_without_the_school_or_with_another_token(wonde: WondeScene) -> None:
    elsewhere = await refusal(replace(wonde.api, school="A1"))
    assert elsewhere.message.startswith("the Wonde server 127.0.0.1 returned ")
    token = await refusal(replace(wonde.api, secret="MIS_SECRET_WRONG"))
    assert token.message == "the Wonde server 127.0.0.1 returned 401"


# --- secrets


async def test_a_secret_that_is_not_set_or_not_resolved_is_never_sent(wonde: WondeScene) -> None:
    missing = await refusal(wonde.api, secrets={})
    assert missing.message == "the application setting MIS_SECRET_WONDE, which the school's source names, is not set"
    reference = {"MIS_SECRET_WONDE": "@Microsoft.KeyVault(SecretUri=https://oak.vault.azure.net/secrets/wonde)"}
    unresolved = await refusal(wonde.api, secrets=reference)
    assert unresolved.message == (
        "the platform could not resolve the Key Vault reference in the application setting MIS_SECRET_WONDE"
    )
    assert "Key Vault Secrets User" in unresolved.remedy
    assert wonde.server.requests == []


# --- file drops


async def test_a_file_drop_tells_its_newest_set_and_fetches_nothing(tmp_path: Path) -> None:
    drop = Drop(tmp_path / "drop")
    drop.export(feeds.oneroster(), "monday")
    drop.export(feeds.oneroster(), "tuesday")
    told = await drop.drops.summary(drop.drop)
    assert told == "export sets in the file drop: 2, the newest of 2026-09-07 12:01 UTC"
    assert not drop.fetched
    assert await reach(drop.drop) == told


async def test_a_file_drop_that_is_empty_absent_or_not_configured(tmp_path: Path) -> None:
    assert (await refusal(FeedFolder(str(tmp_path)))).message == "the file drop has no set of CSV files"
    assert (await refusal(FeedFolder(str(tmp_path / "nowhere")))).message == f"there is no feed at {tmp_path}/nowhere"
    assert "FILE_DROP_CONTAINER_URL" in (await refusal(FeedContainer("oak"))).remedy


async def test_an_answer_that_is_no_json_is_told(oneroster: OneRosterScene) -> None:
    async def page(_: web.Request) -> web.Response:
        return web.Response(text="<html>Sign in</html>", content_type="text/html")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", page)
    async with serve(app) as url:
        error = await refusal(replace(oneroster.api(signed_in=False), url=url), oneroster.school.id)
    assert error.message == "the OneRoster server 127.0.0.1 returned no JSON object"
