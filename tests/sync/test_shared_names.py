"""A preview or a night that creates classes in a tenant where School Data Sync already made some."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from sync_core.admin.holds import preview_school
from sync_core.applying.change import apply_change
from sync_core.domain.ids import MisId, RunId
from sync_core.domain.roster import MisGroup, Snapshot
from sync_core.domain.runs import Cause, RunOutcome, RunRecord
from sync_core.domain.school.settings import SchoolSettings
from sync_core.errors import GraphDenied, SyncError, Transient
from sync_core.messaging.messages import Priority, RefreshTenant, SyncSchool
from sync_core.planning.preview.preview import Preview
from sync_core.services import Services
from sync_core.sync.nightly import refresh_tenant
from sync_core.sync.school import sync_school
from tests.builders import SCHOOL, TENANT, entra_id, settings, snapshot, teaching
from tests.fakes.fixed_clock import FixedClock
from tests.fakes.memory_outbox import MemoryOutbox
from tests.fakes.memory_state import MemoryState
from tests.fakes.memory_tenant import MemoryTenant
from tests.fakes.services import services

RUN = RunId("run")


@dataclass(slots=True)
class Scene:
    """A tenant with a class of School Data Sync, whose school has two groups. `listed` counts lists of all classes."""

    groups: tuple[MisGroup, ...] = (teaching("G1", "7A/Ma", ["amy"], ["main"]), teaching("G2", "7B", ["ben"], ["main"]))
    failure: SyncError | None = None
    listed: int = 0
    state: MemoryState = field(default_factory=MemoryState)
    outbox: MemoryOutbox = field(default_factory=MemoryOutbox)
    tenant: MemoryTenant = field(init=False)

    def __post_init__(self) -> None:
        self.tenant = MemoryTenant(self.step)
        for person in ("amy", "ben", "main"):
            self.tenant.add_account(entra_id(person), f"{person}@school.onmicrosoft.com")
        self.tenant.add_foreign_class("7a/ma", "Section_G1", "G1", "sis")

    async def step(self, name: str) -> None:
        if name == "classes":
            self.listed += 1
            if self.failure:
                raise self.failure

    async def snapshot(self, settings: SchoolSettings, since: datetime | None = None) -> Snapshot:
        return snapshot(self.groups)

    @property
    def services(self) -> Services:
        return services(self.state, tenant=self.tenant, mis=self, outbox=self.outbox, clock=FixedClock())

    async def refresh(self) -> None:
        await self.state.save_school(settings())
        await refresh_tenant(RefreshTenant(TENANT, RUN, Cause.NIGHTLY), self.services, timedelta(days=1))

    async def preview(self) -> Preview:
        return await preview_school(settings(), self.services)

    async def sync(self, *scope: str) -> RunRecord:
        groups = tuple(map(MisId, scope)) or None
        return await sync_school(SyncSchool(SCHOOL.id, RUN, Cause.NIGHTLY, groups), self.services)

    async def apply(self) -> None:
        for change in self.outbox.changes:
            await apply_change(change, Priority.BULK, self.services)
        self.outbox.changes.clear()


@pytest.fixture
async def scene() -> Scene:
    scene = Scene()
    await scene.refresh()
    return scene


async def test_a_preview_names_the_classes_that_share_a_name_and_writes_nothing(scene: Scene) -> None:
    writes = scene.tenant.writes
    preview = await scene.preview()
    (note,) = preview.run.notes
    assert note.startswith("1 of the 2 classes to create share a name with 1 classes that are not of this app")
    assert "do: 7a/ma; those stay as they are" in note
    assert f"! {note}" in preview.lines
    assert preview.as_data()["notes"] == (note,)
    assert (scene.listed, scene.tenant.writes - writes, scene.outbox.changes) == (1, 0, [])


async def test_the_run_of_a_night_has_the_same_note_with_the_key_of_the_class(scene: Scene) -> None:
    """Notes go into tables and events, where nothing is called by a name that people chose."""
    run = await scene.sync()
    assert scene.listed == 1
    assert len(run.created) == 2
    (note,) = run.notes
    assert note.startswith("1 of the 2 classes to create share a name with 1 classes that are not of this app")
    assert "do: 2026.teaching.G1; those stay as they are" in note
    assert "7a/ma" not in note.lower()
    assert await scene.state.run(SCHOOL.id, RUN) == run


async def test_own_classes_are_not_counted_and_an_unchanged_night_does_not_list_classes(scene: Scene) -> None:
    await scene.sync()
    await scene.apply()
    scene.listed = 0
    assert (await scene.sync()).notes == ()
    assert (await scene.preview()).run.notes == ()
    assert scene.listed == 0
    scene.groups += (teaching("G3", "7C", ["amy"], ["main"]),)
    run = await scene.sync()
    assert (run.created, run.notes, scene.listed) == (("2026.teaching.G3",), (), 1)


async def test_a_sync_of_some_groups_does_not_list_classes(scene: Scene) -> None:
    run = await scene.sync("G1")
    assert (run.created, run.notes, scene.listed) == (("2026.teaching.G1",), (), 0)


async def test_a_plan_that_is_not_made_does_not_list_classes(scene: Scene) -> None:
    await scene.state.save_school(settings(enabled=False))
    assert (await scene.preview()).run.outcome is RunOutcome.PAUSED
    assert (await scene.sync()).outcome is RunOutcome.PAUSED
    assert scene.listed == 0


@pytest.mark.parametrize(
    ("failure", "remedy"),
    [
        (Transient("Graph was throttled", "it is retried"), "request a preview of the school to look again"),
        (GraphDenied("Denied", "not allowed", "grant it"), "grant it"),
    ],
)
async def test_classes_that_cannot_be_listed_stop_neither_a_preview_nor_a_night(
    scene: Scene, failure: SyncError, remedy: str
) -> None:
    scene.failure = failure
    for run in ((await scene.preview()).run, await scene.sync()):
        assert (run.outcome, len(run.created)) == (RunOutcome.PLANNED, 2)
        (note,) = run.notes
        assert note.startswith(f"the tenant's classes could not be listed ({failure.message}), so it is not known")
        assert note.endswith(f"— {remedy}")
    assert len(scene.outbox.changes) == 6
