"""Decisions on holds: what was shown is what runs, and a decision approves nothing else."""

from __future__ import annotations

from dataclasses import replace

from sync_core.admin.requests import Requester, recorded_run, require_enabled, submit
from sync_core.domain.roster import FeedStatistics
from sync_core.domain.runs import HoldStatus, RunOutcome, RunRecord
from sync_core.domain.school import SchoolSettings
from sync_core.errors import Conflict, NotFound
from sync_core.messaging.messages import DecideHold, Decision, SyncSchool
from sync_core.planning.preview import Preview, preview_of
from sync_core.planning.school_plan import plan_to_show
from sync_core.services import Reading, Services
from sync_core.sync.school import add_holds, sync_school

_STATUS = {Decision.APPROVE: HoldStatus.APPROVED, Decision.REJECT: HoldStatus.REJECTED}


class PlanDiffers(Conflict):
    """A plan made now does not contain the hold that was decided on. `plan` is the new one."""

    def __init__(self, digest: str, plan: Preview) -> None:
        super().__init__(
            f"a sync would not hold {digest} now: the MIS, or Microsoft 365, has changed since it was shown",
            "look at the plan that comes with this answer, and decide on its holds",
        )
        self.plan = plan


async def preview_school(school: str, reading: Reading) -> Preview:
    """What a sync of the whole school would do now. Nothing is written."""
    return preview_of(await plan_to_show(school, reading))


async def request_decision(
    settings: SchoolSettings, digest: str, decision: Decision, requester: Requester, services: Services
) -> None:
    """Have a hold approved or rejected, if a sync would hold exactly that now. Raises Conflict, PlanDiffers."""
    require_enabled(settings)
    plan = await preview_school(settings.school, services.reading)
    if digest not in {hold.digest for hold in plan.holds}:
        raise PlanDiffers(digest, plan)
    await submit(DecideHold(settings.school, digest, decision, requester.run), decision, requester, services)


async def decide_hold(request: DecideHold, services: Services) -> RunRecord:
    """Do a decision in the school's turn: one sync that knows the decision by the hold's digest.

    If the MIS has changed meanwhile, the plan has another digest, and is held again. A message that comes again after
    its run is done decides nothing, because an admin may have decided otherwise since.
    """
    run = await recorded_run(request, request.decision, services)
    if run.outcome is RunOutcome.REFUSED:
        return run
    status = _STATUS[request.decision]
    decided = {request.digest: status} if run.outcome is RunOutcome.REQUESTED else {}
    synced = await sync_school(SyncSchool(request.school, request.run, request.cause), services, decided)
    if decided and synced.outcome is not RunOutcome.PLANNED:
        # No plan could be made, so the decision has to outlive this run.
        standing = await services.schools.holds(request.school)
        known = [replace(hold, status=status) for hold in standing if hold.digest == request.digest]
        await add_holds(request.school, standing, known, services)
    return synced


async def accepted_statistics(school: str, services: Services) -> FeedStatistics:
    """The statistics that the next feed is compared with. Raises NotFound."""
    statistics = await services.schools.accepted_statistics(school)
    if statistics is None:
        raise NotFound(f"no feed of school {school} was accepted yet", "the next feed is accepted without a comparison")
    return statistics
