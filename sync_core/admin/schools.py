"""Schools and their settings: joining, changing, pausing, leaving. No class is touched by any of it."""

from __future__ import annotations

from sync_core.admin.school_settings import check_beside_others
from sync_core.domain.classes import Drift
from sync_core.domain.school import SchoolSettings
from sync_core.errors import Conflict, NotFound
from sync_core.state.port import StateStore


async def save_school(settings: SchoolSettings, state: StateStore) -> None:
    """Raises UnknownSetting where the school's names would collide with another's of its tenant.

    A school that left and joins again was not followed meanwhile: each of its classes is read before it is trusted.
    """
    check_beside_others(settings, await state.schools(settings.tenant))
    if await state.school(settings.school) is None:
        records = await state.class_records(settings.school)
        await state.write_drift(settings.school, [Drift(record.key, stale=True) for record in records])
    await state.save_school(settings)


async def forget_school(school: str, state: StateStore) -> None:
    """The school leaves: its classes stay in Microsoft 365 and their rows in the tables. Raises NotFound."""
    if await state.school(school) is None:
        raise NotFound(f"there is no school {school}", "list the schools for their ids")
    await state.forget_school(school)


async def erase_school(school: str, state: StateStore) -> None:
    """What is held of a school that left goes for good: it could not be taken up again. Raises Conflict.

    Its classes stay in Microsoft 365, where nobody would know them as its own if it joined anew but by their names.
    """
    if await state.school(school) is not None:
        raise Conflict(f"school {school} is followed", "let it leave first, if that is meant")
    await state.erase_school(school)
