"""What Wonde reports about its access to a school: a school it may no longer read is paused before a read fails."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from sync_core.domain.runs import Cause, RunOutcome, RunRecord
from sync_core.domain.school import WondeApi
from sync_core.services import Services


class AccessEvent(StrEnum):
    """Wonde's webhooks, by their payload_type ("Webhooks", docs.wonde.com)."""

    APPROVED = "schoolApproved"
    REVOKED = "accessRevoked"
    MIGRATION = "schoolMigration"


@dataclass(frozen=True, slots=True)
class AccessChanged:
    """What Wonde reported about `school`, by our id. `paused` says that the school was paused because of it."""

    school: str
    event: AccessEvent
    paused: bool


_PAUSES = {
    AccessEvent.REVOKED: (
        "Wonde says that the school revoked its access: the school was paused, and its classes stay as they are — "
        "have the school approve access again at Wonde, then save its settings with enabled true"
    ),
    AccessEvent.MIGRATION: (
        "Wonde says that the school moves to another MIS, where groups and people have other ids: the school was "
        "paused, and its classes stay as they are — when the move is done, look at the plan, and save the school's "
        "settings with enabled true"
    ),
}


async def follow_access(
    event: AccessEvent, wonde_school: str, run: str, services: Services
) -> tuple[AccessChanged, ...]:
    """Pause the schools that read `wonde_school`, if the event asks for it, each with a run that says why.

    Approved access starts nothing: the admin enables the school again. Returns the schools concerned.
    """
    found: list[AccessChanged] = []
    for settings in await services.schools.schools():
        if not isinstance(settings.source, WondeApi) or settings.source.school != wonde_school:
            continue
        pause = event in _PAUSES and settings.enabled
        if pause:
            record = RunRecord(
                school=settings.school,
                id=run,
                cause=Cause.WEBHOOK,
                at=services.clock.now(),
                outcome=RunOutcome.PAUSED,
                action="pause",
                notes=(_PAUSES[event],),
            )
            await services.runs.write_run(record)
            await services.schools.save_school(replace(settings, enabled=False))
        found.append(AccessChanged(settings.school, event, pause))
    return tuple(found)
