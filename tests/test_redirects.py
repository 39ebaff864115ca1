"""No client follows a redirect: a server that the settings name sends nobody's token or data to another one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace

import pytest
from aiohttp import web
from azure.identity.aio import DefaultAzureCredential

from sync_core.config import parse_settings
from sync_core.domain.ids import ClassId, SchoolId
from sync_core.domain.school.sources import OneRosterApi, WondeApi
from sync_core.errors import SyncError
from sync_core.mis.drop.container import ContainerDrop
from sync_core.state.store import TableState
from sync_core.wiring import _container
from tests.builders import mis_sources, settings
from tests.fakes.fixed_clock import FixedClock
from tests.graph.tenants import tenants_at
from tests.http.memory_api import ENVIRONMENT
from tests.serving import serve_all

ACCOUNT = "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=a2V5;{kind}Endpoint={url}/a;"
GROUP = ClassId("11111111-2222-4333-8444-555555555555")


@dataclass
class Servers:
    """One server that redirects every request, with `status`, to the same path of another, which answers `{}`."""

    status: int
    url: str = ""
    elsewhere: str = ""
    asked: list[str] = field(default_factory=list)
    asked_elsewhere: list[str] = field(default_factory=list)

    async def redirect(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        return web.Response(status=self.status, headers={"Location": f"{self.elsewhere}{request.path_qs}"})

    async def answer(self, request: web.Request) -> web.Response:
        self.asked_elsewhere.append(request.path)
        return web.json_response({})


@pytest.fixture(params=[301, 302, 303, 307, 308])
async def servers(request: pytest.FixtureRequest) -> AsyncIterator[Servers]:
    servers = Servers(request.param)
    async with AsyncExitStack() as stack:
        servers.url = await stack.enter_async_context(serve_all(servers.redirect))
        servers.elsewhere = await stack.enter_async_context(serve_all(servers.answer))
        yield servers


async def read_oneroster(url: str) -> object:
    return await _read(OneRosterApi(url=url, secret="MIS_SECRET_S"))


async def sign_in_to_oneroster(url: str) -> object:
    return await _read(OneRosterApi(url=url, secret="MIS_SECRET_S", token_url=f"{url}/token", client="client"))


async def read_wonde(url: str) -> object:
    return await _read(WondeApi(url=url, school="A1", secret="MIS_SECRET_S"))


async def _read(source: OneRosterApi | WondeApi) -> object:
    school = replace(settings(), school=SchoolId("S1"), source=source)
    return await mis_sources(FixedClock(), {"MIS_SECRET_S": "secret"}).snapshot(school)


async def read_graph(url: str) -> object:
    return await tenants_at(url, FixedClock())().members(GROUP)


async def write_graph(url: str) -> object:
    await tenants_at(url, FixedClock())().delete_class(GROUP)
    return None


async def read_tables(url: str) -> object:
    state = TableState.from_connection_string(ACCOUNT.format(kind="Table", url=url))
    try:
        return await state.school(SchoolId("S1"))
    finally:
        await state.close()


async def read_blobs(url: str) -> object:
    given = parse_settings(ENVIRONMENT | {"FILE_DROP_CONNECTION": ACCOUNT.format(kind="Blob", url=url)})
    container = _container(given, DefaultAzureCredential())
    assert container
    async with container:
        return await ContainerDrop(container, "oak").list_files()


@pytest.mark.parametrize(
    "call", [read_oneroster, sign_in_to_oneroster, read_wonde, read_graph, write_graph, read_tables, read_blobs]
)
async def test_a_redirect_is_an_error_and_not_followed(
    servers: Servers, call: Callable[[str], Awaitable[object]]
) -> None:
    with pytest.raises(SyncError):
        await call(servers.url)
    assert servers.asked
    assert servers.asked_elsewhere == []
