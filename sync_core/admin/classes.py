"""Requests for one class: create it for its group, resync, delete or restore it.

A request is checked at once, so the requester learns immediately why it is impossible. It is then carried out through
the school's session on the queue, so it never overlaps with a plan. The run returned to the requester has the result.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import Annotated

from annotated_types import MaxLen

from sync_core.admin.groups import existing_group, read_groups
from sync_core.admin.requests import Accepted, Requester, begin, existing_class, refuse, require_enabled, submit
from sync_core.domain.classes import ClassRecord, ClassRequest, ClassState, Drift
from sync_core.domain.constraints import CLASS_NAME, FORM, PRINTABLE, Meaning, UkDate
from sync_core.domain.ids import ClassKey, SchoolId
from sync_core.domain.runs import Cause, RunOutcome, RunRecord
from sync_core.domain.school import SchoolSettings
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


async def request_class(
    settings: SchoolSettings, key: ClassKey, options: ClassOptions, requester: Requester, services: Services
) -> Accepted:
    """Create the class of a group that has none now. Raises NotFound, Conflict, SnapshotRejected."""
    require_enabled(settings)
    school = settings.school
    found = existing_group(school, key, await read_groups(settings, services))
    if found.not_extracted:
        raise Conflict(
            "teaching groups are not extracted from ScholarPack",
            "create the class of a year or registration group, or correct mis in the school's settings",
        )
    record = found.record
    if record is not None and not record.gone and (record.actual is not None or record.intent is not None):
        raise Conflict(f"group {key} has a class already", "resync its members instead")
    request = ClassRequest(
        key=key,
        creator=requester.id,
        requested_at=services.clock.now(),
        generation=record.desired.generation + 1 if record else 0,
        **asdict(options),
    )
    await services.classes.write_class_request(school, request)
    scope = scope_of([found.group.id])
    return await submit(SyncSchool(school, requester.run, Cause.ADMIN, scope), "", requester, services)


async def request_resync(settings: SchoolSettings, key: ClassKey, requester: Requester, services: Services) -> Accepted:
    """Make one class match the MIS again, after reading it from Microsoft 365. Raises NotFound, Conflict."""
    require_enabled(settings)
    record = await existing_class(settings.school, key, services)
    if record.gone:
        raise Conflict(f"class {key} is gone from Microsoft 365", "restore it, or create it again")
    match record.state:
        case ClassState.ENDED:
            raise Conflict(
                f"the group of class {key} is no longer in the MIS, so its members stay as they are",
                "if the group should still exist, correct the MIS; the next sync follows it again",
            )
        case ClassState.PINNED:
            raise Conflict(f"class {key} is pinned as it was before a run that was undone", "release it first")
    await services.classes.write_drift(settings.school, [Drift(key, stale=True)])
    scope = scope_of([record.desired.group_id])
    return await submit(SyncSchool(settings.school, requester.run, Cause.ADMIN, scope), "", requester, services)


async def request_action(
    settings: SchoolSettings, key: ClassKey, action: Action, requester: Requester, services: Services
) -> Accepted:
    """Delete a class, or restore a class deleted in the last 30 days. Raises NotFound, Conflict."""
    await _class_for(action, settings.school, key, services)
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
        record = await _class_for(request.action, request.school, request.key, services)
    except (NotFound, Conflict) as refusal:
        return await refuse(run, str(refusal), services)
    deleting = request.action is Action.DELETE
    await services.classes.write_desired(request.school, [replace(record.desired, deleted=deleting)])
    where = (settings.tenant, request.school, request.key, request.run, request.cause)
    change: Change = DeleteClass(*where) if deleting else RestoreClass(*where)
    await services.outbox.send_changes([change], Priority.URGENT)
    run = replace(run, at=services.clock.now(), outcome=RunOutcome.PLANNED, changed=(request.key,))
    await services.runs.write_run(run)
    return run


async def _class_for(action: Action, school: SchoolId, key: ClassKey, services: Services) -> ClassRecord:
    """A class that the action is possible for. Raises NotFound, Conflict."""
    record = await existing_class(school, key, services)
    if action is Action.DELETE and record.gone:
        raise Conflict(f"class {key} is gone from Microsoft 365 already", "nothing is left to delete")
    if action is Action.RESTORE and not record.gone:
        raise Conflict(f"class {key} is not deleted", "resync it if its members are wrong")
    if action is Action.RESTORE and record.actual is None:
        raise Conflict(f"class {key} was never created in Microsoft 365", "create it for its group")
    return record
