"""Wonde's word on its access to a school: a school that it may not read any more is paused, before a read fails."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from sync_core.clock import Clock
from sync_core.domain.runs import Cause, RunOutcome, RunRecord
from sync_core.domain.school import WondeApi
from sync_core.state.port import StateStore


class AccessEvent(StrEnum):
    """Wonde's webhooks, by their payload_type ("Webhooks", docs.wonde.com)."""

    APPROVED = "schoolApproved"
    REVOKED = "accessRevoked"
    MIGRATION = "schoolMigration"


@dataclass(frozen=True, slots=True)
class AccessChanged:
    """What Wonde tells of the school that is `school` here. `paused` says whether it was, and is not any more."""

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
    event: AccessEvent, wonde_school: str, run: str, state: StateStore, clock: Clock
) -> tuple[AccessChanged, ...]:
    """Pause the schools that read `wonde_school`, where the event says so, each with a run on record that tells why.

    Access that is approved starts nothing: who paused a school has it go on. Returns the schools concerned.
    """
    found: list[AccessChanged] = []
    for settings in await state.schools():
        if not isinstance(settings.source, WondeApi) or settings.source.school != wonde_school:
            continue
        pause = event in _PAUSES and settings.enabled
        if pause:
            now, why = clock.now(), _PAUSES[event]
            await state.write_run(
                RunRecord(settings.school, run, Cause.WEBHOOK, now, RunOutcome.PAUSED, "pause", notes=(why,))
            )
            await state.save_school(replace(settings, enabled=False))
        found.append(AccessChanged(settings.school, event, pause))
    return tuple(found)
