"""Plans one school from its MIS snapshot: reads, then decides, and writes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from sync_core.domain.classes.desired import DesiredClass
from sync_core.domain.classes.record import ClassRecord, Records
from sync_core.domain.ids import RunId, SchoolId
from sync_core.domain.runs import Cause, HoldStatus, RunOutcome, RunRecord
from sync_core.domain.school.settings import SchoolSettings
from sync_core.domain.school.team_permissions import checked_for_teams
from sync_core.errors import SyncError
from sync_core.messaging.messages import SyncSchool, UndoRun
from sync_core.planning.collector import collector_paused
from sync_core.planning.diff import make_plan
from sync_core.planning.extra_owners import NO_EXTRA_OWNERS, ExtraOwners, extra_owners, notes_on_extra_owners
from sync_core.planning.limits.holds import hold_text
from sync_core.planning.limits.past import Past
from sync_core.planning.limits.restraint import Restraint, WholeSchoolNeeded, WithinLimits
from sync_core.planning.matching.everybody import Heads
from sync_core.planning.membership import RuledSchool, groups_of_people, ruled_classes
from sync_core.planning.naming.shared_names import SharedNames, find_shared_names, note_on_shared, note_on_unknown
from sync_core.planning.pinned import pinned_classes
from sync_core.planning.planned import PlanNotMade, SchoolPlan
from sync_core.planning.reads.adoptions import list_classes, look_for_adoptions, priority_of_reads
from sync_core.planning.reads.feed import ReadSchool, read_groups, read_whole
from sync_core.planning.reads.rows import needs_all_rows, records_of_tenant, rows_of_groups
from sync_core.planning.reads.tables import Known, read_tables
from sync_core.planning.run_notes import expired_classes, notes_of, observe
from sync_core.planning.teams import keys_of, plan_teams
from sync_core.planning.year.arrangement import Arrangement, arrange, as_limits_see
from sync_core.planning.year.calendar import SchoolDay, school_day
from sync_core.planning.year.order import youngest_first
from sync_core.planning.year.words import counts_of, notes_on
from sync_core.services import Reading


async def plan_school(
    request: SyncSchool, reading: Reading, decided: Mapping[str, HoldStatus] | None = None
) -> SchoolPlan:
    """Return the plan for a school without writing anything. Raises PlanNotMade.

    `decided` are decisions on holds, by the digest of a held class, that are not yet written on the holds. A plan of
    some groups reads them and their rows alone, where those decide it.
    """
    known, some_groups = await read_tables(request, reading, decided or {}), not needs_all_rows(request)
    if some_groups:
        with suppress(WholeSchoolNeeded):
            return await _plan_part(known, await read_groups(known, reading), reading)
    read = await read_whole(known, reading)
    if some_groups:
        with suppress(WholeSchoolNeeded):
            return await _plan_part(known, read.part(known), reading)
    rows = await reading.school.class_records(known.settings.school)
    return await _plan(known, read, rows, reading, None)


async def _plan_part(known: Known, read: ReadSchool, reading: Reading) -> SchoolPlan:
    """The plan of the groups that the request names. Raises WholeSchoolNeeded if the others may change it."""
    records = await rows_of_groups(known.request, read.snapshot, known.settings, reading.school)
    if records is None:
        raise WholeSchoolNeeded
    return await _plan(known, read, tuple(records.values()), reading, read.school.heads)


async def _plan(
    known: Known, read: ReadSchool, rows: Sequence[ClassRecord], reading: Reading, heads: Heads | None
) -> SchoolPlan:
    """The plan with these rows. `heads` are those of the whole school, if the rows are those of some groups alone.

    Raises WholeSchoolNeeded if the other rows may change it.
    """
    request, settings, past = known.request, known.settings, known.past
    requests, pins, choices = read.recorded.requests, read.recorded.pins, read.recorded.choices
    snapshot, everybody, now = read.snapshot, read.school.whole.everybody, read.now
    records = records_of_tenant(settings, rows)
    extra = extra_owners(choices, settings, everybody.account_ids, now, rows)
    scope = None
    if request.scope is not None:
        scope = frozenset(request.scope) | groups_of_people(frozenset(request.people), snapshot, records)
    chosen = (requests, scope, pins.keys(), past.decisions, extra, school_day(settings, now))
    with collector_paused():
        ruled = ruled_classes(everybody, snapshot, settings, records, *chosen, heads)
    adoptions, listed = await look_for_adoptions(ruled, records, requests, settings, request, past, reading)
    ruled = adoptions.applied(ruled)
    pinned = pinned_classes(pins.values(), records, extra) if scope is None else ()
    wanted = (*ruled.classes, *pinned)
    planned = plan_within_limits(wanted, records, settings, request, past, now, ruled, extra, whole=scope is None)
    if planned.teams and (teams := checked_for_teams(known.check, [settings])).teams_what:
        planned = planned.without_teams(f"{teams.teams_what} — {teams.teams_remedy}")
    rates = past.rates if planned.matching_failed else ruled.matching.rates
    # Without accounts, the rules want nobody: that says nothing about the classes, which stay as they are.
    allowed = planned.year.classes
    left = [planned.final[each.key] for each in allowed if each.key in records] if planned.matching_failed else allowed
    observed = observe(left, ruled.overruled, pins, records)
    run = replace(
        planned.run,
        left_out=read.left_out.count,
        expired=expired_classes(records, requests, now.date()),
        ownerless=observed.ownerless,
        numbered=observed.numbered,
        pins_differ=observed.pins_differ,
        people_without_account=ruled.people_without_account,
        people_disabled=ruled.people_disabled,
        people_ambiguous=ruled.people_ambiguous,
        notes=(*snapshot.notes, *ruled.notes, *planned.run.notes),
    )
    if to_look_at := notes_of(run):
        run = replace(run, notes=(*run.notes, *to_look_at))
    of_whole = None
    if scope is None:
        of_whole = replace(read.statistics, students_matched=rates.students, staff_matched=rates.staff)
    shown = read.left_out if read.left_out.count or past.left_out else None
    return replace(planned, run=run, pins=pins, statistics=of_whole, left_out=shown, listed=listed)


async def plan_to_show(school: SchoolId, reading: Reading) -> SchoolPlan:
    """Return a plan of the whole school that is only shown: if none can be made, an empty one whose run says why."""
    try:
        return await plan_school(SyncSchool(school, RunId("preview"), Cause.ADMIN), reading)
    except PlanNotMade as error:
        return error.planned


async def note_shared_names(
    planned: SchoolPlan, reading: Reading, examples: Callable[[SharedNames], Sequence[str]]
) -> SchoolPlan:
    """Return the plan with a note if classes to create have the names of classes of another product.

    Lists the tenant's classes, but only for a plan of the whole school that creates classes, and has not listed them.
    If they cannot be listed, the note says so. `examples` chooses what the note lists: it goes into tables and events,
    unless it is only shown.
    """
    if not planned.plan.created or planned.statistics is None:
        return planned
    existing = planned.listed
    if existing is None:
        existing = await list_classes(reading.tenants.of(planned.tenant, priority_of_reads(planned.run.cause)))
    if isinstance(existing, SyncError):
        return planned.with_notes(note_on_unknown(existing))
    created = [planned.wanted[key] for key in planned.plan.created]
    shared = find_shared_names(created, existing, planned.records)
    return planned.with_notes(note_on_shared(shared, examples(shared))) if shared.keys else planned


@collector_paused()
def plan_within_limits(
    wanted: tuple[DesiredClass, ...],
    records: Records,
    settings: SchoolSettings,
    request: SyncSchool | UndoRun,
    past: Past,
    now: datetime,
    ruled: RuledSchool | None = None,
    extra: ExtraOwners = NO_EXTRA_OWNERS,
    *,
    whole: bool,
) -> SchoolPlan:
    """Plan the `wanted` classes within the school's calendar and limits. `whole`: these are all its classes.

    `ruled` is the result of the rules, if the plan follows the MIS. No limit holds back the end of a grant in `extra`.
    """
    day = school_day(settings, now)
    year = arrange(wanted, records, day)
    restraint = Restraint(as_limits_see(records, wanted, day), settings.limits, past, request.run, now, ruled)
    allowed = restraint.apply(year.classes, ruled.ended if ruled else (), whole=whole)
    extra = extra.trusting(records) if allowed.matching_failed else extra
    allowed = _without_ended_grants(allowed, records, extra) if whole else allowed
    classes = _arranged(allowed.classes, records, day, extra)
    plan = make_plan(classes, allowed.ended, records)
    plan = youngest_first(plan, ruled.groups if ruled else {}, day).with_year_ends(records) if whole else plan
    teams = plan_teams(_of_years_not_over(classes, day), records, now)
    run = RunRecord(
        school=request.school,
        id=request.run,
        cause=request.cause,
        at=now,
        outcome=RunOutcome.PLANNED,
        whole=whole,
        groups=len(wanted),
        created=plan.created,
        changed=plan.changed,
        unchanged=len(plan.unchanged - allowed.held),
        held=tuple(sorted(allowed.held)),
        held_because=tuple(dict.fromkeys(hold.kind for hold in allowed.open_holds)),
        removals=allowed.removals,
        gone=plan.gone,
        ended=plan.ended,
        notes=_notes_on(allowed, year, day) + notes_on_extra_owners(extra, plan.writes, records),
        **counts_of(year),
        **keys_of(teams),
    )
    return SchoolPlan(
        run=run,
        tenant=settings.tenant,
        plan=plan,
        teams=teams,
        records=records,
        wanted={desired.key: desired for desired in wanted},
        holds=allowed.holds,
        standing=past.holds,
        ruled=ruled,
        year=year,
        matching_failed=allowed.matching_failed,
        known_at=past.night,
    )


def _notes_on(allowed: WithinLimits, year: Arrangement, day: SchoolDay) -> tuple[str, ...]:
    holds = (f"{hold.status} {hold_text(hold)}" for hold in allowed.open_holds)
    return (*notes_on(year, day), *holds)


def _without_ended_grants(allowed: WithinLimits, records: Records, extra: ExtraOwners) -> WithinLimits:
    """With the classes that are not planned now, but lose an owner whose grant is over."""
    planned = {desired.key for desired in (*allowed.classes, *allowed.ended)}
    losing = extra.losing(records, planned)
    return replace(
        allowed,
        classes=(*allowed.classes, *(desired for desired in losing if not desired.ended)),
        ended=(*allowed.ended, *(desired for desired in losing if desired.ended)),
    )


def _of_years_not_over(classes: Iterable[DesiredClass], day: SchoolDay) -> Iterable[DesiredClass]:
    """The classes whose teams follow them: no team is made or opened for one whose year is over."""
    return (desired for desired in classes if desired.pinned or not day.is_over(desired.academic_year))


def _arranged(
    allowed: Iterable[DesiredClass], records: Records, day: SchoolDay, extra: ExtraOwners
) -> list[DesiredClass]:
    """The classes that the limits allow, as the calendar does, with their extra owners.

    What a limit holds stays as its row has it, which the calendar may withhold.
    """
    known = {key: record.desired for key, record in records.items()}
    arranged = arrange(allowed, records, day).classes
    return [extra.applied(desired, known.get(desired.key)) for desired in arranged]
