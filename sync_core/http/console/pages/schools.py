"""All schools that the caller administers, worst first. Who administers one alone is led to it, as a teacher is."""

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from sync_core.admin.overview.schools import list_overviews, unreadable_overview
from sync_core.http.admin.auth import Role
from sync_core.http.admin.dependencies import SignedIn
from sync_core.http.console.pages.teacher import lead_teacher
from sync_core.http.console.rendering import Place, render

router = APIRouter()


@router.get("/")
async def list_schools(request: Request, call: SignedIn) -> Response:
    call.caller.need(Role.ADMIN, Role.TEACHER)
    if Role.ADMIN not in call.caller.roles:
        return await lead_teacher(request, call)
    schools = [each for each in await call.services.schools.schools() if call.caller.has_access(each)]
    if len(schools) == 1 and not call.caller.all_schools:
        return RedirectResponse(f"/schools/{schools[0].school}", 302)
    unreadable = await call.services.schools.unreadable_schools() if call.caller.all_schools else {}
    overviews = [unreadable_overview(school, why) for school, why in unreadable.items()]
    overviews += await list_overviews(schools, call.services)
    return render(request, call, "schools.html", Place(title="Schools"), overviews=overviews)
