"""A school from one September to the next October, night by night: each day the tenant is compared with the rules."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from datetime import time as clock_time
from pathlib import Path

from bench.simulated import SimulatedTenant, Spent
from bench.year_service import YearClock, YearService, year_settings
from local.processes import Spawn, spawn_interpreter
from local.school import year
from local.school.oneroster_csv import accounts, write, write_two_years
from local.school.year import Damage, MisDay, YearAtSchool
from local.tenant.names import DOMAIN
from local.year_expectation import ExpectedYear, YearDates
from sync_core.domain.classes.year_end import NameChoice, YearEndChoice, YearEndFilter, YearEndOrder, YearState
from sync_core.domain.ids import AccountId
from sync_core.domain.runs import HeldClass, HoldKind, RunOutcome, RunRecord
from sync_core.messaging.messages import Decision

YEAR_ENDS_ON = date(2027, 9, 10)
ADMIN = f"admin@{DOMAIN}"
SUFFIX = "of last year"
_TEAM_TYPES = ("registration",)
_SHOWN = 10
_EXPORTED_AT = clock_time(1)
"""The hour of UTC at which the MIS exports its files, an hour before the night."""
CALENDAR = {
    "last_day": year.LAST_DAY,
    "first_day": year.FIRST_DAY,
    "pause_from": year.PAUSE_FROM,
    "pause_until": year.PAUSE_UNTIL,
    "pause": "additions_only",
    "teachers_in_from": year.TEACHERS_IN,
    "pupils_in_from": year.PUPILS_IN,
    "archive_on": YEAR_ENDS_ON,
}
_DATES = YearDates(
    last_day=year.LAST_DAY,
    pause_from=year.PAUSE_FROM,
    pause_until=year.PAUSE_UNTIL,
    teachers_in=year.TEACHERS_IN,
    pupils_in=year.PUPILS_IN,
)


@dataclass(frozen=True, slots=True)
class Month:
    """What one month of nights cost. `changing` counts the nights that changed something."""

    name: str
    nights: int
    changing: int
    spent: Spent


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The whole year. `rejected` are the days whose feed was not accepted, `decisions` parts of holds by kind."""

    pupils: int
    groups: int
    months: tuple[Month, ...]
    rejected: tuple[date, ...]
    events: Mapping[date, Sequence[str]]
    made: int
    continued: int
    ended: int
    archived: int
    held: int
    decisions: Mapping[str, int]
    differences: int
    seconds: float


def run(
    pupils: int = 1_000,
    team_types: Sequence[str] = _TEAM_TYPES,
    quiet_days: int = 1,
    spawn: Spawn = spawn_interpreter,
) -> Result:
    """The year of a school of that size, with a night on each special day.

    Of the other days, one in `quiet_days` has a night. Raises RuntimeError on the first night after which the tenant
    differs.
    """
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bench-year-") as folder, SimulatedTenant(spawn=spawn) as tenant:
        followed = _Year(YearAtSchool(pupils), tenant, Path(folder) / "feed", team_types)
        result = asyncio.run(followed.follow(quiet_days))
    return replace(result, seconds=time.monotonic() - began)


def section(result: Result) -> str:
    """The results as Markdown."""
    nights = sum(month.nights for month in result.months)
    decided = ", ".join(f"{kind.replace('_', ' ')}: {count}" for kind, count in sorted(result.decisions.items()))
    facts = {
        "days": nights,
        "nights with changes": sum(month.changing for month in result.months),
        "nights whose feed was rejected": len(result.rejected),
        "classes made": result.made,
        "classes that went on into the next year": result.continued,
        "classes whose group ended": result.ended,
        "classes whose year an admin ended": result.archived,
        "classes that were held": result.held,
        f"decisions of the admin on them ({decided})": sum(result.decisions.values()),
        "differences from the rules": result.differences,
    }
    lines = [
        f"A generated school of {result.pupils:,} pupils and {result.groups} groups from September to the next "
        "October, a night each day: a new timetable, a teacher who leaves and their cover, pupils who join and leave, "
        "holidays, an empty and a torn feed, the dates of the calendar, an MIS that rolls over to other ids, classes "
        "that go on, and the year end. After each night the tenant's classes, their people and teams are compared "
        f"with the rules, written a second time. {result.seconds:.0f} seconds of this machine.",
        "",
        "| | |",
        "| --- | ---: |",
        *(f"| {name} | {count:,} |" for name, count in facts.items()),
        "",
        "| month | nights | with changes | Graph requests | writes |",
        "| --- | ---: | ---: | ---: | ---: |",
        *(
            f"| {month.name} | {month.nights} | {month.changing} | {month.spent.requests:,} | {month.spent.writes:,} |"
            for month in result.months
        ),
    ]
    return "\n".join(lines)


