"""The services of a use case, with fakes for all ports that a test does not give."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import cast

from sync_core.clock import Clock
from sync_core.graph.port import ProbedTenant, Teams, Tenant
from sync_core.graph.tenant_check import check_tenant
from sync_core.messaging.messages import Priority
from sync_core.messaging.port import DeadLetters, Outbox
from sync_core.mis.files.uploads import UploadedExports
from sync_core.mis.port import DatedMis, FileDrops, MisSource
from sync_core.services import Checks, Reading, Services
from sync_core.state.port import WebhookInbox
from sync_core.state.store import TableState
from tests.fakes.fixed_clock import FixedClock
from tests.fakes.memory_checks import MemoryChecks
from tests.fakes.memory_dead_letters import MemoryDeadLetters
from tests.fakes.memory_outbox import MemoryOutbox
from tests.fakes.memory_state import MemoryState
from tests.fakes.memory_teams import MemoryTeams
from tests.fakes.memory_tenant import MemoryTenant
from tests.fakes.memory_webhook_inbox import MemoryWebhookInbox


class _Missing:
    """A port that the tested use case must not call."""

    def __getattr__(self, name: str) -> object:
        raise AssertionError(f"the test gave no port with {name}")


class OneTenant:
    """Implements Tenants with the same tenant for every id."""

    def __init__(self, tenant: ProbedTenant) -> None:
        self._tenant = tenant

    def of(self, tenant: str, priority: Priority) -> Tenant:
        return self._tenant

    def probed(self, tenant: str) -> ProbedTenant:
        return self._tenant


class ManyTenants:
    """Implements Tenants with a tenant for each id."""

    def __init__(self, tenants: Mapping[str, ProbedTenant]) -> None:
        self._tenants = tenants

    def of(self, tenant: str, priority: Priority) -> Tenant:
        return self._tenants[tenant]

    def probed(self, tenant: str) -> ProbedTenant:
        return self._tenants[tenant]


class ManyTenantTeams:
    """Implements TenantTeams with the teams of a tenant for each id."""

    def __init__(self, teams: Mapping[str, Teams]) -> None:
        self._teams = teams

    def of(self, tenant: str, priority: Priority) -> Teams:
        return self._teams[tenant]


class OneTenantTeams:
    """Implements TenantTeams with the same teams for every tenant."""

    def __init__(self, teams: Teams) -> None:
        self._teams = teams

    def of(self, tenant: str, priority: Priority) -> Teams:
        return self._teams


def services(
    state: MemoryState | TableState,
    *,
    tenant: ProbedTenant | Mapping[str, ProbedTenant] | None = None,
    teams: Teams | Mapping[str, Teams] | None = None,
    mis: MisSource | None = None,
    outbox: Outbox | None = None,
    clock: Clock | None = None,
    inbox: WebhookInbox | None = None,
    file_drops: FileDrops | None = None,
    dead_letters: DeadLetters | None = None,
    checks: MemoryChecks | None = None,
    dated_mis: DatedMis | None = None,
) -> Services:
    clock = clock or FixedClock()
    tenant = tenant or MemoryTenant()
    graph = ManyTenants(tenant) if isinstance(tenant, Mapping) else OneTenant(tenant)
    if teams is None:
        teams = MemoryTeams(tenant, clock=clock) if isinstance(tenant, MemoryTenant) else cast("Teams", _Missing())
    checks = checks or MemoryChecks()
    return Services(
        classes=state,
        schools=state,
        tenants=state,
        runs=state,
        inbox=inbox or MemoryWebhookInbox(),
        reading=Reading(state, mis or cast("MisSource", _Missing()), clock, partial(check_tenant, graph), graph),
        graph=graph,
        teams=ManyTenantTeams(teams) if isinstance(teams, Mapping) else OneTenantTeams(teams),
        file_drops=file_drops or cast("FileDrops", _Missing()),
        uploads=UploadedExports(clock),
        dated_mis=dated_mis or cast("DatedMis", _Missing()),
        outbox=outbox or MemoryOutbox(),
        dead_letters=dead_letters or MemoryDeadLetters(),
        checks=Checks(checks, checks, checks),
    )
