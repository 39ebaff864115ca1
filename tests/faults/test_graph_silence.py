"""Graph does the work and never says so: silence for as long as the client listens."""

from __future__ import annotations

import re
import threading

import pytest

from tests.faults.conftest import Afflicted
from tests.faults.gates import Call, Deed
from tests.flow.trust import teaching

pytestmark = pytest.mark.usefixtures("tell")


def test_one_call_of_each_kind_of_write_is_never_answered(afflicted: Afflicted) -> None:
    """At once, for the client listens for three quarters of a minute: each in a class of its own."""
    owner, comes, goes = (afflicted.new_class("p0 p1 p2 p3", "main") for _ in range(3))
    afflicted.night()
    afflicted.new_class()
    afflicted.change(
        teaching(owner.id, owner.title, "p0 p1 p2 p3", "second"),
        teaching(comes.id, comes.title, "p0 p1 p2 p3 p4", "main"),
        teaching(goes.id, goes.title, "p0 p1 p2", "main"),
    )
    silent: set[str] = set()
    classes: set[str] = set()
    over = threading.Event()

    def rule(call: Call) -> Deed | None:
        ids = set(re.findall(r"(?:classes|groups)/([0-9a-f-]{36})", call.path))
        if call.server != "graph" or call.method == "GET" or call.shape in silent or ids & classes:
            return None
        silent.add(call.shape)
        classes.update(ids)
        return Deed("Graph: no answer after the work, until the client gives up", then=wait)

    def wait() -> None:
        over.wait()

    afflicted.night(rule)
    over.set()
    assert silent == {
        "graph POST /v1.0/education/classes",
        "graph POST /v1.0/education/classes/{id}/teachers/$ref",
        "graph PATCH /v1.0/groups/{id}",
        "graph POST /v1.0/$batch",
    }
    assert afflicted.settled() == []
