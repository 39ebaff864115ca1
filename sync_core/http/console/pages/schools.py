"""All schools that the caller administers, worst first. Who administers one alone is led to it, as a teacher is."""

from datetime import timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from sync_core.admin.overview.schools import SchoolOverview
from sync_core.http.admin.auth import Role
from sync_core.http.admin.csv_files import csv_response
from sync_core.http.admin.dependencies import SignedIn, overviews_of
from sync_core.http.console.pages.school.teacher import lead_teacher
from sync_core.http.console.paging import page_of
from sync_core.http.console.rendering import Place, render

router = APIRouter()

_Format = Annotated[Literal["", "csv"], Query(alias="format")]
_Page = Annotated[int, Query(ge=1, le=1_000_000)]


@router.get("/")
async def list_schools(request: Request, call: SignedIn, wanted: _Format = "", page: _Page = 1) -> Response:
    call.caller.need(Role.ADMIN, Role.TEACHER)
    if Role.ADMIN not in call.caller.roles:
        return await lead_teacher(request, call)
    overviews = await overviews_of(call)
    if wanted == "csv":
        return csv_response(SchoolOverview, overviews, f"schools {call.services.clock.now():%Y-%m-%d}.csv")
    if len(overviews) == 1 and not call.caller.all_schools:
        return RedirectResponse(f"/schools/{overviews[0].school}", 302)
    schools = page_of(overviews, page, "/")
    window = call.app.settings.sync_window // timedelta(minutes=1)
    return render(request, call, "schools.html", Place(title="Schools"), schools=schools, window=window)
