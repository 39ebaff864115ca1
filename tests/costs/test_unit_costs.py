"""The unit costs of the cost model, counted in the real code with the simulated tenant and Azurite."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bench.cost_model import CHANGED, CREATED, PLAN, REFRESH, Work
from bench.ours import CollectedOutbox, TableRequests, azurite, seed_school, table_state
from bench.school import BenchSchool, make_school
from bench.simulated import SimulatedTenant
from sync_core.admin.tenant_probe import end_interrupted_probes
from sync_core.applying.change import apply_change
from sync_core.clock import SystemClock
from sync_core.domain.ids import RunId
from sync_core.domain.runs import Cause
from sync_core.graph.connections import GraphTenants
from sync_core.messaging.messages import Priority, RefreshTenant, SyncSchool
from sync_core.state.store import TableState
from sync_core.sync.nightly import refresh_tenant
from sync_core.sync.school import sync_school
from tests.costs.test_graph_counts import HISTORY
from tests.fakes.services import services
from tests.forked import Forked

RUN = RunId("run")


@dataclass(frozen=True, slots=True)
class CountedNights:
    """A tenant and its tables, with counts of the calls to them."""

    tenant: SimulatedTenant
    state: TableState
    tables: TableRequests

    async def run_night(self, *schools: BenchSchool) -> tuple[Work, Work]:
        """The work of the refresh and the plans, and the work of their changes. Seconds are not counted."""
        outbox, clock, credential = CollectedOutbox(), SystemClock(), self.tenant.credential()
        graph = GraphTenants(lambda _: credential, self.tenant.graph_url, clock).probed(self.tenant.id)
        before = self._count_work()
        refresh = RefreshTenant(self.tenant.id, RUN, Cause.NIGHTLY)
        await end_interrupted_probes(self.tenant.id, services(self.state, tenant=graph, clock=clock))
        await refresh_tenant(refresh, services(self.state, tenant=graph, outbox=outbox, clock=clock), HISTORY)
        for school in schools:
            plan = SyncSchool(school.settings.school, RUN, Cause.NIGHTLY)
            await sync_school(plan, services(self.state, mis=school, outbox=outbox, clock=clock))
        planned = self._count_work()
        for change in outbox.changes:
            await apply_change(change, Priority.BULK, services(self.state, tenant=graph, clock=clock))
        return (
            replace(planned + before * -1, messages=1 + len(outbox.requests)),
            replace(self._count_work() + planned * -1, messages=len(outbox.changes)),
        )

    def _count_work(self) -> Work:
        spent = self.tenant.spent()
        return Work(spent.requests, spent.units, spent.writes, table_calls=self.tables.count)


def without_seconds(work: Work) -> Work:
    return replace(work, seconds=0)


def with_other_pupils(school: BenchSchool, classes: int) -> BenchSchool:
    """The school after one pupil was replaced in each of its first `classes` classes."""
    groups = list(school.data.groups)
    for place, group in enumerate(groups[:classes]):
        newcomer = next(pupil for pupil in groups[place - 1].students if pupil not in group.students)
        groups[place] = replace(group, students=(*group.students[1:], newcomer))
    return replace(school, data=replace(school.data, groups=tuple(groups)))


async def test_a_night_costs_what_the_cost_model_says() -> None:
    with azurite() as connection, SimulatedTenant(spawn=Forked) as tenant:
        # In this order, because a school rejects a snapshot that is older than its last one.
        school, other, grown = (make_school(number, size, tenant.id) for number, size in ((1, 5), (2, 5), (1, 7)))
        ids = tenant.add_users([*grown.upns, *other.upns])
        async with table_state(connection) as (state, tables):
            counted = CountedNights(tenant, state, tables)
            for seeded in (school, other):
                await seed_school(seeded, seeded.classes(ids), tenant, services(state))
            await counted.run_night(school, other)

            two_schools = await counted.run_night(with_other_pupils(school, 3), with_other_pupils(other, 2))
            assert two_schools == (without_seconds(REFRESH + PLAN * 2), without_seconds(CHANGED * 5))
            await state.forget_school(other.settings.school)
            one_school = await counted.run_night(school)
            assert one_school == (without_seconds(REFRESH + PLAN), without_seconds(CHANGED * 3))
            _, two_new_classes = await counted.run_night(grown)
            assert two_new_classes == without_seconds(CREATED * 2)
