"""The home of a school: what needs a person, counts, nights and runs; sync now, pause and resume."""

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from starlette.datastructures import FormData

from sync_core.admin.classes.requests import request_sync
from sync_core.admin.overview.school import read_home
from sync_core.admin.schools import StatedReason, pause_school, resume_school
from sync_core.domain.school.settings import SchoolSettings
from sync_core.errors import PreconditionFailed
from sync_core.http.admin.dependencies import Administered, Call, SignedIn
from sync_core.http.admin.etags import etag_of
from sync_core.http.console import formats
from sync_core.http.console.forms import FieldFault, read_form, texts_of
from sync_core.http.console.names import names_of
from sync_core.http.console.places import school_place
from sync_core.http.console.rendering import Place, render
from sync_core.http.console.session import CheckedForm
from sync_core.http.console.views.home import cards, checklist, needs, run_rows
from sync_core.http.console.views.runs.nights import chart_of
from sync_core.http.console.views.year import dates_shown

router = APIRouter(prefix="/schools/{school}")

_VERSION = "version"
"""The field with the ETag of the settings that a page was made from."""


@router.get("")
async def show_home(request: Request, settings: Administered, call: SignedIn) -> Response:
    home = await read_home(settings, call.app.settings.sync_schedule, call.services)
    names = await names_of((run.requested_by for run in home.runs if run.requested_by), settings, call.services)
    now = call.services.clock.now()
    place = Place(
        title=settings.name or settings.school, school=settings.school, tab="Home", approvals=home.overview.decisions
    )
    return render(
        request,
        call,
        "home.html",
        place,
        home=home,
        pause_reason=settings.pause_reason,
        needs=needs(home, lambda at: formats.moment(at, now)),
        cards=cards(home, lambda at: formats.moment(at, now)),
        tasks=checklist(home, settings.school),
        runs=run_rows(home, names),
        chart=chart_of(home.nights, now),
        dates=dates_shown(home.calendar),
    )


@router.post("/sync")
async def sync_now(settings: Administered, call: SignedIn, form: CheckedForm) -> Response:
    accepted = await request_sync(settings, call.requester("sync", settings.school), call.services)
    return RedirectResponse(f"/schools/{settings.school}/runs/{accepted.run}", 303)


@router.get("/pause")
async def show_pause(request: Request, settings: Administered, call: SignedIn) -> Response:
    return await _pause_page(request, settings, call, reason="", faults=())


@router.post("/pause")
async def pause(request: Request, settings: Administered, call: SignedIn, form: CheckedForm) -> Response:
    """The same form, sent again, is done already."""
    sent = texts_of(form)
    read = read_form(StatedReason, sent)
    if not isinstance(read, StatedReason):
        faults = tuple(FieldFault(fault.field, _REASON_FAULTS.get(fault.text, fault.text)) for fault in read)
        return await _pause_page(request, settings, call, reason=sent.get("reason", ""), faults=faults)
    if settings.enabled or settings.pause_reason != read.reason:
        _require_version(form, settings)
        call.record("pause", settings.school, read.reason)
        await pause_school(settings, read.reason, call.caller.id, call.services)
    return RedirectResponse(f"/schools/{settings.school}", 303)


@router.get("/resume")
async def show_resume(request: Request, settings: Administered, call: SignedIn) -> Response:
    place = await school_place(settings, "Home", call, "Resume this school")
    return render(request, call, "resume.html", place, settings=settings, version=etag_of(settings))


@router.post("/resume")
async def resume(settings: Administered, call: SignedIn, form: CheckedForm) -> Response:
    if not settings.enabled:
        _require_version(form, settings)
        call.record("resume", settings.school)
        await resume_school(settings, call.caller.id, call.services)
    return RedirectResponse(f"/schools/{settings.school}", 303)


_REASON_FAULTS = {"Field required": "say why the school is paused"}


async def _pause_page(
    request: Request, settings: SchoolSettings, call: Call, *, reason: str, faults: tuple[FieldFault, ...]
) -> Response:
    place = await school_place(settings, "Home", call, "Pause this school")
    return render(
        request,
        call,
        "pause.html",
        place,
        422 if faults else 200,
        settings=settings,
        reason=reason,
        faults=faults,
        version=etag_of(settings),
    )


def _require_version(form: FormData, settings: SchoolSettings) -> None:
    """Raises PreconditionFailed if somebody changed the settings since the page was made."""
    if form.get(_VERSION) != etag_of(settings):
        raise PreconditionFailed(
            f"somebody changed the settings of school {settings.school} since this page was made, so nothing was saved",
            "open the page again, see what has changed, and repeat your change if it is still needed",
        )
