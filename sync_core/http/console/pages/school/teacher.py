"""What a teacher sees: their groups, and nothing else."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from sync_core.admin.classes.my_groups import read_my_groups
from sync_core.http.admin.dependencies import Call, SignedIn, Taught
from sync_core.http.console.rendering import Place, render
from sync_core.http.console.views.classes.my_groups import my_groups_view

router = APIRouter(prefix="/schools/{school}")


@router.get("/my-groups")
async def show_my_groups(
    request: Request, settings: Taught, call: SignedIn, source: Annotated[Literal["", "mis"], Query()] = ""
) -> Response:
    """As recorded, or, with `source=mis`, as the MIS has them now."""
    found = await read_my_groups(call.caller.id, settings, call.services, mis=bool(source))
    place = Place(title="My groups", school=settings.school)
    return render(
        request,
        call,
        "my_groups.html",
        place,
        found=found,
        view=my_groups_view(found),
        name=settings.name or settings.school,
        paused=not settings.enabled,
    )


async def lead_teacher(request: Request, call: Call) -> Response:
    """The teacher's page of their school, or their schools to choose from. Raises Forbidden if they have none."""
    schools = [each for each in await call.services.schools.schools() if call.caller.has_access(each)]
    if len(schools) == 1:
        return RedirectResponse(f"/schools/{schools[0].school}/my-groups", 302)
    if not schools:
        call.caller.need_school(None)
    return render(request, call, "my_schools.html", Place(title="Your schools"), schools=schools)
