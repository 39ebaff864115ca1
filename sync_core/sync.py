"""One school from its MIS snapshot to rows and messages: the planning half of the desired / actual protocol."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from sync_core.errors import SnapshotRejected
from sync_core.events import SyncSchool
from sync_core.model import ClassRecord, ClassRequest, RunOutcome, RunRecord
from sync_core.plan import Origin, make_plan
from sync_core.ports import Clock, MisSource, Outbox, StateStore
from sync_core.rules import desired_classes


async def sync_school(
    request: SyncSchool, mis: MisSource, state: StateStore, outbox: Outbox, clock: Clock
) -> RunRecord:
    """Plan one school and set the changes going. Returns the record of the run, which is in the tables by then.

    The rows are written before the messages: a crash between the two leaves rows out of step, and the next plan sends
    again. A rejected snapshot, or a school that is paused or has left, changes nothing but the record.
    """
    run = await _plan_run(request, mis, state, outbox, clock)
    await state.write_run(run)
    return run


async def _plan_run(request: SyncSchool, mis: MisSource, state: StateStore, outbox: Outbox, clock: Clock) -> RunRecord:
    settings = await state.school(request.school)
    if settings is None or not settings.enabled:
        why = "the school is paused" if settings else "the school has no settings (any more)"
        note = f"{why}: nothing was planned — save its settings with enabled true to have it synced"
        return _unplanned(request, clock, RunOutcome.PAUSED, note)
    try:
        snapshot = await mis.snapshot(settings)
    except SnapshotRejected as rejection:
        return _unplanned(request, clock, RunOutcome.REJECTED, rejection.what, rejection.remedy)

    records = {record.key: record for record in await state.class_records(request.school)}
    requests = await state.class_requests(request.school)
    ruled = desired_classes(
        snapshot,
        settings,
        await state.accounts(settings.tenant),
        records,
        requests,
        None if request.scope is None else frozenset(request.scope),
    )
    origin = Origin(settings.tenant, request.school, request.run, request.cause)
    plan = make_plan(ruled.classes, ruled.ended, records, origin)
    await state.write_desired(request.school, plan.writes)
    await outbox.send_changes(plan.changes)
    return RunRecord(
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
        ended=plan.ended,
        expired=_expired(records, requests, clock.now().date()),
        people_without_account=ruled.people_without_account,
        people_disabled=ruled.people_disabled,
        people_ambiguous=ruled.people_ambiguous,
        notes=ruled.notes,
    )


def _unplanned(request: SyncSchool, clock: Clock, outcome: RunOutcome, *notes: str) -> RunRecord:
    return RunRecord(request.school, request.run, request.cause, clock.now(), outcome, notes=notes)


def _expired(records: Mapping[str, ClassRecord], requests: Mapping[str, ClassRequest], today: date) -> tuple[str, ...]:
    """Classes that are there longer than was asked for. They are only reported: nothing is deleted by itself."""
    return tuple(
        key
        for key, asked in sorted(requests.items())
        if asked.required_until and asked.required_until < today and key in records and not records[key].gone
    )
