"""What the next sync would do: the last one as recorded, the plan by reading the MIS, and applying that plan."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import RedirectResponse, Response

from sync_core.admin.holds import PlanDiffers, preview_school
from sync_core.admin.plans.apply import MOST_UNCONFIRMED, PlanConfirmation, PlanNotConfirmed, request_apply
from sync_core.domain.ids import ClassKey
from sync_core.domain.runs import RunOutcome
from sync_core.domain.school.settings import SchoolSettings
from sync_core.errors import Unreadable
from sync_core.http.admin.dependencies import Administered, Call, SignedIn
from sync_core.http.console.forms import FieldFault, texts_of
from sync_core.http.console.names import names_of
from sync_core.http.console.paging import page_of
from sync_core.http.console.places import school_place
from sync_core.http.console.rendering import render
from sync_core.http.console.session import CheckedForm
from sync_core.http.console.views.runs.moves import list_moves, people_to_name
from sync_core.http.console.views.runs.plan import Show, view_plan
from sync_core.planning.preview.preview import Preview

router = APIRouter(prefix="/schools/{school}/tonight")
_DAYS = timedelta(days=30)
_DIGEST = re.compile(r"[0-9a-f]{1,64}")


@dataclass(frozen=True, slots=True)
class Choice:
    """Which part of the plan a page shows: a page of the classes of one kind, or one class."""

    show: Annotated[Show, Query()] = Show.ALL
    only: Annotated[ClassKey, Query(alias="class", max_length=200)] = ClassKey("")
    page: Annotated[int, Query(ge=1)] = 1


_WHOLE = Choice()


@router.get("")
async def show_recorded(request: Request, settings: Administered, call: SignedIn) -> Response:
    """Reads no MIS: what the last sync of every class left."""
    runs = await call.services.runs.runs(settings.school, call.services.clock.now() - _DAYS)
    planned = [run for run in runs if run.whole and run.outcome is RunOutcome.PLANNED]
    under_way = [run for run in runs if run.is_under_way(call.services.clock.now())]
    place = await school_place(settings, "Tonight", call)
    return render(
        request,
        call,
        "tonight.html",
        place,
        settings=settings,
        last=planned[-1] if planned else None,
        under_way=under_way[-1] if under_way else None,
    )


@router.get("/plan")
async def show_plan(
    request: Request, settings: Administered, call: SignedIn, choice: Annotated[Choice, Depends()]
) -> Response:
    plan = await preview_school(settings, call.services)
    return await _render(request, settings, call, plan, choice)


@router.post("/apply")
async def apply(request: Request, settings: Administered, call: SignedIn, form: CheckedForm) -> Response:
    """Leads to the run. A plan that has changed since, or is not confirmed, is shown instead."""
    sent = texts_of(form)
    digest, code = sent.get("digest", ""), sent.get("confirm", "").strip()
    if not _DIGEST.fullmatch(digest):
        raise Unreadable("the form names no plan, so nothing was changed", "open the plan again, and apply it there")
    requester = call.requester(f"apply {digest}", settings.school)
    try:
        accepted = await request_apply(settings, digest, requester, call.services, PlanConfirmation(code))
    except PlanDiffers as changed:
        return await _render(request, settings, call, changed.plan, _WHOLE, status=409, changed=True)
    except PlanNotConfirmed as refused:
        people = len(refused.plan.leaving)
        fault = FieldFault("confirm", f"type {settings.school} to confirm that {people} people leave a class")
        return await _render(request, settings, call, refused.plan, _WHOLE, status=422, faults=(fault,), code=code)
    return RedirectResponse(f"/schools/{settings.school}/runs/{accepted.run}", 303)


async def _render(
    request: Request,
    settings: SchoolSettings,
    call: Call,
    plan: Preview,
    choice: Choice,
    *,
    status: int = 200,
    changed: bool = False,
    faults: tuple[FieldFault, ...] = (),
    code: str = "",
) -> Response:
    view = view_plan(plan)
    query = {"show": choice.show, "class": choice.only}
    path = f"/schools/{settings.school}/tonight/plan"
    classes = page_of(view.shown(choice.show, choice.only or None), choice.page, path, query)
    names = await names_of(people_to_name(classes.rows), settings, call.services)
    return render(
        request,
        call,
        "plan.html",
        await school_place(settings, "Tonight", call),
        status,
        view=view,
        classes=classes,
        listed=list_moves(classes.rows, names),
        choice=choice,
        confirm=view.leaving > MOST_UNCONFIRMED,
        changed=changed,
        faults=faults,
        code=code,
    )
