"""The groups of a school, and what is requested for several of their classes at once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response
from starlette.datastructures import FormData

from sync_core.admin.classes.group_list import GroupFilter, list_chosen, list_in_mis, list_recorded
from sync_core.admin.classes.groups import preview_classes
from sync_core.admin.classes.objections import ClassAction
from sync_core.admin.classes.several import MOST, request_for_several
from sync_core.admin.requests import Requester
from sync_core.domain.classes.desired import ClassName
from sync_core.domain.ids import ClassKey
from sync_core.domain.school.settings import SchoolSettings
from sync_core.errors import Unreadable
from sync_core.http.admin.dependencies import Administered, Call, SignedIn
from sync_core.http.console.places import school_place
from sync_core.http.console.rendering import render
from sync_core.http.console.session import CheckedForm
from sync_core.http.console.views.classes import groups as views

router = APIRouter(prefix="/schools/{school}/groups")

_Source = Annotated[Literal["", "mis"], Query()]
_Text = Annotated[str, Query(max_length=256)]
_Page = Annotated[int, Query(ge=1, le=1_000_000)]
_Keys = Annotated[list[ClassKey] | None, Query(max_length=MOST)]


@router.get("")
async def show_groups(
    request: Request,
    settings: Administered,
    call: SignedIn,
    source: _Source = "",
    type: _Text = "",
    state: _Text = "",
    name: _Text = "",
    page: _Page = 1,
) -> Response:
    """As recorded, or, with `source=mis`, as the MIS has them now."""
    read = list_in_mis if source else list_recorded
    groups, place = await asyncio.gather(read(settings, call.services), school_place(settings, "Groups", call))
    chosen = GroupFilter(type=type, state=state, name=name)
    listed = views.group_list(groups, chosen, page, request.url.path, {"source": source})
    return render(
        request,
        call,
        "groups.html",
        place,
        listed=listed,
        chosen=chosen,
        in_mis=bool(source),
        read_at=call.services.clock.now(),
        types={"": "any", **views.TYPES},
        states=views.state_choices(bool(source)),
        actions=views.ACTIONS,
        paused=not settings.enabled,
    )


@router.get("/actions")
async def review_action(
    request: Request, settings: Administered, call: SignedIn, action: ClassAction, key: _Keys = None
) -> Response:
    """What the action would do to the chosen classes. Changes nothing. One class to create or delete has its form."""
    if not key:
        raise Unreadable("no group was chosen, so there is nothing to do", "go back, and tick at least one group")
    school = settings.school
    if len(key) == 1 and action is ClassAction.CREATE:
        return RedirectResponse(f"/schools/{school}/groups/{quote(key[0], safe='')}/create", 303)
    groups = await list_chosen(settings, action, key, call.services)
    names = await _names(settings, action, [group.key for group in groups], call)
    review = views.review(action, groups, names)
    place = await school_place(settings, "Groups", call)
    return render(request, call, "groups_action.html", place, review=review, read_at=call.services.clock.now())


@router.post("/actions")
async def request_action(settings: Administered, call: SignedIn, form: CheckedForm) -> Response:
    action, keys = _sent(form)

    def begin(of: Sequence[ClassKey]) -> Requester:
        return call.requester(action, settings.school, *of)

    runs = await request_for_several(settings, action, keys, begin, call.services)
    runs_page = f"/schools/{settings.school}/runs"
    return RedirectResponse(f"{runs_page}/{runs[0].run}" if len(runs) == 1 else runs_page, 303)


async def _names(
    settings: SchoolSettings, action: ClassAction, keys: Sequence[ClassKey], call: Call
) -> Mapping[ClassKey, ClassName]:
    if action is not ClassAction.CREATE:
        return {}
    previews = await preview_classes(settings, keys, call.services)
    return {preview.group.key: preview.name for preview in previews}


def _sent(form: FormData) -> tuple[ClassAction, list[ClassKey]]:
    """The action and the keys of the classes. Raises Unreadable."""
    keys = list(dict.fromkeys(ClassKey(key) for key in form.getlist("key") if isinstance(key, str)))
    try:
        action = ClassAction(str(form.get("action")))
    except ValueError:
        keys = []
    if not 0 < len(keys) <= MOST:
        raise Unreadable(
            "the form names no action, or no class, so nothing was changed",
            f"go back to Groups, choose at most {MOST} groups, and choose what to do with them",
        )
    return action, keys
