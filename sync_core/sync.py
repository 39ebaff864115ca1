"""One school from its MIS snapshot to rows and messages: the planning half of the desired / actual protocol."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta

from sync_core.errors import SnapshotRejected
from sync_core.events import SyncSchool
from sync_core.limits import Past, check_snapshot, figures_of, restrain
from sync_core.model import (
    ClassRecord,
    ClassRequest,
    Hold,
    HoldStatus,
    RunOutcome,
    RunRecord,
    SnapshotFigures,
)
from sync_core.plan import Origin, Plan, make_plan
from sync_core.ports import Clock, MisSource, Outbox, SchoolReader, StateStore
from sync_core.rules import desired_classes

_WEEK = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class SchoolPlan:
    """What a sync would do at this moment, and what it would hold; nothing of it is written yet."""

    plan: Plan
    origin: Origin
    holds: tuple[Hold, ...]
    figures: SnapshotFigures
    run: RunRecord

    @property
    def open_holds(self) -> list[Hold]:
        """All but what an admin approved."""
        return [hold for hold in self.holds if hold.status is not HoldStatus.APPROVED]


async def sync_school(
    request: SyncSchool, mis: MisSource, state: StateStore, outbox: Outbox, clock: Clock
) -> RunRecord:
    """Plan one school and set the changes going. Returns the record of the run, which is in the tables by then.

    The rows are written before the messages: a crash between the two leaves rows out of step, and the next plan sends
    again. What the plan takes away is on record before the rows forget who was there, so that no crash hides a part of
    a slow leak. What is held is written after the messages, so that an approval is used up only when what it allowed is
    on its way. A rejected snapshot, or a school that is paused or has left, changes nothing but the record.
    """
    planned = await plan_school(request, mis, state, clock)
    if isinstance(planned, RunRecord):
        await state.write_run(planned)
        return planned
    before = await state.run(request.school, request.run)
    removals = max(planned.run.removals, before.removals if before else 0)
    run = replace(planned.run, removals=removals)
    if planned.run.removals:
        await state.write_run(replace(run, outcome=RunOutcome.ASKED))
    await state.write_desired(request.school, planned.plan.writes)
    await outbox.send_changes(planned.plan.changes(planned.origin))
    if request.scope is None:
        await state.write_holds(request.school, planned.open_holds)
        await state.write_accepted_snapshot(request.school, planned.figures)
    else:
        await add_holds(request.school, planned.open_holds, state)
    await state.write_run(run)
    return run


async def add_holds(school: str, found: Iterable[Hold], state: StateStore) -> None:
    """Have these stand beside those that do; one of a digest that stands already takes its place."""
    standing = {hold.digest: hold for hold in await state.holds(school)}
    await state.write_holds(school, list((standing | {hold.digest: hold for hold in found}).values()))


async def plan_school(request: SyncSchool, mis: MisSource, state: SchoolReader, clock: Clock) -> SchoolPlan | RunRecord:
    """The plan as things stand, with nothing written; a run's record where nothing can be planned."""
    settings = await state.school(request.school)
    if settings is None or not settings.enabled:
        why = "the school is paused" if settings else "the school has no settings (any more)"
        note = f"{why}: nothing was planned — save its settings with enabled true to have it synced"
        return _unplanned(request, clock, RunOutcome.PAUSED, note)
    last = await state.accepted_snapshot(request.school)
    try:
        snapshot = await mis.snapshot(settings)
        figures = figures_of(snapshot)
        check_snapshot(figures, last, settings.limits)
    except SnapshotRejected as rejection:
        return _unplanned(request, clock, RunOutcome.REJECTED, rejection.what, rejection.remedy)

    now = clock.now()
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
    week = [run for run in await state.runs(request.school, now - _WEEK) if run.run != request.run]
    past = Past(sum(run.removals for run in week), last.groups if last else None, await state.holds(request.school))
    whole = request.scope is None
    restrained = restrain(ruled.classes, records, settings.limits, past, request.run, now, whole=whole)
    plan = make_plan(restrained.classes, ruled.ended, records)
    run = RunRecord(
        school=request.school,
        run=request.run,
        cause=request.cause,
        at=now,
        outcome=RunOutcome.PLANNED,
        groups=len(ruled.classes),
        created=plan.created,
        changed=plan.changed,
        unchanged=plan.unchanged,
        removals=restrained.removals,
        gone=plan.gone,
        ended=plan.ended,
        expired=_expired(records, requests, now.date()),
        people_without_account=ruled.people_without_account,
        people_disabled=ruled.people_disabled,
        people_ambiguous=ruled.people_ambiguous,
        notes=ruled.notes,
    )
    origin = Origin(settings.tenant, request.school, request.run, request.cause)
    planned = SchoolPlan(plan, origin, restrained.holds, figures, run)
    held = sorted({key for hold in planned.open_holds for key in hold.classes})
    notes = (*ruled.notes, *map(hold_note, planned.open_holds))
    return replace(planned, run=replace(run, held=tuple(held), notes=notes))


def hold_note(hold: Hold) -> str:
    """A hold as a run tells of it."""
    return f"{hold.status} hold {hold.digest}: {hold.what} — {hold.remedy}"


def _unplanned(request: SyncSchool, clock: Clock, outcome: RunOutcome, *notes: str) -> RunRecord:
    return RunRecord(request.school, request.run, request.cause, clock.now(), outcome, notes=notes)


def _expired(records: Mapping[str, ClassRecord], requests: Mapping[str, ClassRequest], today: date) -> tuple[str, ...]:
    """Classes that are there longer than was asked for. They are only reported: nothing is deleted by itself."""
    return tuple(
        key
        for key, asked in sorted(requests.items())
        if asked.required_until and asked.required_until < today and key in records and not records[key].gone
    )
