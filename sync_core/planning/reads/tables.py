"""Reads what the tables say of a school, but for the rows of its classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sync_core.domain.accounts import Account
from sync_core.domain.classes.choices import Choices
from sync_core.domain.classes.desired import ClassRequest, Pin
from sync_core.domain.ids import ClassKey
from sync_core.domain.permissions import TenantCheck
from sync_core.domain.roster import FeedStatistics
from sync_core.domain.runs import Cause, HoldStatus, RunOutcome
from sync_core.domain.school.settings import SchoolSettings
from sync_core.messaging.messages import SyncSchool, UndoRun
from sync_core.planning.limits.past import Past
from sync_core.planning.matching.guard import NO_RATES, MatchRates
from sync_core.planning.planned import PlanNotMade
from sync_core.planning.year.calendar import school_day
from sync_core.planning.year.words import pause_of_all
from sync_core.services import Reading
from sync_core.state.port import SchoolReader

_WITHOUT_ACCOUNTS = (
    "the tenant's accounts were never read completely, so people would lose classes: nothing was planned",
    "request a full resync of the tenant, or wait for the nightly run",
)
_UNPAUSE = "to sync it before that, change pause_from, pause_until or pause in the calendar of its settings"


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of a school before its MIS is read. `accepted` are the statistics of the last accepted feed."""

    request: SyncSchool
    settings: SchoolSettings
    check: TenantCheck
    past: Past
    accepted: FeedStatistics | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What people chose for the classes of a school, and the accounts of its tenant."""

    requests: Mapping[ClassKey, ClassRequest]
    pins: Mapping[ClassKey, Pin]
    accounts: tuple[Account, ...]
    choices: Choices


async def read_tables(request: SyncSchool, reading: Reading, decided: Mapping[str, HoldStatus]) -> Known:
    """Raises PlanNotMade for a school that may not be planned now."""
    reader, school = reading.school, request.school
    settings, check = await _may_be_planned(request, reading)
    accepted = await reader.accepted_statistics(school)
    past = await read_past(request, reader, reading.clock.now(), accepted)
    return Known(
        request=request,
        settings=settings,
        check=check,
        past=replace(past, decided=decided),
        accepted=accepted,
    )


async def read_recorded(known: Known, reading: Reading) -> Recorded:
    """Read after the MIS, so that what was chosen meanwhile counts. Raises PlanNotMade."""
    request, reader = known.request, reading.school
    requests, pins = await reader.class_requests(request.school), await reader.pins(request.school)
    accounts = await reader.accounts(known.settings.tenant)
    if accounts is None:
        raise PlanNotMade(request, reading.clock.now(), RunOutcome.REJECTED, *_WITHOUT_ACCOUNTS)
    return Recorded(requests=requests, pins=pins, accounts=accounts, choices=await reader.choices(request.school))


async def read_past(
    request: SyncSchool | UndoRun, reader: SchoolReader, now: datetime, accepted: FeedStatistics | None
) -> Past:
    """Read the history for the limits of a run; `accepted` are the statistics of the last accepted feed."""
    week = await reader.runs(request.school, now - timedelta(days=7))
    last_run = max((run.at for run in week), default=None)
    removed = sum(record.removals for record in week if record.id != request.run)
    groups = accepted.groups if accepted else None
    rates = MatchRates(accepted.students_matched, accepted.staff_matched) if accepted else NO_RATES
    nights = [run.at for run in week if run.cause is Cause.NIGHTLY and run.outcome is RunOutcome.PLANNED]
    left_out = sum(record.left_out for record in week)
    holds = await reader.holds(request.school)
    return Past(
        removed=removed,
        groups=groups,
        holds=holds,
        rates=rates,
        night=max(nights, default=None),
        last_run=last_run,
        left_out=left_out,
    )


async def _may_be_planned(request: SyncSchool, reading: Reading) -> tuple[SchoolSettings, TenantCheck]:
    """The settings of the school, and what the app may do in its tenant.

    Raises PlanNotMade for a school that is paused, or has no settings, or whose tenant lacks a permission.
    """
    settings = await reading.school.school(request.school)
    if settings is None:
        raise _paused(request, reading, "the school has no settings", "to sync it, save its settings")
    if not settings.enabled:
        raise _paused(request, reading, f"the school is {settings.paused}", "to sync it, resume the school")
    if why := pause_of_all(school_day(settings, reading.clock.now())):
        raise _paused(request, reading, why, _UNPAUSE)
    check = await reading.check_tenant(settings.tenant)
    if check.blocked:
        message = f"{check.what}: nothing was planned"
        raise PlanNotMade(request, reading.clock.now(), RunOutcome.BLOCKED, message, check.remedy)
    return settings, check


def _paused(request: SyncSchool, reading: Reading, why: str, remedy: str) -> PlanNotMade:
    return PlanNotMade(request, reading.clock.now(), RunOutcome.PAUSED, f"{why}: nothing was planned", remedy)
