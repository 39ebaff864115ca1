"""A night without changes, of one school and of a trust of ten: the cost of finding that nothing changed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from bench.baseline import plain_script
from bench.ours import CollectedOutbox, azurite, seed_school, services_of, table_state
from bench.school import BenchSchool, make_school
from bench.simulated import SimulatedTenant, Spent
from sync_core.clock import Clock, SystemClock
from sync_core.domain.classes.desired import DesiredClass
from sync_core.domain.ids import ClassId, RunId
from sync_core.domain.runs import Cause
from sync_core.graph.connections import GraphTenants
from sync_core.graph.port import Tenants
from sync_core.messaging.messages import RefreshTenant, SyncSchool
from sync_core.state.store import TableState
from sync_core.sync.nightly import refresh_tenant
from sync_core.sync.school import sync_school

_CLASSES_A_SCHOOL = 400
_HISTORY = timedelta(days=365)
_OBJECTS_A_PAGE, _OBJECTS_A_SEED_PAGE = 100, 1_000
_MOST_REQUESTS = 5


@dataclass(frozen=True, slots=True)
class Side:
    """The cost of a night of one side; `seconds` are this machine's, without waits. `changes` is how many it found."""

    spent: Spent
    seconds: float
    changes: int
    table_requests: int = 0


@dataclass(frozen=True, slots=True)
class Night:
    """One night of a tenant, by us and by a plain script that knows the ids of its classes."""

    classes: int
    schools: int
    accounts: int
    ours: Side
    plain: Side


@dataclass(frozen=True, slots=True)
class Result:
    """A night for each size, the smallest first."""

    nights: tuple[Night, ...]


def run(sizes: Sequence[int] = (400, 4_000)) -> Result:
    """A night for each number of classes. Raises RuntimeError if a night was not quiet or cost too much."""
    result = Result(tuple(_night(classes) for classes in sizes))
    _check(result)
    return result


def section(result: Result) -> str:
    """The results as Markdown."""
    nights = result.nights
    heads = "".join(f" {night.classes:,} classes, ours | plain script |" for night in nights)
    rows = {
        "schools, accounts": [(f"{night.schools}, {night.accounts:,}", "") for night in nights],
        "Graph requests": [_pair(night.ours.spent.requests, night.plain.spent.requests) for night in nights],
        "Graph writes": [_pair(night.ours.spent.writes, night.plain.spent.writes) for night in nights],
        "resource units": [_pair(night.ours.spent.units, night.plain.spent.units) for night in nights],
        "changes found": [_pair(night.ours.changes, night.plain.changes) for night in nights],
        "table requests": [(f"{night.ours.table_requests:,}", "") for night in nights],
        "seconds of this machine": [(f"{night.ours.seconds:.1f}", f"{night.plain.seconds:.1f}") for night in nights],
    }
    lines = [
        "A night in which nothing changed, neither in the MIS nor in Microsoft 365. Ours requests two deltas, reads "
        "each school's MIS and makes a plan; the script is given the expected people, and reads the members and the "
        "owners of each class.",
        "",
        f"| |{heads}",
        f"| --- |{' ---: |' * 2 * len(nights)}",
        *(f"| {name} | {' | '.join(cell for pair in pairs for cell in pair)} |" for name, pairs in rows.items()),
    ]
    return "\n".join(lines)


def _night(classes: int) -> Night:
    with azurite() as tables, SimulatedTenant() as tenant:
        return asyncio.run(_both(tenant, tables, classes))


async def _both(tenant: SimulatedTenant, tables: str, classes: int) -> Night:
    numbers = range(-(-classes // _CLASSES_A_SCHOOL))
    groups = [min(_CLASSES_A_SCHOOL, classes - number * _CLASSES_A_SCHOOL) for number in numbers]
    schools = [make_school(number + 1, groups[number], tenant.id) for number in numbers]
    ids = tenant.add_users([upn for school in schools for upn in school.upns])
    async with table_state(tables) as (state, requests):
        clock, credential = SystemClock(), tenant.credential()
        tenants = GraphTenants(lambda _: credential, tenant.graph_url, clock)
        seeded: dict[ClassId, DesiredClass] = {}
        for school in schools:
            wanted = school.classes({upn: ids[upn] for upn in school.upns})
            seeded |= await seed_school(school, wanted, tenant, services_of(state, tenants, clock))
        # The night before: reads all accounts and classes, and accepts the feeds.
        tenant.switch(delta_objects_per_page=_OBJECTS_A_SEED_PAGE)
        await _our_night(RunId("before"), schools, tenants, state, clock)
        tenant.switch(delta_objects_per_page=_OBJECTS_A_PAGE)

        before, requests_before, began = tenant.spent(), requests.count, time.monotonic()
        changes = await _our_night(RunId("measured"), schools, tenants, state, clock)
        ours = Side(tenant.spent() - before, time.monotonic() - began, changes, requests.count - requests_before)
    script = plain_script(tenant.credential(), tenant.graph_url)
    before, began = tenant.spent(), time.monotonic()
    changed = await script.later_night(seeded)
    plain = Side(tenant.spent() - before, time.monotonic() - began, changed)
    tenant.check(seeded.values())
    return Night(classes=len(seeded), schools=len(schools), accounts=len(ids), ours=ours, plain=plain)


async def _our_night(
    run: RunId, schools: Sequence[BenchSchool], tenants: Tenants, state: TableState, clock: Clock
) -> int:
    """One night of the tenant, one school after another. Returns the number of changes that it sent."""
    outbox = CollectedOutbox()
    sources = {school.settings.school: school for school in schools}
    request = RefreshTenant(SimulatedTenant.id, run, Cause.NIGHTLY)
    await refresh_tenant(request, services_of(state, tenants, clock, outbox=outbox), _HISTORY)
    syncs = [request for request in outbox.requests if isinstance(request, SyncSchool)]
    if {sync.school for sync in syncs} != sources.keys():
        raise RuntimeError(f"{len(syncs)} of {len(sources)} schools were requested")
    for sync in syncs:
        record = await sync_school(sync, services_of(state, tenants, clock, sources[sync.school], outbox))
        if record.unchanged != len(sources[sync.school].data.groups):
            raise RuntimeError(f"school {sync.school} is not quiet: {record}")
    return len(outbox.changes)


def _check(result: Result) -> None:
    ours = [night.ours for night in result.nights]
    if any(side.spent.writes or side.changes for side in ours):
        raise RuntimeError("a quiet night wrote something or sent a message")
    if len({side.spent.requests for side in ours}) != 1 or ours[0].spent.requests > _MOST_REQUESTS:
        raise RuntimeError(f"Graph received {[side.spent.requests for side in ours]} requests")


def _pair(ours: int, plain: int) -> tuple[str, str]:
    return f"{ours:,}", f"{plain:,}"
