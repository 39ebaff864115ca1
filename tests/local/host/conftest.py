"""Fixtures of the host's tests: an indexed app, and a world with a broker."""

import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from local.host.functions_index import Function, index_app
from tests.local.host.processes import APPS, World, start_broker


@pytest.fixture(scope="module")
def web_functions() -> Iterator[list[Function]]:
    # The worker's registry and the module function_app exist once per process.
    path = list(sys.path)
    sys.modules.pop("function_app", None)
    yield index_app(APPS / "web")
    sys.path[:] = path
    sys.modules.pop("function_app", None)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    broker = await start_broker()
    world = World(broker.ready["port"], tmp_path, [broker])
    yield world
    await world.end()
