"""The owner rules of a school: who owns the classes of groups whose names begin alike, and the form that adds one."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from sync_core.admin.classes.choices import forget_owner_rule, list_owner_rules, save_owner_rule
from sync_core.domain.school.settings import SchoolSettings
from sync_core.http.admin.dependencies import Administered, Call, RuleId, SignedIn
from sync_core.http.console.forms import FieldFault, texts_of
from sync_core.http.console.names import names_of
from sync_core.http.console.places import school_place
from sync_core.http.console.rendering import render
from sync_core.http.console.session import CheckedForm
from sync_core.http.console.views import owner_rules as views

router = APIRouter(prefix="/schools/{school}/owner-rules")


@router.get("")
async def show_rules(request: Request, settings: Administered, call: SignedIn) -> Response:
    return await _page(request, settings, call, {}, ())


@router.post("")
async def save_rule(request: Request, settings: Administered, call: SignedIn, form: CheckedForm) -> Response:
    """A rule of the same name is replaced."""
    sent = texts_of(form)
    wanted = views.read_rule(sent, await call.services.tenants.accounts(settings.tenant) or ())
    if not isinstance(wanted, views.NamedRule):
        return await _page(request, settings, call, sent, wanted)
    call.record(f"save owner rule {wanted.name}", settings.school)
    await save_owner_rule(settings, wanted.name, wanted.rule, call.caller.id, call.services)
    return RedirectResponse(request.url.path, 303)


@router.post("/{rule}/delete")
async def delete_rule(settings: Administered, rule: RuleId, call: SignedIn, form: CheckedForm) -> Response:
    """The next sync of the school revokes what the rule granted."""
    call.record(f"delete owner rule {rule}", settings.school)
    await forget_owner_rule(settings, rule, call.services)
    return RedirectResponse(f"/schools/{settings.school}/owner-rules", 303)


async def _page(
    request: Request, settings: SchoolSettings, call: Call, sent: dict[str, str], faults: tuple[FieldFault, ...]
) -> Response:
    rules = await list_owner_rules(settings, call.services)
    outlines = await call.services.classes.class_outlines(settings.school)
    rows = views.rule_rows(rules, outlines, settings.date_at(call.services.clock.now()))
    people = (account for row in rows for account in (row.account, row.given_by))
    return render(
        request,
        call,
        "owner_rules.html",
        await school_place(settings, "Groups", call, "Owner rules"),
        422 if faults else 200,
        rows=rows,
        names=await names_of(people, settings, call.services),
        sent=sent,
        faults=faults,
        labels=views.LABELS,
    )
