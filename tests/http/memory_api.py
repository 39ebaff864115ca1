"""The admin API over tables and a tenant in memory, with the calls of its callers."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx
from fastapi import FastAPI

from sync_core.app import App
from sync_core.domain.classes.desired import Reason, Rule
from sync_core.domain.classes.outcomes import AppliedDelta
from sync_core.domain.ids import MisId, RunId
from sync_core.domain.roster import MisGroup, Snapshot
from sync_core.domain.runs import Cause
from sync_core.domain.school.settings import SchoolSettings
from sync_core.wiring import ProcessApp
from tests.builders import NOON, SCHOOL, TENANT, entra_id, entra_ids, snapshot
from tests.fakes.fixed_clock import FixedClock
from tests.fakes.memory_state import MemoryState
from tests.fakes.memory_tenant import MemoryTenant

ALL_SCHOOLS, HEAD, DEPUTY = (entra_id(name) for name in ("all schools", "head", "deputy"))
PUPILS = ["amy", "ben", "cleo", "dora", "eve"]
NIGHT = RunId("night")
DORA_FOR_AMY = AppliedDelta(
    run=NIGHT,
    cause=Cause.NIGHTLY,
    at=NOON,
    members_added=entra_ids(["dora"]),
    members_removed=entra_ids(["amy"]),
    reasons={entra_id("dora"): Reason(Rule.STUDENT, MisId("dora"))},
)
"""What a night did in a class that Amy left, and that Dora joined."""
ENVIRONMENT = {
    "TENANT_ID": TENANT,
    "STATE_TABLES_ENDPOINT": "https://tables.example",
    "ServiceBusConnection__fullyQualifiedNamespace": "bus.example",
    "ALL_SCHOOLS_ACCESS": ALL_SCHOOLS,
    "WEBSITE_AUTH_ENABLED": "True",
}


class Started(ProcessApp):
    """A process whose app has started."""

    def __init__(self, app: App) -> None:
        super().__init__({}, FixedClock())
        self._started = app

    async def get(self) -> App:
        return self._started


@dataclass
class Mis:
    """A MIS with these groups. `reads` counts how often it was read."""

    groups: list[MisGroup]
    reads: int = 0

    async def snapshot(self, settings: SchoolSettings, since: datetime | None = None) -> Snapshot:
        self.reads += 1
        return snapshot(self.groups)


@dataclass
class Api:
    """The API over tables and a tenant in memory, which have the school S1 with its accounts."""

    app: App
    state: MemoryState
    tenant: MemoryTenant
    mis: Mis
    api: FastAPI

    async def call(
        self, method: str, path: str, body: object = None, caller: str = ALL_SCHOOLS, **headers: str
    ) -> httpx.Response:
        principal = {"claims": [{"typ": "oid", "val": caller}, {"typ": "roles", "val": "GroupSync.Admin"}]}
        header = {"x-ms-client-principal": base64.b64encode(json.dumps(principal).encode()).decode()}
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        async with httpx.AsyncClient(transport=httpx.ASGITransport(self.api), base_url="http://api") as client:
            return await client.request(method, f"/api/admin/{path}", json=body, headers=header | headers)

    async def answer(self, method: str, path: str, body: object = None, **more: str) -> Any:
        response = await self.call(method, path, body, **more)
        assert response.status_code == 200, response.text
        return response.json()

    async def refusal(self, status: int, method: str, path: str, body: object = None, **more: str) -> str:
        """What a refused call answers, after which the settings are as before."""
        before = await self.state.school(SCHOOL.id)
        response = await self.call(method, path, body, **more)
        assert response.status_code == status, response.text
        assert await self.state.school(SCHOOL.id) == before
        detail: str = response.json()["detail"]
        return detail
