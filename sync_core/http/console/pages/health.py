"""The health of the app: its checks, its dead letters, and pausing everything."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response
from starlette.datastructures import FormData

from sync_core.admin.dead_letters import Visible, replay_all, replay_chosen
from sync_core.admin.health.findings import Finding
from sync_core.admin.health.letters import read_letters
from sync_core.admin.health.pauses import pause_schools, paused_for, read_pauses, resume_schools, synced
from sync_core.admin.schools import StatedReason
from sync_core.domain.school.settings import SchoolSettings
from sync_core.http.admin.dependencies import AccessibleSchools, Admin, Call, CheckedHealth, VisibleLetters
from sync_core.http.console.forms import FieldFault, read_form, texts_of
from sync_core.http.console.rendering import Place, render
from sync_core.http.console.session import CheckedForm
from sync_core.http.console.views.health import KINDS, checks_view, letters_view, pauses_notice, replayed_notice
from sync_core.messaging.messages import QUEUES

router = APIRouter(prefix="/health")

_Page = Annotated[int, Query(ge=1, le=1_000_000)]
_Done = Annotated[int | None, Query(ge=0, le=1_000_000)]
_LETTER = re.compile(rf"({'|'.join(QUEUES)})/([0-9]{{1,18}})")
_NONE_CHOSEN = FieldFault("letter-1", "choose at least one, or replay all; nothing was replayed")


@router.get("")
async def show_health(request: Request, call: Admin, paused: _Done = None, resumed: _Done = None) -> Response:
    """What is recorded. Checks and dead letters have pages of their own, because they ask servers that may be slow."""
    found = await read_pauses(call.caller.has_access, call.services)
    pauses, fault = (None, found) if isinstance(found, Finding) else (found, None)
    done = pauses_notice(paused, resumed)
    return render(request, call, "health.html", Place(title="Health"), pauses=pauses, fault=fault, done=done)


@router.get("/checks")
async def check_health(request: Request, call: Admin, health: CheckedHealth) -> Response:
    place = Place(title="Checks of the app")
    return render(request, call, "health_checks.html", place, health=health, checks=checks_view(health.lines))


# --- dead letters


@router.get("/dead-letters")
async def list_letters(
    request: Request, call: Admin, visible: VisibleLetters, page: _Page = 1, replayed: _Done = None
) -> Response:
    return await _letters_page(request, call, visible, page, done=replayed_notice(replayed))


@router.post("/dead-letters/replay")
async def replay(request: Request, call: Admin, visible: VisibleLetters, form: CheckedForm) -> Response:
    """The chosen messages, or all. A message that is out of date by now changes nothing."""
    chosen = _chosen(form)
    if form.get("which") == "all":
        call.record("replay all dead letters")
        replayed = await replay_all(visible, call.services)
    elif chosen:
        call.record(f"replay {len(chosen)} dead letters")
        replayed = await replay_chosen(chosen, visible, call.services)
    else:
        return await _letters_page(request, call, visible, 1, 422, faults=(_NONE_CHOSEN,))
    return RedirectResponse(f"/health/dead-letters?replayed={replayed}", 303)


async def _letters_page(
    request: Request,
    call: Call,
    visible: Visible,
    page: int,
    status: int = 200,
    done: str = "",
    faults: tuple[FieldFault, ...] = (),
) -> Response:
    found = await read_letters(visible, call.services)
    view, fault = (None, found) if isinstance(found, Finding) else (letters_view(found, page), None)
    place = Place(title="Dead letters")
    return render(
        request,
        call,
        "health_letters.html",
        place,
        status,
        view=view,
        fault=fault,
        done=done,
        faults=faults,
        kinds=KINDS,
    )


def _chosen(form: FormData) -> frozenset[tuple[str, int]]:
    """By queue and number. What is no message's is left out."""
    sent = (_LETTER.fullmatch(value) for value in form.getlist("letter") if isinstance(value, str))
    return frozenset((match[1], int(match[2])) for match in sent if match)


# --- pausing everything


@router.get("/pause")
async def ask_to_pause(request: Request, call: Admin, schools: AccessibleSchools) -> Response:
    return _pause_page(request, call, schools)


@router.post("/pause")
async def pause(request: Request, call: Admin, schools: AccessibleSchools, form: CheckedForm) -> Response:
    sent = texts_of(form)
    read = read_form(StatedReason, sent)
    if not isinstance(read, StatedReason):
        fault = FieldFault("reason", "give one in at most 200 printable characters; nothing was paused")
        return _pause_page(request, call, schools, 422, sent.get("reason", ""), (fault,))
    call.record("pause all schools", reason=read.reason)
    paused = await pause_schools(synced(schools), read.reason, call.caller.id, call.services)
    return RedirectResponse(f"/health?paused={len(paused)}", 303)


@router.post("/resume")
async def resume(call: Admin, schools: AccessibleSchools, form: CheckedForm) -> Response:
    """The schools that were paused for the reason of the form."""
    reason = texts_of(form).get("reason", "")
    chosen = paused_for(reason, schools)
    call.record("resume all schools", reason=reason if chosen else "")
    resumed = await resume_schools(chosen, call.caller.id, call.services)
    return RedirectResponse(f"/health?resumed={len(resumed)}", 303)


def _pause_page(
    request: Request,
    call: Call,
    schools: tuple[SchoolSettings, ...],
    status: int = 200,
    reason: str = "",
    faults: tuple[FieldFault, ...] = (),
) -> Response:
    place = Place(title="Pause everything")
    values = {"schools": synced(schools), "reason": reason, "faults": faults}
    return render(request, call, "health_pause.html", place, status, **values)
