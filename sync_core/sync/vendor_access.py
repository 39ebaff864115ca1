"""Wonde's events about its access to schools: a school that Wonde may no longer read is paused before a read fails."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum

from sync_core.domain.ids import AccountId, RunId, SchoolId
from sync_core.domain.runs import Cause, RunOutcome, RunRecord, SettingsChange
from sync_core.domain.school.sources import WondeApi
from sync_core.services import Services


class AccessEvent(StrEnum):
    """Wonde's webhooks, by their payload_type ("Webhooks", docs.wonde.com)."""

    APPROVED = "schoolApproved"
    REVOKED = "accessRevoked"
    MIGRATION = "schoolMigration"


_PAUSES = {
    AccessEvent.REVOKED: (
        "Wonde says that the school revoked its access: the school was paused, and its classes stay as they are — "
        "have the school approve access again at Wonde, then resume it"
    ),
    AccessEvent.MIGRATION: (
        "Wonde says that the school moves to another MIS, where groups and people have other ids: the school was "
        "paused, and its classes stay as they are — when the move is done, look at the plan with enabled true "
        "(dry_run), and then resume it"
    ),
}
_REASONS = {
    AccessEvent.REVOKED: "the school revoked Wonde's access",
    AccessEvent.MIGRATION: "Wonde says that the school moves to another MIS",
}


async def follow_access(event: AccessEvent, wonde_school: str, run: RunId, services: Services) -> dict[SchoolId, bool]:
    """Pause the schools that read `wonde_school` if it revoked access or moves to another MIS, each with a run.

    Approved access starts nothing: the admin enables the school again. Returns whether each school was paused, by id.
    """
    paused: dict[SchoolId, bool] = {}
    for settings in await services.schools.schools():
        if not isinstance(settings.source, WondeApi) or settings.source.school != wonde_school:
            continue
        paused[settings.school] = event in _PAUSES and settings.enabled
        if paused[settings.school]:
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
            paused_settings = replace(settings, enabled=False, pause_reason=_REASONS[event])
            await services.schools.replace_school(settings, paused_settings)
            change = SettingsChange.between(settings, paused_settings, AccountId(""), record.at)
            await services.schools.write_settings_change(change)
    return paused
