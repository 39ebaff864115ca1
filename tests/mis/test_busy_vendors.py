"""Every vendor's server on a bad day: busy, failing, or out of reach."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sync_core.errors import Transient
from tests.mis.vendor_scenes import OneRosterScene, WondeScene, oneroster_scene, wonde_scene

Scene = OneRosterScene | WondeScene


@pytest.fixture(params=[oneroster_scene, wonde_scene])
async def scene(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Scene]:
    async with request.param(tmp_path) as scene:
        yield scene


async def test_a_retry_after_of_a_busy_server_is_respected(scene: Scene) -> None:
    scene.server.busy = 2
    assert scene.is_the_school(await scene.read())
    assert scene.clock.slept == [3, 3]


async def test_without_a_retry_after_the_pauses_grow(scene: Scene) -> None:
    scene.server.busy, scene.server.retry_after = 3, False
    await scene.read()
    assert scene.clock.slept == [2, 4, 8]


@pytest.mark.parametrize("status", [500, 503])
async def test_a_server_that_stays_broken_is_a_transient_error(scene: Scene, status: int) -> None:
    scene.server.broken = status
    with pytest.raises(Transient, match="service status"):
        await scene.read()
    assert sum(scene.clock.slept) <= 120


async def test_an_unreachable_server_is_a_transient_error(scene: Scene) -> None:
    with pytest.raises(Transient):
        await scene.read(scene.elsewhere("http://127.0.0.1:9"))
