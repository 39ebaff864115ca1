"""How each school is: in step with its MIS or not, healthy or not, and why."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from sync_core.admin.overview.next_night import next_night
from sync_core.domain.ids import SchoolId
from sync_core.domain.runs import Cause, RunOutcome, RunRecord
from sync_core.domain.school.settings import SchoolSettings
from sync_core.errors import UnknownSetting
from sync_core.planning.year.calendar import school_day
from sync_core.planning.year.words import pause_of_all
from sync_core.services import Services

LATE = timedelta(hours=26)
"""After a night that was not followed by another one for so long, a school is not healthy."""
_USUALLY, _BACK = timedelta(days=2), timedelta(days=8)


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
    """A school in one row, as recorded. `readable`: this version of the app can read its settings.

    `last_night` is when a night last ended for it, and `next_night` when one begins, which may sync the school up to
    the window of the deployment later. The counts from `changes` on are those of its last plan of every class, and None
    before the first: classes created and changed, classes held, people without an account, and classes without an
    owner. `decisions` counts the holds that wait, and `pinned` the pinned classes.
    """

    school: SchoolId
    name: str = ""
    readable: bool = True
    paused: bool = False
    in_step: Sign
    healthy: Sign
    last_night: datetime | None = None
    next_night: datetime | None = None
    decisions: int = 0
    pinned: int = 0
    changes: int | None = None
    held: int | None = None
    without_account: int | None = None
    without_owner: int | None = None


async def list_overviews(
    settings: Iterable[SchoolSettings],
    unreadable: Mapping[SchoolId, UnknownSetting],
    schedule: str,
    services: Services,
) -> tuple[SchoolOverview, ...]:
    """One overview for each school, worst first. `schedule` is that of the nights, as six fields of NCRONTAB."""
    now = services.clock.now()
    listed = tuple(settings)
    decisions, read = await asyncio.gather(
        services.schools.open_holds([each.school for each in listed]),
        asyncio.gather(*(_read(each.school, now, services) for each in listed)),
    )
    night = next_night(schedule, now)
    found = [
        overview_of(each, runs, decisions[each.school], pinned, night, now)
        for each, (runs, pinned) in zip(listed, read, strict=True)
    ]
    lost = (_unreadable_overview(school, why) for school, why in unreadable.items())
    return tuple(sorted((*lost, *found), key=_worst_first))


def _unreadable_overview(school: SchoolId, why: UnknownSetting) -> SchoolOverview:
    bad = Sign(light=Light.BAD, text=why.message)
    return SchoolOverview(school=school, readable=False, in_step=Sign(light=Light.BAD, text="not synced"), healthy=bad)


async def _read(school: SchoolId, now: datetime, services: Services) -> tuple[tuple[RunRecord, ...], int]:
    """The school's runs, as far back as an overview needs them, and the number of its pinned classes."""
    runs, pinned = await asyncio.gather(_runs(school, now, services), services.classes.pinned(school))
    return runs, len(pinned)


async def _runs(school: SchoolId, now: datetime, services: Services) -> tuple[RunRecord, ...]:
    """Those of the last two days tell everything about a school whose last nights were good."""
    runs = await services.runs.runs(school, now - _USUALLY)
    ended = [run for run in runs if run.outcome is not RunOutcome.REQUESTED]
    if last_plan(ended) and any(run.cause is Cause.NIGHTLY for run in ended):
        return runs
    return await services.runs.runs(school, now - _BACK)


def overview_of(
    settings: SchoolSettings,
    runs: Iterable[RunRecord],
    decisions: int,
    pinned: int,
    next_night: datetime | None,
    now: datetime,
) -> SchoolOverview:
    """`runs` are those of the last days, oldest first. `decisions` counts the holds that wait for one."""
    ended = [run for run in runs if run.outcome is not RunOutcome.REQUESTED]
    planned = last_plan(ended)
    night = next((run for run in reversed(ended) if run.cause is Cause.NIGHTLY), None)
    last = ended[-1] if ended else None
    return SchoolOverview(
        school=settings.school,
        name=settings.name,
        paused=not settings.enabled,
        in_step=_in_step(planned, decisions),
        healthy=_healthy(settings, last, night, now),
        last_night=night.at if night else None,
        next_night=next_night if settings.enabled else None,
        decisions=decisions,
        pinned=pinned,
        changes=len(planned.created) + len(planned.changed) if planned else None,
        held=len(planned.held) if planned else None,
        without_account=len(planned.people_without_account) if planned else None,
        without_owner=len(planned.ownerless) if planned else None,
    )


def last_plan(runs: Sequence[RunRecord]) -> RunRecord | None:
    """The last plan of every class of the school, if there is one. `runs` are oldest first."""
    return next((run for run in reversed(runs) if run.whole and run.outcome is RunOutcome.PLANNED), None)


def _in_step(planned: RunRecord | None, decisions: int) -> Sign:
    if planned is None:
        return Sign(light=Light.WAITS, text="not planned yet")
    if decisions:
        return Sign(light=Light.WAITS, text=f"{decisions} {'decision waits' if decisions == 1 else 'decisions wait'}")
    # What is still held, though nothing waits for a decision, is held because an admin decided so.
    if waiting := replace(planned, held=()).waiting:
        return Sign(light=Light.WAITS, text=waiting[0])
    if planned.held:
        return Sign(light=Light.GOOD, text=f"classes kept as decided: {len(planned.held)}")
    return Sign(light=Light.GOOD, text="in step")


def _healthy(settings: SchoolSettings, last: RunRecord | None, night: RunRecord | None, now: datetime) -> Sign:
    if not settings.enabled:
        return Sign(light=Light.WAITS, text="paused")
    if pause_of_all(school_day(settings, now)):
        return Sign(light=Light.WAITS, text="paused by its calendar")
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
