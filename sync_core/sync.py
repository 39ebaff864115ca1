"""One school from its MIS snapshot to rows and messages: the planning half of the desired / actual protocol."""

from __future__ import annotations

from sync_core.errors import Malformed, SnapshotRejected
from sync_core.events import SyncSchool
from sync_core.model import RunOutcome, RunRecord
from sync_core.plan import Origin, make_plan
from sync_core.ports import Clock, MisSource, Outbox, StateStore
from sync_core.rules import desired_classes


async def sync_school(
    request: SyncSchool, mis: MisSource, state: StateStore, outbox: Outbox, clock: Clock
) -> RunRecord:
    """Plan one school and set the changes going. Returns the record of the run, which is in the tables by then.

    The rows are written before the messages: a crash between the two leaves rows out of step, and the next plan sends
    again. A rejected snapshot changes nothing but the record. Raises Malformed for a school that nobody set up.
    """
    settings = await state.school(request.school)
    if settings is None:
        raise Malformed(
            f"no settings for school {request.school}", "save the school's settings, then replay the message"
        )
    try:
        snapshot = await mis.snapshot(settings)
    except SnapshotRejected as rejection:
        run = RunRecord(
            request.school,
            request.run,
            request.cause,
            clock.now(),
            RunOutcome.REJECTED,
            notes=(rejection.what, rejection.remedy),
        )
        await state.write_run(run)
        return run

    records = {record.key: record for record in await state.class_records(request.school)}
    ruled = desired_classes(
        snapshot,
        settings,
        await state.accounts(settings.tenant),
        {key: record.desired.name for key, record in records.items()},
        None if request.scope is None else frozenset(request.scope),
    )
    plan = make_plan(ruled.classes, records, Origin(settings.tenant, request.school, request.run, request.cause))
    await state.write_desired(request.school, plan.writes)
    await outbox.send_changes(plan.changes)
    run = RunRecord(
        school=request.school,
        run=request.run,
        cause=request.cause,
        at=clock.now(),
        outcome=RunOutcome.PLANNED,
        groups=len(ruled.classes),
        created=plan.created,
        changed=plan.changed,
        unchanged=plan.unchanged,
        held=plan.held,
        gone=plan.gone,
        people_without_account=ruled.people_without_account,
        notes=ruled.notes,
    )
    await state.write_run(run)
    return run
