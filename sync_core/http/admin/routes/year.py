"""The routes of the school year."""

from sync_core.admin.year.calendar import SchoolCalendar, read_calendar
from sync_core.http.admin.dependencies import Administered, SignedIn
from sync_core.http.admin.routes.router import admin_router
from sync_core.http.admin.schemas import ABSENT

router = admin_router("/schools/{school}", ABSENT)


@router.get("/calendar", summary="List the dates of the school's calendar, with what happens on each")
async def calendar(settings: Administered, call: SignedIn) -> SchoolCalendar:
    """Its settings have the dates. The counts are as the last plan of the whole school knows them."""
    return await read_calendar(settings, call.services)
