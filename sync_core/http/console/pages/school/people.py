"""People without an account, with one in doubt or a disabled one, and the rules by which accounts are found."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from sync_core.admin.overview.matching import MatchingRules, read_recorded_matching, report_matching
from sync_core.admin.overview.pages import page_of
from sync_core.admin.schools import save_school
from sync_core.domain.school.settings import SchoolSettings
from sync_core.http.admin.dependencies import Administered, Call, SignedIn
from sync_core.http.admin.etags import require_match
from sync_core.http.console import paging
from sync_core.http.console.forms import FieldFault, texts_of
from sync_core.http.console.names import names_of
from sync_core.http.console.places import school_place
from sync_core.http.console.rendering import render
from sync_core.http.console.session import CheckedForm
from sync_core.http.console.views import people as views
from sync_core.planning.matching.findings import Finding

router = APIRouter(prefix="/schools/{school}/people")

_Page = Annotated[int, Query(ge=1, le=1_000_000)]
_LARGEST_PAGE = 1_000_000


@router.get("")
async def show_people(
    request: Request, settings: Administered, call: SignedIn, finding: Finding | None = None, page: _Page = 1
) -> Response:
    """Ids and counts, as the last plan recorded them."""
    return await _recorded(request, settings, call, finding, page)


@router.post("")
async def save_rules(request: Request, settings: Administered, call: SignedIn, form: CheckedForm) -> Response:
    """Save the rules that were tried, if nobody has changed the settings since the form was made."""
    sent = texts_of(form)
    rules = views.read_rules(sent)
    if not isinstance(rules, MatchingRules):
        return await _recorded(request, settings, call, sent=sent, faults=rules)
    call.record("save settings", settings.school)
    require_match(sent.get("based_on", ""), settings, settings.school)
    await save_school(rules.on(settings), settings, call.caller.id, call.services)
    return RedirectResponse(f"/schools/{settings.school}/people?saved=rule", 303)


@router.post("/try")
async def try_rules(request: Request, settings: Administered, call: SignedIn, form: CheckedForm) -> Response:
    """Read the MIS, and find accounts by the rules of the form. Nothing is saved."""
    sent = texts_of(form)
    rules = views.read_rules(sent)
    if not isinstance(rules, MatchingRules):
        return await _recorded(request, settings, call, sent=sent, faults=rules)
    report = await report_matching(settings, call.services, rules)
    finding = next((each for each in Finding if each == sent.get("finding")), None)
    listed = page_of(report.of(finding), _number(sent.get("number", "")))
    accounts = [account.id for person in listed.items for account in person.accounts]
    names = await names_of(accounts, settings, call.services)
    return render(
        request,
        call,
        "people_now.html",
        await school_place(settings, "People", call),
        report=report,
        cards=views.rate_cards(report.rates, report.saved),
        people=[views.person_shown(person, names) for person in listed.items],
        listed=listed,
        counts=views.counts_of(report),
        chosen=finding or "",
        rules=rules,
        differs=rules != MatchingRules.of(settings),
        rule_text=views.rule_text,
        rules_form=views.rule_form(settings, sent),
    )


async def _recorded(
    request: Request,
    settings: SchoolSettings,
    call: Call,
    finding: Finding | None = None,
    number: int = 1,
    sent: Mapping[str, str] | None = None,
    faults: Sequence[FieldFault] = (),
) -> Response:
    recorded, place = await asyncio.gather(
        read_recorded_matching(settings, call.services), school_place(settings, "People", call)
    )
    rows = views.recorded_people(recorded, finding)
    return render(
        request,
        call,
        "people.html",
        place,
        422 if faults else 200,
        recorded=recorded,
        cards=views.rate_cards(recorded.rates),
        people=paging.page_of(rows, number, request.url.path, {"finding": finding or ""}),
        counts=views.counts_of(recorded),
        chosen=finding or "",
        saved=request.query_params.get("saved") == "rule",
        faults=faults,
        rules_form=views.rule_form(settings, sent),
    )


def _number(text: str) -> int:
    return min(_LARGEST_PAGE, max(1, int(text))) if text.isascii() and text.isdigit() and len(text) <= 9 else 1
