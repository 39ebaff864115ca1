"""The tenants over HTTP: what each has granted the app, for admins of all schools."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import httpx

from sync_core.app import App
from sync_core.config import parse_settings
from sync_core.domain.ids import SchoolId
from sync_core.domain.permissions import PERMISSIONS, Grants
from tests.builders import TENANT, entra_id, settings
from tests.fakes.memory_state import MemoryState
from tests.fakes.memory_tenant import MemoryTenant
from tests.fakes.services import services
from tests.http.built import serve_api

ADMIN = entra_id("all schools")
ENVIRONMENT = {
    "TENANT_ID": TENANT,
    "STATE_TABLES_ENDPOINT": "https://tables.example",
    "ServiceBusConnection__fullyQualifiedNamespace": "bus.example",
    "ALL_SCHOOLS_ACCESS": ADMIN,
    "WEBSITE_AUTH_ENABLED": "True",
}


async def read_tenants(state: MemoryState, tenant: MemoryTenant) -> list[dict[str, Any]]:
    api = serve_api(App(parse_settings(ENVIRONMENT), services(state, tenant=tenant)))
    claims = [{"typ": "oid", "val": ADMIN}, {"typ": "roles", "val": "GroupSync.Admin"}]
    principal = base64.b64encode(json.dumps({"claims": claims}).encode()).decode()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://api") as client:
        response = await client.get("/api/admin/tenants", headers={"x-ms-client-principal": principal})
    assert response.status_code == 200, response.text
    listed: list[dict[str, Any]] = response.json()
    return listed


async def test_each_tenant_with_a_school_is_listed_once_and_else_the_apps_own() -> None:
    state = MemoryState()
    assert [tenant["tenant"] for tenant in await read_tenants(state, MemoryTenant())] == [TENANT]
    for school, tenant in (("S1", "b"), ("S2", "a"), ("S3", "b")):
        await state.save_school(replace(settings(), school=SchoolId(school), tenant=tenant))
    assert [tenant["tenant"] for tenant in await read_tenants(state, MemoryTenant())] == ["a", "b"]


async def test_a_missing_permission_has_its_purpose_and_the_command_that_grants_it() -> None:
    tenant = MemoryTenant()
    tenant.granted = Grants(frozenset(permission.name for permission in PERMISSIONS) - {"Member.Read.Hidden"}, "app")
    (listed,) = await read_tenants(MemoryState(), tenant)
    of_teams = {"teams_of", "teams_what", "teams_remedy"}
    assert listed.keys() == {"tenant", "blocked", "what", "remedy", "permissions", *of_teams}
    assert (listed["blocked"], "Member.Read.Hidden" in listed["what"]) == (True, True)
    assert "24 hours" in listed["remedy"]
    assert [permission for permission in listed["permissions"] if not permission["granted"]] == [
        {
            "name": "Member.Read.Hidden",
            "purpose": "to see who is in a class, because the membership of classes is hidden",
            "required": True,
            "granted": False,
            "command": f"python infra/scripts/grant_graph.py --tenant={TENANT} --principal=app",
            "need": "sync",
        }
    ]


async def test_the_schools_whose_teams_wait_for_a_permission_are_named() -> None:
    state, tenant = MemoryState(), MemoryTenant()
    for school, teams in (("S1", "create"), ("S2", "none")):
        await state.save_school(replace(settings(teams=teams), school=SchoolId(school)))
    (listed,) = await read_tenants(state, tenant)
    assert (listed["teams_of"], listed["teams_what"]) == (["S1"], "")
    tenant.granted = Grants(frozenset(permission.name for permission in PERMISSIONS) - {"Team.Create"}, "app")
    (listed,) = await read_tenants(state, tenant)
    assert (listed["blocked"], "Team.Create" in listed["teams_what"]) == (False, True)
    assert f"--tenant={TENANT} --principal=app --teams'" in listed["teams_remedy"]
