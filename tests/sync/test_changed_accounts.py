"""An account that is remade with the same user name, and a user name that moves to somebody else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from sync_core.applying.change import apply_change
from sync_core.domain.classes.outcomes import Outcome, Refused
from sync_core.domain.ids import RunId
from sync_core.domain.roster import Snapshot
from sync_core.domain.runs import Cause
from sync_core.domain.school.settings import SchoolSettings
from sync_core.messaging.messages import Priority, RefreshTenant, SyncSchool
from sync_core.services import Services
from sync_core.sync.nightly import refresh_tenant
from sync_core.sync.school import sync_school
from tests.builders import SCHOOL, TENANT, entra_id, entra_ids, settings, snapshot, teaching
from tests.fakes.fixed_clock import FixedClock
from tests.fakes.memory_outbox import MemoryOutbox
from tests.fakes.memory_state import MemoryState
from tests.fakes.memory_tenant import MemoryTenant
from tests.fakes.services import services


class _Mis:
    async def snapshot(self, settings: SchoolSettings, since: datetime | None = None) -> Snapshot:
        return snapshot([teaching("G1", "Art", ["amy", "ben", "cleo"], ["main"])])


def upn(person: str) -> str:
    return f"{person}@school.onmicrosoft.com"


async def run_night(fakes: Services, outbox: MemoryOutbox) -> list[Outcome]:
    outbox.changes.clear()
    await refresh_tenant(RefreshTenant(TENANT, RunId("run"), Cause.NIGHTLY), fakes, timedelta(days=400))
    await sync_school(SyncSchool(SCHOOL.id, RunId("run"), Cause.NIGHTLY), fakes)
    return [await apply_change(change, Priority.BULK, fakes) for change in outbox.changes]


def remade(tenant: MemoryTenant) -> None:
    """Ben's account was deleted, and a new one has his user name."""
    tenant.remove_account(entra_id("ben"))
    tenant.add_account(entra_id("new ben"), upn("ben"))


def moved(tenant: MemoryTenant) -> None:
    """Ben left; his user name went to another person, who is told first by the delta."""
    tenant.add_account(entra_id("new ben"), upn("ben"))
    tenant.add_account(entra_id("ben"), upn("ben.leaver"))


def moved_and_told_later(tenant: MemoryTenant) -> None:
    tenant.add_account(entra_id("ben"), upn("ben.leaver"))
    tenant.add_account(entra_id("new ben"), upn("ben"))


@pytest.mark.parametrize("change", [remade, moved, moved_and_told_later])
async def test_a_class_has_the_account_that_has_the_user_name_now(change: Callable[[MemoryTenant], None]) -> None:
    tenant, state, outbox = MemoryTenant(clock=FixedClock()), MemoryState(), MemoryOutbox()
    for person in ("amy", "ben", "cleo", "main"):
        tenant.add_account(entra_id(person), upn(person))
    await state.save_school(settings())
    fakes = services(state, tenant=tenant, mis=_Mis(), outbox=outbox, clock=FixedClock())
    await run_night(fakes, outbox)
    (group,) = tenant.groups.values()
    assert group.members == entra_ids(["amy", "ben", "cleo", "main"])
    change(tenant)
    outcomes = await run_night(fakes, outbox)
    assert not [outcome for outcome in outcomes if isinstance(outcome, Refused)]
    assert group.members == entra_ids(["amy", "new ben", "cleo", "main"])
    assert group.owners == entra_ids(["main"])
    assert await run_night(fakes, outbox) == []
