"""The routes of what syncs do to a school: the plan, holds, runs and their undo, pins, accepted statistics."""

from typing import Annotated, Any

from fastapi import APIRouter
from fastapi import Path as PathParameter

from sync_core.admin.holds import accepted_statistics, preview_school, request_decision
from sync_core.admin.requests import Requester
from sync_core.admin.undo import pinned_keys, request_release, request_undo
from sync_core.domain.roster import FeedStatistics
from sync_core.domain.runs import Hold, RunRecord
from sync_core.errors import NotFound
from sync_core.http.admin.dependencies import (
    Administered,
    Key,
    SyncApp,
    Target,
    class_target,
    recorded,
    requested,
    school_target,
)
from sync_core.http.admin.schemas import ABSENT, CONFLICT, PLAN_DIFFERS, Accepted, Plan, Run
from sync_core.messaging.messages import Decision

router = APIRouter(prefix="/schools/{school}", responses=ABSENT)

_Digest = Annotated[str, PathParameter(min_length=1, max_length=64, pattern=r"^[0-9a-f]+$")]
_RunId = Annotated[str, PathParameter(min_length=1, max_length=40, pattern=r"^[A-Za-z0-9-]+$")]


async def _hold(settings: Administered, digest: _Digest) -> Target:
    return Target(settings.school, name=digest)


async def _run(settings: Administered, run: _RunId) -> Target:
    return Target(settings.school, name=run)


_Approve = Annotated[Requester, requested(f"{Decision.APPROVE} hold", _hold)]
_Reject = Annotated[Requester, requested(f"{Decision.REJECT} hold", _hold)]
_Undo = Annotated[Requester, requested("undo", _run)]
_Release = Annotated[Requester, requested("release", class_target)]
_ReleaseAll = Annotated[Requester, requested("release", school_target)]


# --- the plan and its holds


@router.post("/plan", response_model=Plan, responses=CONFLICT, summary="What a sync would do now")
async def plan(settings: Administered, app: SyncApp) -> Any:
    """Nothing is written."""
    return (await preview_school(settings.school, app.services.reading)).as_data()


@router.get("/holds", summary="What the last plan held back")
async def list_holds(settings: Administered, app: SyncApp) -> list[Hold]:
    return list(await app.services.schools.holds(settings.school))


@router.post(
    "/holds/{digest}/approve",
    status_code=202,
    responses=PLAN_DIFFERS,
    summary="Apply what was held, if a sync would still hold exactly that",
)
async def approve_hold(settings: Administered, digest: _Digest, requester: _Approve, app: SyncApp) -> Accepted:
    await request_decision(settings, digest, Decision.APPROVE, requester, app.services)
    return Accepted(run=requester.run)


@router.post(
    "/holds/{digest}/reject",
    status_code=202,
    responses=PLAN_DIFFERS,
    summary="Keep the classes as they are until the MIS differs again",
)
async def reject_hold(settings: Administered, digest: _Digest, requester: _Reject, app: SyncApp) -> Accepted:
    await request_decision(settings, digest, Decision.REJECT, requester, app.services)
    return Accepted(run=requester.run)


# --- accepted statistics


@router.get("/accepted-statistics", summary="The statistics that the next feed is compared with")
async def read_accepted_statistics(settings: Administered, app: SyncApp) -> FeedStatistics:
    return await accepted_statistics(settings.school, app.services)


@router.delete(
    "/accepted-statistics",
    status_code=204,
    dependencies=[recorded("forget accepted snapshot", school_target)],
    summary="Accept the next feed without a comparison",
)
async def delete_accepted_statistics(settings: Administered, app: SyncApp) -> None:
    """For a feed that was rejected and is right. What its plan holds is then the only protection of the classes."""
    await app.services.schools.write_accepted_statistics(settings.school, None)


# --- runs


@router.get("/runs", response_model=list[Run], summary="The school's runs, oldest first")
async def list_runs(settings: Administered, app: SyncApp) -> tuple[RunRecord, ...]:
    return await app.services.runs.runs(settings.school)


@router.get("/runs/{run}", response_model=Run, summary="What a run came to")
async def read_run(settings: Administered, run: _RunId, app: SyncApp) -> RunRecord:
    record = await app.services.runs.run(settings.school, run)
    if record is None:
        raise NotFound(f"school {settings.school} has no run {run}", "list the school's runs for their ids")
    return record


@router.post(
    "/runs/{run}/undo",
    status_code=202,
    responses=CONFLICT,
    summary="Give each class of a run the people it had before, and pin it so",
)
async def undo(settings: Administered, run: _RunId, requester: _Undo, app: SyncApp) -> Accepted:
    await request_undo(settings, run, requester, app.services)
    return Accepted(run=requester.run)


# --- pins


@router.delete(
    "/classes/{key}/pin", status_code=202, responses=CONFLICT, summary="Have a pinned class follow the MIS again"
)
async def release(settings: Administered, key: Key, requester: _Release, app: SyncApp) -> Accepted:
    await request_release(settings, [key], requester, app.services)
    return Accepted(run=requester.run)


@router.delete("/pins", status_code=202, responses=CONFLICT, summary="Have all pinned classes follow the MIS again")
async def release_all(settings: Administered, requester: _ReleaseAll, app: SyncApp) -> Accepted:
    keys = await pinned_keys(settings.school, app.services)
    await request_release(settings, keys, requester, app.services)
    return Accepted(run=requester.run)
