"""A simulated tenant for each module of tests, which are independent of each other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.local.tenant.simulated import Graph, start


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graph]:
    child, graph = start(tmp_path_factory.mktemp("tenant"))
    yield graph
    child.stop()


@pytest.fixture
def graph(running: Graph) -> Iterator[Graph]:
    switches = running.sim("switches")
    yield running
    running.sim("faults", [])
    running.sim("switches", switches)
    running.sim("clock", {"advance_seconds": 400, "rate": 1})
    running.grant_all_but()
