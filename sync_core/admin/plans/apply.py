"""The sync of a whole school by the digest of its plan: what was shown is what runs, or nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Annotated

from annotated_types import MaxLen

from sync_core.admin.holds import PlanDiffers, preview_school
from sync_core.admin.requests import Accepted, Requester, recorded_run, refuse, require_enabled, submit
from sync_core.domain.constraints import FORM, PRINTABLE, Meaning
from sync_core.domain.ids import ClassKey, RunId, SchoolId
from sync_core.domain.runs import RunOutcome, RunRecord
from sync_core.domain.school.settings import SchoolSettings
from sync_core.errors import Conflict
from sync_core.messaging.messages import ApplyPlan, SyncSchool
from sync_core.planning.planned import PlanNotMade, SchoolPlan
from sync_core.planning.preview.digest import class_digests, plan_digest
from sync_core.planning.preview.preview import Preview
from sync_core.planning.run_notes import name_some
from sync_core.planning.school_plan import note_shared_names, plan_school
from sync_core.services import Services
from sync_core.sync.school import carry_out, end_unplanned, sync_under

MOST_UNCONFIRMED = 20
"""If more people than that would leave a class, the admin confirms the plan with the id of the school."""
_UNDER_WAY = timedelta(minutes=15)


ConfirmedSchool = Annotated[
    str,
    PRINTABLE,
    MaxLen(64),
    Meaning(f"The id of the school: needed if more than {MOST_UNCONFIRMED} people would leave a class"),
]
"""What an admin types to confirm that many people leave."""


@dataclass(frozen=True, slots=True)
class PlanConfirmation:
    """What an admin confirms about a plan."""

    __pydantic_config__ = FORM
    confirm: ConfirmedSchool = ""


UNCONFIRMED = PlanConfirmation()


class PlanNotConfirmed(Conflict):
    """Many people would leave, and the request does not confirm it with the id of the school. `plan` is the plan."""

    def __init__(self, school: SchoolId, plan: Preview) -> None:
        super().__init__(
            f"the plan is not applied yet: {len(plan.leaving)} people would leave a class",
            f"look at who leaves, and confirm the plan with the id of the school, {school}",
        )
        self.plan = plan


async def request_apply(
    settings: SchoolSettings,
    digest: str,
    requester: Requester,
    services: Services,
    confirmation: PlanConfirmation = UNCONFIRMED,
) -> Accepted:
    """Sync the whole school, if a sync would do exactly what the plan with this digest shows.

    A repeated request leads to the run of the first one, as long as that is under way. Raises Conflict, PlanDiffers and
    PlanNotConfirmed.
    """
    require_enabled(settings)
    if first := await _run_under_way(settings.school, digest, services):
        return Accepted(first)
    plan = await preview_school(settings, services)
    if plan.digest != digest:
        raise PlanDiffers(
            "the plan has changed since it was shown, so nothing was changed: the MIS or Microsoft 365 is different, "
            "or a sync has run",
            "look at the plan as it is now, and apply that",
            plan,
        )
    if len(plan.leaving) > MOST_UNCONFIRMED and confirmation.confirm != settings.school:
        raise PlanNotConfirmed(settings.school, plan)
    return await submit(ApplyPlan(settings.school, digest, requester.run), action_of(digest), requester, services)


async def apply_plan(request: ApplyPlan, services: Services) -> RunRecord:
    """Carry out the request in the school's turn, if the plan is still the one that was shown. Returns its run.

    The run records that the plan was begun. From then on it is no longer the one that was shown, because a part of it
    may be done: a redelivery continues it as any sync does.
    """
    run = await recorded_run(request, action_of(request.digest), services)
    if run.outcome is not RunOutcome.REQUESTED:
        return run
    sync = SyncSchool(request.school, request.run, request.cause)
    if run.whole:
        return await sync_under(run, sync, services)
    try:
        planned = await plan_school(sync, services.reading)
    except PlanNotMade as reason:
        return await end_unplanned(reason.planned, run, services)
    if plan_digest(planned) != request.digest:
        return await refuse(
            run,
            f"the plan has changed since it was shown{_difference(request, planned)}, so nothing was changed — look at "
            "the plan as it is now, and apply that",
            services,
        )
    begun = replace(run, whole=True)
    await services.runs.write_run(begun)
    planned = await note_shared_names(planned, services.reading, lambda shared: shared.keys)
    return await carry_out(planned, begun, services)


async def _run_under_way(school: SchoolId, digest: str, services: Services) -> RunId | None:
    runs = await services.runs.runs(school, services.clock.now() - _UNDER_WAY)
    now = services.clock.now()
    requested = (run for run in runs if run.is_under_way(now) and run.action == action_of(digest))
    return next((run.id for run in requested), None)


def _difference(request: ApplyPlan, planned: SchoolPlan) -> str:
    """Which classes differ, as a part of a sentence; empty if the request does not tell what was shown of each."""
    if not request.classes:
        return ""
    shown = {ClassKey(key): digest for key, _, digest in (told.partition(" ") for told in request.classes)}
    now = class_digests(planned)
    differing = sorted(key for key in shown.keys() | now.keys() if shown.get(key) != now.get(key))
    return f" in {len(differing)} classes ({name_some(differing)})"


def action_of(digest: str) -> str:
    return f"apply {digest}"
