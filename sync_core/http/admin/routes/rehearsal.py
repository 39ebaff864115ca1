"""The routes of the rehearsal of a new school year: its plan, and the approval of that plan for a later time."""

from typing import Annotated

from fastapi import Path as PathParameter

from sync_core.admin.requests import Accepted
from sync_core.admin.year.rehearsal import RehearsedDay, TurnApproval, approve_turn, rehearse, withdraw_approval
from sync_core.domain.ids import RunId
from sync_core.domain.runs import RunRecord
from sync_core.http.admin.dependencies import Administered, DigestInPath, SignedIn
from sync_core.http.admin.routes.router import admin_router
from sync_core.http.admin.schemas import ABSENT, CONFLICT, STARTS_RUN, Run
from sync_core.planning.year.turn import Turn

router = admin_router("/schools/{school}", ABSENT)
_RunId = Annotated[RunId, PathParameter(min_length=1, max_length=40, pattern=r"^[A-Za-z0-9-]+$")]


@router.post("/rehearsal", responses=CONFLICT, summary="Rehearse the turn of the year, as of a day to come")
async def rehearse_turn(settings: Administered, body: RehearsedDay, call: SignedIn) -> Turn:
    """Changes nothing. The school's own feed is read as it counts on that day."""
    return await rehearse(settings, body.day, call.services)


@router.post("/rehearsal/{digest}/approve", **STARTS_RUN, summary="Carry a rehearsed plan out at a later time")
async def approve(settings: Administered, digest: DigestInPath, body: TurnApproval, call: SignedIn) -> Accepted:
    """`digest` is that of a rehearsal. If a sync would do anything else then, nothing is changed."""
    requester = call.requester(f"approve turn {digest}", settings.school)
    return await approve_turn(settings, digest, body, requester, call.services)


@router.post(
    "/runs/{run}/withdraw", response_model=Run, responses=CONFLICT, summary="Withdraw what was approved for later"
)
async def withdraw(settings: Administered, run: _RunId, call: SignedIn) -> RunRecord:
    """The run ends as refused, and its plan is not carried out."""
    call.record(f"withdraw {run}", settings.school)
    return await withdraw_approval(settings, run, call.services)
