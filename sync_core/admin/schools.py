"""Schools and their settings: joining, changing, pausing, leaving. None of it touches a class."""

from __future__ import annotations

from sync_core.admin.school_settings import check_beside_others
from sync_core.domain.classes import Drift
from sync_core.domain.school import SchoolSettings
from sync_core.errors import Conflict
from sync_core.services import Services


async def save_school(settings: SchoolSettings, before: SchoolSettings | None, services: Services) -> None:
    """`before` are the school's settings as they are. Raises UnknownSetting if its names would collide with another's.

    Nobody followed the classes of a school that left and now joins again, so each is read before it is trusted.
    """
    check_beside_others(settings, await services.schools.schools(settings.tenant))
    if before is None:
        records = await services.classes.class_records(settings.school)
        await services.classes.write_drift(settings.school, [Drift(record.key, stale=True) for record in records])
    await services.schools.save_school(settings)


async def erase_school(school: str, services: Services) -> None:
    """Delete all that is stored about a school that has left; this cannot be undone. Raises Conflict.

    Its classes stay in Microsoft 365. If it joins again, they are recognised by their names alone.
    """
    if await services.schools.school(school) is not None:
        raise Conflict(f"school {school} is followed", "delete its settings first, if you really want to erase it")
    await services.schools.erase_school(school)
