"""What all requests of people begin with: who requests it, for which school, and a run on record before the message."""

from __future__ import annotations

from dataclasses import dataclass

from sync_core.domain.classes import ClassRecord
from sync_core.domain.runs import RunOutcome, RunRecord
from sync_core.domain.school import SchoolSettings
from sync_core.errors import Conflict, NotFound
from sync_core.messaging.messages import ActOnClass, DecideHold, SyncSchool, UndoRun
from sync_core.services import Services


@dataclass(frozen=True, slots=True)
class Requester:
    """A caller by Entra id, and the run of their request. The creator of a class becomes one of its owners."""

    id: str
    run: str


async def submit(
    request: SyncSchool | ActOnClass | DecideHold | UndoRun, action: str, requester: Requester, services: Services
) -> None:
    """The run is on record before the message is on its way, so that its id can be read from then on."""
    run = RunRecord(
        school=request.school,
        id=requester.run,
        cause=request.cause,
        at=services.clock.now(),
        outcome=RunOutcome.REQUESTED,
        action=action,
        requested_by=requester.id,
    )
    await services.runs.write_run(run)
    await services.outbox.send_requests([request])


async def recorded_run(request: ActOnClass | DecideHold | UndoRun, action: str, services: Services) -> RunRecord:
    """The run of a request, as it is on record: still REQUESTED, or what it came to when its message came before.

    A message alone is not an admin's request. Without a run on record it is refused, and the refusal is recorded.
    """
    run = await services.runs.run(request.school, request.run)
    if run is None:
        note = "no admin is on record as having requested this: nothing was done — request it again over the admin API"
        run = RunRecord(
            school=request.school,
            id=request.run,
            cause=request.cause,
            at=services.clock.now(),
            outcome=RunOutcome.REFUSED,
            action=action,
            notes=(note,),
        )
        await services.runs.write_run(run)
    return run


async def existing_class(school: str, key: str, services: Services) -> ClassRecord:
    """Raises NotFound."""
    record = await services.classes.class_record(school, key)
    if record is None:
        raise NotFound(f"school {school} has no class {key}", "list the school's classes for their keys")
    return record


def require_enabled(settings: SchoolSettings) -> None:
    """Raises Conflict for a paused school."""
    if not settings.enabled:
        raise Conflict(f"school {settings.school} is paused", "save its settings with enabled true")