@dataclass(slots=True)
class _Counts:
    nights: Counter[str] = field(default_factory=Counter)
    changing: Counter[str] = field(default_factory=Counter)
    spent: dict[str, Spent] = field(default_factory=dict)
    rejected: list[date] = field(default_factory=list)
    events: dict[date, Sequence[str]] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)


class _Year:
    """One school that is followed through its year, with its MIS, its admin and its tenant."""

    def __init__(self, school: YearAtSchool, tenant: SimulatedTenant, feed: Path, team_types: Sequence[str]) -> None:
        self._school, self._tenant, self._feed = school, tenant, feed
        self._expected = ExpectedYear(_DATES, [ADMIN], DOMAIN, team_types)
        clock = YearClock(tenant, year.FIRST)
        calendar = {name: str(value) for name, value in CALENDAR.items()}
        settings = year_settings(school.begins.id, feed, ADMIN, team_types, account_domain=DOMAIN, calendar=calendar)
        self._service = YearService(tenant, clock, feed, settings)
        self._accounts = tenant.add_users([ADMIN])
        self._counts = _Counts()
        self._archived: Sequence[str] = ()
        self._continued: set[str] = set()
        self._written: object = None

    async def follow(self, quiet_days: int) -> Result:
        """The nights of the year as `run` says."""
        await self._service.begin()
        for number, day in enumerate(self._school.days()):
            if number % quiet_days and not day.events and day.day != YEAR_ENDS_ON:
                continue
            before = self._tenant.spent()
            self._export(day)
            run = await self._night(day)
            await self._act_as_admin(day)
            self._compare(day)
            self._count(day, run, self._tenant.spent() - before)
        self._check_events()
        counts = self._counts
        return Result(
            pupils=len(self._school.begins.pupils),
            groups=len(self._school.begins.groups) + len({each.year for each in self._school.begins.pupils}),
            months=tuple(
                Month(name, counts.nights[name], counts.changing[name], spent) for name, spent in counts.spent.items()
            ),
            rejected=tuple(counts.rejected),
            events=counts.events,
            made=len(self._expected.rooms),
            continued=len(self._continued),
            ended=await self._service.ended(),
            archived=len(self._archived),
            held=len(counts.held),
            decisions=dict(self._service.kinds),
            differences=0,
            seconds=0.0,
        )

    # --- the MIS

    def _export(self, day: MisDay) -> None:
        """Write the files of the day, which are dated by it, and make accounts of the people who are new."""
        content = (day.data, day.coming, day.damage)
        if content != self._written:
            self._write(day)
            self._service.feed_changed()
            self._written = content
        exported = datetime.combine(day.day, _EXPORTED_AT).astimezone().timestamp()
        for file in self._feed.iterdir():
            os.utime(file, (exported, exported))

    def _write(self, day: MisDay) -> None:
        if day.coming:
            write_two_years(day.data, day.coming, self._feed)
        else:
            write(day.data, self._feed)
        if day.damage is Damage.EMPTY:
            for file in self._feed.glob("*.csv"):
                file.write_bytes(file.read_bytes().splitlines(keepends=True)[0])
        elif day.damage is Damage.TORN:
            file = self._feed / "enrollments.csv"
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        people = {upn for each in (day.data, day.coming) if each for upn, _ in accounts(each, DOMAIN)}
        if new := sorted(people - self._accounts.keys()):
            self._accounts |= self._tenant.add_users(new)

    async def _night(self, day: MisDay) -> RunRecord:
        """Raises RuntimeError if the night read a damaged feed, or did not read a whole one."""
        run = await self._service.night(day.day)
        if (run.outcome is RunOutcome.PLANNED) is (day.damage is not None):
            raise RuntimeError(f"{day.day}: the night was {run.outcome} with a feed that is {day.damage}: {run.notes}")
        if day.damage:
            self._counts.rejected.append(day.day)
        else:
            self._expected.night(day.day, day.data)
        return run

    # --- the admin

    async def _act_as_admin(self, day: MisDay) -> None:
        admin = self._accounts[ADMIN]
        if day.day == year.TEACHER_LEAVES:
            await self._give_cover(day, admin)
        if await self._decide(admin):
            # A decision is a sync of the same day.
            self._expected.night(day.day, day.data)
        if day.day == YEAR_ENDS_ON:
            choice = YearEndChoice(rename=NameChoice.SUFFIX, suffix=SUFFIX)
            filter_ = YearEndFilter(years=(self._school.begins.starts,), states=(YearState.ENDED,))
            self._archived = await self._service.end_year(YearEndOrder(filter_, choice), admin)
            self._expected.end_year(self._archived, SUFFIX)

    async def _give_cover(self, day: MisDay, admin: AccountId) -> None:
        cover = next(each for each in day.data.staff if each.id == self._school.cast.cover)
        upn = cover.email or f"{cover.username}@{DOMAIN}"
        for id_ in self._school.cast.sets:
            key = f"{day.data.starts}.teaching.{id_}"
            self._expected.give(key, upn, year.COVER_UNTIL)
            await self._service.give(key, self._accounts[upn], year.COVER_UNTIL, admin)
        self._expected.night(day.day, day.data)

    async def _decide(self, admin: AccountId) -> bool:
        """Decide on every hold: what goes on is what the school planned, and losses are those of the MIS."""
        decided = False
        while holds := await self._service.holds():
            hold, decided = holds[0], True
            self._counts.held |= set(hold.keys)
            right = [part for part in hold.classes if hold.kind is not HoldKind.CONTINUATION or self._is_right(part)]
            wrong = [part for part in hold.classes if part not in right]
            for part in right if hold.kind is HoldKind.CONTINUATION else ():
                self._expected.goes_on(part.key, part.continues)
                self._continued.add(part.continues)
            parts, decision = (right, Decision.APPROVE) if right else (wrong, Decision.REJECT)
            await self._service.decide(hold, parts, decision, admin)
        return decided

    def _is_right(self, part: HeldClass) -> bool:
        new, earlier = part.key.rpartition(".")[2], part.continues.rpartition(".")[2]
        return self._school.coming.continues.get(new) == earlier

    # --- the comparison

    def _compare(self, day: MisDay) -> None:
        """Raises RuntimeError that names the day, the first classes that differ, and how many there are."""
        classes, teams = self._tenant.simulation("GET", "classes"), self._tenant.simulation("GET", "teams")
        if found := self._expected.differences(classes, teams):
            raise RuntimeError(f"{day.day}: {len(found)} differences from the rules: {'; '.join(found[:_SHOWN])}")

    def _check_events(self) -> None:
        """Raises RuntimeError if the school's plan of what goes on was not followed, because it was not proposed."""
        planned = {f"{self._school.begins.starts}.{key}" for key in _keys(self._school)}
        if missing := sorted(planned - self._continued):
            raise RuntimeError(f"{len(missing)} of {len(planned)} classes that go on were not proposed: {missing}")

    def _count(self, day: MisDay, run: RunRecord, spent: Spent) -> None:
        counts, month = self._counts, f"{day.day:%B %Y}"
        counts.nights[month] += 1
        counts.changing[month] += bool(run.created or run.changed or run.ended)
        total = counts.spent.get(month, Spent())
        counts.spent[month] = Spent(
            total.requests + spent.requests,
            total.writes + spent.writes,
            total.units + spent.units,
            total.refused + spent.refused,
        )
        if day.events:
            counts.events[day.day] = day.events


def _keys(school: YearAtSchool) -> Set[str]:
    """The classes that go on, as the end of their keys."""
    homerooms = {group.id for group in school.begins.groups if group.homeroom}
    return {f"{'registration' if id_ in homerooms else 'teaching'}.{id_}" for id_ in school.coming.continues.values()}
