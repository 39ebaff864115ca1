"""The end of the year: which classes, what happens to each, the preview, and its confirmation. And its reversal."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from sync_core.admin.year.year_end import (
    END,
    TAKE_BACK,
    YearEndDiffers,
    preview_taking_back,
    preview_year_end,
    request_taking_back,
    request_year_end,
)
from sync_core.domain.classes.year_end import YearEndOrder
from sync_core.domain.school.settings import SchoolSettings
from sync_core.errors import Unreadable
from sync_core.http.admin.dependencies import Administered, Call, SignedIn
from sync_core.http.console.forms import FieldFault
from sync_core.http.console.paging import page_of
from sync_core.http.console.places import school_place
from sync_core.http.console.rendering import render
from sync_core.http.console.session import CheckedForm
from sync_core.http.console.views import year_end as views
from sync_core.http.console.views.classes.groups import TYPES
from sync_core.planning.year.ending import YearEndPlan

router = APIRouter(prefix="/schools/{school}/year-end")
_DIGEST = re.compile(r"[0-9a-f]{1,64}")
_NO_PLAN = "the form names no preview, so nothing was changed"


@router.get("")
async def show_form(request: Request, settings: Administered, call: SignedIn) -> Response:
    return await _form(request, settings, call)


@router.get("/plan")
async def show_plan(request: Request, settings: Administered, call: SignedIn) -> Response:
    return await _preview(
        request, settings, call, lambda order: preview_year_end(settings, order, call.services), ending=True
    )


@router.get("/taking-back")
async def show_taking_back(request: Request, settings: Administered, call: SignedIn) -> Response:
    """Without a filter, every class whose year an admin ended."""
    return await _preview(
        request,
        settings,
        call,
        lambda order: preview_taking_back(settings, order.filter, call.services),
        ending=False,
    )


@router.post("/apply")
async def apply(request: Request, settings: Administered, call: SignedIn, form: CheckedForm) -> Response:
    """Leads to the run. A year end that has changed since is shown instead."""
    order, digest = _sent(form)
    requester = call.requester(f"{END} {digest}", settings.school)
    try:
        accepted = await request_year_end(settings, order, digest, requester, call.services)
    except YearEndDiffers as changed:
        return await _show(request, settings, call, changed.plan, order, ending=True, changed=True)
    return RedirectResponse(f"/schools/{settings.school}/runs/{accepted.run}", 303)


@router.post("/taking-back")
async def take_back(request: Request, settings: Administered, call: SignedIn, form: CheckedForm) -> Response:
    """As `apply`."""
    order, digest = _sent(form)
    requester = call.requester(f"{TAKE_BACK} {digest}", settings.school)
    try:
        accepted = await request_taking_back(settings, order.filter, digest, requester, call.services)
    except YearEndDiffers as changed:
        return await _show(request, settings, call, changed.plan, order, ending=False, changed=True)
    return RedirectResponse(f"/schools/{settings.school}/runs/{accepted.run}", 303)


def _sent(form: views.Sent) -> tuple[YearEndOrder, str]:
    """The order of a preview, and its digest. Raises Unreadable."""
    order, digest = views.read_order(form), str(form.get("digest", ""))
    if not isinstance(order, YearEndOrder) or not _DIGEST.fullmatch(digest):
        raise Unreadable(_NO_PLAN, "open the year end again, look at its preview, and confirm it there")
    return order, digest


async def _preview(
    request: Request,
    settings: SchoolSettings,
    call: Call,
    preview: Callable[[YearEndOrder], Awaitable[YearEndPlan]],
    *,
    ending: bool,
) -> Response:
    """The page of a preview; the form again if the order cannot be read, or names a class that nobody has."""
    order = views.read_order(request.query_params)
    if not isinstance(order, YearEndOrder):
        return await _form(request, settings, call, faults=order)
    try:
        plan = await preview(order)
    except Unreadable as fault:
        return await _form(request, settings, call, faults=(FieldFault("classes", fault.message),))
    return await _show(request, settings, call, plan, order, ending=ending)


async def _form(
    request: Request, settings: SchoolSettings, call: Call, faults: tuple[FieldFault, ...] = ()
) -> Response:
    outlines = await call.services.classes.class_outlines(settings.school)
    sent = request.query_params
    return render(
        request,
        call,
        "year_end.html",
        await school_place(settings, "Groups", call),
        422 if faults else 200,
        years={year: views.year_text(year) for year in views.years_of(outlines)},
        retired=sum(each.retired for each in outlines),
        types=TYPES,
        views=views,
        several={name: sent.getlist(name) for name in ("year", "type", "state", "never_used")},
        filled=dict(sent),
        faults=faults,
        wrong={fault.field: fault.text for fault in faults},
    )


async def _show(
    request: Request,
    settings: SchoolSettings,
    call: Call,
    plan: YearEndPlan,
    order: YearEndOrder,
    *,
    ending: bool,
    changed: bool = False,
) -> Response:
    fields = views.hidden_fields(order)
    path = f"/schools/{settings.school}/year-end/{'plan' if ending else 'taking-back'}"
    page = request.query_params.get("page", "1")
    number = int(page) if page.isascii() and page.isdigit() and len(page) < 6 else 1
    return render(
        request,
        call,
        "year_end_plan.html",
        await school_place(settings, "Groups", call),
        409 if changed else 200,
        plan=plan,
        rows=page_of(views.rows_of(plan, ending=ending), max(number, 1), path, fields),
        fields=fields,
        ending=ending,
        changed=changed,
        year_text=views.year_text,
    )
