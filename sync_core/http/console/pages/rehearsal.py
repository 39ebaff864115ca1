"""The rehearsal of a new school year: what a day to come would do, and its approval for then."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import RedirectResponse, Response
from starlette.datastructures import UploadFile

from sync_core.admin.plans.apply import MOST_UNCONFIRMED
from sync_core.admin.year.rehearsal import (
    TurnApproval,
    TurnDiffers,
    TurnNotConfirmed,
    approve_turn,
    rehearse,
    withdraw_approval,
)
from sync_core.domain.ids import RunId
from sync_core.domain.school.settings import SchoolSettings
from sync_core.errors import Unreadable
from sync_core.http.admin.dependencies import Administered, Call, SignedIn
from sync_core.http.console.forms import FieldFault, texts_of
from sync_core.http.console.places import school_place
from sync_core.http.console.rendering import render
from sync_core.http.console.session import CheckedForm, CheckedUpload
from sync_core.http.console.views import rehearsal as views
from sync_core.planning.year.turn import Turn

router = APIRouter(prefix="/schools/{school}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    """What the page shows: the day as typed and as read, its rehearsal, and the fields of the approval.

    `uploaded`: the rehearsal is that of an uploaded export.
    """

    filled: str = ""
    chosen: date | None = None
    turn: Turn | None = None
    sent: Mapping[str, str] = field(default_factory=dict)
    changed: bool = False
    uploaded: bool = False
    faults: tuple[FieldFault, ...] = ()


_DIGEST = re.compile(r"[0-9a-f]{1,64}")
_Day = Annotated[str, Query(max_length=20)]
_RunId = Annotated[RunId, Path(min_length=1, max_length=40, pattern=r"^[A-Za-z0-9-]+$")]


@router.get("/rehearsal")
async def show(request: Request, settings: Administered, call: SignedIn, day: _Day = "") -> Response:
    """The form alone, until a day is chosen: then the MIS is read."""
    if not day:
        return await _page(request, settings, call, _Shown())
    chosen = views.read_day(day)
    if isinstance(chosen, FieldFault):
        return await _page(request, settings, call, _Shown(filled=day, faults=(chosen,)))
    try:
        turn = await rehearse(settings, chosen, call.services)
    except Unreadable as fault:
        faults = (FieldFault("day", fault.message),)
        return await _page(request, settings, call, _Shown(filled=day, faults=faults))
    return await _page(request, settings, call, _Shown(filled=day, chosen=chosen, turn=turn))


@router.post("/rehearsal")
async def approve(request: Request, settings: Administered, call: SignedIn, form: CheckedForm) -> Response:
    """Leads to the run, which waits. A rehearsal that has changed since, or is not confirmed, is shown instead."""
    sent = texts_of(form)
    digest, day = sent.get("digest", ""), views.read_day(sent.get("day", ""))
    if not _DIGEST.fullmatch(digest) or isinstance(day, FieldFault):
        raise Unreadable("the form names no rehearsal, so nothing was approved", "rehearse the day again")
    begins_at = views.read_start(day, sent.get("at", ""), settings.time_zone)
    shown = _Shown(filled=sent["day"], chosen=day, sent=sent)
    if isinstance(begins_at, FieldFault):
        shown = replace(shown, turn=await rehearse(settings, day, call.services), faults=(begins_at,))
        return await _page(request, settings, call, shown)
    requester = call.requester(f"approve turn {digest}", settings.school)
    approval = TurnApproval(day, begins_at, sent.get("confirm", "").strip())
    try:
        accepted = await approve_turn(settings, digest, approval, requester, call.services)
    except TurnDiffers as differs:
        return await _page(request, settings, call, replace(shown, turn=differs.turn, changed=True))
    except TurnNotConfirmed as refused:
        people = refused.turn.leaving
        fault = FieldFault("confirm", f"type {settings.school} to confirm that {people} people leave a class")
        return await _page(request, settings, call, replace(shown, turn=refused.turn, faults=(fault,)))
    return RedirectResponse(f"/schools/{settings.school}/runs/{accepted.run}", 303)


@router.post("/rehearsal/zip")
async def show_upload(request: Request, settings: Administered, call: SignedIn, form: CheckedUpload) -> Response:
    """The same of an export in a zip file, which is not kept. It cannot be approved: a night has no such file."""
    filled, file = texts_of(form).get("day", ""), form.get("file")
    day, content = views.read_day(filled), await file.read() if isinstance(file, UploadFile) else b""
    shown = _Shown(filled=filled, uploaded=True)
    if isinstance(day, FieldFault):
        return await _page(request, settings, call, replace(shown, faults=(day,)))
    if not content:
        fault = FieldFault("file", "choose the zip file with next year's export")
        return await _page(request, settings, call, replace(shown, faults=(fault,)))
    try:
        turn = await rehearse(settings, day, call.services, content)
    except Unreadable as unreadable:
        return await _page(request, settings, call, replace(shown, faults=(FieldFault("day", unreadable.message),)))
    return await _page(request, settings, call, replace(shown, chosen=day, turn=turn))


@router.post("/runs/{run}/withdraw")
async def withdraw(settings: Administered, call: SignedIn, run: _RunId, _: CheckedForm) -> Response:
    call.record(f"withdraw {run}", settings.school)
    await withdraw_approval(settings, run, call.services)
    return RedirectResponse(f"/schools/{settings.school}/runs/{run}", 303)


async def _page(request: Request, settings: SchoolSettings, call: Call, shown: _Shown) -> Response:
    turn = shown.turn
    return render(
        request,
        call,
        "rehearsal.html",
        await school_place(settings, "Tonight", call),
        409 if shown.changed else 422 if shown.faults else 200,
        shown=shown,
        turn=turn,
        lists=views.lists_of(turn) if turn else (),
        confirm=turn is not None and turn.leaving > MOST_UNCONFIRMED,
        zone=settings.time_zone,
        labels=views.LABELS,
        wrong={fault.field: fault.text for fault in shown.faults},
    )
