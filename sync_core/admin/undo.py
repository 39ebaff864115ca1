"""What a run changed, and its undo: within the limits, its classes get back the people that they had before.

Each is pinned so until an admin releases it. The list of pins says where they differ from the MIS now.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sync_core.admin.classes.objections import ClassAction, ClassFacts, require_possible
from sync_core.admin.requests import Accepted, Requester, begin, require_enabled, submit
from sync_core.domain.classes.desired import DesiredClass, Pin
from sync_core.domain.classes.outcomes import AppliedDelta, FirstChange
from sync_core.domain.classes.record import NOT_IN_MICROSOFT_365, ClassRecord, Records, outline_of
from sync_core.domain.ids import AccountIds, ClassKey, RunId, SchoolId
from sync_core.domain.runs import RELEASE, Cause, RunOutcome, RunRecord
from sync_core.domain.school.settings import SchoolSettings
from sync_core.errors import Conflict, NotFound
from sync_core.messaging.messages import SyncSchool, UndoRun, scope_of
from sync_core.planning.extra_owners import extra_owners
from sync_core.planning.pinned import pinned_classes
from sync_core.planning.planned import SchoolPlan
from sync_core.planning.preview.preview import Preview, preview_of
from sync_core.planning.reads.rows import records_of_tenant
from sync_core.planning.reads.tables import read_past
from sync_core.planning.school_plan import plan_to_show, plan_within_limits
from sync_core.services import Reading, Services
from sync_core.state.port import ClassReader, HistoryReader
from sync_core.sync.school import carry_out

_Since = tuple[ClassRecord, Sequence[AppliedDelta]]


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedChange:
    """What a run changed in one class, by one change: Entra ids, with the reasons of the people who were added."""

    key: ClassKey
    change: AppliedDelta


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedPin:
    """A pin beside what the MIS wants for its class now; people are Entra ids, and every owner is a member too.

    `differs` is None if the MIS wants nothing that is known, and `what` says why.
    """

    key: ClassKey
    name: str
    undone: RunId
    run: RunId
    differs: bool | None
    what: str = ""
    members_only_pinned: AccountIds = frozenset()
    members_only_in_mis: AccountIds = frozenset()
    owners_only_pinned: AccountIds = frozenset()
    owners_only_in_mis: AccountIds = frozenset()


async def existing_run(school: SchoolId, run: RunId, services: Services) -> RunRecord:
    """Raises NotFound."""
    record = await services.runs.run(school, run)
    if record is None:
        raise NotFound(f"school {school} has no run {run}", "list the school's runs to see their ids")
    return record


async def changes_of_run(school: SchoolId, run: RunId, services: Services) -> list[AppliedChange]:
    """What was applied for a run so far, by class and in order, as far as it is on record. Raises NotFound."""
    await existing_run(school, run, services)
    return await changes_in(school, run, await services.classes.classes_of_run(school, run), services)


async def changes_in(
    school: SchoolId, run: RunId, classes: Mapping[ClassKey, FirstChange], services: Services
) -> list[AppliedChange]:
    """What was applied to these classes for a run so far, by class and in order, as far as it is on record.

    `classes` are some of those of the run, each with the first change of the run.
    """
    if not classes:
        return []
    histories = await services.classes.histories(school, classes, min(first.at for first in classes.values()))
    return [AppliedChange(key=key, change=delta) for key in classes for delta in histories[key] if delta.run == run]


async def request_undo(settings: SchoolSettings, undone: RunId, requester: Requester, services: Services) -> Accepted:
    """Undo what a run changed, as far as it is on record. Raises NotFound, Conflict."""
    await _require_undoable(settings, undone, services)
    return await submit(UndoRun(settings.school, undone, requester.run), f"undo {undone}", requester, services)


async def preview_undo(settings: SchoolSettings, undone: RunId, services: Services) -> Preview:
    """What the undo of a run would do now. Writes nothing. Raises NotFound, Conflict."""
    await _require_undoable(settings, undone, services)
    request = UndoRun(settings.school, undone, RunId("preview"))
    planned, pins, left_out = await _plan_undo(request, settings, services.classes, services.reading)
    note = f"classes that would be pinned as they were before run {undone}: {len(pins)}"
    return preview_of(planned.with_notes(note, *left_out), settings)


async def _require_undoable(settings: SchoolSettings, undone: RunId, services: Services) -> None:
    require_enabled(settings)
    await existing_run(settings.school, undone, services)
    if not await services.classes.classes_of_run(settings.school, undone):
        raise Conflict(
            f"nothing that run {undone} did is on record",
            "there is nothing to undo: the run changed no class, or its history has expired",
        )


async def undo_run(request: UndoRun, services: Services) -> RunRecord:
    """In the school's turn: pin each class of the run as it was before, and plan that without reading the MIS.

    The pins are written first: every sync plans again what a limit holds back of them, until an admin approves it. A
    duplicate message does nothing after its run is done; before that, it uses the pins that it wrote itself.
    """
    run, settings = await begin(request, f"undo {request.undone}", services)
    if settings is None:
        return run
    planned, pins, left_out = await _plan_undo(request, settings, services.classes, services.reading)
    await services.classes.write_pins(request.school, pins)
    remedy = "release the pin of a class when it should follow the MIS again"
    note = f"classes that are pinned as they were before run {request.undone}: {len(pins)} — {remedy}"
    return await carry_out(planned.with_notes(note, *left_out), run, services)


async def _plan_undo(
    request: UndoRun, settings: SchoolSettings, classes: HistoryReader, reading: Reading
) -> tuple[SchoolPlan, list[Pin], list[str]]:
    """The plan that follows the pins of the undo, these pins, and notes on classes that stay. Writes nothing."""
    school, reader, now = request.school, reading.school, reading.clock.now()
    existing = await reader.pins(school)
    own = [pin for pin in existing.values() if pin.run == request.run]
    changed = await classes.classes_of_run(school, request.undone)
    found, all_records = await _since(request, _not_pinned(changed, own), reader, classes)
    made, left_out = _pins(found, request)
    left_out += [
        f"class {key} was made by that run and stays as it is — it follows the MIS as before"
        for key, first in changed.items()
        if first.created
    ]
    left_out += _note_on_year_ends(request.undone, [all_records[key] for key in changed])
    pins = sorted((*own, *made), key=lambda pin: pin.key)
    records = records_of_tenant(settings, all_records.values())
    past = await read_past(request, reader, now, await reader.accepted_statistics(school))
    accounts = frozenset(account.id for account in await reader.accounts(settings.tenant) or ())
    extra = extra_owners(await reader.choices(school), settings, accounts, now, all_records.values())
    pinned = pinned_classes(pins, records, extra)
    planned = plan_within_limits(pinned, records, settings, request, past, now, extra=extra, whole=False)
    return replace(planned, pins={pin.key: pin for pin in pins}), pins, left_out


async def list_pins(settings: SchoolSettings, reading: Reading) -> list[ListedPin]:
    """The pins of a school, in order of class key, each compared with what a plan overrules. Writes nothing."""
    pins = await reading.school.pins(settings.school)
    if not pins:
        return []
    records = {record.key: record for record in await reading.school.class_records(settings.school)}
    planned = await plan_to_show(settings.school, reading)
    wanted = {desired.key: desired for desired in planned.ruled.overruled} if planned.ruled else {}
    return [_listed(pin, records.get(key), planned.run, wanted.get(key)) for key, pin in sorted(pins.items())]


async def request_release(
    settings: SchoolSettings, keys: Sequence[ClassKey] | None, requester: Requester, services: Services
) -> Accepted:
    """Let these pinned classes, or every pinned class for None, follow the MIS again from now on. Raises Conflict."""
    require_enabled(settings)
    school = settings.school
    pins = await services.classes.pins(school)
    records = {record.key: record for record in await services.classes.class_records(school)}
    for key in keys or ():
        facts = ClassFacts(settings=settings, key=key, record=outline_of(records.get(key)), pinned=key in pins)
        require_possible(ClassAction.RELEASE, facts)
    if not pins:
        raise Conflict(f"no class of school {school} is pinned", "there is nothing to release")
    released = sorted(pins if keys is None else keys)
    for pinned in released:
        await services.classes.forget_pin(school, pinned)
    scope = scope_of(records[pinned].desired.group_id for pinned in released if pinned in records)
    return await submit(SyncSchool(school, requester.run, Cause.ADMIN, scope), RELEASE, requester, services)


def _listed(pin: Pin, record: ClassRecord | None, run: RunRecord, wanted: DesiredClass | None) -> ListedPin:
    name = (record.actual or record.desired).name.display_name if record else ""
    where: dict[str, Any] = {"key": pin.key, "name": name, "undone": pin.undone, "run": pin.run}
    if run.outcome is not RunOutcome.PLANNED:
        return ListedPin(**where, differs=None, what=" — ".join(run.notes))
    if wanted is None:
        return ListedPin(**where, differs=None, what="its group left the MIS, or is not one that becomes a class")
    members = pin.members | pin.owners
    return ListedPin(
        **where,
        differs=(members, pin.owners) != (wanted.members, wanted.owners),
        members_only_pinned=members - wanted.members,
        members_only_in_mis=wanted.members - members,
        owners_only_pinned=pin.owners - wanted.owners,
        owners_only_in_mis=wanted.owners - pin.owners,
    )


def _pins(found: Iterable[_Since], request: UndoRun) -> tuple[list[Pin], list[str]]:
    """The pins that undo the run, and a note on each class that cannot be undone."""
    pins: list[Pin] = []
    left_out: list[str] = []
    for record, since in found:
        if record.state in NOT_IN_MICROSOFT_365:
            left_out.append(f"class {record.key} is not in Microsoft 365, so it stays as it is — restore it first")
        else:
            pins.append(_before(record, since, request))
    return pins, left_out


def _note_on_year_ends(undone: RunId, records: Iterable[ClassRecord]) -> list[str]:
    ended = sum(bool(each.desired.year_end and each.desired.year_end.run == undone) for each in records)
    if not ended:
        return []
    return [
        f"classes whose year that run ended, or took back: {ended} — only their people are restored; their names, "
        "archived teams and year end stay as they are, and taking the year end back reverses these"
    ]


def _not_pinned(changed: Mapping[ClassKey, FirstChange], pins: Iterable[Pin]) -> Mapping[ClassKey, datetime]:
    """The classes that the run changed and did not make, without those of the pins; with the time of the change."""
    pinned = {pin.key for pin in pins}
    return {key: first.at for key, first in changed.items() if not first.created and key not in pinned}


async def _since(
    request: UndoRun, times: Mapping[ClassKey, datetime], reader: ClassReader, classes: HistoryReader
) -> tuple[list[_Since], Records]:
    """Each of these classes of the run, with the changes applied to it in the run and since; and all classes.

    Each class is as of one moment, despite changes under way: it was the same before its history was read and after.
    """
    school = request.school
    found: dict[ClassKey, _Since] = {}
    records = await _records(school, reader)
    while left := {key: time for key, time in times.items() if key not in found}:
        histories = await classes.histories(school, left, min(left.values()))
        before, records = records, await _records(school, reader)
        found |= {
            key: (records[key], _from_run(request.undone, histories[key]))
            for key in left
            if records[key] == before[key]
        }
    return [found[key] for key in times], records


async def _records(school: SchoolId, reader: ClassReader) -> Records:
    return {record.key: record for record in await reader.class_records(school)}


def _from_run(run: RunId, deltas: Sequence[AppliedDelta]) -> Sequence[AppliedDelta]:
    first = next((place for place, delta in enumerate(deltas) if delta.run == run), len(deltas))
    return deltas[first:]


def _before(record: ClassRecord, since: Sequence[AppliedDelta], request: UndoRun) -> Pin:
    """The class as it was before `since`. As always, owners who were added by hand are left as they are."""
    assert record.actual is not None
    members = record.actual.members or frozenset()
    owners = record.actual.owners | record.actual.granted
    for delta in reversed(since):
        members = (members - delta.members_added) | delta.members_removed
        owners = (owners - delta.owners_granted) | delta.owners_revoked
    return Pin(key=record.key, members=members, owners=owners, undone=request.undone, run=request.run)
