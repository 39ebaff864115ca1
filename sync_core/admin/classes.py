"""A class on request: created for a group, resynced, deleted, restored. Requested here, done in the school's turn.

A request is checked at once, so that the requester hears why it cannot be done. It is then done through the school's
session on the queue, so that it never crosses a plan. The run whose id was handed out tells what it came to.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

from sync_core.admin.groups import read_groups
from sync_core.admin.requests import Requester, existing_class, recorded_run, require_enabled, submit
from sync_core.domain.classes import ClassRecord, ClassRequest, ClassState, Drift
from sync_core.domain.runs import Cause, RunOutcome, RunRecord
from sync_core.domain.school import SchoolSettings
from sync_core.errors import Conflict, NotFound
from sync_core.messaging.messages import Action, ActOnClass, Change, DeleteClass, Priority, RestoreClass, SyncSchool
from sync_core.services import Services


@dataclass(frozen=True, slots=True)
class ClassOptions:
    """What a requester may choose for a new class. An empty name stands for the naming rule."""

    display_name: str = ""
    description: str = ""
    required_until: date | None = None


async def request_sync(settings: SchoolSettings, requester: Requester, services: Services) -> None:
    """Sync the whole school now. Raises Conflict."""
    require_enabled(settings)
    await submit(SyncSchool(settings.school, requester.run, Cause.ADMIN), "", requester, services)


async def request_class(
    settings: SchoolSettings, key: str, options: ClassOptions, requester: Requester, services: Services
) -> None:
    """Create the class of a group that has none, or no longer has one. Raises NotFound, Conflict, SnapshotRejected."""
    require_enabled(settings)
    school = settings.school
    groups = await read_groups(settings, services)
    found = next((group for group in groups if group.key == key), None)
    if found is None:
        raise NotFound(f"school {school} has no group {key} in the MIS", "list the school's groups for their keys")
    if found.not_extracted:
        raise Conflict(
            "teaching groups are not extracted from ScholarPack",
            "make a class for a year or registration group, or correct mis in the school's settings",
        )
    record = found.record
    if record is not None and not record.gone and (record.actual is not None or record.intent is not None):
        raise Conflict(f"group {key} has a class already", "resync its members instead")
    request = ClassRequest(
        key=key,
        creator=requester.id,
        requested_at=services.clock.now(),
        display_name=options.display_name,
        description=options.description,
        required_until=options.required_until,
        generation=record.desired.generation + 1 if record else 0,
    )
    await services.classes.write_class_request(school, request)
    await submit(SyncSchool(school, requester.run, Cause.ADMIN, (found.group.id,)), "", requester, services)


async def request_resync(settings: SchoolSettings, key: str, requester: Requester, services: Services) -> None:
    """Bring one class to what the MIS says, whatever Microsoft 365 says now. Raises NotFound, Conflict."""
    require_enabled(settings)
    record = await existing_class(settings.school, key, services)
    if record.gone:
        raise Conflict(f"class {key} is gone from Microsoft 365", "restore it, or create it again")
    match record.state:
        case ClassState.ENDED:
            raise Conflict(f"the group of class {key} is no longer in the MIS", "its members stay as they are")
        case ClassState.PINNED:
            raise Conflict(f"class {key} is pinned as it was before a run that was undone", "release it first")
    await services.classes.write_drift(settings.school, [Drift(key, stale=True)])
    scope = (record.desired.group_id,)
    await submit(SyncSchool(settings.school, requester.run, Cause.ADMIN, scope), "", requester, services)


async def request_action(
    settings: SchoolSettings, key: str, action: Action, requester: Requester, services: Services
) -> None:
    """Delete a class, or restore a deleted one within 30 days. Raises NotFound, Conflict."""
    record = await existing_class(settings.school, key, services)
    if why := _hindrance(record, action):
        raise Conflict(*why)
    await submit(ActOnClass(settings.school, key, action, requester.run), action, requester, services)


async def act_on_class(request: ActOnClass, services: Services) -> RunRecord:
    """Do a request in the school's turn: row first, message second, as every plan does.

    A run that is done is not done again: a message that comes late and twice must not undo a later request. Returns
    the run, which is in the tables by then.
    """
    run = await recorded_run(request, request.action, services)
    if run.outcome is not RunOutcome.REQUESTED:
        return run
    settings = await services.schools.school(request.school)
    record = await services.classes.class_record(request.school, request.key)
    run = replace(run, at=services.clock.now(), outcome=RunOutcome.REFUSED)
    if settings is None or record is None:
        run = replace(run, notes=("there is no such class, or the school has left — list the school's classes",))
    elif why := _hindrance(record, request.action):
        run = replace(run, notes=(" — ".join(why),))
    else:
        deleting = request.action is Action.DELETE
        await services.classes.write_desired(request.school, [replace(record.desired, deleted=deleting)])
        where = (settings.tenant, request.school, request.key, request.run, request.cause)
        change: Change = DeleteClass(*where) if deleting else RestoreClass(*where)
        await services.outbox.send_changes([change], Priority.URGENT)
        run = replace(run, outcome=RunOutcome.PLANNED, changed=(request.key,))
    await services.runs.write_run(run)
    return run


def _hindrance(record: ClassRecord, action: Action) -> tuple[str, str] | None:
    """Why the action cannot be done, and the remedy."""
    if action is Action.DELETE and record.gone:
        return (f"class {record.key} is gone from Microsoft 365 already", "nothing is left to delete")
    if action is Action.RESTORE and not record.gone:
        return (f"class {record.key} is not deleted", "resync its members if they are wrong")
    if action is Action.RESTORE and record.actual is None:
        return (f"class {record.key} was never made", "create it for its group")
    return None
