"""The year of a school: the dates of its calendar, with what happens on each."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from sync_core.admin.year.calendar import read_calendar
from sync_core.http.admin.dependencies import Administered, SignedIn
from sync_core.http.console.places import school_place
from sync_core.http.console.rendering import render
from sync_core.http.console.views.year import all_past, dates_shown

router = APIRouter(prefix="/schools/{school}/year")


@router.get("")
async def show_year(request: Request, settings: Administered, call: SignedIn) -> Response:
    calendar = await read_calendar(settings, call.services)
    place = await school_place(settings, "Home", call, "The school year")
    return render(
        request, call, "year.html", place, calendar=calendar, dates=dates_shown(calendar), outdated=all_past(calendar)
    )
