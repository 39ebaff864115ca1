"""The runs of a school, one run with what it changed, and its undo."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi import Path as PathParameter
from fastapi.responses import RedirectResponse, Response

from sync_core.admin.overview.runs import RunFilter, read_run
from sync_core.admin.undo import existing_run, preview_undo, request_undo
from sync_core.domain.ids import ClassKey, RunId
from sync_core.domain.runs import Cause, RunOutcome
from sync_core.http.admin.dependencies import Administered, SignedIn
from sync_core.http.console.names import names_of
from sync_core.http.console.paging import Paged, page_of
from sync_core.http.console.places import school_place
from sync_core.http.console.rendering import render
from sync_core.http.console.session import CheckedForm
from sync_core.http.console.views.runs.moves import list_moves, people_to_name
from sync_core.http.console.views.runs.plan import Show, view_plan
from sync_core.http.console.views.runs.words import CAUSES, OUTCOMES, changed_classes, run_row, started_by

router = APIRouter(prefix="/schools/{school}/runs")

_Page = Annotated[int, Query(ge=1)]
_Class = Annotated[ClassKey, Query(alias="class", max_length=200)]
_RunId = Annotated[RunId, PathParameter(min_length=1, max_length=40, pattern=r"^[A-Za-z0-9-]+$")]


@router.get("")
async def list_runs(
    request: Request, settings: Administered, call: SignedIn, cause: str = "", outcome: str = "", page: _Page = 1
) -> Response:
    """An unknown cause or outcome, or an empty one, is that of all runs."""
    wanted = RunFilter(
        cause=Cause(cause) if cause in set(Cause) else None,
        outcome=RunOutcome(outcome) if outcome in set(RunOutcome) else None,
    )
    recorded, place = await asyncio.gather(
        call.services.runs.runs(settings.school), school_place(settings, "Runs", call)
    )
    runs = wanted.of(recorded)
    query = {"cause": wanted.cause or "", "outcome": wanted.outcome or ""}
    listed = page_of(tuple(reversed(runs)), page, f"/schools/{settings.school}/runs", query)
    requesters = [run.requested_by for run in listed.rows if run.requested_by]
    names = await names_of(requesters, settings, call.services)
    return render(
        request,
        call,
        "runs.html",
        place,
        runs=listed,
        rows=[run_row(run, names) for run in listed.rows],
        wanted=wanted,
        causes=CAUSES,
        outcomes=OUTCOMES,
    )


@router.get("/{run}")
async def show_run(
    request: Request, settings: Administered, call: SignedIn, run: _RunId, only: _Class = ClassKey(""), page: _Page = 1
) -> Response:
    details, place = await asyncio.gather(
        read_run(settings.school, run, page, only or None, call.services), school_place(settings, "Runs", call)
    )
    moved = changed_classes(details)
    record = details.run
    people = [*filter(None, [record.requested_by]), *people_to_name(moved)]
    names = await names_of(people, settings, call.services)
    keys = Paged(details.keys, f"/schools/{settings.school}/runs/{run}", ())
    return render(
        request,
        call,
        "run.html",
        place,
        run=record,
        progress=details.progress,
        keys=keys,
        listed=list_moves(moved, names),
        only=only,
        names=names,
        outcomes=OUTCOMES,
        started_by=started_by,
    )


@router.get("/{run}/undo")
async def show_undo(
    request: Request, settings: Administered, call: SignedIn, run: _RunId, only: _Class = ClassKey(""), page: _Page = 1
) -> Response:
    """The preview of the undo, which reads no MIS."""
    view = view_plan(await preview_undo(settings, run, call.services))
    path = f"/schools/{settings.school}/runs/{run}/undo"
    classes = page_of(view.shown(Show.ALL, only or None), page, path)
    names = await names_of(people_to_name(classes.rows), settings, call.services)
    return render(
        request,
        call,
        "run_undo.html",
        await school_place(settings, "Runs", call),
        run=await existing_run(settings.school, run, call.services),
        view=view,
        only=only,
        classes=classes,
        listed=list_moves(classes.rows, names),
    )


@router.post("/{run}/undo")
async def undo(settings: Administered, call: SignedIn, run: _RunId, _: CheckedForm) -> Response:
    accepted = await request_undo(settings, run, call.requester(f"undo {run}", settings.school), call.services)
    return RedirectResponse(f"/schools/{settings.school}/runs/{accepted.run}", 303)
