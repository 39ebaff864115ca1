"""What Graph is asked, counted exactly: a class, a correction, a quiet night, a class that replicas hear of late."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from bench.ours import CollectedOutbox, seed_school
from bench.school import BenchSchool, make_school
from bench.simulated import SimulatedTenant
from sync_core.applying.change import apply_change
from sync_core.domain.classes import Applied, ClassRecord, DesiredClass, Outcome, Refused
from sync_core.domain.runs import Cause
from sync_core.graph.connections import GraphTenants
from sync_core.graph.port import Tenant
from sync_core.messaging.messages import Change, ChangeMembers, Priority, RefreshTenant, SyncSchool, encode
from sync_core.planning.diff import Origin, make_plan
from sync_core.services import Services
from sync_core.sync.nightly import refresh_tenant
from sync_core.sync.school import sync_school
from tests.fakes.fixed_clock import FixedClock
from tests.fakes.memory_state import MemoryState
from tests.fakes.services import services as fake_services

PLENTY = timedelta(days=400)


class SharedClock(FixedClock):
    """A clock whose waits pass in the simulated tenant too."""

    def __init__(self, simulated: SimulatedTenant) -> None:
        super().__init__()
        self._simulated = simulated

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        self._simulated.simulation("POST", "clock", {"advance_seconds": seconds})


@dataclass(slots=True)
class Scene:
    """A simulated tenant, the rows, the queues, and what Graph was asked since it was last looked at."""

    simulated: SimulatedTenant
    state: MemoryState = field(default_factory=MemoryState)
    outbox: CollectedOutbox = field(default_factory=CollectedOutbox)
    clock: FixedClock = field(init=False)
    _seen: int = 0

    def __post_init__(self) -> None:
        self.clock = SharedClock(self.simulated)

    @property
    def graph(self) -> Tenant:
        credential = self.simulated.credential()
        return GraphTenants(lambda _: credential, self.simulated.graph_url, self.clock).of(
            self.simulated.id, Priority.BULK
        )

    def services(self, school: BenchSchool | None = None) -> Services:
        return fake_services(self.state, tenant=self.graph, mis=school, outbox=self.outbox, clock=self.clock)

    async def apply(self, changes: Sequence[Change]) -> list[Outcome]:
        return [await apply_change(change, Priority.BULK, self.services()) for change in changes]

    async def night(self, *schools: BenchSchool) -> None:
        """A refresh and a sync of each school; the changes are left in the outbox."""
        for school in schools:
            await self.state.save_school(school.settings)
        request = RefreshTenant(self.simulated.id, "run", Cause.NIGHTLY)
        await refresh_tenant(request, self.services(), PLENTY)
        for school in schools:
            await self.sync(school)

    async def sync(self, school: BenchSchool) -> None:
        request = SyncSchool(school.settings.school, "run", Cause.NIGHTLY)
        await sync_school(request, self.services(school))

    def taken(self) -> list[Change]:
        changes, self.outbox.changes = self.outbox.changes, []
        return changes

    def asked(self) -> dict[str, int]:
        """Requests by method and path without ids, since the last call."""
        log = self.simulated.simulation("GET", f"log?since={self._seen}")
        self._seen += len(log)
        counted: dict[str, int] = {}
        for entry in log:
            parts = entry["path"].split("/")
            name = f"{entry['method']} " + "/".join("id" if len(part) == 36 else part for part in parts)
            counted[name] = counted.get(name, 0) + 1
        return counted


@pytest.fixture
def scene() -> Iterator[Scene]:
    with SimulatedTenant() as simulated:
        yield Scene(simulated)


async def test_a_new_class_of_28_pupils_and_2_owners_takes_five_requests_all_of_them_writes(scene: Scene) -> None:
    school = make_school(1, 20, scene.simulated.id)
    scene.simulated.add_users(school.upns)
    await scene.night(school)
    assert scene.asked() == {"GET /users/delta()": -(-len(school.upns) // 100), "GET /groups/delta()": 1}
    changes = scene.taken()
    assert len(changes) == 20 * 3
    await scene.apply(changes)
    assert scene.asked() == {
        "POST /education/classes": 20,
        "POST /education/classes/id/teachers/$ref": 40,
        "PATCH /groups/id": 40,
    }
    assert scene.simulated.spent().writes == 20 * 5


@pytest.mark.parametrize("classes", [40, 400])
async def test_a_quiet_night_takes_two_requests_whatever_the_number_of_classes(scene: Scene, classes: int) -> None:
    school = make_school(1, classes, scene.simulated.id)
    ids = scene.simulated.add_users(school.upns)
    await seed_school(school, school.classes(ids), scene.simulated, scene.services())
    await scene.night(school)
    assert scene.taken() == []
    scene.asked()
    await scene.night(school)
    assert scene.asked() == {"GET /users/delta()": 1, "GET /groups/delta()": 1}
    assert (scene.taken(), scene.simulated.spent().writes) == ([], 0)


async def test_our_own_writes_come_back_as_echoes_and_no_class_is_read_again(scene: Scene) -> None:
    school = make_school(1, 10, scene.simulated.id)
    scene.simulated.add_users(school.upns)
    await scene.night(school)
    await scene.apply(scene.taken())
    scene.asked()
    await scene.night(school)
    assert scene.asked() == {"GET /users/delta()": 1, "GET /groups/delta()": 1}
    assert scene.taken() == []


async def one_class(scene: Scene, members: int, there: int) -> tuple[DesiredClass, ClassRecord]:
    """A class that is to have so many members, of whom the first few are in it."""
    school = make_school(1, 1, scene.simulated.id)
    people = sorted(scene.simulated.add_users([f"m{n}@school.onmicrosoft.com" for n in range(members)]).values())
    ids = scene.simulated.add_users(school.upns)
    (pattern,) = school.classes(ids)
    wanted = replace(pattern, members=frozenset(people), owners=frozenset(), reasons={})
    before = replace(wanted, members=frozenset(people[:there]))
    await seed_school(school, [before], scene.simulated, scene.services())
    await scene.state.write_desired("S1", [wanted])
    record = await scene.state.class_record("S1", wanted.key)
    assert record
    scene.asked()
    return wanted, record


def change(scene: Scene, wanted: DesiredClass) -> ChangeMembers:
    return ChangeMembers(scene.simulated.id, "S1", wanted.key, "run", Cause.NIGHTLY)


async def test_a_write_that_graph_refused_for_one_who_is_there_costs_one_read(scene: Scene) -> None:
    """Put in by hand between our reading the class and our write."""
    wanted, record = await one_class(scene, members=20, there=0)
    assert record.actual
    await scene.state.write_actual(replace(record, actual=replace(record.actual, members=None)))
    person = sorted(wanted.members)[7]
    edit = {"action": "add-member", "class": wanted.name.mail_nickname, "upn": scene.simulated.upns[person]}
    scene.simulated.simulation("POST", "edit", edit)
    assert await scene.apply([change(scene, wanted)]) == [Applied(members_added=19)]
    assert scene.asked() == {"PATCH /groups/id": 2, "GET /groups/id/members": 1}


async def test_a_write_that_graph_refused_for_one_without_account_costs_one_question(scene: Scene) -> None:
    wanted, _ = await one_class(scene, members=20, there=0)
    person = sorted(wanted.members)[7]
    scene.simulated.simulation("DELETE", f"users/{scene.simulated.upns[person]}")
    (outcome,) = await scene.apply([change(scene, wanted)])
    assert outcome == Refused("PersonNotFound", outcome.remedy, Applied(members_added=19))  # type: ignore[union-attr]
    assert scene.asked() == {"GET /groups/id/members": 1, "PATCH /groups/id": 2, "GET /users": 2}


async def test_45_removals_go_out_in_three_batches_and_cost_a_write_each(scene: Scene) -> None:
    wanted, _ = await one_class(scene, members=50, there=50)
    left = replace(wanted, members=frozenset(sorted(wanted.members)[:5]))
    await scene.state.write_desired("S1", [left])
    assert await scene.apply([change(scene, left)]) == [Applied(members_removed=45)]
    asked = scene.asked()
    assert asked.pop("DELETE /groups/id/members/id/$ref") == 45
    assert asked == {"GET /groups/id/members": 1, "GET /groups/id/owners": 1}
    assert scene.simulated.simulation("GET", "stats")["batches"] == 3


async def test_a_year_group_of_5000_fits_into_a_message_and_is_made_in_250_writes(scene: Scene) -> None:
    wanted, record = await one_class(scene, members=5_000, there=0)
    origin = Origin(scene.simulated.id, "S1", "run", Cause.NIGHTLY)
    changes = make_plan([wanted], (), {wanted.key: record}).changes(origin)
    assert [len(encode(sent)) < 256 * 1024 for sent in changes] == [True]
    assert await scene.apply(changes) == [Applied(members_added=5_000)]
    assert scene.asked() == {"GET /groups/id/members": 1, "PATCH /groups/id": 250}
    assert scene.simulated.differences([wanted]) == []


@pytest.mark.parametrize("lag", [5, 30, 60])
async def test_a_class_that_replicas_hear_of_late_is_waited_for_within_its_delivery(scene: Scene, lag: int) -> None:
    school = make_school(1, 1, scene.simulated.id)
    scene.simulated.add_users(school.upns)
    scene.simulated.switch(lag_seconds=lag)
    await scene.night(school)
    outcomes = await scene.apply(scene.taken())
    assert outcomes == [Applied(created=True), Applied(owners_granted=2), Applied(members_added=30)]
    assert lag <= sum(scene.clock.slept) <= 66
