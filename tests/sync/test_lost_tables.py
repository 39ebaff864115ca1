"""As docs/operations.md says under "Restore": with empty tables, the app adopts its classes as they are."""

from __future__ import annotations

from datetime import datetime, timedelta

from sync_core.applying.change import apply_change
from sync_core.domain.classes.outcomes import AlreadySo, Outcome
from sync_core.domain.ids import RunId
from sync_core.domain.roster import Snapshot
from sync_core.domain.runs import Cause
from sync_core.domain.school.settings import SchoolSettings
from sync_core.messaging.messages import Priority, RefreshTenant, SyncSchool
from sync_core.sync.nightly import refresh_tenant
from sync_core.sync.school import sync_school
from tests.builders import SCHOOL, TENANT, entra_id, settings, snapshot, teaching
from tests.fakes.fixed_clock import FixedClock
from tests.fakes.memory_outbox import MemoryOutbox
from tests.fakes.memory_state import MemoryState
from tests.fakes.memory_tenant import MemoryTenant
from tests.fakes.services import services

RUN = RunId("run")


class _Mis:
    async def snapshot(self, settings: SchoolSettings, since: datetime | None = None) -> Snapshot:
        # Both names become the same nickname when cleaned, so that one class has the second choice.
        return snapshot(
            [teaching("G1", "2S/DT1", ["amy", "ben"], ["main"]), teaching("G2", "2SDT1", ["ben"], ["main"])]
        )


async def _refresh_and_sync_with_new_tables(tenant: MemoryTenant) -> list[Outcome]:
    clock, state, outbox = FixedClock(), MemoryState(), MemoryOutbox()
    await state.save_school(settings())
    full_resync = RefreshTenant(TENANT, RUN, Cause.ADMIN, full_resync=True)
    fakes = services(state, tenant=tenant, mis=_Mis(), outbox=outbox, clock=clock)
    await refresh_tenant(full_resync, fakes, timedelta(days=400))
    await sync_school(SyncSchool(SCHOOL.id, RUN, Cause.ADMIN), fakes)
    return [await apply_change(change, Priority.BULK, fakes) for change in outbox.changes]


async def test_a_sync_with_empty_tables_adopts_every_class_and_changes_nothing() -> None:
    tenant = MemoryTenant(clock=FixedClock())
    for person in ("amy", "ben", "main", "by hand"):
        tenant.add_account(entra_id(person), f"{person}@school.onmicrosoft.com")
    await _refresh_and_sync_with_new_tables(tenant)
    (first, second) = tenant.groups.values()
    tenant.hand_owner(first.id, entra_id("by hand"), True)
    before = [(group.name, set(group.members), set(group.owners)) for group in (first, second)]

    outcomes = await _refresh_and_sync_with_new_tables(tenant)

    assert len(outcomes) == 6
    assert set(outcomes) == {AlreadySo()}
    assert [(group.name, group.members, group.owners) for group in tenant.groups.values()] == before
    assert tenant.creates == 2
