"""Decisions on holds that are on their way."""

from __future__ import annotations

from datetime import timedelta

from sync_core.domain.runs import RunOutcome, RunRecord
from sync_core.domain.school.settings import SchoolSettings
from sync_core.messaging.messages import Decision
from sync_core.services import Services

_BACK = timedelta(days=1)


async def read_pending_decisions(settings: SchoolSettings, services: Services) -> tuple[RunRecord, ...]:
    """The runs of the last day that carry out a decision and have not ended, oldest first."""
    runs = await services.runs.runs(settings.school, services.clock.now() - _BACK)
    return tuple(run for run in runs if run.outcome is RunOutcome.REQUESTED and _decides(run))


def _decides(run: RunRecord) -> bool:
    return run.action.partition(" ")[0] in tuple(Decision)
