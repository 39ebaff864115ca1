"""Where the pages of a school are."""

from __future__ import annotations

from collections.abc import Iterable

from sync_core.domain.runs import Hold, HoldStatus
from sync_core.domain.school.settings import SchoolSettings
from sync_core.http.admin.dependencies import Call
from sync_core.http.console.rendering import Place


async def school_place(settings: SchoolSettings, tab: str, call: Call, title: str = "") -> Place:
    """A page of a tab of the school, whose navigation counts the decisions that wait."""
    return place_with(await call.services.schools.holds(settings.school), settings, tab, title)


def place_with(holds: Iterable[Hold], settings: SchoolSettings, tab: str, title: str = "") -> Place:
    """The same with the recorded holds of the school, for a page that has read them."""
    waiting = sum(hold.status is HoldStatus.OPEN for hold in holds)
    return Place(title=title or settings.school, school=settings.school, tab=tab, approvals=waiting)
