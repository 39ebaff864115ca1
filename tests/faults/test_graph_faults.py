"""Every call of Graph failing once, in every way in which Graph and the wires to it are known to fail."""

from __future__ import annotations

import pytest

from local.nightly import count, drain
from tests.faults.conftest import ANSWERS, SCHOOL, Afflicted, once_each
from tests.faults.gates import Call, Deed
from tests.flow.trust import teaching, upn

pytestmark = pytest.mark.usefixtures("tell")

FAULTS = {name: deed.of("Graph") for name, deed in ANSWERS.items()}
CALLS = {
    "graph GET /v1.0/users/delta()",
    "graph GET /v1.0/groups/delta()",
    "graph POST /v1.0/education/classes",
    "graph POST /v1.0/education/classes/{id}/teachers/$ref",
    "graph DELETE /v1.0/education/classes/{id}/teachers/{id}/$ref",
    "graph PATCH /v1.0/groups/{id}",
    "graph POST /v1.0/$batch",
    "graph GET /v1.0/groups/{id}/members",
    "graph GET /v1.0/groups/{id}/owners",
}
MANY = " ".join(f"p{number}" for number in range(22))


def prepare_everything(afflicted: Afflicted) -> None:
    """A night of classes to make, one of more people than one write takes; owners and members to come and to go."""
    old = afflicted.new_class("p0 p1 p2 p3", "main")
    afflicted.night()
    afflicted.new_class(MANY)
    afflicted.change(teaching(old.id, old.title, "p2 p3 p4 p5", "second"))
    afflicted.trust.by_hand("add-member", "7.class.1234567.2026", upn=upn("main"))


@pytest.mark.parametrize("fault", FAULTS)
def test_each_call_of_a_night_fails_once(afflicted: Afflicted, fault: str) -> None:
    failed: set[str] = set()

    def chosen(call: Call) -> bool:
        if call.server == "graph":
            failed.add(call.shape)
        return call.server == "graph"

    prepare_everything(afflicted)
    afflicted.night(once_each(FAULTS[fault], chosen))
    assert failed >= CALLS
    assert afflicted.settled() == []


def test_each_call_of_deleting_and_restoring_fails_once(afflicted: Afflicted) -> None:
    """A class for each fault, all at once."""
    groups = {fault: afflicted.new_class() for fault in FAULTS}
    afflicted.night()
    ids = {str(one["externalId"]): str(one["id"]) for one in afflicted.trust.classes()}
    keys = {fault: f"2026.teaching.{group.id}" for fault, group in groups.items()}
    rules = {ids[f"{SCHOOL}|{keys[fault]}"]: once_each(deed, lambda _: True) for fault, deed in FAULTS.items()}
    failed: set[str] = set()

    def rule(call: Call) -> Deed | None:
        deeds = [rule(call) for id_, rule in rules.items() if call.server == "graph" and id_ in call.path]
        failed.update(call.shape for deed in deeds if deed)
        return deeds[0] if deeds else None

    for method, action in (("DELETE", ""), ("POST", "/restore")):
        afflicted.gates.set(rule)
        before = count(afflicted.trust.addresses)
        for key in keys.values():
            afflicted.trust.call(method, f"schools/{SCHOOL}/classes/{key}{action}", expected=202)
        drain(afflicted.trust.addresses, before)
        deleted = [one for one in afflicted.trust.classes() if one["deleted"]]
        assert len(deleted) == (len(FAULTS) if method == "DELETE" else 0)
    assert failed >= {
        "graph DELETE /v1.0/education/classes/{id}",
        "graph POST /v1.0/directory/deletedItems/{id}/restore",
    }
    assert afflicted.settled() == []
