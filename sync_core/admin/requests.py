"""What every request of a person begins with: the requester, and a run recorded before the message is sent."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from sync_core.admin.classes.objections import paused
from sync_core.domain.classes.record import ClassRecord
from sync_core.domain.ids import AccountId, ClassKey, RunId, SchoolId
from sync_core.domain.runs import RunOutcome, RunRecord
from sync_core.domain.school.settings import SchoolSettings
from sync_core.errors import NotFound, NotOnRecord
from sync_core.messaging.messages import (
    ActOnClass,
    ApplyPlan,
    DecideHold,
    EndYear,
    SyncSchool,
    TakeBackYearEnd,
    UndoRun,
)
from sync_core.services import Services

_Recorded = ActOnClass | DecideHold | ApplyPlan | UndoRun | EndYear | TakeBackYearEnd


@dataclass(frozen=True, slots=True)
class Requester:
    """A caller by Entra id, and the run of their request. The creator of a class becomes one of its owners."""

    id: AccountId
    run: RunId


@dataclass(frozen=True, slots=True)
class Accepted:
    """The id of the run that carries out the request. Read the run for its result."""

    run: RunId


async def submit(
    request: SyncSchool | _Recorded,
    action: str,
    requester: Requester,
    services: Services,
) -> Accepted:
    """Record the run, then send the message, so that the run can be read as soon as its id is known."""
    await services.runs.write_run(_new_run(request, action, requester.id, services))
    await services.outbox.send_requests([request])
    return Accepted(request.run)


async def submit_for(
    at: datetime, request: ApplyPlan, action: str, requester: Requester, services: Services
) -> Accepted:
    """As `submit`, to be carried out at that time."""
    run = replace(_new_run(request, action, requester.id, services), scheduled_for=at)
    await services.runs.write_run(run)
    await services.outbox.schedule_requests([(at, request)])
    return Accepted(request.run)


async def recorded_run(request: _Recorded, action: str, services: Services) -> RunRecord:
    """The run of a request: REQUESTED, or with its result if the message was handled before.

    A message alone is not an admin's request. Without a recorded run it is refused, and the refusal is recorded.
    Raises NotOnRecord if the run is on record as another request, which stays as it is.
    """
    run = await services.runs.run(request.school, request.run)
    if run is not None:
        if (run.action, run.class_key, run.cause) != (action, _class_key(request), request.cause):
            raise NotOnRecord(request.run)
        return run
    return await refuse(
        _new_run(request, action, AccountId(""), services),
        "no admin is on record as the requester of this run, so nothing was changed — request it over the admin API",
        services,
    )


async def refuse(run: RunRecord, reason: str, services: Services) -> RunRecord:
    """Record that the request of `run` is not carried out."""
    refused = replace(run, at=services.clock.now(), outcome=RunOutcome.REFUSED, notes=(reason,))
    await services.runs.write_run(refused)
    return refused


async def begin(
    request: ActOnClass | UndoRun | EndYear | TakeBackYearEnd, action: str, services: Services
) -> tuple[RunRecord, SchoolSettings | None]:
    """The run of a request with the settings of its school, or with None if nothing is left to do."""
    run = await recorded_run(request, action, services)
    if run.outcome is not RunOutcome.REQUESTED:
        return run, None
    settings = await services.schools.school(request.school)
    if settings is None:
        reason = "the school has left, so nothing was changed — save its settings, then make the request again"
        return await refuse(run, reason, services), None
    check = await services.reading.check_tenant(settings.tenant)
    if check.blocked:
        return await refuse(run, f"{check.what}, so nothing was changed — {check.remedy}", services), None
    return run, settings


async def existing_class(school: SchoolId, key: ClassKey, services: Services) -> ClassRecord:
    """The row of a class. Raises NotFound."""
    record = await services.classes.class_record(school, key)
    if record is None:
        raise NotFound(f"school {school} has no class {key}", "list the school's classes to see their keys")
    return record


def require_enabled(settings: SchoolSettings) -> None:
    """Raises Conflict for a paused school."""
    if not settings.enabled:
        raise paused(settings)


def _new_run(
    request: SyncSchool | _Recorded,
    action: str,
    requested_by: AccountId,
    services: Services,
) -> RunRecord:
    return RunRecord(
        school=request.school,
        id=request.run,
        cause=request.cause,
        at=services.clock.now(),
        outcome=RunOutcome.REQUESTED,
        action=action,
        class_key=_class_key(request),
        requested_by=requested_by,
    )


def _class_key(request: SyncSchool | _Recorded) -> ClassKey:
    return request.key if isinstance(request, ActOnClass) else ClassKey("")
