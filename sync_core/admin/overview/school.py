"""One school at a glance: what needs a decision, its classes, its people, and its nights."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from sync_core.admin.overview.schools import SchoolOverview, overview_of
from sync_core.domain.classes import ClassState
from sync_core.domain.runs import Hold, HoldStatus, RunOutcome, RunRecord
from sync_core.domain.school import SchoolSettings
from sync_core.services import Services

NIGHTS = timedelta(days=30)
RUNS = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class SchoolHome:
    """`runs` are the latest, newest first, and `nights` the planned runs of the last 30 days, oldest first."""

    overview: SchoolOverview
    holds: tuple[Hold, ...]
    states: Mapping[ClassState, int]
    runs: tuple[RunRecord, ...]
    nights: tuple[RunRecord, ...]


async def read_home(settings: SchoolSettings, services: Services) -> SchoolHome:
    now = services.clock.now()
    runs, holds, pins, records = await asyncio.gather(
        services.runs.runs(settings.school, now - NIGHTS),
        services.schools.holds(settings.school),
        services.classes.pins(settings.school),
        services.classes.class_records(settings.school),
    )
    return SchoolHome(
        overview=overview_of(settings, runs, holds, len(pins), now),
        holds=tuple(hold for hold in holds if hold.status is HoldStatus.OPEN),
        states=Counter(record.state for record in records),
        runs=tuple(reversed(runs[-RUNS:])),
        nights=tuple(run for run in runs if run.whole and run.outcome is RunOutcome.PLANNED),
    )
