"""The settings of a school: what a change would do is shown before it is saved, and who changed what is listed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from sync_core.admin.plans.difference import compare_plans
from sync_core.admin.school_settings import Draft, Fault, FaultySettings
from sync_core.domain.runs import changes_between
from sync_core.domain.school.settings import SchoolSettings
from sync_core.errors import SyncError, Unreadable
from sync_core.http.admin.dependencies import Administered, Call, SignedIn
from sync_core.http.admin.drafts import check_outward, save_checked, wanted_settings
from sync_core.http.admin.etags import etag_of, require_match
from sync_core.http.admin.schemas import school_json
from sync_core.http.console import paging
from sync_core.http.console.names import names_of
from sync_core.http.console.places import school_place
from sync_core.http.console.rendering import render
from sync_core.http.console.session import CheckedForm
from sync_core.http.console.views.settings import changes as views
from sync_core.http.console.views.settings.fields import read_into, without_place

router = APIRouter(prefix="/schools/{school}/settings")

_Page = Annotated[int, Query(ge=1, le=1_000_000)]


@router.get("")
async def show_settings(request: Request, settings: Administered, call: SignedIn, page: _Page = 1) -> Response:
    return await _form(request, settings, call, school_json(settings), page=page)


@router.post("")
async def review(request: Request, settings: Administered, call: SignedIn, form: CheckedForm) -> Response:
    """What the settings of the form would change. The MIS is read; nothing is saved."""
    based_on = str(form.get("based_on", ""))
    require_match(based_on, settings, settings.school)
    body = read_into(school_json(settings), views.settings_on_page(settings, call.caller.all_schools), form)
    try:
        wanted = await wanted_settings(settings.school, Draft.of(body), settings, call)
        await check_outward(wanted, call)
    except FaultySettings as faulty:
        return await _form(request, settings, call, body, faulty.faults)
    if wanted == settings:
        return await _form(request, settings, call, body, unchanged=True)
    plan, failure = None, None
    try:
        plan = views.plan_shown(await compare_plans(settings, wanted, call.services))
    except SyncError as error:
        failure = error
    return render(
        request,
        call,
        "settings_review.html",
        await school_place(settings, "Settings", call),
        settings=views.setting_rows(changes_between(settings, wanted)),
        plan=plan,
        failure=failure,
        paused=not settings.enabled,
        draft=json.dumps(school_json(wanted)),
        based_on=based_on,
    )


@router.post("/edit")
async def edit(request: Request, settings: Administered, call: SignedIn, form: CheckedForm) -> Response:
    """The form with the settings that were reviewed."""
    return await _form(request, settings, call, _draft_of(form.get("draft")), based_on=str(form.get("based_on", "")))


@router.post("/save")
async def save(settings: Administered, call: SignedIn, form: CheckedForm) -> Response:
    """Save what was reviewed, unless somebody saved other settings since. A second submit changes nothing."""
    wanted = await wanted_settings(settings.school, Draft.of(_draft_of(form.get("draft"))), settings, call)
    if wanted != settings:
        require_match(str(form.get("based_on", "")), settings, settings.school)
        await save_checked(wanted, settings, call)
    return RedirectResponse(f"/schools/{settings.school}/settings#changes", 303)


def _draft_of(sent: object) -> dict[str, Any]:
    """Raises Unreadable."""
    try:
        draft = json.loads(sent) if isinstance(sent, str) else None
    except ValueError:
        draft = None
    if not isinstance(draft, dict):
        raise Unreadable("the form has no settings, so nothing was saved", "open the settings again")
    return draft


async def _form(
    request: Request,
    settings: SchoolSettings,
    call: Call,
    body: Mapping[str, Any],
    faults: Sequence[Fault] = (),
    unchanged: bool = False,
    page: int = 1,
    based_on: str = "",
) -> Response:
    all_schools = call.caller.all_schools
    sections = views.sections_of(settings, all_schools, body, faults)
    changes, place = await asyncio.gather(
        call.services.schools.settings_changes(settings.school), school_place(settings, "Settings", call)
    )
    listed = paging.page_of(changes[::-1], page, f"/schools/{settings.school}/settings")
    names = await names_of([change.by for change in listed.rows if change.by], settings, call.services)
    return render(
        request,
        call,
        "settings.html",
        place,
        422 if faults else 200,
        all_schools=all_schools,
        sections=sections,
        form_fields=[filled for section in sections for filled in section.fields],
        other_faults=without_place(faults, views.settings_on_page(settings, all_schools)),
        unchanged=unchanged,
        source=views.source_rows(settings),
        based_on=based_on or etag_of(settings),
        listed=listed,
        changes=[views.change_shown(change, names) for change in listed.rows],
    )
