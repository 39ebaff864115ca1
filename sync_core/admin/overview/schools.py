"""How each school is: in step with its MIS or not, healthy or not, and why."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sync_core.domain.ids import SchoolId
from sync_core.domain.runs import Cause, Hold, HoldStatus, RunOutcome, RunRecord
from sync_core.domain.school import SchoolSettings
from sync_core.errors import UnknownSetting
from sync_core.services import Services

LATE = timedelta(hours=26)
"""After a night that was not followed by another one for so long, a school is not healthy."""
_BACK = timedelta(days=8)


class Light(StrEnum):
    """How good something is, worst first."""

    BAD = "bad"
    WAITS = "waits"
    GOOD = "good"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """A light, and what it stands for in a few words."""

    light: Light
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SchoolOverview:
    """A school in one row. `planned` is its last plan of every class, and `last` its last run of any kind, if any."""

    school: SchoolId
    paused: bool
    in_step: Sign
    healthy: Sign
    last: RunRecord | None = None
    night: RunRecord | None = None
    planned: RunRecord | None = None
    open_holds: int = 0
    pinned: int = 0


async def list_overviews(settings: Iterable[SchoolSettings], services: Services) -> tuple[SchoolOverview, ...]:
    """One overview for each school, worst first."""
    now = services.clock.now()
    found = await asyncio.gather(*(_overview(each, now, services) for each in settings))
    return tuple(sorted(found, key=_worst_first))


def unreadable_overview(school: SchoolId, why: UnknownSetting) -> SchoolOverview:
    """Of a school whose settings this version of the app cannot read."""
    bad = Sign(light=Light.BAD, text=why.message)
    return SchoolOverview(school=school, paused=False, in_step=Sign(light=Light.BAD, text="not synced"), healthy=bad)


async def _overview(settings: SchoolSettings, now: datetime, services: Services) -> SchoolOverview:
    runs, holds, pins = await asyncio.gather(
        services.runs.runs(settings.school, now - _BACK),
        services.schools.holds(settings.school),
        services.classes.pins(settings.school),
    )
    return overview_of(settings, runs, holds, len(pins), now)


def overview_of(
    settings: SchoolSettings, runs: Iterable[RunRecord], holds: Iterable[Hold], pinned: int, now: datetime
) -> SchoolOverview:
    """`runs` are those of the last days, oldest first."""
    ended = [run for run in runs if run.outcome is not RunOutcome.REQUESTED]
    planned = next((run for run in reversed(ended) if run.whole and run.outcome is RunOutcome.PLANNED), None)
    night = next((run for run in reversed(ended) if run.cause is Cause.NIGHTLY), None)
    last = ended[-1] if ended else None
    open_holds = sum(hold.status is HoldStatus.OPEN for hold in holds)
    return SchoolOverview(
        school=settings.school,
        paused=not settings.enabled,
        in_step=_in_step(planned, open_holds),
        healthy=_healthy(settings, last, night, now),
        last=last,
        night=night,
        planned=planned,
        open_holds=open_holds,
        pinned=pinned,
    )


def _in_step(planned: RunRecord | None, open_holds: int) -> Sign:
    if planned is None:
        return Sign(light=Light.WAITS, text="not planned yet")
    if open_holds:
        return Sign(light=Light.WAITS, text=f"{open_holds} {'decision waits' if open_holds == 1 else 'decisions wait'}")
    if planned.waiting:
        return Sign(light=Light.WAITS, text=planned.waiting[0])
    return Sign(light=Light.GOOD, text="in step")


def _healthy(settings: SchoolSettings, last: RunRecord | None, night: RunRecord | None, now: datetime) -> Sign:
    if not settings.enabled:
        return Sign(light=Light.WAITS, text="paused")
    if last and last.outcome in _FAILED:
        return Sign(light=Light.BAD, text=_FAILED[last.outcome])
    if night is None:
        return Sign(light=Light.WAITS, text="no night yet")
    if now - night.at > LATE:
        return Sign(light=Light.BAD, text="the last night is late")
    return Sign(light=Light.GOOD, text="healthy")


_FAILED = {
    RunOutcome.REJECTED: "feed rejected",
    RunOutcome.BLOCKED: "permission missing",
    RunOutcome.PAUSED: "paused",
}
_RANK = {light: rank for rank, light in enumerate(Light)}


def _worst_first(overview: SchoolOverview) -> tuple[int, int, SchoolId]:
    return _RANK[overview.healthy.light], _RANK[overview.in_step.light], overview.school
