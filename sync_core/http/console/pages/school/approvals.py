"""The holds of a school that wait for a decision, and the decision on one of them or on some of its classes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response
from starlette.datastructures import FormData

from sync_core.admin.holds import HoldChoice, PlanDiffers, request_decision
from sync_core.admin.overview.decisions import read_pending_decisions
from sync_core.admin.schools import pause_school
from sync_core.domain.ids import ClassKey, RunId
from sync_core.domain.runs import Hold, HoldStatus, RunOutcome, RunRecord
from sync_core.domain.school.settings import SchoolSettings
from sync_core.errors import NotFound
from sync_core.http.admin.dependencies import Administered, Call, DigestInPath, SignedIn
from sync_core.http.console.forms import FieldFault, texts_of
from sync_core.http.console.names import names_of
from sync_core.http.console.paging import page_of
from sync_core.http.console.places import place_with, school_place
from sync_core.http.console.rendering import Place, render
from sync_core.http.console.session import CheckedForm
from sync_core.http.console.views.holds import cards as views
from sync_core.http.console.views.holds.cards import Answer, DecisionForm
from sync_core.messaging.messages import Decision
from sync_core.planning.school_plan import plan_to_show

router = APIRouter(prefix="/schools/{school}/approvals")

_DECISIONS = {Answer.APPROVE: Decision.APPROVE, Answer.REJECT: Decision.REJECT}
_LABELS = {"answer": "Decision", "classes": "Classes", "confirm": "People", "reason": "Reason"}
_TAB = "Approvals"
_Page = Annotated[int, Query(ge=1, le=1_000_000)]
_Key = Annotated[ClassKey, Query(alias="class", max_length=200)]


@router.get("")
async def show_approvals(request: Request, settings: Administered, call: SignedIn) -> Response:
    """The holds that the last plan recorded."""
    holds = await call.services.schools.holds(settings.school)
    return await _list(request, settings, call, holds, place_with(holds, settings, _TAB))


@router.post("")
async def read_now(request: Request, settings: Administered, call: SignedIn, form: CheckedForm) -> Response:
    """What a sync would hold now. Changes nothing."""
    planned = await plan_to_show(settings.school, call.services.reading)
    return await _list(
        request, settings, call, planned.holds, await school_place(settings, _TAB, call), run=planned.run
    )


@router.get("/{digest}")
async def show_hold(
    request: Request,
    settings: Administered,
    digest: DigestInPath,
    call: SignedIn,
    page: _Page = 1,
    key: _Key = ClassKey(""),
) -> Response:
    """A recorded hold, with all its classes, or with all the people of one of them."""
    holds = await call.services.schools.holds(settings.school)
    hold = _with(digest, holds)
    if hold is None:
        raise NotFound(
            f"school {settings.school} no longer holds this: it was carried out, or the MIS has changed",
            "open Approvals, which shows what is held now",
        )
    return await _show(request, settings, call, hold, place_with(holds, settings, _TAB), number=page, key=key)


@router.post("/{digest}")
async def decide(
    request: Request, settings: Administered, digest: DigestInPath, call: SignedIn, form: CheckedForm
) -> Response:
    """Decide if a sync would hold exactly that now. If not, the page shows what it would hold."""
    decision = _read(form)
    holds = await call.services.schools.holds(settings.school)
    place = place_with(holds, settings, _TAB)
    hold = _with(digest, holds)
    if hold is None:  # A page that was made by reading the MIS shows holds that no sync has recorded.
        planned = await plan_to_show(settings.school, call.services.reading)
        hold = _with(digest, planned.holds)
        if hold is None:
            return await _list(request, settings, call, planned.holds, place, run=planned.run, changed=True)
    if faults := views.faults_of_decision(decision, hold):
        return await _show(request, settings, call, hold, place, decision=decision, faults=faults)
    if decision.answer == Answer.PAUSE:
        return await _pause(settings, decision.reason.strip(), call)
    try:
        run = await _request(settings, hold, decision, call)
    except PlanDiffers as differs:
        return await _list(request, settings, call, differs.plan.holds, place, run=differs.plan.run, changed=True)
    return RedirectResponse(f"/schools/{settings.school}/runs/{run}", 303)


async def _request(settings: SchoolSettings, hold: Hold, decision: DecisionForm, call: Call) -> RunId:
    answer = Answer(decision.answer)
    classes = tuple(part.key for part in decision.parts(hold)) if decision.chosen else None
    choice = HoldChoice(classes=classes, confirm=decision.confirmed)
    requester = call.requester(f"{answer} hold {hold.digest}", settings.school)
    accepted = await request_decision(settings, hold.digest, _DECISIONS[answer], requester, call.services, choice)
    return accepted.run


async def _pause(settings: SchoolSettings, reason: str, call: Call) -> Response:
    call.record("pause", settings.school, reason)
    await pause_school(settings, reason, call.caller.id, call.services)
    return RedirectResponse(f"/schools/{settings.school}/approvals", 303)


def _with(digest: str, holds: Iterable[Hold]) -> Hold | None:
    return next((hold for hold in holds if hold.digest == digest), None)


def _read(form: FormData) -> DecisionForm:
    texts = texts_of(form)
    return DecisionForm(
        answer=texts.get("answer", ""),
        confirm=texts.get("confirm", ""),
        reason=texts.get("reason", ""),
        classes=tuple(key for key in form.getlist("classes") if isinstance(key, str)),
        chosen=texts.get("scope") == "ticked",
    )


# --- the pages


async def _list(
    request: Request,
    settings: SchoolSettings,
    call: Call,
    holds: Sequence[Hold],
    place: Place,
    *,
    run: RunRecord | None = None,
    changed: bool = False,
) -> Response:
    """`run` is that of a plan that was made for this page. `changed`: it no longer has the hold that was decided."""
    pending = await read_pending_decisions(settings, call.services)
    cards = [views.card_of(hold) for hold in holds if hold.status is HoldStatus.OPEN]
    return render(
        request,
        call,
        "approvals.html",
        place,
        409 if changed else 200,
        cards=cards,
        decided=[(views.card_of(hold), views.decided(hold)) for hold in holds if hold.status is not HoldStatus.OPEN],
        names=await names_of(views.accounts_of_cards(cards), settings, call.services),
        run=run,
        planned=run is None or run.outcome is RunOutcome.PLANNED,
        changed=changed,
        pending=pending,
        settings=settings,
        in_order=views.in_order,
        sent=DecisionForm(),
        faults=(),
    )


async def _show(
    request: Request,
    settings: SchoolSettings,
    call: Call,
    hold: Hold,
    place: Place,
    *,
    number: int = 1,
    key: ClassKey = ClassKey(""),
    decision: DecisionForm | None = None,
    faults: Sequence[FieldFault] = (),
) -> Response:
    """One hold: a page of its classes, or of the people of its class `key`, or of its only class."""
    chosen = next((part for part in hold.classes if part.key == key or len(hold.classes) == 1), None)
    path = f"/schools/{settings.school}/approvals/{hold.digest}"
    people = page_of(views.rows_of(chosen), number, path, {"class": key}) if chosen else None
    return render(
        request,
        call,
        "hold.html",
        place,
        422 if faults else 200,
        card=views.card_of(hold, classes=0),
        classes=page_of(views.class_rows(hold), 1 if chosen else number, path),
        chosen=chosen and views.title_of(chosen),
        people=people,
        names=await names_of(views.accounts_of(people.rows if people else ()), settings, call.services),
        decided=views.decided(hold),
        settings=settings,
        in_order=views.in_order,
        sent=decision or DecisionForm(),
        faults=faults,
        labels=_LABELS,
    )
