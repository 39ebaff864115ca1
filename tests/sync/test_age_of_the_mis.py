"""How old a reading that schools share may be for a plan: an hour for a night, and not at all for anybody who waits."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest

from sync_core.domain.ids import RunId
from sync_core.domain.roster import Snapshot
from sync_core.domain.runs import Cause
from sync_core.domain.school.settings import SchoolSettings
from sync_core.messaging.messages import RefreshTenant, SyncSchool
from sync_core.planning.school_plan import plan_to_show
from sync_core.sync.nightly import refresh_tenant
from sync_core.sync.school import sync_school
from tests.builders import NOON, SCHOOL, TENANT, mis_ids, settings, snapshot, teaching
from tests.fakes.fixed_clock import FixedClock
from tests.fakes.memory_state import MemoryState
from tests.fakes.services import services

HOUR = timedelta(hours=1)
WEBHOOK = SyncSchool(SCHOOL.id, RunId("webhook"), Cause.WEBHOOK, mis_ids("G1"))
NIGHT = SyncSchool(SCHOOL.id, RunId("night"), Cause.NIGHTLY)


@dataclass(slots=True)
class Scene:
    """A school that was planned a day ago. `since` are the ages that its plans accepted."""

    clock: FixedClock = field(default_factory=FixedClock)
    state: MemoryState = field(default_factory=MemoryState)
    since: list[datetime | None] = field(default_factory=list)

    async def snapshot(self, settings: SchoolSettings, since: datetime | None = None) -> Snapshot:
        self.since.append(since)
        return replace(snapshot([teaching("G1", "Art", ["amy"])]), taken_at=self.clock.now())

    async def sync(self, request: SyncSchool) -> datetime | None:
        await sync_school(request, services(self.state, mis=self, clock=self.clock))
        return self.since[-1]


@pytest.fixture
async def scene() -> Scene:
    scene = Scene()
    await scene.state.save_school(settings())
    refresh = RefreshTenant(TENANT, RunId("the night before"), Cause.NIGHTLY)
    await refresh_tenant(refresh, services(scene.state, mis=scene, clock=scene.clock), timedelta(days=400))
    await scene.sync(replace(NIGHT, run=RunId("the night before")))
    scene.clock.advance(timedelta(days=1))
    return scene


async def test_a_night_accepts_what_another_school_read_within_the_hour(scene: Scene) -> None:
    assert await scene.sync(NIGHT) == scene.clock.now() - HOUR == NOON + timedelta(hours=23)


@pytest.mark.parametrize("request_", [WEBHOOK, replace(WEBHOOK, cause=Cause.ADMIN), replace(NIGHT, cause=Cause.ADMIN)])
async def test_whoever_waits_gets_the_mis_as_it_is_now(scene: Scene, request_: SyncSchool) -> None:
    assert await scene.sync(request_) is None


async def test_a_preview_shows_the_mis_as_it_is_now(scene: Scene) -> None:
    await plan_to_show(SCHOOL.id, services(scene.state, mis=scene, clock=scene.clock).reading)
    assert scene.since[-1] is None


async def test_a_night_does_not_take_back_what_a_webhook_brought(scene: Scene) -> None:
    """A reading from before the webhook's plan does not have its change."""
    await scene.sync(WEBHOOK)
    planned_at = scene.clock.now()
    scene.clock.advance(timedelta(minutes=10))
    assert await scene.sync(NIGHT) == planned_at


async def test_a_night_that_is_delivered_again_reads_no_older_than_before(scene: Scene) -> None:
    await scene.sync(NIGHT)
    planned_at = scene.clock.now()
    scene.clock.advance(timedelta(minutes=10))
    assert await scene.sync(NIGHT) == planned_at
