"""The routes of what syncs do to a school: the plan, holds, runs and their undo, pins, accepted statistics."""

from typing import Annotated, Any

from fastapi import Depends, Query
from fastapi import Path as PathParameter

from sync_core.admin.classes.my_groups import own_runs
from sync_core.admin.holds import WHOLE_HOLD, HoldChoice, preview_school, request_decision
from sync_core.admin.overview.runs import (
    RunFilter,
    RunProgress,
    newest_runs,
    read_progress,
)
from sync_core.admin.plans.apply import UNCONFIRMED, PlanConfirmation, request_apply
from sync_core.admin.requests import Accepted
from sync_core.admin.undo import (
    AppliedChange,
    ListedPin,
    changes_of_run,
    existing_run,
    list_pins,
    preview_undo,
    request_release,
    request_undo,
)
from sync_core.domain.ids import RunId
from sync_core.domain.roster import FeedStatistics, LeftOut
from sync_core.domain.runs import Hold, RunRecord
from sync_core.errors import NotFound
from sync_core.http.admin.csv_files import AS_CSV, Accept, accepts_csv, csv_response
from sync_core.http.admin.dependencies import Administered, DigestInPath, Key, SignedIn, Taught
from sync_core.http.admin.left_out import LeftOutList, left_out_body
from sync_core.http.admin.routes.router import admin_router
from sync_core.http.admin.schemas import ABSENT, APPLIES_SHOWN, CONFLICT, STARTS_RUN, Plan, Run
from sync_core.messaging.messages import Decision

router = admin_router("/schools/{school}", ABSENT)

_Page = Annotated[int | None, Query(ge=1, description="Lists 50 runs only: page 1 has the newest")]
_RunId = Annotated[RunId, PathParameter(min_length=1, max_length=40, pattern=r"^[A-Za-z0-9-]+$")]


# --- the plan and its holds


@router.post("/plan", response_model=Plan, responses=CONFLICT, summary="Preview what a sync would do now")
async def plan(settings: Administered, call: SignedIn) -> Any:
    """Changes nothing."""
    return (await preview_school(settings, call.services)).as_data()


@router.post("/plan/{digest}/apply", **APPLIES_SHOWN, summary="Sync the school, if a sync would do exactly that now")
async def apply(
    settings: Administered, digest: DigestInPath, call: SignedIn, confirmation: PlanConfirmation = UNCONFIRMED
) -> Accepted:
    """`digest` is that of a plan. If the plan is another one when its turn comes, nothing is changed either."""
    requester = call.requester(f"apply {digest}", settings.school)
    return await request_apply(settings, digest, requester, call.services, confirmation)


@router.get("/holds", summary="List what the last plan held back")
async def list_holds(settings: Administered, call: SignedIn) -> list[Hold]:
    return list(await call.services.schools.holds(settings.school))


@router.post("/holds/{digest}/approve", **APPLIES_SHOWN, summary="Apply what is held, if a sync would hold it now")
async def approve_hold(
    settings: Administered, digest: DigestInPath, call: SignedIn, choice: HoldChoice = WHOLE_HOLD
) -> Accepted:
    """The whole hold, or some of its classes.

    A hold whose `approval` is `two_steps` needs `confirm`: without it, the answer is 409 and says what would happen.
    """
    requester = call.requester(f"approve hold {digest}", settings.school)
    return await request_decision(settings, digest, Decision.APPROVE, requester, call.services, choice)


@router.post(
    "/holds/{digest}/reject", **APPLIES_SHOWN, summary="Leave the classes unchanged until the MIS changes again"
)
async def reject_hold(
    settings: Administered, digest: DigestInPath, call: SignedIn, choice: HoldChoice = WHOLE_HOLD
) -> Accepted:
    """The whole hold, or some of its classes."""
    requester = call.requester(f"reject hold {digest}", settings.school)
    return await request_decision(settings, digest, Decision.REJECT, requester, call.services, choice)


# --- accepted statistics


