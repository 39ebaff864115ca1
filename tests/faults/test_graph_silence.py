"""Graph does the work and never responds, for as long as the client waits."""

from __future__ import annotations

import re
import threading

import pytest

from tests.faults.conftest import FaultyWorld
from tests.faults.gates import Call, Fault
from tests.flow.trust import teaching

pytestmark = pytest.mark.usefixtures("record_faults")


def test_a_night_survives_one_unanswered_write_of_each_kind(faulty_world: FaultyWorld) -> None:
    """Each write is in a class of its own, so that all run at once: the client waits 45 seconds."""
    owner, joining, leaving = (faulty_world.new_class("p0 p1 p2 p3", "main") for _ in range(3))
    faulty_world.run_night()
    faulty_world.new_class()
    faulty_world.change(
        teaching(owner.id, owner.title, "p0 p1 p2 p3", "second"),
        teaching(joining.id, joining.title, "p0 p1 p2 p3 p4", "main"),
        teaching(leaving.id, leaving.title, "p0 p1 p2", "main"),
    )
    silent: set[str] = set()
    classes: set[str] = set()
    night_is_over = threading.Event()

    def rule(call: Call) -> Fault | None:
        ids = set(re.findall(r"(?:classes|groups)/([0-9a-f-]{36})", call.path))
        if call.server != "graph" or call.method == "GET" or call.shape in silent or ids & classes:
            return None
        silent.add(call.shape)
        classes.update(ids)
        return Fault("Graph: no answer after the work, until the client gives up", after=wait)

    def wait() -> None:
        night_is_over.wait()

    faulty_world.run_night(rule)
    night_is_over.set()
    assert silent == {
        "graph POST /v1.0/education/classes",
        "graph POST /v1.0/education/classes/{id}/teachers/$ref",
        "graph PATCH /v1.0/groups/{id}",
        "graph POST /v1.0/$batch",
    }
    assert faulty_world.settle_and_find_errors() == []
