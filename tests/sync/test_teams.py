"""The teams of a night: their messages, their times, and the permissions without which they wait."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from sync_core.domain.ids import RunId
from sync_core.domain.permissions import PERMISSIONS, Grants
from sync_core.domain.roster import MisGroup, Snapshot
from sync_core.domain.runs import Cause, RunOutcome, RunRecord
from sync_core.domain.school.settings import SchoolSettings
from sync_core.messaging.messages import ChangeTeam, CreateClass, Priority, RefreshTenant, SyncSchool
from sync_core.services import Services
from sync_core.sync.nightly import refresh_tenant
from sync_core.sync.school import sync_school
from tests.builders import NOON, SCHOOL, TENANT, entra_id, settings, snapshot, teaching
from tests.fakes.fixed_clock import FixedClock
from tests.fakes.memory_outbox import MemoryOutbox
from tests.fakes.memory_state import MemoryState
from tests.fakes.memory_tenant import MemoryTenant
from tests.fakes.services import services

RUN = RunId("run")
ROLES = frozenset(permission.name for permission in PERMISSIONS)


@dataclass(slots=True)
class Scene:
    """A school of two groups that chooses teams, in a tenant that granted some permissions."""

    granted: frozenset[str] = ROLES
    groups: tuple[MisGroup, ...] = (teaching("G1", "7A", ["amy"], ["main"]), teaching("G2", "7B", ["ben"], ["main"]))
    state: MemoryState = field(default_factory=MemoryState)
    outbox: MemoryOutbox = field(default_factory=MemoryOutbox)
    tenant: MemoryTenant = field(default_factory=MemoryTenant)

    async def snapshot(self, settings: SchoolSettings, since: datetime | None = None) -> Snapshot:
        return snapshot(self.groups)

    @property
    def services(self) -> Services:
        return services(self.state, tenant=self.tenant, mis=self, outbox=self.outbox, clock=FixedClock())

    async def sync(self, teams: str, cause: Cause, until: datetime | None = None) -> RunRecord:
        self.tenant.granted = Grants(self.granted, "app")
        for person in ("amy", "ben", "main"):
            self.tenant.add_account(entra_id(person), f"{person}@school.onmicrosoft.com")
        await self.state.save_school(settings(teams=teams))
        await refresh_tenant(RefreshTenant(TENANT, RUN, cause), self.services, timedelta(days=1))
        return await sync_school(SyncSchool(SCHOOL.id, RUN, cause, until=until), self.services)


async def test_a_night_sends_the_teams_after_the_classes_and_spreads_them() -> None:
    scene = Scene()
    run = await scene.sync("create", Cause.NIGHTLY, NOON + timedelta(hours=1))
    assert len(run.teams_made) == 2
    assert sum(isinstance(change, CreateClass) for change in scene.outbox.changes) == 2
    first, second = scene.outbox.scheduled
    assert (first[0], second[0]) == (NOON + timedelta(minutes=15), NOON + timedelta(minutes=45))
    assert {type(change) for _, change, _ in scene.outbox.scheduled} == {ChangeTeam}
    assert {priority for *_, priority in scene.outbox.scheduled} == {Priority.BULK}


async def test_a_school_without_teams_sends_none() -> None:
    scene = Scene()
    run = await scene.sync("none", Cause.NIGHTLY)
    assert (scene.outbox.scheduled, run.teams_made) == ([], ())


@pytest.mark.parametrize(
    ("teams", "lacks", "waits"),
    [
        ("create", {"Team.Create"}, True),
        ("create", {"TeamMember.ReadWrite.All"}, True),
        ("create", {"TeamSettings.ReadWrite.All"}, False),
        ("create", {"Team.ReadBasic.All"}, False),
        ("release", {"TeamSettings.ReadWrite.All"}, True),
        ("none", {"Team.Create"}, False),
    ],
)
async def test_classes_are_synced_and_teams_wait_for_their_permissions(
    teams: str, lacks: set[str], waits: bool
) -> None:
    scene = Scene(granted=ROLES - lacks)
    run = await scene.sync(teams, Cause.NIGHTLY)
    assert (run.outcome, len(run.created)) == (RunOutcome.PLANNED, 2)
    assert bool(scene.outbox.scheduled) is (teams != "none" and not waits)
    said = [note for note in run.notes if "teams wait" in note]
    assert bool(said) is waits
    assert all("grant_graph.py" in note and next(iter(lacks)) in note for note in said)
