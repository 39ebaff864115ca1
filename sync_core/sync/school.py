"""Plans one school and starts its changes: rows first, messages second."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from sync_core.domain.runs import HoldStatus, RunOutcome, RunRecord
from sync_core.errors import NotOnRecord, RowRefused
from sync_core.messaging.messages import SchoolRequest, SyncSchool
from sync_core.planning.diff import Origin, priority_of
from sync_core.planning.limits.holds import with_newer
from sync_core.planning.planned import PlanNotMade, SchoolPlan
from sync_core.planning.reads.rows import needs_all_rows
from sync_core.planning.school_plan import note_shared_names, plan_school
from sync_core.planning.teams import team_changes
from sync_core.services import Services

_TOO_LARGE = "class {} is too large for a row of Table storage and stays as it is — split its group in the MIS"


async def sync_school(request: SyncSchool, services: Services) -> RunRecord:
    """Plan one school and start its changes. Returns the run, which is in the tables by then.

    A rejected snapshot, or a school that is paused or has left, changes nothing except the run's record. Raises
    NotOnRecord.
    """
    return await sync_under(await own_run(request, services), request, services)


async def own_run(request: SyncSchool, services: Services) -> RunRecord | None:
    """The run of a sync as it is on record: only an admin's is before it is planned.

    Raises NotOnRecord if it is on record as another action, or has another cause: it stays as it is.
    """
    run = await services.runs.run(request.school, request.run)
    if run and not (run.syncs and run.cause is request.cause):
        raise NotOnRecord(request.run)
    return run


async def sync_under(
    before: RunRecord | None,
    request: SyncSchool,
    services: Services,
    decided: Mapping[str, HoldStatus] | None = None,
) -> RunRecord:
    """The sync of an action whose run is on record as `before`, if it is.

    `decided` are decisions on holds, by the digest of a held class, that take effect with this plan.
    """
    try:
        async with services.reading.ahead(services.reading.school, needs_all_rows(request)) as reader:
            planned = await plan_school(request, replace(services.reading, school=reader), decided)
    except PlanNotMade as reason:
        return await end_unplanned(reason.planned, before, services)
    planned = await note_shared_names(planned, services.reading, lambda shared: shared.keys)
    return await carry_out(planned, before, services, request.until)


async def end_unplanned(planned: SchoolPlan, before: RunRecord | None, services: Services) -> RunRecord:
    """Record the run of a plan that could not be made. Returns the run; nothing else changes."""
    run = _as_requested(planned.run, before)
    await _write_left_out(planned, services)
    await services.runs.write_run(run)
    return run


async def carry_out(
    planned: SchoolPlan, before: RunRecord | None, services: Services, until: datetime | None = None
) -> RunRecord:
    """Write the rows and send the messages of a plan, whose run is on record as `before`, if it is.

    The work on teams is spread over the time `until` then.

    The rows come before the messages: after a crash between the two, the next plan sends the messages again. The
    removals are recorded before the rows lose the people, so that no crash hides a part of a slow leak. The holds come
    after the messages, so that an approval is used up only when the changes that it allowed are on the queue.
    """
    school = planned.run.school
    run = _as_requested(planned.run, before)
    if before and before.removals > run.removals:
        run = replace(run, removals=before.removals)
    if planned.run.removals:
        await services.runs.write_run(replace(run, outcome=RunOutcome.REQUESTED))
    too_large = await services.classes.write_desired(school, planned.plan.writes)
    plan = planned.plan.without(too_large)
    origin = Origin(school, run.id, run.cause)
    changes = plan.changes(origin)
    priority = priority_of(run.cause, len(changes))
    await services.outbox.send_changes(changes, priority)
    teams = [diff for diff in planned.teams if diff.key not in too_large]
    due = team_changes(teams, plan.created, origin, priority, services.clock.now(), until)
    await services.outbox.schedule_changes(due, priority)
    if planned.statistics is None:
        holds = with_newer(planned.standing, planned.holds_to_keep)
        await services.schools.replace_holds(school, planned.standing, holds)
    else:
        await services.schools.replace_holds(school, planned.standing, planned.holds_to_keep)
        await services.schools.write_accepted_statistics(school, planned.statistics)
    await _write_left_out(planned, services)
    if too_large:
        notes = (*run.notes, *map(_TOO_LARGE.format, too_large))
        run = replace(run, created=plan.created, changed=plan.changed, notes=notes)
    await services.runs.write_run(run)
    return run


async def _write_left_out(planned: SchoolPlan, services: Services) -> None:
    """Replace the list of rows that were left out, if it has any or had any."""
    if planned.left_out:
        await services.schools.write_left_out(planned.run.school, planned.left_out)


def _as_requested(run: RunRecord, before: RunRecord | None) -> RunRecord:
    """With the request that is on record."""
    if before is None:
        return run
    return replace(run, action=before.action, class_key=before.class_key, requested_by=before.requested_by)


async def end_unwritten(request: SchoolRequest, refusal: RowRefused, services: Services) -> RunRecord:
    """End the run of a request whose plan or result Table storage does not store. Returns the run, which is recorded.

    Its lists are left out, because they may be what is too long.
    """
    notes = (
        f"a record of this run cannot be stored: {refusal.message} — {refusal.remedy}",
        "what the run wrote and sent before is applied; the next sync plans the rest",
    )
    before = await services.runs.run(request.school, request.run)
    run = RunRecord(
        school=request.school,
        id=request.run,
        cause=request.cause,
        at=services.clock.now(),
        outcome=RunOutcome.REFUSED,
        removals=before.removals if before else 0,
        notes=notes,
    )
    run = _as_requested(run, before)
    await services.runs.write_run(run)
    return run
