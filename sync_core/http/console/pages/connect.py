"""Connecting a school in steps: MIS, way, source, check, matching, names, plan. Only the last one saves anything."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Generic, TypeVar

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response
from starlette.datastructures import FormData, UploadFile

from sync_core.admin.classes.requests import request_sync
from sync_core.admin.overview.matching import MatchingReport, report_matching
from sync_core.admin.school_settings import Draft, Fault, FaultySettings, refuse
from sync_core.admin.supposed import check_feed, preview_settings
from sync_core.domain.ids import SchoolId
from sync_core.domain.school.settings import Mis, SchoolSettings
from sync_core.errors import Conflict, SnapshotRejected, SyncError, Unreadable
from sync_core.http.admin.dependencies import Admin, Call
from sync_core.http.admin.drafts import check_outward, save_checked, wanted_settings
from sync_core.http.console.rendering import Place, render
from sync_core.http.console.session import CheckedForm, CheckedUpload
from sync_core.http.console.views import connect as views
from sync_core.http.console.views.people import rate_cards
from sync_core.http.console.views.settings.fields import Setting, fill_in, read_into, without_place
from sync_core.planning.feed_report import FeedReport
from sync_core.planning.preview.preview import Preview
from sync_core.services import Services

router = APIRouter(prefix="/connect")
_T = TypeVar("_T")
# The steps name nobody but the admin owners typed into them, so Back in the browser may show one as it was. After Back,
# a page that is not stored is empty or, if a form led to it, an error of the browser.
_GOES_BACK = {"Cache-Control": "private, no-cache"}


async def _connecting(call: Admin) -> Call:
    call.caller.need_all_schools("connect a school", "ask an admin of all schools to connect it")
    return call


Connecting = Annotated[Call, Depends(_connecting)]


@dataclass(frozen=True, slots=True)
class _Tried(Generic[_T]):
    """What came of a draft: a result, the faults of its fields, or why there is no result."""

    result: _T | None = None
    faults: tuple[Fault, ...] = ()
    failure: SyncError | None = None


@router.get("")
async def choose(request: Request, call: Connecting, mis: Mis | None = None, way: str = "") -> Response:
    """The MIS, then the way, then its fields. None of these is about a person, so addresses have them."""
    if mis is None:
        return _page(request, call, "MIS", choices=views.mis_choices())
    if way not in views.WAYS:
        return _page(request, call, "Way", mis=mis, ways=views.WAYS)
    return _source(request, call, views.first_body(mis, way, call.app.settings.tenant), way, _Tried())


@router.post("/check")
async def check(request: Request, call: Connecting, form: CheckedForm) -> Response:
    """Read the feed, and say what it has."""
    body, way = _draft(form), str(form.get("way", ""))
    if way in views.WAYS and way != views.ZIP:
        body = read_into(body, views.source_settings(way), form)
    tried: _Tried[FeedReport] = await _try(body, call, lambda wanted: _check_new(wanted, call))
    if tried.result is None:
        return _source(request, call, body, str(body.get("source", {}).get("kind", "")), tried)
    return _page(
        request,
        call,
        "Check",
        facts=views.feed_facts(tried.result),
        rejected=views.rejections(tried.result),
        draft=json.dumps(body),
    )


@router.post("/zip")
async def try_zip(request: Request, call: Connecting, form: CheckedUpload) -> Response:
    """Everything that an export set shows, in one page: the file is not kept for another one."""
    body = views.with_folder(read_into(_draft(form), views.source_settings(views.ZIP), form))
    file = form.get("file")
    content = await file.read() if isinstance(file, UploadFile) else b""
    if not content:
        missing = Fault("file: no file was chosen", "choose the zip file")
        return _source(request, call, body, views.ZIP, _Tried(faults=(missing,)))
    services = _reading(content, call.services)
    checked: _Tried[FeedReport] = await _try(body, call, lambda wanted: check_feed(wanted, services))
    if checked.result is None:
        return _source(request, call, body, views.ZIP, checked)
    matched: _Tried[MatchingReport] = await _try(body, call, lambda wanted: report_matching(wanted, services))
    planned: _Tried[Preview] = await _try(body, call, lambda wanted: preview_settings(wanted, services))
    return _source(
        request,
        call,
        body,
        views.ZIP,
        _Tried(),
        facts=views.feed_facts(checked.result),
        rejected=views.rejections(checked.result),
        cards=rate_cards(matched.result.rates) if matched.result else (),
        held=bool(matched.result and matched.result.held),
        plan=views.first_plan(planned.result) if planned.result else None,
        failure=matched.failure or planned.failure,
        connected=await _is_connected(SchoolId(str(body["id"])), call),
    )


@router.post("/matching")
async def match(request: Request, call: Connecting, form: CheckedForm) -> Response:
    """How many people find an account, by the rules of the form."""
    body, settings = _read(form, views.matching_settings())
    tried: _Tried[MatchingReport] = await _try(body, call, lambda wanted: report_matching(wanted, call.services))
    report = tried.result
    cards = rate_cards(report.rates) if report else ()
    return _page(request, call, "Matching", tried, body, settings, cards=cards, held=bool(report and report.held))


@router.post("/names")
async def name(request: Request, call: Connecting, form: CheckedForm) -> Response:
    """What the new classes would be called, and who would own them."""
    body, _ = _read(form, views.matching_settings())
    body, settings = _read(form, views.names_settings(), body)
    tried = await _preview(body, call)
    plan = views.first_plan(tried.result) if tried.result else None
    return _page(request, call, "Names", tried, body, settings, plan=plan)


@router.post("/plan")
async def plan(request: Request, call: Connecting, form: CheckedForm) -> Response:
    """What the first sync would do."""
    body, settings = _read(form, views.names_settings())
    tried = await _preview(body, call)
    shown = views.first_plan(tried.result) if tried.result else None
    return _page(request, call, "Names" if tried.faults else "Plan", tried, body, settings, plan=shown)


@router.post("/save")
async def save(call: Connecting, form: CheckedForm) -> Response:
    """Save the school, and sync it tonight or now. A second submit neither saves nor syncs it again."""
    wanted = await _wanted(_draft(form), call)
    home = f"/schools/{wanted.school}"
    saved = await call.services.schools.school(wanted.school)
    if saved == wanted:
        return RedirectResponse(home, 303)
    if saved is not None:
        raise Conflict(
            f"school {wanted.school} is connected already, with other settings, so nothing was saved",
            "change its settings instead",
        )
    await save_checked(wanted, None, call)
    if form.get("when") != "now":
        return RedirectResponse(home, 303)
    accepted = await request_sync(wanted, call.requester("sync", wanted.school), call.services)
    return RedirectResponse(f"{home}/runs/{accepted.run}", 303)


# --- what the steps have in common


def _draft(form: FormData) -> dict[str, Any]:
    """The body that earlier steps filled in. Raises Unreadable."""
    sent = form.get("draft")
    try:
        draft = json.loads(sent) if isinstance(sent, str) else None
    except ValueError:
        draft = None
    if not isinstance(draft, dict) or not isinstance(draft.get("source"), dict):
        raise Unreadable("the form has no settings, so nothing was read or saved", "begin again with the MIS")
    return draft


def _read(
    form: FormData, settings: tuple[Setting, ...], body: Mapping[str, Any] | None = None
) -> tuple[dict[str, Any], tuple[Setting, ...]]:
    """The body with the values of these settings, if the form has any of them."""
    draft = dict(body or _draft(form))
    return (read_into(draft, settings, form) if any(each.place in form for each in settings) else draft), settings


async def _wanted(body: Mapping[str, Any], call: Call) -> SchoolSettings:
    """Raises FaultySettings."""
    refuse(views.id_faults(body))
    wanted = await wanted_settings(SchoolId(str(body["id"])), Draft.of(body), None, call)
    await check_outward(wanted, call)
    return wanted


async def _is_connected(school: SchoolId, call: Call) -> bool:
    return await call.services.schools.school(school) is not None


async def _check_new(wanted: SchoolSettings, call: Call) -> FeedReport:
    """Raises FaultySettings if the id is that of a school."""
    if await _is_connected(wanted.school, call):
        refuse((views.TAKEN,))
    return await check_feed(wanted, call.services)


async def _try(body: Mapping[str, Any], call: Call, read: Callable[[SchoolSettings], Awaitable[_T]]) -> _Tried[_T]:
    try:
        return _Tried(await read(await _wanted(body, call)))
    except FaultySettings as faulty:
        return _Tried(faults=faulty.faults)
    except SnapshotRejected as rejected:
        return _Tried(failure=rejected.for_admin())
    except SyncError as failure:
        return _Tried(failure=failure)


async def _preview(body: Mapping[str, Any], call: Call) -> _Tried[Preview]:
    return await _try(body, call, lambda wanted: preview_settings(wanted, call.services))


def _reading(content: bytes, services: Services) -> Services:
    """The services, with the uploaded file in place of the MIS."""
    return replace(services, reading=replace(services.reading, mis=services.uploads.of(content)))


def _source(
    request: Request, call: Call, body: Mapping[str, Any], way: str, tried: _Tried[Any], **values: object
) -> Response:
    """The fields of a way, and what reading the source came to."""
    way = way if way in views.WAYS else "container"
    settings = views.source_settings(way)
    name = views.WAYS[way][0]
    return _page(request, call, "Source", tried, body, settings, way=way, way_name=name, **values)


def _page(
    request: Request,
    call: Call,
    step: str,
    tried: _Tried[Any] | None = None,
    body: Mapping[str, Any] | None = None,
    settings: Sequence[Setting] = (),
    **values: object,
) -> Response:
    tried = tried or _Tried()
    shown: dict[str, object] = {
        "failure": tried.failure,
        "draft": json.dumps(body or {}),
        "form_fields": fill_in(settings, body or {}, tried.faults),
        "other_faults": without_place(tried.faults, settings),
        "read_at": call.services.clock.now(),
    }
    status = 422 if tried.faults else 200
    place = Place(title="Connect a school")
    page = render(request, call, "connect.html", place, status, step=step, steps=views.STEPS, **(shown | values))
    page.headers.update(_GOES_BACK)
    return page
