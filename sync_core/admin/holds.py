"""Decisions on holds. A decision applies to exactly what the admin was shown."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from sync_core.admin.explain import read_people
from sync_core.admin.requests import Accepted, Requester, recorded_run, require_enabled, submit
from sync_core.domain.runs import HoldStatus, RunOutcome, RunRecord
from sync_core.domain.school import SchoolSettings
from sync_core.errors import Conflict, SyncError
from sync_core.messaging.messages import DecideHold, Decision, Priority, SyncSchool
from sync_core.planning.preview.preview import Preview, preview_of
from sync_core.planning.school_plan import note_shared_names, plan_to_show
from sync_core.services import Services
from sync_core.sync.school import add_holds, sync_school

_CLASSES_TO_READ = 20
"""A preview reads the people of so many classes: two requests each, within a second or two."""


class PlanDiffers(Conflict):
    """A plan made now does not contain the hold that the admin decided on. `plan` is the new plan."""

    def __init__(self, digest: str, plan: Preview) -> None:
        super().__init__(
            f"a sync would not hold {digest} now: the MIS or Microsoft 365 has changed since the hold was shown",
            "read the plan in this answer, and decide on its holds",
        )
        self.plan = plan


async def preview_school(settings: SchoolSettings, services: Services) -> Preview:
    """What a sync of the whole school would do now. Writes nothing.

    The people of the first classes that change are read from Microsoft 365. Those of the others are as last known, and
    so are all from the first class on that cannot be read.
    """
    planned = await plan_to_show(settings.school, services.reading)
    planned = await note_shared_names(planned, services.reading, lambda shared: shared.names)
    tenant = services.graph.of(settings.tenant, Priority.URGENT)
    changing = [planned.records[diff.key] for diff in planned.plan.diffs if not diff.create]
    seen = {}
    with suppress(SyncError):
        for record in changing[:_CLASSES_TO_READ]:
            seen[record.key] = await read_people(record, tenant)
    return preview_of(planned, settings, seen)


async def request_decision(
    settings: SchoolSettings, digest: str, decision: Decision, requester: Requester, services: Services
) -> Accepted:
    """Approve or reject a hold, if a sync would hold exactly that now. Raises Conflict, PlanDiffers."""
    require_enabled(settings)
    planned = await plan_to_show(settings.school, services.reading)
    if digest not in {hold.digest for hold in planned.holds}:
        raise PlanDiffers(digest, preview_of(planned, settings))
    return await submit(DecideHold(settings.school, digest, decision, requester.run), decision, requester, services)


async def decide_hold(request: DecideHold, services: Services) -> RunRecord:
    """Carry out a decision in the school's turn: one sync that recognises the decided hold by its digest.

    If the MIS has changed since the decision, the plan has another digest and is held again. A duplicate message that
    arrives after its run is done decides nothing, because an admin may have decided otherwise since.
    """
    run = await recorded_run(request, request.decision, services)
    if run.outcome is RunOutcome.REFUSED:
        return run
    status = HoldStatus.APPROVED if request.decision is Decision.APPROVE else HoldStatus.REJECTED
    decided = {request.digest: status} if run.outcome is RunOutcome.REQUESTED else {}
    synced = await sync_school(SyncSchool(request.school, request.run, request.cause), services, decided)
    if decided and synced.outcome is not RunOutcome.PLANNED:
        # No plan could be made, so the decision has to outlive this run.
        standing = await services.schools.holds(request.school)
        known = [replace(hold, status=status) for hold in standing if hold.digest == request.digest]
        await add_holds(request.school, standing, known, services)
    return synced
