"""The routes of the end of the year: classes that an admin retires, and takes back."""

from typing import Any

from sync_core.admin.requests import Accepted
from sync_core.admin.year.year_end import (
    END,
    TAKE_BACK,
    preview_taking_back,
    preview_year_end,
    request_taking_back,
    request_year_end,
)
from sync_core.domain.classes.year_end import YearEndFilter, YearEndOrder
from sync_core.http.admin.dependencies import Administered, DigestInPath, SignedIn
from sync_core.http.admin.routes.router import admin_router
from sync_core.http.admin.schemas import ABSENT, CONFLICT, STARTS_RUN, ShownYearEnd

router = admin_router("/schools/{school}/year-end", ABSENT)


@router.post("/plan", response_model=ShownYearEnd, responses=CONFLICT, summary="Preview the year end of classes")
async def plan(settings: Administered, order: YearEndOrder, call: SignedIn) -> Any:
    """Changes nothing. Of each class it says what would happen, or why nothing does, and what is known of its use."""
    return await preview_year_end(settings, order, call.services)


@router.post("/{digest}/apply", **STARTS_RUN, summary="End the year of classes, if that does exactly what was shown")
async def apply(settings: Administered, digest: DigestInPath, order: YearEndOrder, call: SignedIn) -> Accepted:
    """`digest` is that of a preview of the same body. No sync changes these classes until it is taken back."""
    requester = call.requester(f"{END} {digest}", settings.school)
    return await request_year_end(settings, order, digest, requester, call.services)


@router.post("/taking-back/plan", response_model=ShownYearEnd, responses=CONFLICT, summary="Preview its reversal")
async def plan_taking_back(settings: Administered, wanted: YearEndFilter, call: SignedIn) -> Any:
    """Changes nothing. Only classes whose year an admin ended are listed."""
    return await preview_taking_back(settings, wanted, call.services)


@router.post("/taking-back/{digest}/apply", **STARTS_RUN, summary="Take a year end back, if that does what was shown")
async def apply_taking_back(
    settings: Administered, digest: DigestInPath, wanted: YearEndFilter, call: SignedIn
) -> Accepted:
    """Names, teams and the pupils whom the year end removed come back. Then the classes follow the MIS again."""
    requester = call.requester(f"{TAKE_BACK} {digest}", settings.school)
    return await request_taking_back(settings, wanted, digest, requester, call.services)
