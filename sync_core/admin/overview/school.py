"""One school at a glance: what needs a decision, its classes, its people, and its nights."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sync_core.admin.overview.next_night import next_night
from sync_core.admin.overview.schools import SchoolOverview, last_plan, overview_of
from sync_core.admin.year.calendar import SchoolCalendar, calendar_table
from sync_core.domain.classes.record import ClassOutline, ClassState
from sync_core.domain.ids import ClassKey
from sync_core.domain.permissions import TenantCheck
from sync_core.domain.roster import FeedStatistics
from sync_core.domain.runs import Cause, Hold, HoldStatus, RunOutcome, RunRecord
from sync_core.domain.school.settings import SchoolSettings
from sync_core.services import Services

NIGHTS = timedelta(days=30)
RUNS = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class SchoolHome:
    """A school as recorded. `last` is its last run that ended, and `planned` its last plan of every class, if any.

    `states` counts its classes, and `refused` are those that Microsoft 365 refused a change of. `statistics` are those
    of the last accepted feed. `runs` are the latest, newest first, with the names of the classes that they are for.
    `calendar` has the dates of its year. `nights` are those of the last 30 days, oldest first. `check` is what the app
    may do in the tenant: it is read while the school has no class in Microsoft 365, which `is_new` says.
    """

    overview: SchoolOverview
    holds: tuple[Hold, ...]
    states: Mapping[ClassState, int]
    refused: tuple[ClassKey, ...]
    statistics: FeedStatistics | None
    last: RunRecord | None
    planned: RunRecord | None
    runs: tuple[RunRecord, ...]
    class_names: Mapping[ClassKey, str]
    calendar: SchoolCalendar
    nights: tuple[RunRecord, ...]
    check: TenantCheck | None

    @property
    def is_new(self) -> bool:
        return self.check is not None


async def read_home(settings: SchoolSettings, schedule: str, services: Services) -> SchoolHome:
    """`schedule` is that of the nights, as six fields of NCRONTAB."""
    now = services.clock.now()
    runs, holds, pinned, outlines, statistics = await asyncio.gather(
        services.runs.runs(settings.school, now - NIGHTS),
        services.schools.holds(settings.school),
        services.classes.pinned(settings.school),
        services.classes.class_outlines(settings.school),
        services.schools.accepted_statistics(settings.school),
    )
    ended = [run for run in runs if run.outcome is not RunOutcome.REQUESTED]
    latest = tuple(reversed(runs[-RUNS:]))
    is_new = not any(outline.made for outline in outlines)
    open_holds = tuple(hold for hold in holds if hold.status is HoldStatus.OPEN)
    return SchoolHome(
        overview=overview_of(settings, runs, len(open_holds), len(pinned), next_night(schedule, now), now),
        holds=open_holds,
        states=Counter(outline.state for outline in outlines),
        refused=tuple(outline.key for outline in outlines if outline.refused),
        statistics=statistics,
        last=ended[-1] if ended else None,
        planned=last_plan(ended),
        runs=latest,
        class_names=_names(latest, outlines),
        calendar=calendar_table(settings, last_plan(ended), outlines, now),
        nights=tuple(run for run in ended if run.cause is Cause.NIGHTLY),
        check=await services.reading.check_tenant(settings.tenant) if is_new else None,
    )


def _names(runs: Iterable[RunRecord], outlines: Sequence[ClassOutline]) -> Mapping[ClassKey, str]:
    keys = {run.class_key for run in runs}
    return {outline.key: outline.display_name for outline in outlines if outline.key in keys}
