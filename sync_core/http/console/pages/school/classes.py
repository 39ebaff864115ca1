"""One class: its state, its people, its history, and what can be done with it. And the form that creates one."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from sync_core.admin.classes.choices import WantedChoice, read_choice, request_choice
from sync_core.admin.classes.groups import NewClassPreview, preview_classes
from sync_core.admin.classes.objections import ClassAction, ClassFacts, objection, require_possible
from sync_core.admin.classes.one_class import RESTORED_FOR, read_class_in_mis, read_one_class
from sync_core.admin.classes.requests import ClassOptions, request_action, request_classes
from sync_core.admin.requests import existing_class
from sync_core.domain.classes.record import ClassRecord, outline_of
from sync_core.domain.ids import ClassKey
from sync_core.domain.school.settings import SchoolSettings
from sync_core.errors import Conflict
from sync_core.http.admin.auth import Role
from sync_core.http.admin.dependencies import Administered, Call, GroupKey, Key, SignedIn, Taught
from sync_core.http.console.forms import FieldFault, read_form, texts_of
from sync_core.http.console.names import names_of
from sync_core.http.console.places import school_place
from sync_core.http.console.rendering import Place, render
from sync_core.http.console.session import CheckedForm
from sync_core.http.console.views.classes import choices as choice_views
from sync_core.http.console.views.classes import one_class as views
from sync_core.messaging.messages import Action

router = APIRouter(prefix="/schools/{school}")

_Page = Annotated[int, Query(ge=1, le=1_000_000)]
_Source = Annotated[Literal["", "mis"], Query()]
_LABELS = {
    "display_name": "Name",
    "description": "Description",
    "required_until": "Needed until",
    "typed": "Name of the class",
}


@router.get("/classes/{key}")
async def show_class(
    request: Request, settings: Administered, key: Key, call: SignedIn, page: _Page = 1, source: _Source = ""
) -> Response:
    """As recorded and as Microsoft 365 has it; with `source=mis`, beside what the MIS says now."""
    mis = await read_class_in_mis(settings, key, call.services) if source else None
    found = await read_one_class(settings, key, call.services, mis)
    view = views.class_view(found, page, request.url.path, {"source": source})
    place = await school_place(settings, "Groups", call, view.name)
    names = await names_of(views.people_to_name(view), settings, call.services)
    return render(request, call, "class.html", place, found=found, view=view, names=names, in_order=views.in_order)


# --- delete


@router.get("/classes/{key}/delete")
async def ask_to_delete(request: Request, settings: Administered, key: Key, call: SignedIn) -> Response:
    record = await existing_class(settings.school, key, call.services)
    require_possible(ClassAction.DELETE, ClassFacts(settings=settings, key=key, record=record.outline))
    return await _delete_form(request, settings, record, call)


@router.post("/classes/{key}/delete")
async def delete_class(
    request: Request, settings: Administered, key: Key, call: SignedIn, form: CheckedForm
) -> Response:
    record = await existing_class(settings.school, key, call.services)
    typed = texts_of(form).get("typed", "")
    if _folded(typed) != _folded(_name_of(record)):
        fault = FieldFault("typed", "should be the name as this page shows it; nothing was deleted")
        return await _delete_form(request, settings, record, call, typed, fault)
    requester = call.requester("delete", settings.school, key)
    accepted = await request_action(settings, key, Action.DELETE, requester, call.services)
    return RedirectResponse(f"/schools/{settings.school}/runs/{accepted.run}", 303)


async def _delete_form(
    request: Request,
    settings: SchoolSettings,
    record: ClassRecord,
    call: Call,
    typed: str = "",
    fault: FieldFault | None = None,
) -> Response:
    place = await school_place(settings, "Groups", call, "Delete class")
    until: datetime = call.services.clock.now() + RESTORED_FOR
    values = {"record": record, "name": _name_of(record), "until": until, "typed": typed, "labels": _LABELS}
    faults = (fault,) if fault else ()
    return render(request, call, "class_delete.html", place, 422 if fault else 200, faults=faults, **values)


def _name_of(record: ClassRecord) -> str:
    return (record.actual or record.desired).name.display_name


def _folded(name: str) -> str:
    return " ".join(name.casefold().split())


# --- what the class follows


@router.get("/classes/{key}/choice")
async def ask_what_to_follow(request: Request, settings: Administered, key: Key, call: SignedIn) -> Response:
    """What the class follows and its extra owners, in a form that changes them."""
    return await _choice_form(request, settings, key, call, {}, ())


@router.post("/classes/{key}/choice")
async def choose_what_to_follow(
    request: Request, settings: Administered, key: Key, call: SignedIn, form: CheckedForm
) -> Response:
    sent = texts_of(form)
    chosen = await read_choice(settings, key, call.services)
    accounts = await call.services.tenants.accounts(settings.tenant) or ()
    wanted = choice_views.wanted_choice(sent, chosen, accounts)
    if not isinstance(wanted, WantedChoice):
        return await _choice_form(request, settings, key, call, sent, wanted)
    requester = call.requester("choose", settings.school, key)
    accepted = await request_choice(settings, key, wanted, requester, call.services)
    return RedirectResponse(f"/schools/{settings.school}/runs/{accepted.run}", 303)


async def _choice_form(
    request: Request,
    settings: SchoolSettings,
    key: ClassKey,
    call: Call,
    sent: dict[str, str],
    faults: tuple[FieldFault, ...],
) -> Response:
    record = await existing_class(settings.school, key, call.services)
    chosen = await read_choice(settings, key, call.services)
    rows = choice_views.owner_rows(chosen)
    people = (account for row in rows for account in (row.account, row.given_by))
    return render(
        request,
        call,
        "class_choice.html",
        await school_place(settings, "Groups", call, "Settings of the class"),
        422 if faults else 200,
        name=_name_of(record),
        chosen=chosen,
        rows=rows,
        names=await names_of(people, settings, call.services),
        ways=choice_views.FOLLOW,
        sent=sent,
        faults=faults,
        labels=choice_views.LABELS,
    )


# --- create


@router.get("/groups/{key}/create")
async def ask_to_create(request: Request, settings: Taught, key: GroupKey, call: SignedIn) -> Response:
    """The name, description and address that the class gets. Reads the MIS."""
    (preview,) = await preview_classes(settings, [key], call.services)
    return await _create_form(request, settings, preview, call, {}, ())


@router.post("/groups/{key}/create")
async def create_class(
    request: Request, settings: Taught, key: GroupKey, call: SignedIn, form: CheckedForm
) -> Response:
    sent = texts_of(form)
    options = read_form(ClassOptions, sent)
    if not isinstance(options, ClassOptions):
        (preview,) = await preview_classes(settings, [key], call.services)
        return await _create_form(request, settings, preview, call, sent, options)
    requester = call.requester("create", settings.school, key)
    accepted = await request_classes(settings, {key: options}, requester, call.services)
    if Role.ADMIN in call.caller.roles:
        return RedirectResponse(f"/schools/{settings.school}/runs/{accepted.run}", 303)
    return RedirectResponse(f"/schools/{settings.school}/my-groups", 303)


async def _create_form(
    request: Request,
    settings: SchoolSettings,
    preview: NewClassPreview,
    call: Call,
    sent: dict[str, str],
    faults: tuple[FieldFault, ...],
) -> Response:
    is_admin = Role.ADMIN in call.caller.roles
    title = "Create class"
    place = (
        await school_place(settings, "Groups", call, title) if is_admin else Place(title=title, school=settings.school)
    )
    return render(
        request,
        call,
        "class_create.html",
        place,
        422 if faults else 200,
        preview=preview,
        refusal=_refusal(settings, preview.group.key, preview),
        back=f"/schools/{settings.school}/{'groups?source=mis' if is_admin else 'my-groups'}",
        read_at=call.services.clock.now(),
        sent=sent,
        faults=faults,
        labels=_LABELS,
    )


def _refusal(settings: SchoolSettings, key: ClassKey, preview: NewClassPreview) -> Conflict | None:
    group = preview.group
    facts = ClassFacts(
        settings=settings,
        key=key,
        record=outline_of(group.record),
        extracted=not group.not_extracted,
        made_from=group.made_from,
    )
    return objection(ClassAction.CREATE, facts)
