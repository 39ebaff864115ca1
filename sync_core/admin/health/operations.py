"""What an admin works on where the app as a whole is concerned: dead letters, and schools that are paused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from sync_core.admin.dead_letters import (
    ListedDeadLetter,
    list_dead_letters,
    visible_to_all_schools,
    visible_to_schools,
)
from sync_core.admin.health.attempts import Attempts, Times
from sync_core.admin.health.findings import Finding
from sync_core.domain.school import SchoolSettings
from sync_core.services import Services

_TIMES = Times()


@dataclass(frozen=True, slots=True, kw_only=True)
class Operations:
    """The schools and the dead letters that a caller sees, or why they cannot be read."""

    schools: tuple[SchoolSettings, ...] | Finding
    letters: tuple[ListedDeadLetter, ...] | Finding


async def read_operations(
    accessible: Callable[[SchoolSettings], bool], all_schools: bool, services: Services, times: Times = _TIMES
) -> Operations:
    """Reads the tables and the queues, each of which may fail without the other."""
    attempt = Attempts(times)
    listed = await attempt(services.schools.schools)
    if isinstance(listed, Finding):
        return Operations(schools=listed, letters=listed)
    schools = tuple(school for school in listed if accessible(school))
    visible = visible_to_all_schools if all_schools else visible_to_schools(schools)
    letters = await attempt(partial(list_dead_letters, visible, services))
    return Operations(schools=schools, letters=letters if isinstance(letters, Finding) else tuple(letters))
