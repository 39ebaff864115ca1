"""A class on somebody's word: created for a group, resynced, deleted, restored. Asked here, done in the school's turn.

What is asked is checked at once, so that the asker hears why not; what is done goes through the school's session on the
queue, so that it never crosses a plan. The run that was given out tells what came of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

from sync_core.admin.groups import read_groups
from sync_core.admin.requests import (
    Requester,
    enabled_school,
    existing_class,
    existing_school,
    refuse_unrecorded,
    submit,
)
from sync_core.clock import Clock
from sync_core.domain.classes import ClassRecord, ClassRequest, Drift
from sync_core.domain.runs import Cause, RunOutcome, RunRecord
from sync_core.errors import Conflict, NotFound
from sync_core.messaging.messages import Action, ActOnClass, Change, DeleteClass, Priority, RestoreClass, SyncSchool
from sync_core.messaging.port import Outbox
from sync_core.mis.port import MisSource
from sync_core.state.port import StateStore


@dataclass(frozen=True, slots=True)
class ClassOptions:
    """What may be said of a class made by hand; an empty name stands for the naming rule."""

    display_name: str = ""
    description: str = ""
    required_until: date | None = None


async def request_sync(school: str, requester: Requester, state: StateStore, outbox: Outbox, clock: Clock) -> None:
    """Sync the whole school now. Raises NotFound, Conflict."""
    await enabled_school(school, state)
    await submit(SyncSchool(school, requester.run, Cause.ADMIN), "", requester, state, outbox, clock)


async def request_class(
    school: str,
    key: str,
    options: ClassOptions,
    requester: Requester,
    mis: MisSource,
    state: StateStore,
    outbox: Outbox,
    clock: Clock,
) -> None:
    """Create the class of a group that has none, or none any more. Raises NotFound, Conflict, SnapshotRejected."""
    settings = await enabled_school(school, state)
    groups = await read_groups(settings, mis, state)
    found = next((group for group in groups if group.key == key), None)
    if found is None:
        raise NotFound(f"school {school} has no group {key} in the MIS", "list the school's groups for their keys")
    if found.not_extracted:
        raise Conflict(
            "teaching groups are not extracted from ScholarPack",
            "make a class for a year or registration group, or correct mis in the school's settings",
        )
    record = found.record
    under_way = record is not None and (record.actual is not None or record.intent is not None)
    if record is not None and not record.gone and under_way:
        raise Conflict(f"group {key} has a class already", "resync its members instead")
    generation = record.desired.generation + 1 if record else 0
    request = ClassRequest(
        key, requester.id, clock.now(), options.display_name, options.description, options.required_until, generation
    )
    await state.write_class_request(school, request)
    await submit(SyncSchool(school, requester.run, Cause.ADMIN, (found.group.id,)), "", requester, state, outbox, clock)


async def request_resync(
    school: str, key: str, requester: Requester, state: StateStore, outbox: Outbox, clock: Clock
) -> None:
    """Bring one class to what the MIS says, whatever Microsoft 365 says now. Raises NotFound, Conflict."""
    await enabled_school(school, state)
    record = await existing_class(school, key, state)
    if record.gone:
        raise Conflict(f"class {key} is gone from Microsoft 365", "restore it, or create it anew")
    if record.desired.ended:
        raise Conflict(f"the group of class {key} is not in the MIS any more", "its members stay as they are")
    if record.desired.pinned:
        raise Conflict(f"class {key} is pinned as it was before a run that was undone", "release it first")
    await state.write_drift(school, [Drift(key, stale=True)])
    scope = (record.desired.group_id,)
    await submit(SyncSchool(school, requester.run, Cause.ADMIN, scope), "", requester, state, outbox, clock)


async def request_action(
    school: str, key: str, action: Action, requester: Requester, state: StateStore, outbox: Outbox, clock: Clock
) -> None:
    """Delete a class, or restore a deleted one within 30 days. Raises NotFound, Conflict."""
    await existing_school(school, state)
    if why := _hindrance(await existing_class(school, key, state), action):
        raise Conflict(*why)
    await submit(ActOnClass(school, key, action, requester.run), action, requester, state, outbox, clock)


async def act_on_class(request: ActOnClass, state: StateStore, outbox: Outbox, clock: Clock) -> RunRecord:
    """Do in the school's turn what was asked: row first, message second, as every plan does.

    A run that was done already is not done again: a message that comes late and twice must not undo what an admin said
    since. Returns the run's record, which is in the tables by then.
    """
    before = await state.run(request.school, request.run)
    if before is None:
        return await refuse_unrecorded(request, request.action, state, clock)
    if before.outcome is not RunOutcome.REQUESTED:
        return before
    run = replace(before, at=clock.now(), outcome=RunOutcome.REFUSED)
    settings = await state.school(request.school)
    record = await state.class_record(request.school, request.key)
    if settings is None or record is None:
        run = replace(run, notes=("there is no such class, or the school has left — list the school's classes",))
    elif why := _hindrance(record, request.action):
        run = replace(run, notes=(" — ".join(why),))
    else:
        deleting = request.action is Action.DELETE
        await state.write_desired(request.school, [replace(record.desired, deleted=deleting)])
        where = (settings.tenant, request.school, request.key, request.run, request.cause)
        change: Change = DeleteClass(*where) if deleting else RestoreClass(*where)
        await outbox.send_changes([change], Priority.URGENT)
        run = replace(run, outcome=RunOutcome.PLANNED, changed=(request.key,))
    await state.write_run(run)
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
