"""The health of the app over HTTP: lines for admins, each with their own schools, and one word for everybody else."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from functools import partial
from typing import Any

import azure.functions as func
import pytest

from sync_core.app import App
from sync_core.config import parse_settings
from sync_core.domain.ids import SchoolId
from sync_core.errors import Transient
from sync_core.http.edge import respond
from sync_core.http.health import report_health
from sync_core.wiring import ProcessApp
from tests.builders import SCHOOL, TENANT, settings
from tests.fakes.fixed_clock import FixedClock
from tests.fakes.memory_checks import MemoryChecks
from tests.fakes.memory_state import MemoryState
from tests.fakes.memory_tenant import MemoryTenant
from tests.fakes.services import services
from tests.http.built import serve_api
from tests.http.memory_api import ALL_SCHOOLS, DEPUTY, ENVIRONMENT, HEAD, Api, Mis, Started

ADMIN = {"claims": [{"typ": "oid", "val": ALL_SCHOOLS}, {"typ": "roles", "val": "GroupSync.Admin"}]}
PRINCIPAL = base64.b64encode(json.dumps(ADMIN).encode()).decode()


class Away(MemoryState):
    """Tables that do not answer."""

    async def school(self, school: SchoolId) -> None:
        raise Transient("the tables do not answer", "try again")


# --- everybody


async def ask(process: ProcessApp, **headers: str) -> tuple[int, bytes]:
    request = func.HttpRequest("GET", "/api/health", headers=headers, body=b"")
    answer = await respond(process, "health", request, partial(report_health, process))
    assert answer.mimetype == "application/json"
    return answer.status_code, answer.get_body()


@pytest.mark.parametrize("headers", [{}, {"x-ms-client-principal": PRINCIPAL}], ids=["anonymous", "claims to be admin"])
async def test_everybody_is_told_one_word_whoever_they_claim_to_be(headers: dict[str, str]) -> None:
    running = Started(App(parse_settings(ENVIRONMENT), services(MemoryState())))
    without_tables = Started(App(parse_settings(ENVIRONMENT), services(Away())))
    not_started = ProcessApp({}, FixedClock())
    assert await ask(running, **headers) == (200, b'{"health": "healthy"}')
    assert await ask(without_tables, **headers) == (503, b'{"health": "unhealthy"}')
    assert await ask(not_started, **headers) == (503, b'{"health": "unhealthy"}')


# --- admins


@pytest.fixture
async def health() -> Api:
    """Two schools, of which the head has access to the first one."""
    state, tenant, checks = MemoryState(), MemoryTenant(), MemoryChecks()
    await state.save_school(settings(access=[HEAD]))
    await state.save_school(replace(settings(), school=SchoolId("S2"), name_identifier="S2"))
    app = App(parse_settings(ENVIRONMENT), services(state, tenant=tenant, checks=checks))
    return Api(app, state, tenant, Mis([]), serve_api(app))


def names(answer: dict[str, Any]) -> list[str]:
    return [line["name"] for line in answer["lines"]]


async def test_an_admin_of_all_schools_has_every_line(health: Api) -> None:
    answer = await health.answer("GET", "health")
    assert answer.keys() == {"healthy", "at", "lines"}
    assert all(line.keys() == {"name", "ok", "detail", "remedy"} for line in answer["lines"])
    assert answer["healthy"] is False
    assert names(answer)[:3] == ["version", "settings", "tables"]
    assert {line["name"] for line in answer["lines"] if not line["ok"]} == {
        "last night",
        "last sync of school S1",
        "last sync of school S2",
    }
    assert f"Graph in tenant {TENANT}" in names(answer)


async def test_an_admin_of_a_school_has_its_lines_alone(health: Api) -> None:
    answer = await health.answer("GET", "health", caller=HEAD)
    assert names(answer) == [f"source of school {SCHOOL.id}", f"last sync of school {SCHOOL.id}"]


async def test_an_admin_without_a_school_has_no_line(health: Api) -> None:
    answer = await health.answer("GET", "health", caller=DEPUTY)
    assert (answer["healthy"], answer["lines"]) == (True, [])


async def test_a_teacher_has_no_line(health: Api) -> None:
    claims = [{"typ": "oid", "val": ALL_SCHOOLS}, {"typ": "roles", "val": "GroupSync.Teacher"}]
    teacher = base64.b64encode(json.dumps({"claims": claims}).encode()).decode()
    response = await health.call("GET", "health", x_ms_client_principal=teacher)
    assert response.status_code == 403
