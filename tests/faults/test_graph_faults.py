"""Every call of Graph fails once, in every way in which Graph and the connection to it are known to fail."""

from __future__ import annotations

import pytest

from local.nightly import count, drain
from tests.faults.conftest import KNOWN_FAULTS, SCHOOL, FaultyWorld, fail_first_attempt
from tests.faults.gates import Call, Fault
from tests.flow.trust import teaching, upn

pytestmark = pytest.mark.usefixtures("record_faults")

FAULTS = {name: fault.for_server("Graph") for name, fault in KNOWN_FAULTS.items()}
CALLS = {
    "graph GET /v1.0/users/delta()",
    "graph GET /v1.0/groups/delta()",
    "graph GET /v1.0/education/classes",
    "graph POST /v1.0/education/classes",
    "graph POST /v1.0/education/classes/{id}/teachers/$ref",
    "graph DELETE /v1.0/education/classes/{id}/teachers/{id}/$ref",
    "graph PATCH /v1.0/groups/{id}",
    "graph POST /v1.0/$batch",
    "graph GET /v1.0/groups/{id}/members",
    "graph GET /v1.0/groups/{id}/owners",
}
MANY = " ".join(f"p{number}" for number in range(22))


def prepare_everything(faulty_world: FaultyWorld) -> None:
    """Set up a night that creates classes (one with more people than one write takes), and adds and removes people."""
    old = faulty_world.new_class("p0 p1 p2 p3", "main")
    faulty_world.run_night()
    faulty_world.new_class(MANY)
    faulty_world.change(teaching(old.id, old.title, "p2 p3 p4 p5", "second"))
    faulty_world.trust.edit_by_hand("add-member", "7.class.1234567.2026", upn=upn("main"))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_night_survives_each_call_failing_once(faulty_world: FaultyWorld, fault: str) -> None:
    failed: set[str] = set()

    def is_chosen(call: Call) -> bool:
        if call.server == "graph":
            failed.add(call.shape)
        return call.server == "graph"

    prepare_everything(faulty_world)
    faulty_world.run_night(fail_first_attempt(FAULTS[fault], is_chosen))
    assert failed >= CALLS
    assert faulty_world.settle_and_find_errors() == []


def test_deleting_and_restoring_survive_each_call_failing_once(faulty_world: FaultyWorld) -> None:
    """Each fault has a class of its own, so that all run at once."""
    groups = {name: faulty_world.new_class() for name in FAULTS}
    faulty_world.run_night()
    ids = {str(class_["externalId"]): str(class_["id"]) for class_ in faulty_world.trust.list_classes()}
    keys = {name: f"2026.teaching.{group.id}" for name, group in groups.items()}
    rules = {ids[f"{SCHOOL}|{keys[name]}"]: fail_first_attempt(fault, lambda _: True) for name, fault in FAULTS.items()}
    failed: set[str] = set()

    def rule(call: Call) -> Fault | None:
        met = [rule(call) for id_, rule in rules.items() if call.server == "graph" and id_ in call.path]
        failed.update(call.shape for fault in met if fault)
        return met[0] if met else None

    for method, action in (("DELETE", ""), ("POST", "/restore")):
        faulty_world.gates.set_rule(rule)
        before = count(faulty_world.trust.addresses)
        for key in keys.values():
            faulty_world.trust.call(method, f"schools/{SCHOOL}/classes/{key}{action}", expected=202)
        drain(faulty_world.trust.addresses, before)
        deleted = [class_ for class_ in faulty_world.trust.list_classes() if class_["deleted"]]
        assert len(deleted) == (len(FAULTS) if method == "DELETE" else 0)
    assert failed >= {
        "graph DELETE /v1.0/education/classes/{id}",
        "graph POST /v1.0/directory/deletedItems/{id}/restore",
    }
    assert faulty_world.settle_and_find_errors() == []
