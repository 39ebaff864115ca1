"""Undo a run: its classes get back, within the limits, the people they had before, until an admin releases them."""

from __future__ import annotations

from collections.abc import Sequence

from sync_core.admin.requests import Accepted, Requester, begin, require_enabled, submit
from sync_core.domain.classes import AppliedDelta, ClassRecord, ClassState, Pin
from sync_core.domain.ids import ClassKey, RunId
from sync_core.domain.runs import Cause, RunRecord
from sync_core.domain.school import SchoolSettings
from sync_core.errors import Conflict, NotFound
from sync_core.messaging.messages import SyncSchool, UndoRun
from sync_core.planning.school_plan import pinned_classes, plan_within_limits, read_past
from sync_core.services import Services
from sync_core.sync.school import carry_out

_NOT_IN_MICROSOFT_365 = {ClassState.MAKING, ClassState.GONE, ClassState.DELETING, ClassState.DELETED}


async def request_undo(settings: SchoolSettings, undone: RunId, requester: Requester, services: Services) -> Accepted:
    """Undo what a run changed, as far as it is on record. Raises NotFound, Conflict."""
    require_enabled(settings)
    school = settings.school
    if await services.runs.run(school, undone) is None:
        raise NotFound(f"school {school} has no run {undone}", "list the school's runs to see their ids")
    if not await services.classes.classes_of_run(school, undone):
        raise Conflict(
            f"nothing that run {undone} did is on record",
            "there is nothing to undo: the run changed no class, or its history has expired",
        )
    return await submit(UndoRun(school, undone, requester.run), f"undo {undone}", requester, services)


async def undo_run(request: UndoRun, services: Services) -> RunRecord:
    """In the school's turn: pin each class of the run as it was before, and plan that without reading the MIS.

    The pins are written first: every sync plans again what a limit holds back of them, until an admin approves it. A
    duplicate message does nothing after its run is done; before that, it uses the pins that it wrote itself.
    """
    run, settings = await begin(request, f"undo {request.undone}", services)
    if settings is None:
        return run
    school, now = request.school, services.clock.now()
    pins, left_out = await _pins(request, services)
    await services.classes.write_pins(school, pins)
    records = {record.key: record for record in await services.classes.class_records(school)}
    accepted = await services.schools.accepted_statistics(school)
    past = await read_past(request, services.reading.school, now, accepted)
    pinned = pinned_classes(pins, records)
    planned = plan_within_limits(pinned, (), records, settings, request, past, now, whole=False)
    remedy = "release the pin of a class when it should follow the MIS again"
    note = f"{len(pins)} classes are pinned as they were before run {request.undone} — {remedy}"
    return await carry_out(planned.with_notes(note, *left_out), services)


async def request_release(
    settings: SchoolSettings, key: ClassKey | None, requester: Requester, services: Services
) -> Accepted:
    """Let a pinned class, or every pinned class for None, follow the MIS again from now on. Raises Conflict."""
    require_enabled(settings)
    school = settings.school
    pins = await services.classes.pins(school)
    if key and key not in pins:
        raise Conflict(f"class {key} is not pinned", "list the school's classes to see which are pinned")
    if not pins:
        raise Conflict(f"no class of school {school} is pinned", "there is nothing to release")
    records = {record.key: record for record in await services.classes.class_records(school)}
    released = [key] if key else sorted(pins)
    for pinned in released:
        await services.classes.forget_pin(school, pinned)
    scope = tuple(records[pinned].desired.group_id for pinned in released if pinned in records)
    return await submit(SyncSchool(school, requester.run, Cause.ADMIN, scope), "release", requester, services)


async def _pins(request: UndoRun, services: Services) -> tuple[list[Pin], list[str]]:
    """The pins that undo the run, and a note on each class that cannot be undone."""
    existing = await services.classes.pins(request.school)
    pins: list[Pin] = []
    left_out: list[str] = []
    for key in await services.classes.classes_of_run(request.school, request.undone):
        if key in existing and existing[key].run == request.run:
            pins.append(existing[key])
            continue
        record, since = await _since(key, request, services)
        if any(delta.created and delta.run == request.undone for delta in since):
            left_out.append(f"class {key} was made by that run and stays as it is — delete it if it is not wanted")
        elif record.state in _NOT_IN_MICROSOFT_365:
            left_out.append(f"class {key} is not in Microsoft 365, so it stays as it is — restore it first")
        else:
            pins.append(_before(record, since, request))
    return pins, left_out


async def _since(key: ClassKey, request: UndoRun, services: Services) -> tuple[ClassRecord, Sequence[AppliedDelta]]:
    """The class, and the changes applied to it in the run and since, as of one moment despite changes under way."""
    while True:
        record = await services.classes.class_record(request.school, key)
        deltas = await services.classes.history(request.school, key)
        again = await services.classes.class_record(request.school, key)
        assert record is not None, "a class that has a history has a row"
        if again == record:
            first = next((place for place, delta in enumerate(deltas) if delta.run == request.undone), len(deltas))
            return record, deltas[first:]


def _before(record: ClassRecord, since: Sequence[AppliedDelta], request: UndoRun) -> Pin:
    """The class as it was before `since`. As always, owners who were added by hand are left as they are."""
    assert record.actual is not None
    members = record.actual.members or frozenset()
    owners = record.actual.owners | record.actual.granted
    for delta in reversed(since):
        members = (members - delta.members_added) | delta.members_removed
        owners = (owners - delta.owners_granted) | delta.owners_revoked
    return Pin(key=record.key, members=members, owners=owners, undone=request.undone, run=request.run)
