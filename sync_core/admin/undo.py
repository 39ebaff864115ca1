"""A run undone: each class of it gets back who was in it before, within the limits, and stays so until released."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from sync_core.admin.requests import Requester, enabled_school, existing_school, refuse_unrecorded, submit
from sync_core.clock import Clock
from sync_core.domain.classes import AppliedDelta, ClassRecord, Pin
from sync_core.domain.runs import Cause, RunOutcome, RunRecord
from sync_core.errors import Conflict, NotFound
from sync_core.messaging.messages import SyncSchool, UndoRun
from sync_core.messaging.port import Outbox
from sync_core.planning.diff import Origin
from sync_core.planning.school_plan import pinned_classes, plan_within_limits
from sync_core.state.port import StateStore
from sync_core.sync.school import carry_out

_RELEASE = "release the pin of a class when it may follow the MIS again"


async def request_undo(
    school: str, undone: str, requester: Requester, state: StateStore, outbox: Outbox, clock: Clock
) -> None:
    """Raises NotFound, and Conflict for a run that changed nothing in Microsoft 365, as far as is still known."""
    await enabled_school(school, state)
    if await state.run(school, undone) is None:
        raise NotFound(f"school {school} has no run {undone}", "list the school's runs for their ids")
    if not await state.classes_of_run(school, undone):
        raise Conflict(
            f"nothing that run {undone} did is on record", "there is nothing to undo; its history may be over"
        )
    await submit(UndoRun(school, undone, requester.run), f"undo {undone}", requester, state, outbox, clock)


async def undo_run(request: UndoRun, state: StateStore, outbox: Outbox, clock: Clock) -> RunRecord:
    """In the school's turn: pin each class of the run as it was before, and plan that without asking the MIS.

    The pins are written first: what a limit holds back of them is planned again with every sync, and runs when an admin
    approves it. A message that comes again after its run is done does nothing; before, it finds its own pins.
    """
    action = f"undo {request.undone}"
    before = await state.run(request.school, request.run)
    if before is None:
        return await refuse_unrecorded(request, action, state, clock)
    if before.outcome is not RunOutcome.REQUESTED:
        return before
    settings = await state.school(request.school)
    if settings is None:
        note = "the school has left — save its settings first"
        run = replace(before, at=clock.now(), outcome=RunOutcome.REFUSED, notes=(note,))
        await state.write_run(run)
        return run
    pins, left_out = await _pins(request, state)
    await state.write_pins(request.school, pins)
    records = {record.key: record for record in await state.class_records(request.school)}
    origin = Origin(settings.tenant, request.school, request.run, request.cause)
    planned = await plan_within_limits(
        pinned_classes(pins, records), (), records, settings, origin, state, clock, whole=False
    )
    note = f"{len(pins)} classes are pinned as they were before run {request.undone} — {_RELEASE}"
    notes = (*planned.run.notes, note, *left_out)
    return await carry_out(replace(planned, run=replace(planned.run, notes=notes)), state, outbox)


async def request_release(
    school: str, keys: Iterable[str], requester: Requester, state: StateStore, outbox: Outbox, clock: Clock
) -> None:
    """Have pinned classes follow the MIS again, and at once. Raises NotFound, Conflict."""
    await enabled_school(school, state)
    pins = await state.pins(school)
    wanted = sorted(keys)
    if missing := [key for key in wanted if key not in pins]:
        raise Conflict(f"class {missing[0]} is not pinned", "list the school's classes: pinned ones say so")
    records = {record.key: record for record in await state.class_records(school)}
    for key in wanted:
        await state.forget_pin(school, key)
    scope = tuple(records[key].desired.group_id for key in wanted if key in records)
    await submit(SyncSchool(school, requester.run, Cause.ADMIN, scope), "release", requester, state, outbox, clock)


async def pinned_keys(school: str, state: StateStore) -> list[str]:
    """Raises NotFound, and Conflict where no class is pinned."""
    await existing_school(school, state)
    if pins := await state.pins(school):
        return sorted(pins)
    raise Conflict(f"no class of school {school} is pinned", "there is nothing to release")


async def _pins(request: UndoRun, state: StateStore) -> tuple[list[Pin], list[str]]:
    """And notes on the classes that cannot be put back."""
    there = await state.pins(request.school)
    pins: list[Pin] = []
    left_out: list[str] = []
    for key in await state.classes_of_run(request.school, request.undone):
        if key in there and there[key].run == request.run:
            pins.append(there[key])
            continue
        record, since = await _since(request.school, key, request.undone, state)
        if any(delta.created and delta.run == request.undone for delta in since):
            left_out.append(f"class {key} was made by that run and stays as it is — delete it if it is not wanted")
        elif record.actual is None or record.gone or record.desired.deleted:
            left_out.append(f"class {key} is not in Microsoft 365 (any more) — restore it first")
        else:
            pins.append(_before(record, since, request))
    return pins, left_out


async def _since(school: str, key: str, run: str, state: StateStore) -> tuple[ClassRecord, tuple[AppliedDelta, ...]]:
    """The class, and what was applied to it in `run` and since, as of one moment: a change may be at work."""
    while True:
        record = await state.class_record(school, key)
        deltas = await state.history(school, key)
        again = await state.class_record(school, key)
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
    return Pin(record.key, members, owners, request.undone, request.run)