@router.get("/accepted-statistics", summary="Read the statistics that the next feed is compared with")
async def read_accepted_statistics(settings: Administered, call: SignedIn) -> FeedStatistics:
    statistics = await call.services.schools.accepted_statistics(settings.school)
    if statistics is None:
        raise NotFound(
            f"no feed of school {settings.school} has been accepted yet",
            "nothing to do: the next feed is accepted without a comparison",
        )
    return statistics


@router.delete("/accepted-statistics", status_code=204, summary="Accept the next feed without a comparison")
async def delete_accepted_statistics(settings: Administered, call: SignedIn) -> None:
    """For a feed that is correct but was rejected. Only the holds of its plan then protect the classes."""
    call.record("forget accepted statistics", settings.school)
    await call.services.schools.write_accepted_statistics(settings.school, None)


# --- rows of the feed that were left out


@router.get("/left-out", response_model=LeftOutList, responses=AS_CSV, summary="List what the last plan left out")
async def list_left_out(settings: Administered, call: SignedIn, accept: Accept = "") -> Any:
    """The rows of the feed that could not be read, for the people who keep the MIS; as CSV if the request accepts it.

    Nobody leaves a class because of such a row. There is no value of any pupil in the list.
    """
    found = left_out_body(await call.services.schools.left_out(settings.school))
    return csv_response(LeftOut, found.rows, "left-out.csv") if accepts_csv(accept) else found


# --- runs


@router.get("/runs", response_model=list[Run], summary="List the school's runs, oldest first")
async def list_runs(
    settings: Administered, call: SignedIn, wanted: Annotated[RunFilter, Depends()], page: _Page = None
) -> tuple[RunRecord, ...]:
    runs = await call.services.runs.runs(settings.school)
    if page is None:
        return wanted.of(runs)
    return tuple(reversed(newest_runs(runs, wanted, page).items))


@router.get("/my-runs", response_model=list[Run], summary="List the runs that you requested, oldest first")
async def list_my_runs(settings: Taught, call: SignedIn) -> tuple[RunRecord, ...]:
    """For teachers too, who see no other runs."""
    return await own_runs(call.caller.id, settings.school, call.services)


@router.get("/runs/{run}", response_model=Run, summary="Read the result of a run")
async def read_run(settings: Administered, run: _RunId, call: SignedIn) -> RunRecord:
    return await existing_run(settings.school, run, call.services)


@router.get("/runs/{run}/changes", summary="List who joined and left which class because of a run, so far")
async def read_changes(settings: Administered, run: _RunId, call: SignedIn) -> list[AppliedChange]:
    return await changes_of_run(settings.school, run, call.services)


@router.get("/runs/{run}/progress", summary="Read how far a run's changes are, class by class")
async def progress(settings: Administered, run: _RunId, call: SignedIn) -> RunProgress:
    return await read_progress(await existing_run(settings.school, run, call.services), call.services)


@router.post("/runs/{run}/undo/plan", response_model=Plan, responses=CONFLICT, summary="Preview the undo of a run")
async def plan_undo(settings: Administered, run: _RunId, call: SignedIn) -> Any:
    """Changes nothing."""
    return (await preview_undo(settings, run, call.services)).as_data()


@router.post("/runs/{run}/undo", **STARTS_RUN, summary="Give a run's classes the people they had before, and pin them")
async def undo(settings: Administered, run: _RunId, call: SignedIn) -> Accepted:
    return await request_undo(settings, run, call.requester(f"undo {run}", settings.school), call.services)


# --- pins


@router.get("/pins", summary="List the pinned classes, each with what differs from the MIS now")
async def pins(settings: Administered, call: SignedIn) -> list[ListedPin]:
    return await list_pins(settings, call.services.reading)


@router.delete("/classes/{key}/pin", **STARTS_RUN, summary="Let a pinned class follow the MIS again")
async def release(settings: Administered, key: Key, call: SignedIn) -> Accepted:
    return await request_release(settings, [key], call.requester("release", settings.school, key), call.services)


@router.delete("/pins", **STARTS_RUN, summary="Let all pinned classes follow the MIS again")
async def release_all(settings: Administered, call: SignedIn) -> Accepted:
    return await request_release(settings, None, call.requester("release", settings.school), call.services)
