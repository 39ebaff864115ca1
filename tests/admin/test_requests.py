"""Requests that are refused in their turn: forged ones, and those for a tenant that lacks a permission."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from sync_core.admin.classes.requests import act_on_class
from sync_core.admin.holds import decide_hold
from sync_core.admin.plans.apply import apply_plan
from sync_core.admin.undo import undo_run
from sync_core.admin.year.year_end import end_year, take_back
from sync_core.domain.classes.year_end import YearEndChoice, YearEndFilter
from sync_core.domain.ids import ClassKey, RunId
from sync_core.domain.permissions import Grants
from sync_core.domain.roster import Snapshot
from sync_core.domain.runs import Cause, RunOutcome, RunRecord
from sync_core.domain.school.settings import SchoolSettings
from sync_core.messaging.messages import (
    Action,
    ActOnClass,
    ApplyPlan,
    DecideHold,
    Decision,
    EndYear,
    TakeBackYearEnd,
    UndoRun,
)
from tests.builders import NOON, SCHOOL, desired, settings, snapshot, synced
from tests.fakes.fixed_clock import FixedClock
from tests.fakes.memory_outbox import MemoryOutbox
from tests.fakes.memory_state import MemoryState
from tests.fakes.memory_tenant import MemoryTenant
from tests.fakes.services import services

RUN = RunId("forged")
KEY = ClassKey("2026.teaching.G1")
FORGED = [
    ActOnClass(SCHOOL.id, KEY, Action.DELETE, RUN),
    ActOnClass(SCHOOL.id, KEY, Action.RESTORE, RUN),
    DecideHold(SCHOOL.id, ("0123456789ab",), Decision.APPROVE, RUN),
    ApplyPlan(SCHOOL.id, "0123456789ab", RUN),
    UndoRun(SCHOOL.id, RunId("night"), RUN),
    EndYear(SCHOOL.id, "0123456789ab", YearEndFilter(), YearEndChoice(), RUN),
    TakeBackYearEnd(SCHOOL.id, "0123456789ab", YearEndFilter(), RUN),
]
_Forged = ActOnClass | ApplyPlan | DecideHold | UndoRun | EndYear | TakeBackYearEnd


class _Mis:
    async def snapshot(self, settings: SchoolSettings, since: datetime | None = None) -> Snapshot:
        return snapshot([])


async def _handle(request: _Forged, state: MemoryState, outbox: MemoryOutbox, clock: FixedClock) -> RunRecord:
    fakes = services(state, mis=_Mis(), outbox=outbox, clock=clock)
    match request:
        case ActOnClass():
            return await act_on_class(request, fakes)
        case DecideHold():
            return await decide_hold(request, fakes)
        case ApplyPlan():
            return await apply_plan(request, fakes)
        case UndoRun():
            return await undo_run(request, fakes)
        case EndYear():
            return await end_year(request, fakes)
        case TakeBackYearEnd():
            return await take_back(request, fakes)


@pytest.mark.parametrize("request_", FORGED, ids=lambda request: request.kind)
async def test_a_request_that_no_admin_made_is_refused_and_recorded(
    request_: _Forged,
) -> None:
    state, outbox, clock = MemoryState(), MemoryOutbox(), FixedClock()
    await state.save_school(settings())
    await state.write_desired(SCHOOL.id, [desired(KEY, ["amy"])])
    record = await state.class_record(SCHOOL.id, KEY)
    assert record
    await state.write_actual(replace(record, actual=synced(record.desired).actual))

    run = await _handle(request_, state, outbox, clock)

    assert (run.outcome, run) == (RunOutcome.REFUSED, await state.run(SCHOOL.id, RUN))
    assert "no admin is on record" in run.notes[0]
    assert (outbox.changes, await state.holds(SCHOOL.id), await state.pins(SCHOOL.id)) == ([], (), {})
    after = await state.class_record(SCHOOL.id, KEY)
    assert after
    assert not after.desired.deleted
    assert after.desired.year_end is None


@pytest.mark.parametrize("request_", [request for request in FORGED if isinstance(request, ActOnClass | UndoRun)])
async def test_an_action_in_a_tenant_that_lacks_a_permission_is_refused_with_the_remedy(
    request_: ActOnClass | UndoRun,
) -> None:
    state, outbox, tenant = MemoryState(), MemoryOutbox(), MemoryTenant()
    tenant.granted = Grants(frozenset())
    await state.save_school(settings())
    await state.write_desired(SCHOOL.id, [desired(KEY, ["amy"])])
    action, key = (request_.action, KEY) if isinstance(request_, ActOnClass) else ("undo night", ClassKey(""))
    await state.write_run(
        RunRecord(
            school=SCHOOL.id,
            id=RUN,
            cause=Cause.ADMIN,
            at=NOON,
            outcome=RunOutcome.REQUESTED,
            action=action,
            class_key=key,
        )
    )
    fakes = services(state, tenant=tenant, mis=_Mis(), outbox=outbox)
    run = await (act_on_class(request_, fakes) if isinstance(request_, ActOnClass) else undo_run(request_, fakes))
    assert (run.outcome, run) == (RunOutcome.REFUSED, await state.run(SCHOOL.id, RUN))
    assert "Member.Read.Hidden" in run.notes[0]
    assert "so nothing was changed" in run.notes[0]
    assert "infra/scripts/grant_graph.py" in run.notes[0]
    assert (outbox.changes, await state.pins(SCHOOL.id)) == ([], {})
