"""Exact counts of what a webhook of one group reads of the tables and of an MIS server, whatever the school's size."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import uuid4

import pytest
from aiohttp import web
from azure.data.tables.aio import TableServiceClient

from local.mis.oneroster_api import OneRosterServer
from local.mis.wonde_api import SCHOOL, WondeServer, wonde_id
from local.school.data import SchoolData, SchoolGroup, SchoolPerson, Staffing
from local.school.oneroster_csv import write
from sync_core.domain.accounts import AccountChange, AccountChanges
from sync_core.domain.ids import MisId, RunId, SchoolId
from sync_core.domain.runs import Cause
from sync_core.domain.school.settings import SchoolSettings
from sync_core.domain.school.sources import OneRosterApi, WondeApi
from sync_core.messaging.messages import SyncSchool
from sync_core.planning.planned import SchoolPlan
from sync_core.planning.school_plan import plan_school
from sync_core.services import Reading
from sync_core.state.store import TableState
from tests.builders import accounts, entra_id, mis_sources, settings
from tests.costs.test_scoped_plans import A_PLAN
from tests.fakes.fixed_clock import FixedClock
from tests.fakes.services import services
from tests.mis.vendor_scenes import SECRETS
from tests.serving import serve
from tests.state.wire import Wire

SIZES = [20, 200, 1_200]
PUPILS = 5
"""In each class; each pupil is in as many classes."""


def make_school(classes: int) -> SchoolData:
    pupils = [SchoolPerson(f"P{number}", "Given", "Family", f"p{number}", "", "7") for number in range(classes)]
    staff = [SchoolPerson(f"T{number}", "Given", "Family", f"t{number}", "") for number in range(5)]
    groups = [
        SchoolGroup(
            f"G{place}",
            f"Set {place}",
            False,
            (Staffing(f"T{place % 5}", True),),
            tuple(pupils[(place + seat) % classes].id for seat in range(PUPILS)),
        )
        for place in range(classes)
    ]
    return SchoolData("SCH1", "Test School", "1234567", 2026, tuple(pupils), tuple(staff), tuple(groups))


@dataclass(slots=True)
class Counts:
    """What a server was asked for, and how many records it gave."""

    requests: list[str] = field(default_factory=list)
    records: int = 0

    @web.middleware
    async def middleware(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        response = await handler(request)
        assert isinstance(response, web.Response)
        self.requests.append(request.path)
        answer = json.loads(response.text or "{}")
        self.records += sum(len(value) if isinstance(value, list) else 1 for value in answer.values() if value)
        return response


@dataclass(slots=True)
class Vendor:
    """A school at a vendor's server, its tables after a first plan, and the group that an event names."""

    server: OneRosterServer | WondeServer
    counts: Counts
    school: SchoolData
    folder: Path
    group: MisId
    settings: SchoolSettings
    reading: Reading

    async def lose_a_pupil(self) -> str:
        first, *others = self.school.groups
        self.school = replace(self.school, groups=(replace(first, pupils=first.pupils[1:]), *others))
        if isinstance(self.server, OneRosterServer):
            write(self.school, self.folder)
        else:
            self.server.school = self.school
        return first.pupils[0]

    async def plan(self, cause: Cause = Cause.WEBHOOK) -> SchoolPlan:
        self.counts.requests, self.counts.records = [], 0
        return await plan_school(SyncSchool(self.settings.school, RunId("run"), cause, (self.group,)), self.reading)


@asynccontextmanager
async def vendor_of(name: str, classes: int, folder: Path, state: TableState) -> AsyncIterator[Vendor]:
    school, counts, clock = make_school(classes), Counts(), FixedClock()
    write(school, folder)
    one_roster = name == "oneroster"
    server = OneRosterServer(folder, page=100_000, now=clock.now, dated=True) if one_roster else WondeServer(school)
    app = server.app()
    app.middlewares.append(counts.middleware)
    async with serve(app) as url:
        api = (
            OneRosterApi(url=url, secret="MIS_SECRET_BEARER")
            if one_roster
            else WondeApi(url=url, school=SCHOOL, secret="MIS_SECRET_WONDE")
        )
        chosen = replace(settings(), school=SchoolId("SCH1"), tenant=uuid4().hex, source=api)
        sources = mis_sources(clock, SECRETS)
        reading = replace(services(state, mis=sources, clock=clock).reading, again=sources.again)
        known = accounts(person.username for person in (*school.pupils, *school.staff))
        changes = tuple(AccountChange(each.id, each.values) for each in known)
        await state.save_school(replace(chosen, school=SchoolId("SCH1")))
        await state.write_accounts(chosen.tenant, AccountChanges(True, changes, frozenset(), "t"))
        group = MisId("G0" if one_roster else wonde_id("G0"))
        vendor = Vendor(server, counts, school, folder, group, chosen, reading)
        first = await vendor.plan()
        await state.write_desired(chosen.school, first.plan.writes)
        yield vendor


@pytest.fixture
async def state(service: TableServiceClient) -> TableState:
    state = TableState(service)
    await state.ensure_tables()
    return state


CLASS, ENROLMENTS = (
    "/ims/oneroster/rostering/v1p2/classes/G0",
    "/ims/oneroster/rostering/v1p2/schools/SCH1/classes/G0/enrollments",
)
READS = {
    # The second request of the list is at its last record, and shows that nothing follows.
    "oneroster": ([CLASS, ENROLMENTS, ENROLMENTS], 1 + PUPILS + 1),
    "wonde": ([f"/v1.0/schools/{SCHOOL}/classes/{wonde_id('G0')}"], 1),
}


@pytest.mark.parametrize("classes", SIZES)
@pytest.mark.parametrize("name", READS)
async def test_a_webhook_of_one_group_reads_the_same_in_every_school(
    name: str, classes: int, state: TableState, wire: Wire, tmp_path: Path
) -> None:
    async with vendor_of(name, classes, tmp_path / "feed", state) as vendor:
        left = await vendor.lose_a_pupil()
        plans: list[SchoolPlan] = []

        async def plan() -> None:
            plans.append(await vendor.plan())

        assert await wire.record(plan()) == [*A_PLAN, "GET classes row"]
        assert (vendor.counts.requests, vendor.counts.records) == READS[name]
        assert [entra_id(left.lower()) in each.members for each in plans[0].plan.writes] == [False]


@pytest.mark.parametrize("name", READS)
async def test_a_server_without_single_groups_is_asked_once_and_then_for_the_whole_school(
    name: str, state: TableState, wire: Wire, tmp_path: Path
) -> None:
    async with vendor_of(name, 20, tmp_path / "feed", state) as vendor:
        left = await vendor.lose_a_pupil()
        await vendor.plan(Cause.ADMIN)
        whole = vendor.counts.requests
        vendor.server.alone = False
        plans: list[SchoolPlan] = []

        async def plan() -> None:
            plans.append(await vendor.plan())

        assert await wire.record(plan()) == [*A_PLAN, "GET classes row"]
        assert vendor.counts.requests == [READS[name][0][0], *whole]
        assert [entra_id(left.lower()) in each.members for each in plans[0].plan.writes] == [False]
