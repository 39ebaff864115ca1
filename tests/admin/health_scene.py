"""An app in memory with a school that was planned in the last night: a test breaks one thing."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sync_core.admin.health.attempts import Times
from sync_core.admin.health.checks import health_of_app
from sync_core.admin.health.findings import Health, HealthLine
from sync_core.config import Settings, parse_settings
from sync_core.domain.ids import RunId, SchoolId
from sync_core.domain.runs import Cause, RunOutcome, RunRecord
from sync_core.domain.school.settings import SchoolSettings
from sync_core.domain.school.sources import OneRosterApi
from sync_core.errors import SyncError, UnknownSetting
from sync_core.services import Services
from sync_core.state.port import EverySchool
from tests.builders import NOON, TENANT, settings
from tests.fakes.memory_checks import MemoryChecks
from tests.fakes.memory_dead_letters import MemoryDeadLetters
from tests.fakes.memory_state import MemoryState
from tests.fakes.memory_tenant import MemoryTenant
from tests.fakes.services import services

NIGHT = RunId("20260907T020000Z-abcdef")
AT_NIGHT = NOON - timedelta(hours=10)
SECRET, SIGNATURE = "MIS_SECRET_OAK", "MIS_SECRET_HOOK"
ENVIRONMENT = {
    "TENANT_ID": TENANT,
    "STATE_TABLES_ENDPOINT": "https://tables.example",
    "ServiceBusConnection__fullyQualifiedNamespace": "bus.example",
}
SECRETS = {SECRET: "a token", SIGNATURE: "whsec_x"}


class Tables(MemoryState):
    """Tables with schools whose settings cannot be read; reading the schools, or runs, may fail."""

    def __init__(self) -> None:
        super().__init__()
        self.unreadable: dict[SchoolId, UnknownSetting] = {}
        self.schools_away: SyncError | None = None
        self.runs_away: SyncError | None = None

    async def every_school(self, tenant: str | None = None) -> EverySchool:
        if self.schools_away:
            raise self.schools_away
        return replace(await super().every_school(tenant), unreadable=self.unreadable)

    async def runs(self, school: SchoolId, since: datetime | None = None) -> tuple[RunRecord, ...]:
        if self.runs_away:
            raise self.runs_away
        return await super().runs(school, since)


@dataclass
class Scene:
    """A school that was planned in the last night. A test breaks one thing."""

    state: Tables = field(default_factory=Tables)
    tenant: MemoryTenant = field(default_factory=MemoryTenant)
    letters: MemoryDeadLetters = field(default_factory=MemoryDeadLetters)
    checks: MemoryChecks = field(default_factory=MemoryChecks)
    secrets: dict[str, str] = field(default_factory=lambda: dict(SECRETS))

    @property
    def services(self) -> Services:
        return services(self.state, tenant=self.tenant, dead_letters=self.letters, checks=self.checks)

    @property
    def settings(self) -> Settings:
        return parse_settings(ENVIRONMENT | self.secrets)

    async def health(self, **times: float) -> Health:
        return await health_of_app(self.settings, self.services, Times(**times))

    async def failed(self, **times: float) -> list[HealthLine]:
        health = await self.health(**times)
        failed = [line for line in health.lines if not line.ok]
        assert health.healthy is (not failed)
        assert all(line.remedy for line in failed)
        assert not any(line.remedy for line in health.lines if line.ok)
        return failed

    async def add_school(self, id_: str, at: datetime | None = AT_NIGHT, **values: object) -> SchoolSettings:
        api = OneRosterApi(url="https://roster.example", secret=SECRET)
        school = replace(settings(**values), school=SchoolId(id_), source=api, webhook_secrets=(SIGNATURE,))
        school = replace(school, name_identifier=id_)
        await self.state.save_school(school)
        if at:
            await self.state.write_run(planned(id_, at))
        return school

    def fail(self, check: str, error: Exception) -> None:
        async def work() -> None:
            raise error

        self.checks.works[check] = work


def planned(school: str, at: datetime, **values: object) -> RunRecord:
    run = RunRecord(
        school=SchoolId(school),
        id=NIGHT,
        cause=Cause.NIGHTLY,
        at=at,
        outcome=RunOutcome.PLANNED,
        whole=True,
        groups=3,
    )
    return replace(run, **values)  # type: ignore[arg-type]
