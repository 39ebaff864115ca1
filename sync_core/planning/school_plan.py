"""One school from its MIS snapshot to a plan: it reads once, then decides, and writes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta

from sync_core.clock import Clock
from sync_core.domain.classes import ClassRecord, ClassRequest, DesiredClass, Pin, Reason, Rule
from sync_core.domain.roster import FeedStatistics
from sync_core.domain.runs import Cause, Hold, RunOutcome, RunRecord
from sync_core.domain.school import SchoolSettings
from sync_core.errors import SnapshotRejected
from sync_core.messaging.messages import SyncSchool
from sync_core.mis.port import MisSource
from sync_core.planning.diff import Origin, Plan, make_plan
from sync_core.planning.limits import Past, apply_limits, check_snapshot, statistics_of
from sync_core.planning.membership import RuledSchool, desired_classes, groups_of_people
from sync_core.state.port import SchoolReader

_WEEK = timedelta(days=7)


_NO_RUN = "preview"


@dataclass(frozen=True, slots=True)
class SchoolPlan:
    """What a sync would do at this moment, and what it would hold; nothing of it is written yet.

    `wanted` are the classes before anything was held back, by key. `ruled` is what the MIS says, where it was asked;
    `statistics` are of the snapshot of a whole school.
    """

    plan: Plan
    origin: Origin
    wanted: Mapping[str, DesiredClass]
    holds: tuple[Hold, ...]
    run: RunRecord
    ruled: RuledSchool | None = None
    statistics: FeedStatistics | None = None

    @property
    def open_holds(self) -> list[Hold]:
        """All but what an admin approved."""
        return [hold for hold in self.holds if not hold.approved]


async def plan_school(request: SyncSchool, mis: MisSource, state: SchoolReader, clock: Clock) -> SchoolPlan | RunRecord:
    """The plan as things stand, with nothing written; a run's record where nothing can be planned."""
    settings = await state.school(request.school)
    if settings is None or not settings.enabled:
        why = "the school is paused" if settings else "the school has no settings (any more)"
        note = f"{why}: nothing was planned — save its settings with enabled true to have it synced"
        return _unplanned(request, clock, RunOutcome.PAUSED, note)
    last = await state.accepted_statistics(request.school)
    try:
        snapshot = await mis.snapshot(settings)
        statistics = statistics_of(snapshot)
        check_snapshot(statistics, last, settings.limits)
    except SnapshotRejected as rejection:
        return _unplanned(request, clock, RunOutcome.REJECTED, rejection.message, rejection.remedy)

    records = {record.key: record for record in await state.class_records(request.school)}
    requests = await state.class_requests(request.school)
    pins = await state.pins(request.school)
    scope = None
    if request.scope is not None:
        scope = frozenset(request.scope) | groups_of_people(frozenset(request.people), snapshot, records)
    accounts = await state.accounts(settings.tenant)
    if accounts is None:
        what = "the tenant's accounts were never read whole, and who has none leaves his classes: nothing was planned"
        return _unplanned(
            request, clock, RunOutcome.REJECTED, what, "have the tenant fully resynced, or wait for the night"
        )
    ruled = desired_classes(snapshot, settings, accounts, records, requests, scope, pins.keys())
    pinned = pinned_classes(pins.values(), records) if scope is None else ()
    origin = Origin(settings.tenant, request.school, request.run, request.cause)
    planned = await plan_within_limits(
        (*ruled.classes, *pinned), ruled.ended, records, settings, origin, state, clock, whole=scope is None
    )
    run = replace(
        planned.run,
        expired=_expired(records, requests, planned.run.at.date()),
        people_without_account=ruled.people_without_account,
        people_disabled=ruled.people_disabled,
        people_ambiguous=ruled.people_ambiguous,
        notes=(*ruled.notes, *planned.run.notes),
    )
    return replace(planned, run=run, ruled=ruled, statistics=statistics if scope is None else None)


async def plan_now(school: str, mis: MisSource, state: SchoolReader, clock: Clock) -> SchoolPlan | RunRecord:
    """What a sync of the whole school would do now, to be looked at and never carried out."""
    return await plan_school(SyncSchool(school, _NO_RUN, Cause.ADMIN), mis, state, clock)


async def plan_within_limits(
    wanted: Iterable[DesiredClass],
    ended: Iterable[DesiredClass],
    records: Mapping[str, ClassRecord],
    settings: SchoolSettings,
    origin: Origin,
    state: SchoolReader,
    clock: Clock,
    *,
    whole: bool,
) -> SchoolPlan:
    """The plan of what is wanted, within the school's limits; `whole` says that these are all its classes."""
    now = clock.now()
    wanted = tuple(wanted)
    last = await state.accepted_statistics(origin.school)
    week = [run for run in await state.runs(origin.school, now - _WEEK) if run.run != origin.run]
    past = Past(sum(run.removals for run in week), last.groups if last else None, await state.holds(origin.school))
    restrained = apply_limits(wanted, records, settings.limits, past, origin.run, now, whole=whole)
    plan = make_plan(restrained.classes, ended, records)
    held = [hold for hold in restrained.holds if not hold.approved]
    run = RunRecord(
        school=origin.school,
        run=origin.run,
        cause=origin.cause,
        at=now,
        outcome=RunOutcome.PLANNED,
        groups=len(wanted),
        created=plan.created,
        changed=plan.changed,
        unchanged=plan.unchanged,
        held=tuple(sorted({key for hold in held for key in hold.classes})),
        removals=restrained.removals,
        gone=plan.gone,
        ended=plan.ended,
        notes=tuple(map(hold_note, held)),
    )
    return SchoolPlan(plan, origin, {desired.key: desired for desired in wanted}, restrained.holds, run)


def pinned_classes(pins: Iterable[Pin], records: Mapping[str, ClassRecord]) -> tuple[DesiredClass, ...]:
    """The classes as their pins keep them, whatever the MIS says; those that are not there any more are left out."""
    return tuple(
        _pinned(records[pin.key].desired, pin)
        for pin in sorted(pins, key=lambda pin: pin.key)
        if pin.key in records and not records[pin.key].gone
    )


def _pinned(known: DesiredClass, pin: Pin) -> DesiredClass:
    members = pin.members | pin.owners
    undone = Reason(Rule.UNDONE, pin.undone)
    return replace(
        known,
        members=members,
        owners=pin.owners,
        revoke=True,
        ended=False,
        pinned=True,
        reasons={person: known.reasons.get(person, undone) for person in members},
    )


def hold_note(hold: Hold) -> str:
    """A hold as a run tells of it."""
    return f"{hold.status} {hold_text(hold)}"


def hold_text(hold: Hold) -> str:
    return f"hold {hold.digest}: {hold.what} — {hold.remedy}"


def _unplanned(request: SyncSchool, clock: Clock, outcome: RunOutcome, *notes: str) -> RunRecord:
    return RunRecord(request.school, request.run, request.cause, clock.now(), outcome, notes=notes)


def _expired(records: Mapping[str, ClassRecord], requests: Mapping[str, ClassRequest], today: date) -> tuple[str, ...]:
    """Classes that are there longer than was asked for. They are only reported: nothing is deleted by itself."""
    return tuple(
        key
        for key, asked in sorted(requests.items())
        if asked.required_until and asked.required_until < today and key in records and not records[key].gone
    )
