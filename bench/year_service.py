"""The service for one school over a year: the real use cases and Graph clients, with tables and queues in memory."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, cast

from azure.core.credentials import AccessToken

from bench.ours import CollectedOutbox, apply_all
from bench.simulated import FixedToken, SimulatedTenant
from local.school_settings import parse_school_settings
from sync_core.admin.classes.choices import WantedChoice, WantedOwner, request_choice
from sync_core.admin.holds import HoldChoice, decide_hold, request_decision
from sync_core.admin.requests import Requester
from sync_core.admin.year.year_end import end_year, preview_year_end, request_year_end
from sync_core.domain.classes.year_end import YearEndOrder
from sync_core.domain.ids import AccountId, ClassKey, RunId, SchoolId
from sync_core.domain.roster import Snapshot
from sync_core.domain.runs import Cause, HeldClass, Hold, RunRecord
from sync_core.domain.school.settings import SchoolSettings
from sync_core.domain.school.sources import FeedFolder
from sync_core.graph.connections import GraphTenants
from sync_core.graph.teams.class_teams import GraphTenantTeams
from sync_core.graph.tenant_check import check_tenant
from sync_core.messaging.messages import ChangeTeam, DecideHold, Decision, EndYear, RefreshTenant, Request, SyncSchool
from sync_core.messaging.port import DeadLetters
from sync_core.mis.academic_years import calendar_of
from sync_core.mis.drop.reader import FileDropReader, open_store
from sync_core.mis.drop.readings import SharedReadings
from sync_core.mis.port import MisSource, Uploads
from sync_core.mis.sources import MisSources
from sync_core.services import Checks, Reading, Services
from sync_core.state.port import WebhookInbox
from sync_core.sync.nightly import refresh_tenant
from sync_core.sync.school import sync_school
from tests.fakes.memory_state import MemoryState

_HISTORY = timedelta(days=365)
_WINDOW = timedelta(hours=1)
_NIGHT = 2
"""The hour of UTC at which the nights begin."""
_TEAMS_KNOW = timedelta(minutes=20)
"""After so long, Teams knows every class that a night made."""
_AT_ONCE = 16
"""The classes whose changes are applied at the same time. Each has a connection, of which the client keeps 20 open."""


class YearClock:
    """Implements the port Clock: the benchmark moves it, and so does a wait. The tenant's clock goes with it."""

    def __init__(self, tenant: SimulatedTenant, first: date) -> None:
        self._tenant = tenant
        self._now = datetime.now(UTC)
        self.begin_night(first)

    def now(self) -> datetime:
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Waits of several messages pass together."""
        until = self._now + timedelta(seconds=seconds)
        await asyncio.sleep(0)
        if until > self._now:
            self._move_to(until)

    def begin_night(self, day: date) -> None:
        self._move_to(datetime(day.year, day.month, day.day, _NIGHT, tzinfo=UTC))

    def advance(self, by: timedelta) -> None:
        self._move_to(self._now + by)

    def _move_to(self, moment: datetime) -> None:
        self._tenant.simulation("POST", "clock", {"advance_seconds": (moment - self._now).total_seconds()})
        self._now = moment


class _RenewedToken(FixedToken):
    """Implements AsyncTokenCredential: a token lasts for a day, so each night begins with a new one."""

    def __init__(self, tenant: SimulatedTenant) -> None:
        super().__init__("")
        self._tenant = tenant

    async def renew(self) -> None:
        self._token: AccessToken = await self._tenant.credential().get_token()


class _UnchangedFeed:
    """Implements the port MisSource: files that the MIS wrote again without a change are not parsed again.

    `changed` is called when their content changes. An academic year that begins changes what counts of them.
    """

    def __init__(self, source: MisSource, clock: YearClock) -> None:
        self._source, self._clock = source, clock
        self._read: dict[int, Snapshot] = {}

    def changed(self) -> None:
        self._read.clear()

    async def snapshot(self, settings: SchoolSettings, since: datetime | None = None) -> Snapshot:
        now = self._clock.now()
        year = calendar_of(settings, now).current_year
        if year not in self._read:
            self._read[year] = await self._source.snapshot(settings, since)
        return replace(self._read[year], taken_at=now)


class _NotUsed:
    """A port that the year does not touch."""


@dataclass(slots=True)
class YearService:
    """One school and its tenant. `kinds` counts the parts of holds that an admin decided, by kind and decision."""

    tenant: SimulatedTenant
    clock: YearClock
    feed: Path
    settings: SchoolSettings
    state: MemoryState = field(default_factory=MemoryState)
    outbox: CollectedOutbox = field(default_factory=CollectedOutbox)
    kinds: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    services: Services = field(init=False)
    _credential: _RenewedToken = field(init=False)
    _read: _UnchangedFeed = field(init=False)

    def __post_init__(self) -> None:
        self._credential = _RenewedToken(self.tenant)
        graph = GraphTenants(lambda _: self._credential, self.tenant.graph_url, self.clock)
        drops = FileDropReader(partial(open_store, None), timedelta(0), self.clock, SharedReadings(self.clock))
        mis = MisSources(drops, {}, self.clock)
        self._read = _UnchangedFeed(mis, self.clock)
        unused = _NotUsed()
        self.services = Services(
            classes=self.state,
            schools=self.state,
            tenants=self.state,
            runs=self.state,
            inbox=cast("WebhookInbox", unused),
            reading=Reading(self.state, self._read, self.clock, partial(check_tenant, graph), graph),
            graph=graph,
            teams=GraphTenantTeams(graph.adapter, self.clock),
            file_drops=drops,
            uploads=cast("Uploads", unused),
            dated_mis=mis,
            outbox=self.outbox,
            dead_letters=cast("DeadLetters", unused),
            checks=cast("Checks", unused),
        )

    async def begin(self) -> None:
        await self.state.save_school(self.settings)

    def feed_changed(self) -> None:
        """The MIS wrote other files."""
        self._read.changed()

    async def night(self, day: date) -> RunRecord:
        """One night: the refresh, the sync of the school, and every message that they send."""
        self.clock.begin_night(day)
        await self._credential.renew()
        until = self.clock.now() + _WINDOW
        request = RefreshTenant(self.settings.tenant, self._new_run("night"), Cause.NIGHTLY, until=until)
        await refresh_tenant(request, self.services, _HISTORY)
        (run,) = await self._settle()
        return run

    async def holds(self) -> tuple[Hold, ...]:
        """The holds that wait for a decision."""
        return tuple(hold for hold in await self.state.holds(self.settings.school) if hold.status == "open")

    async def ended(self) -> int:
        """How many classes are marked as ended, because the MIS no longer has their groups."""
        records = await self.state.class_records(self.settings.school)
        return sum(record.desired.ended for record in records)

    async def decide(self, hold: Hold, parts: Sequence[HeldClass], decision: Decision, by: AccountId) -> None:
        """An admin decides on parts of a hold as they were shown."""
        choice = HoldChoice(classes=tuple(part.key for part in parts))
        requester = Requester(by, self._new_run("decision"))
        await request_decision(self.settings, hold.digest, decision, requester, self.services, choice)
        await self._settle()
        self.kinds[f"{hold.kind} {decision}"] += len(parts)

    async def give(self, key: str, account: AccountId, until: date, by: AccountId) -> None:
        """An admin makes somebody an owner of a class until that day."""
        owner = WantedOwner(account=account, until=until, reason="cover")
        requester = Requester(by, self._new_run("choice"))
        await request_choice(self.settings, ClassKey(key), WantedChoice(owners=(owner,)), requester, self.services)
        await self._settle()

    async def end_year(self, order: YearEndOrder, by: AccountId) -> tuple[ClassKey, ...]:
        """An admin ends the year of classes as the preview shows it. Returns the keys of these classes."""
        shown = await preview_year_end(self.settings, order, self.services)
        requester = Requester(by, self._new_run("year-end"))
        await request_year_end(self.settings, order, shown.digest, requester, self.services)
        (run,) = await self._settle()
        return run.changed

    async def _settle(self) -> list[RunRecord]:
        """Handle every message in the order of its queue, the work on teams when Teams knows the classes."""
        runs: list[RunRecord] = []
        while self.outbox.requests or self.outbox.changes:
            requests, self.outbox.requests = self.outbox.requests, []
            for request in requests:
                runs.append(await self._handle(request))
            changes, self.outbox.changes = self.outbox.changes, []
            await apply_all([one for one in changes if not isinstance(one, ChangeTeam)], self.services, _AT_ONCE)
            if of_teams := [one for one in changes if isinstance(one, ChangeTeam)]:
                self.clock.advance(_TEAMS_KNOW)
                await apply_all(of_teams, self.services, _AT_ONCE)
        return runs

    async def _handle(self, request: Request) -> RunRecord:
        match request:
            case SyncSchool():
                return await sync_school(request, self.services)
            case DecideHold():
                return await decide_hold(request, self.services)
            case EndYear():
                return await end_year(request, self.services)
            case _:
                raise RuntimeError(f"the year has no request {request.kind}")

    def _new_run(self, what: str) -> RunId:
        self.runs += 1
        return RunId(f"{what}-{self.runs}")


def year_settings(school: str, feed: Path, admin: str, team_types: Iterable[str], **chosen: Any) -> SchoolSettings:
    """The settings of a school whose owners change, whose teams are released, and which asks what goes on."""
    values = {
        "admin_owners": [admin],
        "departed_owners": "revoke",
        "teams": "release",
        "team_types": list(team_types),
        "rollover": "ask",
        **chosen,
    }
    return parse_school_settings(
        values, school=SchoolId(school), tenant=SimulatedTenant.id, source=FeedFolder(str(feed))
    )
