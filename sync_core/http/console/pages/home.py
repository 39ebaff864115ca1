"""The home of a school: what needs a decision, counts, and the latest runs."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from sync_core.admin.overview.school import read_home
from sync_core.http.admin.dependencies import Administered, SignedIn
from sync_core.http.console.rendering import Place, render

router = APIRouter(prefix="/schools/{school}")


@router.get("")
async def show_home(request: Request, settings: Administered, call: SignedIn) -> Response:
    home = await read_home(settings, call.services)
    place = Place(title=settings.school, school=settings.school, tab="Home", approvals=home.overview.open_holds)
    return render(request, call, "home.html", place, home=home)
