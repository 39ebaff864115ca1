"""An admin's word on what was held: what was shown is what runs, and nothing else is approved by it."""

from __future__ import annotations

from dataclasses import replace

from sync_core.admin.requests import Requester, enabled_school, existing_school, refuse_unrecorded, submit
from sync_core.clock import Clock
from sync_core.domain.roster import FeedStatistics
from sync_core.domain.runs import Hold, HoldStatus, RunOutcome, RunRecord
from sync_core.errors import Conflict, NotFound
from sync_core.messaging.messages import DecideHold, Decision, SyncSchool
from sync_core.messaging.port import Outbox
from sync_core.mis.port import MisSource
from sync_core.planning.preview import Preview, preview_of
from sync_core.planning.school_plan import plan_now, plan_school
from sync_core.state.port import SchoolReader, StateStore
from sync_core.sync.school import add_holds, sync_school

_SAID = {Decision.APPROVE: HoldStatus.APPROVED, Decision.REJECT: HoldStatus.REJECTED}


class PlanDiffers(Conflict):
    """What would be held now is not what was decided upon: `plan` is the new one."""

    def __init__(self, digest: str, plan: Preview) -> None:
        super().__init__(
            f"a sync would not hold {digest} now: the MIS, or Microsoft 365, has changed since it was shown",
            "look at the plan that comes with this answer, and decide upon its holds",
        )
        self.plan = plan


async def preview_school(school: str, mis: MisSource, state: SchoolReader, clock: Clock) -> Preview:
    """What a sync of the whole school would do now; nothing is written."""
    return preview_of(await plan_now(school, mis, state, clock))


async def request_decision(
    school: str,
    digest: str,
    decision: Decision,
    requester: Requester,
    mis: MisSource,
    state: StateStore,
    outbox: Outbox,
    clock: Clock,
) -> None:
    """Have a hold approved or rejected, if a sync would hold just that now. Raises NotFound, Conflict, PlanDiffers."""
    await enabled_school(school, state)
    plan = await preview_school(school, mis, state, clock)
    if digest not in {hold.digest for hold in plan.holds}:
        raise PlanDiffers(digest, plan)
    await submit(DecideHold(school, digest, decision, requester.run), decision, requester, state, outbox, clock)


async def decide_hold(
    request: DecideHold, mis: MisSource, state: StateStore, outbox: Outbox, clock: Clock
) -> RunRecord:
    """In the school's turn: the decision onto the hold, and then a sync, which finds it by its digest.

    If the MIS has changed meanwhile, what would be done has another digest, and is held anew. A message that comes
    again after its run is done decides nothing: an admin may have said something else since.
    """
    sync = SyncSchool(request.school, request.run, request.cause)
    run = await state.run(request.school, request.run)
    if run is None:
        return await refuse_unrecorded(request, request.decision, state, clock)
    if run.outcome is RunOutcome.REQUESTED:
        decided = await _find(request.digest, sync, mis, state, clock)
        if decided is not None:
            await add_holds(request.school, [replace(decided, status=_SAID[request.decision])], state)
    return await sync_school(sync, mis, state, outbox, clock)


async def _find(digest: str, sync: SyncSchool, mis: MisSource, state: StateStore, clock: Clock) -> Hold | None:
    holds = {hold.digest: hold for hold in await state.holds(sync.school)}
    if digest not in holds:
        planned = await plan_school(sync, mis, state, clock)
        holds = {} if isinstance(planned, RunRecord) else {hold.digest: hold for hold in planned.holds}
    return holds.get(digest)


async def accepted_statistics(school: str, state: StateStore) -> FeedStatistics:
    """What the next feed is compared with. Raises NotFound."""
    await existing_school(school, state)
    statistics = await state.accepted_statistics(school)
    if statistics is None:
        raise NotFound(f"no feed of school {school} was accepted yet", "the next one is taken as it comes")
    return statistics


async def forget_accepted_statistics(school: str, state: StateStore) -> None:
    """The next feed is taken as it comes: what the plan then holds is all that is left. Raises NotFound."""
    await existing_school(school, state)
    await state.write_accepted_statistics(school, None)
