"""A run undone: its classes get back the people they had before, within the limits, until an admin releases them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from sync_core.admin.requests import Requester, recorded_run, require_enabled, submit
from sync_core.domain.classes import AppliedDelta, ClassRecord, ClassState, Pin
from sync_core.domain.runs import Cause, RunOutcome, RunRecord
from sync_core.domain.school import SchoolSettings
from sync_core.errors import Conflict, NotFound
from sync_core.messaging.messages import SyncSchool, UndoRun
from sync_core.planning.school_plan import pinned_classes, plan_within_limits, read_past
from sync_core.services import Services
from sync_core.sync.school import carry_out

_RELEASE = "release the pin of a class when it may follow the MIS again"
_NOT_IN_MICROSOFT_365 = {ClassState.MAKING, ClassState.GONE, ClassState.DELETING, ClassState.DELETED}


async def request_undo(settings: SchoolSettings, undone: str, requester: Requester, services: Services) -> None:
    """Raises NotFound, and Conflict for a run that changed nothing in Microsoft 365, as far as is still known."""
    require_enabled(settings)
    school = settings.school
    if await services.runs.run(school, undone) is None:
        raise NotFound(f"school {school} has no run {undone}", "list the school's runs for their ids")
    if not await services.classes.classes_of_run(school, undone):
        raise Conflict(
            f"nothing that run {undone} did is on record", "there is nothing to undo; its history may have expired"
        )
    await submit(UndoRun(school, undone, requester.run), f"undo {undone}", requester, services)


async def undo_run(request: UndoRun, services: Services) -> RunRecord:
    """In the school's turn: pin each class of the run as it was before, and plan that without reading the MIS.

    The pins are written first: what a limit holds back of them is planned again with every sync, and runs when an admin
    approves it. A message that comes again after its run is done does nothing; before that, it finds its own pins.
    """
    before = await recorded_run(request, f"undo {request.undone}", services)
    if before.outcome is not RunOutcome.REQUESTED:
        return before
    school = request.school
    settings = await services.schools.school(school)
    now = services.clock.now()
    if settings is None:
        note = "the school has left — save its settings first"
        run = replace(before, at=now, outcome=RunOutcome.REFUSED, notes=(note,))
        await services.runs.write_run(run)
        return run
    pins, left_out = await _pins(request, services)
    await services.classes.write_pins(school, pins)
    records = {record.key: record for record in await services.classes.class_records(school)}
    accepted = await services.schools.accepted_statistics(school)
    past = await read_past(request, services.reading.school, now, accepted)
    pinned = pinned_classes(pins, records)
    planned = plan_within_limits(pinned, (), records, settings, request, past, now, whole=False)
    note = f"{len(pins)} classes are pinned as they were before run {request.undone} — {_RELEASE}"
    notes = (*planned.run.notes, note, *left_out)
    return await carry_out(replace(planned, run=replace(planned.run, notes=notes)), services)


async def request_release(
    settings: SchoolSettings, keys: Iterable[str], requester: Requester, services: Services
) -> None:
    """Have pinned classes follow the MIS again, starting now. Raises Conflict."""
    require_enabled(settings)
    school, wanted = settings.school, sorted(keys)
    pins = await services.classes.pins(school)
    if missing := [key for key in wanted if key not in pins]:
        raise Conflict(f"class {missing[0]} is not pinned", "list the school's classes: pinned ones say so")
    records = {record.key: record for record in await services.classes.class_records(school)}
    for key in wanted:
        await services.classes.forget_pin(school, key)
    scope = tuple(records[key].desired.group_id for key in wanted if key in records)
    await submit(SyncSchool(school, requester.run, Cause.ADMIN, scope), "release", requester, services)


async def pinned_keys(school: str, services: Services) -> list[str]:
    """Raises Conflict where no class is pinned."""
    if pins := await services.classes.pins(school):
        return sorted(pins)
    raise Conflict(f"no class of school {school} is pinned", "there is nothing to release")


async def _pins(request: UndoRun, services: Services) -> tuple[list[Pin], list[str]]:
    """And notes on the classes that cannot be put back."""
    there = await services.classes.pins(request.school)
    pins: list[Pin] = []
    left_out: list[str] = []
    for key in await services.classes.classes_of_run(request.school, request.undone):
        if key in there and there[key].run == request.run:
            pins.append(there[key])
            continue
        record, since = await _since(request.school, key, request.undone, services)
        if any(delta.created and delta.run == request.undone for delta in since):
            left_out.append(f"class {key} was made by that run and stays as it is — delete it if it is not wanted")
        elif record.state in _NOT_IN_MICROSOFT_365:
            left_out.append(f"class {key} is not in Microsoft 365 (any more) — restore it first")
        else:
            pins.append(_before(record, since, request))
    return pins, left_out


async def _since(school: str, key: str, run: str, services: Services) -> tuple[ClassRecord, tuple[AppliedDelta, ...]]:
    """The class, and what was applied to it in `run` and since, as of one moment: a change may be at work."""
    while True:
        record = await services.classes.class_record(school, key)
        deltas = await services.classes.history(school, key)
        again = await services.classes.class_record(school, key)
        assert record is not None, "a class that has a history has a row"
        if again == record:
            first = next((place for place, delta in enumerate(deltas) if delta.run == run), len(deltas))
            return record, deltas[first:]


def _before(record: ClassRecord, since: Iterable[AppliedDelta], request: UndoRun) -> Pin:
    """Who was in the class before `since`. Owners whom somebody added by hand are nobody's business, as ever."""
    assert record.actual is not None
    members = record.actual.members or frozenset()
    owners = record.actual.owners | record.actual.granted
    for delta in reversed(tuple(since)):
        members = (members - delta.members_added) | delta.members_removed
        owners = (owners - delta.owners_granted) | delta.owners_revoked
    return Pin(key=record.key, members=members, owners=owners, undone=request.undone, run=request.run)
