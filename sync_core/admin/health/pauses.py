"""Pausing several schools at once, and resuming those that were paused for one reason."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass

from sync_core.admin.health.attempts import Attempts, Times
from sync_core.admin.health.findings import Finding
from sync_core.admin.schools import pause_school, resume_school
from sync_core.domain.ids import AccountId, SchoolId
from sync_core.domain.school.settings import SchoolSettings
from sync_core.errors import PreconditionFailed
from sync_core.services import Services

_TIMES = Times()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Schools that are paused for one reason, which is empty if nobody gave one."""

    reason: str
    schools: tuple[SchoolId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pauses:
    """The number of schools that are synced, and the others by reason, the most schools first."""

    synced: int
    pauses: tuple[Pause, ...]


async def read_pauses(
    accessible: Callable[[SchoolSettings], bool], services: Services, times: Times = _TIMES
) -> Pauses | Finding:
    """Of the accessible schools, or why they cannot be read."""
    found = await Attempts(times)(services.schools.schools)
    return found if isinstance(found, Finding) else pauses_of(filter(accessible, found))


def pauses_of(schools: Iterable[SchoolSettings]) -> Pauses:
    listed = tuple(schools)
    by_reason: dict[str, list[SchoolId]] = {}
    for school in listed:
        if not school.enabled:
            by_reason.setdefault(school.pause_reason, []).append(school.school)
    pauses = (Pause(reason=reason, schools=tuple(sorted(ids))) for reason, ids in by_reason.items())
    ordered = sorted(pauses, key=lambda pause: (-len(pause.schools), pause.reason))
    return Pauses(synced=len(synced(listed)), pauses=tuple(ordered))


def synced(schools: Iterable[SchoolSettings]) -> tuple[SchoolSettings, ...]:
    """Those that are not paused."""
    return tuple(school for school in schools if school.enabled)


def paused_for(reason: str, schools: Iterable[SchoolSettings]) -> tuple[SchoolSettings, ...]:
    return tuple(school for school in schools if not school.enabled and school.pause_reason == reason)


async def pause_schools(
    schools: Iterable[SchoolSettings], reason: str, by: AccountId, services: Services
) -> tuple[SchoolId, ...]:
    """Pause `schools`, which are synced, and return their ids. Raises PreconditionFailed if one was not paused.

    Nothing is planned for them from now on. Changes that an earlier plan has sent are still applied.
    """
    return await _change({each.school: pause_school(each, reason, by, services) for each in schools}, "paused")


async def resume_schools(schools: Iterable[SchoolSettings], by: AccountId, services: Services) -> tuple[SchoolId, ...]:
    """Resume `schools`, which are paused, and return their ids. Raises PreconditionFailed if one was not resumed."""
    return await _change({each.school: resume_school(each, by, services) for each in schools}, "resumed")


async def _change(changes: Mapping[SchoolId, Awaitable[SchoolSettings]], done: str) -> tuple[SchoolId, ...]:
    """Each school is saved whatever becomes of the others."""
    results = await asyncio.gather(*changes.values(), return_exceptions=True)
    failed = {
        school: result for school, result in zip(changes, results, strict=True) if isinstance(result, BaseException)
    }
    for error in failed.values():
        if not isinstance(error, PreconditionFailed):
            raise error
    changed = sorted(changes.keys() - failed.keys())
    if failed:
        raise PreconditionFailed(
            f"somebody changed the settings of {', '.join(sorted(failed))} at the same moment, so these were not "
            f"{done}; schools that were {done}: {len(changed)}",
            "look at the schools again, and repeat your change for those that need it",
        )
    return tuple(changed)
