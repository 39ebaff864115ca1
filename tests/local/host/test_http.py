"""HTTP triggers and admin routes over a real socket, with functions run by the worker's own code."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from local.host.app_host import AppHost, plan_host
from local.host.functions_index import Function
from local.host.host_json import load_host_json
from local.host.settings import Settings
from local.host.timers import SystemClock
from tests.local.host.processes import APPS

SETTINGS = Settings({"SCHEDULE": "0 0 1 * * *", "LOCAL_FUNCTION_KEY": "fk", "LOCAL_MASTER_KEY": "mk"})


@pytest.fixture
async def host(web_functions: list[Function]) -> AsyncIterator[AppHost]:
    host = AppHost(plan_host(web_functions, SETTINGS, load_host_json(APPS / "web" / "host.json")), SystemClock())
    await host.start()
    yield host
    await host.stop(grace=1.0)


@pytest.fixture
async def client(host: AppHost) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{host.port}") as client:
        yield client


@pytest.mark.parametrize(
    ("method", "path", "key", "status", "text"),
    [
        ("GET", "/api/pupils/everyone", "", 200, "everyone"),
        ("GET", "/api/PUPILS/Everyone", "", 200, "everyone"),
        ("GET", "/api/pupils/ada", "", 200, "name ada"),
        ("GET", "/api/pupils/12", "", 401, ""),
        ("GET", "/api/pupils/12", "wrong", 401, ""),
        ("GET", "/api/pupils/12", "fk", 201, '{"id": "12", "query": {}, "body": ""}'),
        ("GET", "/api/pupils/12", "mk", 201, '{"id": "12", "query": {}, "body": ""}'),
        ("PUT", "/api/pupils/12", "fk", 200, "name 12"),
        ("GET", "/api/pupils/12/more", "fk", 404, ""),
        ("GET", "/pupils/everyone", "", 404, ""),
        ("GET", "/api/files/a/b.txt", "", 200, "a/b.txt"),
        ("GET", "/api/files", "", 200, ""),
        ("GET", "/api/nothing", "", 204, ""),
        ("GET", "/api/fails", "fk", 401, ""),
        ("GET", "/api/fails", "mk", 500, ""),
        ("GET", "/api/hangs", "", 500, ""),
    ],
)
async def test_requests_are_routed(
    client: httpx.AsyncClient, method: str, path: str, key: str, status: int, text: str
) -> None:
    response = await client.request(method, path, headers={"x-functions-key": key} if key else {})
    assert (response.status_code, response.text) == (status, text)


async def test_a_function_gets_the_request_and_returns_a_response(client: httpx.AsyncClient) -> None:
    response = await client.post("/api/pupils/7?code=fk&a=1", content="é".encode(), headers={"x-to": "you"})
    assert response.json() == {"id": "7", "query": {"code": "fk", "a": "1"}, "body": "é"}
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-from"] == "you"
    assert response.cookies["a"] == "b"


async def test_the_headers_of_an_answer_are_those_of_the_function(client: httpx.AsyncClient) -> None:
    """HTTP itself needs Content-Length and Date. The host adds no banner, and hides nothing."""
    response = await client.get("/api/pupils/7?code=fk", headers={"x-to": "you"})
    assert set(response.headers) == {"content-type", "content-length", "date", "set-cookie", "x-from"}
    for path in ("/api/nothing", "/api/nowhere", "/api/fails?code=mk", "/admin/host/status"):
        assert "server" not in (await client.get(path)).headers


async def test_binary_bodies_are_unchanged(client: httpx.AsyncClient) -> None:
    body = bytes(range(256)) * 5000
    response = await client.post("/api/bytes", content=body)
    assert response.content == body


async def test_admin_needs_the_master_key(client: httpx.AsyncClient) -> None:
    assert (await client.get("/admin/host/status")).status_code == 401
    assert (await client.get("/admin/host/status", headers={"x-functions-key": "fk"})).status_code == 401
    assert (await client.post("/admin/functions/nightly", json={"input": ""})).status_code == 401


async def test_the_admin_route_runs_a_timer(client: httpx.AsyncClient, host: AppHost) -> None:
    key = {"x-functions-key": "mk"}
    response = await client.post("/admin/functions/nightly", json={"input": ""}, headers=key)
    assert response.status_code == 202
    async with asyncio.timeout(5):
        while (await client.get("/admin/host/status", headers=key)).json()["invocations"]["nightly"]["succeeded"] < 1:
            pass
    assert (await client.post("/admin/functions/nobody", json={"input": ""}, headers=key)).status_code == 404
    assert (await client.post("/admin/functions/nightly", content="{", headers=key)).status_code == 202


async def test_the_status_counts_invocations(client: httpx.AsyncClient) -> None:
    await client.get("/api/fails", headers={"x-functions-key": "mk"})
    await client.get("/api/pupils/ada")
    status = (await client.get("/admin/host/status", headers={"x-functions-key": "mk"})).json()
    assert status["state"] == "Running"
    assert set(status["functions"]) == set(status["invocations"]) >= {"nightly", "pupil", "fails"}
    assert status["invocations"]["fails"] == {"succeeded": 0, "failed": 1, "running": 0}
    assert status["invocations"]["by_name"] == {"succeeded": 1, "failed": 0, "running": 0}
