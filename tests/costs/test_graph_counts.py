"""Exact counts of requests to Graph: a new class, a correction, an unchanged night, a slow replica."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from bench.ours import CollectedOutbox, seed_school
from bench.school import BenchSchool, make_school
from bench.simulated import SimulatedTenant
from sync_core.admin.holds import preview_school
from sync_core.applying.change import apply_change
from sync_core.domain.classes.desired import DesiredClass
from sync_core.domain.classes.outcomes import Applied, Outcome, Refused
from sync_core.domain.classes.record import ClassRecord
from sync_core.domain.ids import RunId, SchoolId
from sync_core.domain.runs import Cause
from sync_core.graph.connections import GraphTenants
from sync_core.graph.port import ProbedTenant
from sync_core.messaging.messages import Change, ChangeMembers, Priority, RefreshTenant, SyncSchool, encode
from sync_core.planning.diff import Origin, make_plan
from sync_core.services import Services
from sync_core.sync.nightly import refresh_tenant
from sync_core.sync.school import sync_school
from tests.fakes.fixed_clock import FixedClock
from tests.fakes.memory_state import MemoryState
from tests.fakes.services import services as fake_services
from tests.forked import Forked

RUN = RunId("run")
S1 = SchoolId("S1")
HISTORY = timedelta(days=400)


class SharedClock(FixedClock):
    """A clock whose sleeps advance the simulated tenant too."""

    def __init__(self, simulated: SimulatedTenant) -> None:
        super().__init__()
        self._simulated = simulated

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        self._simulated.simulation("POST", "clock", {"advance_seconds": seconds})


@dataclass(slots=True)
class Scene:
    """A simulated tenant, tables and queues in memory, and the log of requests to Graph. `run` is that of a night."""

    simulated: SimulatedTenant
    state: MemoryState = field(default_factory=MemoryState)
    outbox: CollectedOutbox = field(default_factory=CollectedOutbox)
    clock: FixedClock = field(init=False)
    run: RunId = RUN
    _tenants: GraphTenants = field(init=False)
    _seen: int = 0

    def __post_init__(self) -> None:
        self.clock = SharedClock(self.simulated)
        self.connect()

    def connect(self) -> None:
        """Connect to the tenant with a new token, as a new process does."""
        credential = self.simulated.credential()
        self._tenants = GraphTenants(lambda _: credential, self.simulated.graph_url, self.clock)

    @property
    def graph(self) -> ProbedTenant:
        """The tenant for one piece of work, with a wait budget of its own."""
        return self._tenants.probed(self.simulated.id)

    def services(self, school: BenchSchool | None = None) -> Services:
        return fake_services(self.state, tenant=self.graph, mis=school, outbox=self.outbox, clock=self.clock)

    async def apply(self, changes: Sequence[Change]) -> list[Outcome]:
        return [await apply_change(change, Priority.BULK, self.services()) for change in changes]

    async def run_night(self, *schools: BenchSchool) -> None:
        """Refresh the tenant and sync each school. The changes stay in the outbox."""
        for school in schools:
            await self.state.save_school(school.settings)
        request = RefreshTenant(self.simulated.id, self.run, Cause.NIGHTLY)
        await refresh_tenant(request, self.services(), HISTORY)
        for school in schools:
            await self.sync(school)

    async def sync(self, school: BenchSchool) -> None:
        request = SyncSchool(school.settings.school, self.run, Cause.NIGHTLY)
        await sync_school(request, self.services(school))

    def take_changes(self) -> list[Change]:
        changes, self.outbox.changes = self.outbox.changes, []
        return changes

    def count_requests(self) -> dict[str, int]:
        """Requests by method and path without ids, since the last call."""
        log = self.simulated.simulation("GET", f"log?since={self._seen}")
        self._seen += len(log)
        counts: dict[str, int] = {}
        for entry in log:
            parts = entry["path"].split("/")
            name = f"{entry['method']} " + "/".join("id" if len(part) == 36 else part for part in parts)
            counts[name] = counts.get(name, 0) + 1
        return counts


@pytest.fixture
def scene() -> Iterator[Scene]:
    with SimulatedTenant(spawn=Forked) as simulated:
        yield Scene(simulated)


async def test_a_new_class_of_28_pupils_and_2_owners_takes_five_writes(scene: Scene) -> None:
    school = make_school(1, 20, scene.simulated.id)
    scene.simulated.add_users(school.upns)
    await scene.run_night(school)
    assert scene.count_requests() == {
        "GET /users/delta()": -(-len(school.upns) // 100),
        "GET /groups/delta()": 1,
        "GET /education/classes": 1,
    }
    changes = scene.take_changes()
    assert len(changes) == 20 * 3
    await scene.apply(changes)
    assert scene.count_requests() == {
        "POST /education/classes": 20,
        "POST /education/classes/id/teachers/$ref": 40,
        "PATCH /groups/id": 40,
    }
    assert scene.simulated.spent().writes == 20 * 5


@pytest.mark.parametrize("classes", [40, 400])
async def test_an_unchanged_night_takes_two_requests_for_any_number_of_classes(scene: Scene, classes: int) -> None:
    school = make_school(1, classes, scene.simulated.id)
    ids = scene.simulated.add_users(school.upns)
    await seed_school(school, school.classes(ids), scene.simulated, scene.services())
    await scene.run_night(school)
    assert scene.take_changes() == []
    scene.count_requests()
    await scene.run_night(school)
    assert scene.count_requests() == {"GET /users/delta()": 1, "GET /groups/delta()": 1}
    assert (scene.take_changes(), scene.simulated.spent().writes) == ([], 0)


async def test_a_night_that_creates_a_class_lists_all_classes_of_the_tenant_once_100_to_a_request(scene: Scene) -> None:
    school, one_more = make_school(1, 240, scene.simulated.id), make_school(1, 241, scene.simulated.id)
    ids = scene.simulated.add_users(one_more.upns)
    await seed_school(school, school.classes(ids), scene.simulated, scene.services())
    await scene.run_night(school)
    scene.take_changes()
    scene.count_requests()
    await scene.run_night(one_more)
    assert len(scene.take_changes()) == 3
    assert scene.count_requests() == {"GET /users/delta()": 1, "GET /groups/delta()": 1, "GET /education/classes": 3}
    await preview_school(one_more.settings, scene.services(one_more))
    assert scene.count_requests() == {"GET /education/classes": 3}


async def test_echoes_of_own_writes_cause_no_reads(scene: Scene) -> None:
    school = make_school(1, 10, scene.simulated.id)
    scene.simulated.add_users(school.upns)
    await scene.run_night(school)
    await scene.apply(scene.take_changes())
    scene.count_requests()
    await scene.run_night(school)
    assert scene.count_requests() == {"GET /users/delta()": 1, "GET /groups/delta()": 1}
    assert scene.take_changes() == []


async def seed_one_class(scene: Scene, members: int, there: int) -> tuple[DesiredClass, ClassRecord]:
    """A class that should have `members` members, of whom `there` are in it."""
    school = make_school(1, 1, scene.simulated.id)
    people = sorted(scene.simulated.add_users([f"m{n}@school.onmicrosoft.com" for n in range(members)]).values())
    ids = scene.simulated.add_users(school.upns)
    (pattern,) = school.classes(ids)
    wanted = replace(pattern, members=frozenset(people), owners=frozenset(), reasons={})
    before = replace(wanted, members=frozenset(people[:there]))
    await seed_school(school, [before], scene.simulated, scene.services())
    await scene.state.write_desired(S1, [wanted])
    record = await scene.state.class_record(S1, wanted.key)
    assert record
    scene.count_requests()
    return wanted, record


def make_change(scene: Scene, wanted: DesiredClass) -> ChangeMembers:
    return ChangeMembers(S1, wanted.key, RUN, Cause.NIGHTLY)


async def test_a_write_refused_for_an_existing_member_costs_one_read(scene: Scene) -> None:
    """The member was added by hand between the read and the write."""
    wanted, record = await seed_one_class(scene, members=20, there=0)
    assert record.actual
    await scene.state.write_actual(replace(record, actual=replace(record.actual, members=None)))
    person = sorted(wanted.members)[7]
    edit = {"action": "add-member", "class": wanted.name.mail_nickname, "upn": scene.simulated.upns[person]}
    scene.simulated.simulation("POST", "edit", edit)
    assert await scene.apply([make_change(scene, wanted)]) == [Applied(members_added=19)]
    assert scene.count_requests() == {"PATCH /groups/id": 2, "GET /groups/id/members": 1}


async def test_a_write_refused_for_a_missing_account_costs_one_look_up(scene: Scene) -> None:
    wanted, _ = await seed_one_class(scene, members=20, there=0)
    person = sorted(wanted.members)[7]
    scene.simulated.simulation("DELETE", f"users/{scene.simulated.upns[person]}")
    (outcome,) = await scene.apply([make_change(scene, wanted)])
    assert outcome == Refused("PersonNotFound", outcome.remedy, Applied(members_added=19))  # type: ignore[union-attr]
    assert scene.count_requests() == {"GET /groups/id/members": 1, "PATCH /groups/id": 2, "GET /users": 2}


async def test_45_removals_take_three_batches_and_a_write_each(scene: Scene) -> None:
    wanted, _ = await seed_one_class(scene, members=50, there=50)
    remaining = replace(wanted, members=frozenset(sorted(wanted.members)[:5]))
    await scene.state.write_desired(S1, [remaining])
    assert await scene.apply([make_change(scene, remaining)]) == [Applied(members_removed=45)]
    requests = scene.count_requests()
    assert requests.pop("DELETE /groups/id/members/id/$ref") == 45
    assert requests == {"GET /groups/id/members": 1, "GET /groups/id/owners": 1}
    assert scene.simulated.simulation("GET", "stats")["batches"] == 3


async def test_a_year_group_of_5000_fits_in_a_message_and_takes_250_writes(scene: Scene) -> None:
    wanted, record = await seed_one_class(scene, members=5_000, there=0)
    origin = Origin(S1, RUN, Cause.NIGHTLY)
    changes = make_plan([wanted], (), {wanted.key: record}).changes(origin)
    assert [len(encode(sent)) < 256 * 1024 for sent in changes] == [True]
    assert await scene.apply(changes) == [Applied(members_added=5_000)]
    assert scene.count_requests() == {"GET /groups/id/members": 1, "PATCH /groups/id": 250}
    assert scene.simulated.differences([wanted]) == []


@pytest.mark.parametrize("lag", [5, 30, 60])
async def test_a_class_that_a_replica_does_not_know_yet_is_awaited_within_its_delivery(scene: Scene, lag: int) -> None:
    school = make_school(1, 1, scene.simulated.id)
    scene.simulated.add_users(school.upns)
    scene.simulated.switch(lag_seconds=lag)
    await scene.run_night(school)
    outcomes = await scene.apply(scene.take_changes())
    assert outcomes == [Applied(created=True), Applied(owners_granted=2), Applied(members_added=30)]
    assert lag <= sum(scene.clock.slept) <= 66
