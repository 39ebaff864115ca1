"""What a new worker imports: before there is work, and until its first change is applied."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from bench.cold_start import environment_of, write_rows
from bench.school import make_school
from bench.simulated import SimulatedTenant
from local.world import REPOSITORY
from sync_core.domain.ids import RunId
from sync_core.domain.runs import Cause
from sync_core.messaging.messages import CreateClass, encode
from tests.forked import Forked

OF_APPLYING = {
    "aiohttp",
    "azure.data.tables",
    "azure.identity",
    "cryptography",
    "httpx",
    "kiota_abstractions",
    "kiota_http",
    "msal",
    "msgraph",
    "msgraph_core",
    "pydantic",
    "pydantic_core",
    "sync_core.applying",
    "sync_core.graph",
    "sync_core.state",
}
"""What a change needs, and an index of the functions does not."""
OF_OTHERS = {
    "azure.monitor",
    "azure.servicebus",
    "azure.storage",
    "fastapi",
    "jinja2",
    "msgraph.generated.models",
    "opentelemetry.sdk",
    "python_multipart",
    "standardwebhooks",
    "starlette",
    "sync_core.admin",
    "sync_core.app",
    "sync_core.http.admin",
    "sync_core.http.console",
    "sync_core.http.webhooks",
    "sync_core.messaging.dead_letters",
    "sync_core.messaging.service_bus",
    "sync_core.mis",
    "sync_core.planning.school_plan",
    "sync_core.sync",
}
"""What a plan or a request over HTTP needs."""


@pytest.fixture
def tenant() -> Iterator[SimulatedTenant]:
    with SimulatedTenant(spawn=Forked) as tenant:
        yield tenant


def test_a_worker_imports_what_its_work_needs_and_nothing_heavy_else(
    tenant: SimulatedTenant, storage_accounts: Iterator[str]
) -> None:
    school, tables = make_school(1, 1, tenant.id), next(storage_accounts)
    (wanted,) = school.classes(tenant.add_users(school.upns))
    asyncio.run(write_rows(tables, school.settings.school, (wanted,)))
    change = CreateClass(school.settings.school, wanted.key, RunId("run"), Cause.NIGHTLY)
    command = [sys.executable, "-m", "bench.first_apply", encode(change).decode()]
    environment = {**os.environ, **environment_of(tables, tenant)}
    worker = subprocess.run(command, check=True, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE)
    indexed, applied = ((OF_APPLYING | OF_OTHERS).intersection(names) for names in json.loads(worker.stdout))
    assert indexed == set()
    assert applied == OF_APPLYING
