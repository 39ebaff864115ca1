"""One school planned and set going: rows first, messages second."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from sync_core.clock import Clock
from sync_core.domain.runs import Hold, RunOutcome, RunRecord
from sync_core.messaging.messages import SyncSchool
from sync_core.messaging.port import Outbox
from sync_core.mis.port import MisSource
from sync_core.planning.diff import priority_of
from sync_core.planning.school_plan import SchoolPlan, plan_school
from sync_core.state.port import StateStore


async def sync_school(
    request: SyncSchool, mis: MisSource, state: StateStore, outbox: Outbox, clock: Clock
) -> RunRecord:
    """Plan one school and set the changes going. Returns the record of the run, which is in the tables by then.

    A rejected snapshot, or a school that is paused or has left, changes nothing but the record.
    """
    planned = await plan_school(request, mis, state, clock)
    if isinstance(planned, RunRecord):
        run = _as_requested(planned, await state.run(request.school, request.run))
        await state.write_run(run)
        return run
    return await carry_out(planned, state, outbox)


async def carry_out(planned: SchoolPlan, state: StateStore, outbox: Outbox) -> RunRecord:
    """Write the rows and send the messages of a plan.

    The rows are written before the messages: a crash between the two leaves rows out of step, and the next plan sends
    again. What the plan takes away is on record before the rows forget who was there, so that no crash hides a part of
    a slow leak. What is held is written after the messages, so that an approval is used up only when what it allowed is
    on its way.
    """
    school = planned.run.school
    before = await state.run(school, planned.run.run)
    removals = max(planned.run.removals, before.removals if before else 0)
    run = replace(_as_requested(planned.run, before), removals=removals)
    if planned.run.removals:
        await state.write_run(replace(run, outcome=RunOutcome.REQUESTED))
    await state.write_desired(school, planned.plan.writes)
    changes = planned.plan.changes(planned.origin)
    await outbox.send_changes(changes, priority_of(planned.origin.cause, len(changes)))
    if planned.statistics is None:
        await add_holds(school, planned.open_holds, state)
    else:
        await state.write_holds(school, planned.open_holds)
        await state.write_accepted_statistics(school, planned.statistics)
    await state.write_run(run)
    return run


def _as_requested(run: RunRecord, before: RunRecord | None) -> RunRecord:
    """With what an admin asked for, and who he is, where that is on record."""
    return replace(run, action=before.action, requested_by=before.requested_by) if before else run


async def add_holds(school: str, found: Iterable[Hold], state: StateStore) -> None:
    """Have these stand beside those that do; one of a digest that stands already takes its place."""
    standing = {hold.digest: hold for hold in await state.holds(school)}
    await state.write_holds(school, list((standing | {hold.digest: hold for hold in found}).values()))
