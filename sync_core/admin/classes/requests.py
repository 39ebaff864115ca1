"""Requests for classes: create them for their groups, resync, delete or restore them.

A request is checked at once, so the requester learns immediately why it is impossible. It is then carried out through
the school's session on the queue, so it never overlaps with a plan. The run returned to the requester has the result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from typing import Annotated

from annotated_types import MaxLen

from sync_core.admin.classes.groups import existing_group, read_groups
from sync_core.admin.classes.objections import ClassAction, ClassFacts, require_possible
from sync_core.admin.requests import Accepted, Requester, begin, existing_class, refuse, require_enabled, submit
from sync_core.domain.classes.desired import ClassRequest, DesiredClass
from sync_core.domain.classes.record import ClassRecord, outline_of
from sync_core.domain.classes.tenant_groups import Drift
from sync_core.domain.constraints import CLASS_NAME, FORM, PRINTABLE, Meaning, UkDate
from sync_core.domain.ids import ClassKey
from sync_core.domain.runs import Cause, RunOutcome, RunRecord
from sync_core.domain.school.settings import SchoolSettings
from sync_core.errors import Conflict, NotFound
from sync_core.messaging.messages import (
    Action,
    ActOnClass,
    Change,
    DeleteClass,
    Priority,
    RestoreClass,
    SyncSchool,
    scope_of,
)
from sync_core.planning.year.arrangement import arrange
from sync_core.planning.year.calendar import school_day
from sync_core.services import Services


@dataclass(frozen=True, slots=True)
class ClassOptions:
    """What a requester may choose for a new class."""

    __pydantic_config__ = FORM
    display_name: Annotated[
        str,
        CLASS_NAME,
        MaxLen(256),
        Meaning("By default the name that the naming rule gives"),
    ] = ""
    description: Annotated[str, PRINTABLE, MaxLen(1024)] = ""
    required_until: Annotated[
        date | None,
        UkDate(),
        Meaning("Until when the class is needed, as 31/07/2027 or 2027-07-31: then runs report it, and delete nothing"),
    ] = None


async def request_sync(settings: SchoolSettings, requester: Requester, services: Services) -> Accepted:
    """Sync the whole school now. Raises Conflict."""
    require_enabled(settings)
    return await submit(SyncSchool(settings.school, requester.run, Cause.ADMIN), "", requester, services)


async def request_classes(
    settings: SchoolSettings, wanted: Mapping[ClassKey, ClassOptions], requester: Requester, services: Services
) -> Accepted:
    """Create the class of each of these groups, which have none now. One run plans them all.

    Raises NotFound, Conflict, SnapshotRejected; then nothing is requested for any of them.
    """
    require_enabled(settings)
    school, now = settings.school, services.clock.now()
    groups = await read_groups(settings, services)
    found = {key: existing_group(school, key, groups) for key in wanted}
    for key, group in found.items():
        require_possible(
            ClassAction.CREATE,
            ClassFacts(
                settings=settings,
                key=key,
                record=outline_of(group.record),
                extracted=not group.not_extracted,
                made_from=group.made_from,
            ),
        )
    for key, options in wanted.items():
        record = found[key].record
        request = ClassRequest(
            key=key,
            creator=requester.id,
            requested_at=now,
            generation=record.desired.generation + 1 if record else 0,
            **asdict(options),
        )
        await services.classes.write_class_request(school, request)
    scope = scope_of(group.group.id for group in found.values())
    return await submit(SyncSchool(school, requester.run, Cause.ADMIN, scope), "", requester, services)


async def request_resync(
    settings: SchoolSettings, keys: Sequence[ClassKey], requester: Requester, services: Services
) -> Accepted:
    """Make these classes match the MIS again, after reading them from Microsoft 365. One run plans them all.

    Raises NotFound, Conflict; then nothing is requested for any of them.
    """
    require_enabled(settings)
    records = [await existing_class(settings.school, key, services) for key in keys]
    for record in records:
        require_possible(ClassAction.RESYNC, ClassFacts(settings=settings, key=record.key, record=record.outline))
    await services.classes.write_drift(settings.school, [Drift(key, stale=True) for key in keys])
    scope = scope_of(record.desired.group_id for record in records)
    return await submit(SyncSchool(settings.school, requester.run, Cause.ADMIN, scope), "", requester, services)


async def request_action(
    settings: SchoolSettings, key: ClassKey, action: Action, requester: Requester, services: Services
) -> Accepted:
    """Delete a class, or restore a class deleted in the last 30 days. Raises NotFound, Conflict."""
    await _class_for(action, settings, key, services)
    return await submit(ActOnClass(settings.school, key, action, requester.run), action, requester, services)


async def act_on_class(request: ActOnClass, services: Services) -> RunRecord:
    """Carry out a request in the school's turn: row first, message second, as every plan does.

    A run that is done is not done again: a late duplicate of its message must not reverse a later request. The returned
    run is recorded.
    """
    run, settings = await begin(request, request.action, services)
    if settings is None:
        return run
    try:
        record = await _class_for(request.action, settings, request.key, services)
    except (NotFound, Conflict) as refusal:
        return await refuse(run, str(refusal), services)
    deleting = request.action is Action.DELETE
    wanted = replace(record.desired, deleted=True) if deleting else _restored(record, settings, services.clock.now())
    await services.classes.write_desired(request.school, [wanted])
    where = (request.school, request.key, request.run, request.cause)
    change: Change = DeleteClass(*where) if deleting else RestoreClass(*where)
    await services.outbox.send_changes([change], Priority.URGENT)
    run = replace(run, at=services.clock.now(), outcome=RunOutcome.PLANNED, changed=(request.key,))
    await services.runs.write_run(run)
    return run


def _restored(record: ClassRecord, settings: SchoolSettings, now: datetime) -> DesiredClass:
    """The class with the people who come back with it, and of the others those whom the calendar allows today.

    The row may be of a plan from before the dates were set.
    """
    wanted = replace(record.desired, deleted=False)
    there = replace(record, desired=wanted, gone=False)
    return next(iter(arrange([wanted], {record.key: there}, school_day(settings, now)).classes), wanted)


async def _class_for(action: Action, settings: SchoolSettings, key: ClassKey, services: Services) -> ClassRecord:
    """A class that the action is possible for. Raises NotFound, Conflict."""
    record = await existing_class(settings.school, key, services)
    require_possible(ClassAction(action), ClassFacts(settings=settings, key=key, record=record.outline))
    return record
