"""Why is this person in this class, or not? The person is sent in a form, because addresses of pages are recorded."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from sync_core.admin.explain import explain_person
from sync_core.domain.school.settings import SchoolSettings
from sync_core.errors import Conflict, NotFound, RequestError
from sync_core.http.admin.dependencies import Administered, Call, SignedIn, key_of_class
from sync_core.http.console.forms import FieldFault, texts_of
from sync_core.http.console.names import names_of
from sync_core.http.console.places import school_place
from sync_core.http.console.rendering import render
from sync_core.http.console.session import CheckedForm
from sync_core.http.console.views.why import Answer, answer_of
from sync_core.http.problems import problem_of
from sync_core.planning.explain.model import Explanation

router = APIRouter(prefix="/schools/{school}/why")

_LONGEST = 256
_SUGGESTED = 500
"""The most names of classes that the page suggests: each one is sent with the page."""
_MISSING = {"person": "enter the person", "class": "enter the class"}
_ClassInQuery = Annotated[str, Query(alias="class", max_length=_LONGEST)]


@router.get("")
async def ask(request: Request, settings: Administered, call: SignedIn, name: _ClassInQuery = "") -> Response:
    return await _page(request, settings, call, {"class": name})


@router.post("")
async def answer(request: Request, settings: Administered, call: SignedIn, form: CheckedForm) -> Response:
    """Changes nothing."""
    sent = {name: text.strip() for name, text in texts_of(form).items()}
    faults = [FieldFault(name, text) for name, text in _MISSING.items() if not sent.get(name)]
    faults += [
        FieldFault(name, f"should have at most {_LONGEST} characters")
        for name in _MISSING
        if len(sent.get(name, "")) > _LONGEST
    ]
    if faults:
        return await _page(request, settings, call, sent, faults=faults, status=422)
    field = "class"
    try:
        key = await key_of_class(settings.school, sent["class"], call.services)
        field = "person"
        explanation = await explain_person(settings, key, sent["person"], call.services)
    except (NotFound, Conflict) as refusal:
        return await _page(
            request, settings, call, sent, faults=[_fault(field, refusal)], status=problem_of(refusal).status
        )
    names = await names_of([explanation.account] if explanation.account else [], settings, call.services)
    shown = answer_of(explanation, names.get(explanation.account, ""))
    return await _page(request, settings, call, sent, explanation, shown)


def _fault(field: str, refusal: RequestError) -> FieldFault:
    return FieldFault(field, f"{refusal.message}. What helps: {refusal.remedy}")


async def _page(
    request: Request,
    settings: SchoolSettings,
    call: Call,
    sent: Mapping[str, str],
    explanation: Explanation | None = None,
    answer: Answer | None = None,
    *,
    faults: Sequence[FieldFault] = (),
    status: int = 200,
) -> Response:
    outlines, place = await asyncio.gather(
        call.services.classes.class_outlines(settings.school), school_place(settings, "Why?", call)
    )
    return render(
        request,
        call,
        "why.html",
        place,
        status,
        sent=sent,
        faults=faults,
        classes=sorted({outline.group_name or outline.key for outline in outlines})[:_SUGGESTED],
        explanation=explanation,
        answer=answer,
    )
