"""The health of the app, or of some of its schools: all checks are made at once, and none changes anything."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial

from sync_core.admin.health import findings
from sync_core.admin.health.attempts import Attempts, Times
from sync_core.admin.health.findings import LOOKED_BACK, Finding, Health, HealthLine
from sync_core.config import Settings
from sync_core.domain.ids import SchoolId
from sync_core.domain.runs import RunRecord
from sync_core.domain.school.settings import SchoolSettings
from sync_core.domain.school.team_permissions import checked_for_teams
from sync_core.messaging.messages import QUEUES
from sync_core.services import Services

_Checks = Mapping[str, Callable[[], Awaitable[Finding]]]
_Runs = Mapping[SchoolId, Sequence[RunRecord] | Finding]
_TIMES = Times()


async def health_of_app(settings: Settings, services: Services, times: Times = _TIMES) -> Health:
    """Every line, for an admin of all schools."""
    attempt = Attempts(times)
    of_app, listed = await asyncio.gather(
        _lines(_checks_of_app(services), attempt), attempt(services.schools.every_school)
    )
    version = _line("version", findings.version())
    if isinstance(listed, Finding):
        return _health([version, *of_app, _line("schools", listed)], services)
    schools = listed.readable
    unreadable = listed.unreadable
    tenants = sorted({school.tenant for school in schools} or {settings.tenant})
    of_tenants, of_schools, runs = await asyncio.gather(
        _lines(_checks_of_tenants(tenants, schools, services), attempt),
        _lines(_checks_of_sources(schools, services), attempt),
        _read_runs(schools, services, attempt),
    )
    enabled = {school.school: runs[school.school] for school in schools if school.enabled}
    night = findings.last_night(enabled, services.clock.now(), settings.sync_window)
    return _health(
        [
            version,
            _line("settings", findings.secrets(schools, settings.mis_secrets)),
            *of_app,
            *of_tenants,
            _line("last night", night),
            *(_line(f"settings of school {school}", findings.failure(why)) for school, why in unreadable.items()),
            *of_schools,
            *_last_syncs(schools, runs, services),
        ],
        services,
    )


async def health_of_schools(
    accessible: Callable[[SchoolSettings], bool], services: Services, times: Times = _TIMES
) -> Health:
    """The lines of the accessible schools alone, for an admin of them."""
    attempt = Attempts(times)
    listed = await attempt(services.schools.schools)
    if isinstance(listed, Finding):
        return _health([_line("schools", listed)], services)
    schools = [school for school in listed if accessible(school)]
    of_schools, runs = await asyncio.gather(
        _lines(_checks_of_sources(schools, services), attempt), _read_runs(schools, services, attempt)
    )
    return _health([*of_schools, *_last_syncs(schools, runs, services)], services)


def _health(lines: Sequence[HealthLine], services: Services) -> Health:
    return Health(healthy=all(line.ok for line in lines), at=services.clock.now(), lines=tuple(lines))


def _line(name: str, found: Finding) -> HealthLine:
    return HealthLine(name=name, ok=not found.remedy, detail=found.detail, remedy=found.remedy)


async def _lines(checks: _Checks, attempt: Attempts) -> list[HealthLine]:
    found = await asyncio.gather(*map(attempt, checks.values()))
    return [_line(name, finding) for name, finding in zip(checks, found, strict=True)]


# --- the app


def _checks_of_app(services: Services) -> _Checks:
    return {
        "tables": partial(_check_tables, services),
        **{f"sending to {queue}": partial(_check_sending, queue, services) for queue in QUEUES},
        **{f"dead letters of {queue}": partial(_check_dead_letters, queue, services) for queue in QUEUES},
    }


async def _check_tables(services: Services) -> Finding:
    missing = await services.checks.tables.missing_tables()
    await services.checks.tables.check_write()
    return findings.tables(missing)


async def _check_sending(queue: str, services: Services) -> Finding:
    await services.checks.queues.check_send(queue)
    return Finding("the queue takes a link to send")


async def _check_dead_letters(queue: str, services: Services) -> Finding:
    return findings.dead_letters(await services.dead_letters.listed(queue))


# --- tenants


def _checks_of_tenants(tenants: Iterable[str], schools: Sequence[SchoolSettings], services: Services) -> _Checks:
    checks: dict[str, Callable[[], Awaitable[Finding]]] = {}
    for tenant in tenants:
        checks[f"permissions in tenant {tenant}"] = partial(_check_permissions, tenant, schools, services)
        checks[f"Graph in tenant {tenant}"] = partial(_check_graph, tenant, services)
    return checks


async def _check_permissions(tenant: str, schools: Sequence[SchoolSettings], services: Services) -> Finding:
    return findings.permissions(checked_for_teams(await services.reading.check_tenant(tenant), schools))


async def _check_graph(tenant: str, services: Services) -> Finding:
    return findings.graph(await services.graph.probed(tenant).ping())


# --- schools


def _checks_of_sources(schools: Iterable[SchoolSettings], services: Services) -> _Checks:
    return {f"source of school {school.school}": partial(_check_source, school, services) for school in schools}


async def _check_source(school: SchoolSettings, services: Services) -> Finding:
    if not school.enabled:
        return Finding(f"not checked, because the school is {school.paused}")
    return Finding(await services.checks.sources.reach(school))


async def _read_runs(schools: Sequence[SchoolSettings], services: Services, attempt: Attempts) -> _Runs:
    since = services.clock.now() - LOOKED_BACK
    reads = (partial(services.runs.runs, school.school, since) for school in schools)
    found = await asyncio.gather(*map(attempt, reads))
    return {school.school: runs for school, runs in zip(schools, found, strict=True)}


def _last_syncs(schools: Iterable[SchoolSettings], runs: _Runs, services: Services) -> Iterable[HealthLine]:
    for school in schools:
        found = runs[school.school]
        read = found if isinstance(found, Finding) else findings.last_sync(school, found, services.clock.now())
        yield _line(f"last sync of school {school.school}", read)
