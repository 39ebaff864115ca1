"""How the people of a school find their accounts, and what another rule would change. Nothing is written."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sync_core.admin.supposed import reading_with
from sync_core.domain.constraints import FORM
from sync_core.domain.ids import MisId, RunId
from sync_core.domain.roster import Snapshot
from sync_core.domain.runs import Cause, HoldKind, RunOutcome, RunRecord
from sync_core.domain.school.matching import Matching, MatchingChoice
from sync_core.domain.school.settings import SchoolSettings
from sync_core.errors import Conflict
from sync_core.messaging.messages import SyncSchool
from sync_core.mis.port import MisSource
from sync_core.planning.matching.findings import Finding, PersonFound, people_found
from sync_core.planning.matching.guard import NO_RATES, MatchRates
from sync_core.planning.membership import RuledSchool
from sync_core.planning.planned import PlanNotMade, SchoolPlan
from sync_core.planning.school_plan import plan_school
from sync_core.services import Services

_BACK = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchingRules:
    """How students, and how staff, find their accounts."""

    __pydantic_config__ = FORM
    students: Matching
    staff: Matching

    @classmethod
    def of(cls, settings: SchoolSettings) -> MatchingRules:
        return cls(students=settings.student_matching, staff=settings.staff_matching)

    def on(self, settings: SchoolSettings) -> SchoolSettings:
        usual = settings.account_domain
        return replace(settings, students=_choice(self.students, usual), staff=_choice(self.staff, usual))


def _choice(rule: Matching, account_domain: str) -> MatchingChoice:
    """What leads to the rule: a domain that is the usual one goes on to follow `account_domain`."""
    by_default = MatchingChoice(rule.mis, rule.account)
    if by_default.rule(account_domain) == rule:
        return by_default
    return MatchingChoice(rule.mis, rule.account, rule.domain)


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchingReport:
    """How the people of a school find their accounts: the `rates`, and `saved` with the rules that are saved.

    `held`: too many find none, so that the whole plan would be held.
    """

    at: datetime
    saved: MatchRates
    rates: MatchRates
    held: bool
    people: tuple[PersonFound, ...]

    def of(self, finding: Finding | None) -> tuple[PersonFound, ...]:
        return tuple(person for person in self.people if finding in (None, person.finding))


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedMatching:
    """What the last plan of the whole school recorded, if there was one in the last 30 days: ids and counts alone.

    `held`: too many people found no account, so that the whole plan is held. Its rates are then not on record.
    """

    planned: RunRecord | None
    rates: MatchRates
    held: bool

    def of(self, finding: Finding | None) -> tuple[tuple[MisId, Finding], ...]:
        run = self.planned
        if run is None:
            return ()
        lists = {
            Finding.NO_ACCOUNT: run.people_without_account,
            Finding.IN_DOUBT: run.people_ambiguous,
            Finding.DISABLED: run.people_disabled,
        }
        return tuple((person, kind) for kind, people in lists.items() if finding in (None, kind) for person in people)


async def read_recorded_matching(settings: SchoolSettings, services: Services) -> RecordedMatching:
    runs, statistics = await asyncio.gather(
        services.runs.runs(settings.school, services.clock.now() - _BACK),
        services.schools.accepted_statistics(settings.school),
    )
    planned = next((run for run in reversed(runs) if run.whole and run.outcome is RunOutcome.PLANNED), None)
    held = planned is not None and HoldKind.ACCOUNT_MATCHING in planned.held_because
    rates = MatchRates(statistics.students_matched, statistics.staff_matched) if statistics and not held else NO_RATES
    return RecordedMatching(planned=planned, rates=rates, held=held)


async def report_matching(
    settings: SchoolSettings, services: Services, rules: MatchingRules | None = None
) -> MatchingReport:
    """Match the people of the MIS as it is now by these rules, or by those that are saved. A paused school too.

    The MIS is read once. Raises UnknownSetting for a tenant without accounts, and Conflict if no plan can be made.
    """
    saved = replace(settings, enabled=True)
    mis = OneReading(services.mis)
    before = await _plan(saved, mis, services)
    tried = rules.on(saved) if rules else saved
    after = before if tried == saved else await _plan(tried, mis, services)
    return MatchingReport(
        at=services.clock.now(),
        saved=_ruled(before).matching.rates,
        rates=_ruled(after).matching.rates,
        held=after.matching_failed,
        people=people_found(_ruled(after)),
    )


class OneReading:
    """Implements MisSource: the school as it was at the first call."""

    def __init__(self, mis: MisSource) -> None:
        self._mis = mis
        self._snapshot: Snapshot | None = None

    async def snapshot(self, settings: SchoolSettings, since: datetime | None = None) -> Snapshot:
        if self._snapshot is None:
            self._snapshot = await self._mis.snapshot(settings, since)
        return self._snapshot


async def _plan(settings: SchoolSettings, mis: MisSource, services: Services) -> SchoolPlan:
    reading = replace(await reading_with(settings, services), mis=mis)
    try:
        return await plan_school(SyncSchool(settings.school, RunId("preview"), Cause.ADMIN), reading)
    except PlanNotMade as failure:
        raise Conflict(failure.message, failure.remedy) from None


def _ruled(planned: SchoolPlan) -> RuledSchool:
    """The rules of a plan that was made from the MIS, as each of `plan_school` is."""
    assert planned.ruled
    return planned.ruled
