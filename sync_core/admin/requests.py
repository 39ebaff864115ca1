"""What all actions of an admin begin with: who asks, for which school, and a run on record before the message."""

from __future__ import annotations

from dataclasses import dataclass

from sync_core.clock import Clock
from sync_core.domain.classes import ClassRecord
from sync_core.domain.runs import RunOutcome, RunRecord
from sync_core.domain.school import SchoolSettings
from sync_core.errors import Conflict, NotFound
from sync_core.messaging.messages import ActOnClass, DecideHold, SyncSchool, UndoRun
from sync_core.messaging.port import Outbox
from sync_core.state.port import StateStore


@dataclass(frozen=True, slots=True)
class Requester:
    """Who asks, by Entra id, and under which run; the creator of a class becomes one of its owners."""

    id: str
    run: str


async def submit(
    request: SyncSchool | ActOnClass | DecideHold | UndoRun,
    action: str,
    requester: Requester,
    state: StateStore,
    outbox: Outbox,
    clock: Clock,
) -> None:
    """The run is on record before the message is on its way: whoever got its id can read it from now on."""
    now = clock.now()
    run = RunRecord(
        request.school, requester.run, request.cause, now, RunOutcome.REQUESTED, action, requested_by=requester.id
    )
    await state.write_run(run)
    await outbox.send_requests([request])


async def refuse_unrecorded(
    request: ActOnClass | DecideHold | UndoRun, action: str, state: StateStore, clock: Clock
) -> RunRecord:
    """The record of a request whose run nobody has on record: a message alone is not an admin's word."""
    note = "no admin is on record as having asked for this: nothing was done — ask again over the admin API"
    at = clock.now()
    run = RunRecord(request.school, request.run, request.cause, at, RunOutcome.REFUSED, action=action, notes=(note,))
    await state.write_run(run)
    return run


async def existing_school(school: str, state: StateStore) -> SchoolSettings:
    """Raises NotFound."""
    settings = await state.school(school)
    if settings is None:
        raise NotFound(f"there is no school {school}", "save its settings first")
    return settings


async def existing_class(school: str, key: str, state: StateStore) -> ClassRecord:
    """Raises NotFound."""
    record = await state.class_record(school, key)
    if record is None:
        raise NotFound(f"school {school} has no class {key}", "list the school's classes for their keys")
    return record


async def enabled_school(school: str, state: StateStore) -> SchoolSettings:
    """Raises NotFound, Conflict."""
    settings = await existing_school(school, state)
    if not settings.enabled:
        raise Conflict(f"school {school} is paused", "save its settings with enabled true")
    return settings
