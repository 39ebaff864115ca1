"""Prices and limits of the simulated tenant. The numbers are those of docs/simulated-tenant.md."""

from __future__ import annotations

from uuid import uuid4

import pytest

from local.tenant.answers import Answers
from local.tenant.throttle import AppLimits, Call, Price, Throttle, price
from tests.local.tenant.simulated import Graph

USERS = 501
READ = Price(1, 0)


def priced(path: str, answers: Answers, query: dict[str, str] | None = None) -> int:
    return price(Call("GET", path, query or {}, {}), answers).units


def test_36_reads_cost_what_graph_documents() -> None:
    answers, group = Answers(), f"/groups/{uuid4()}"
    units = [priced(path, answers) for path in (f"{group}/members", f"{group}/owners", "/users", "/groups", group)]
    assert units == [3, 2, 2, 1, 1]
    assert priced(f"{group}/owners", answers, {"$select": "id", "$top": "5"}) == 1
    assert [priced(path, answers) for path in ("/groups/delta()", "/users/delta")] == [5, 5]
    assert priced("/groups/delta", answers, {"$select": "id"}) == 4
    answers.choose({"owners-price": "one", "delta-price": "one"})
    assert [priced(path, answers) for path in (f"{group}/owners", "/groups/delta()", "/users/delta")] == [1, 1, 1]


@pytest.mark.parametrize(("people", "writes"), [(1, 1), (3, 1), (4, 2), (20, 7)])
def test_37_a_patch_of_members_costs_one_write_or_one_for_three_people(graph: Graph, people: int, writes: int) -> None:
    class_id, members = graph.new_class(), graph.users(people)
    for answer, cost in (("one", 1), ("third", writes)):
        graph.switch(patch_price=answer)
        before = graph.sim("stats")["writes"]
        patched = graph.bind(class_id, members) if answer == "one" else graph.bind(graph.new_class(), members)
        assert patched.headers["x-ms-resource-unit"] == str(cost)
        assert graph.sim("stats")["writes"] - before == cost + (answer == "third")


def test_38_all_tenants_of_the_app_share_its_limits() -> None:
    app = AppLimits()
    tenants = [Throttle(app) for _ in range(24)]
    for tenant in tenants[:23]:
        assert tenant.admit(Price(0, 3_000), False, USERS, 0.0) is None
    assert tenants[23].admit(Price(0, 1_000), False, USERS, 0.0) is None
    assert tenants[23].admit(Price(0, 1), False, USERS, 0.0) == 300
    assert tenants[23].admit(READ, False, USERS, 0.0) is None
    assert tenants[23].admit(Price(0, 1), False, USERS, 300.0) is None
    for tenant in tenants[:18]:
        assert tenant.admit(Price(8_000, 0), False, USERS, 1000.0) is None
    assert tenants[18].admit(Price(6_001, 0), False, USERS, 1000.0) == 20
    assert tenants[18].admit(Price(6_000, 0), False, USERS, 1000.0) is None


def test_39_all_apps_of_a_tenant_share_its_limit_of_writes(graph: Graph) -> None:
    class_id = graph.new_class()
    graph.sim("clock", {"advance_seconds": 400, "rate": 0.0001})
    graph.sim("other-apps", {"writes": 17_999})
    assert graph.call("PATCH", f"/groups/{class_id}", {"description": "a"}).status_code == 204
    refused = graph.call("PATCH", f"/groups/{class_id}", {"description": "b"})
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "300")
    assert graph.call("GET", f"/groups/{class_id}").status_code == 200
    graph.sim("clock", {"advance_seconds": 301})
    assert graph.call("PATCH", f"/groups/{class_id}", {"description": "c"}).status_code == 204
