"""What makes the deltas of the simulated tenant difficult. The numbers are those of docs/simulated-tenant.md."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from tests.local.tenant.simulated import Graph, error_of


def follow(graph: Graph, link: str) -> tuple[list[list[dict[str, Any]]], str]:
    """The objects of each page from `link` on, and the link of the next delta."""
    pages = []
    while True:
        page = graph.http.get(link).raise_for_status().json()
        pages.append(page["value"])
        if "@odata.deltaLink" in page:
            return pages, str(page["@odata.deltaLink"])
        link = page["@odata.nextLink"]


def latest(graph: Graph) -> str:
    return follow(graph, f"{graph.url}/v1.0/groups/delta()?$select=id,members,owners")[1]


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        ("410-syncStateNotFound", 410, "syncStateNotFound"),
        ("410-resyncRequired", 410, "resyncRequired"),
        ("410-Gone", 410, "Gone"),
        ("400-Directory_ExpiredPageToken", 400, "Directory_ExpiredPageToken"),
        ("400-SyncStateNotFound", 400, "SyncStateNotFound"),
        ("404-SYNCSTATEINVALID", 404, "SYNCSTATEINVALID"),
    ],
)
def test_30_an_expired_link_is_refused_with_each_code_also_between_two_pages(
    graph: Graph, answer: str, status: int, code: str
) -> None:
    graph.switch(delta_expiry=answer)
    since = latest(graph)
    for _ in range(2):
        graph.new_class()
    graph.sim("switches", {"delta_objects_per_page": 1})
    between = graph.http.get(since).json()["@odata.nextLink"]
    graph.sim("clock", {"advance_seconds": 8 * 86_400})
    graph.sign_in()
    for link in (since, between):
        expired = graph.http.get(link)
        assert error_of(expired)[:2] == (status, code)
        assert ("Location" in expired.headers) == (status == 410)
    assert graph.call("GET", "/groups/delta()").status_code == 200


def test_31_a_link_between_two_pages_can_be_made_to_expire_at_once(graph: Graph) -> None:
    since = latest(graph)
    for _ in range(2):
        graph.new_class()
    graph.sim("switches", {"delta_objects_per_page": 1})
    expired = {"path": "/groups/delta", "query": "skiptoken", "status": 400, "code": "Directory_ExpiredPageToken"}
    graph.sim("faults", expired)
    first = graph.http.get(since)
    assert first.status_code == 200
    assert error_of(graph.http.get(first.json()["@odata.nextLink"]))[:2] == (400, "Directory_ExpiredPageToken")


def test_32_a_deleted_class_is_removed_as_restorable_or_for_good(graph: Graph) -> None:
    class_id = graph.new_class()
    since = latest(graph)
    graph.sim("edit", {"action": "delete", "class": class_id})
    assert follow(graph, since)[0] == [[{"id": class_id, "@removed": {"reason": "changed"}}]]
    graph.sim("edit", {"action": "purge", "class": class_id})
    assert follow(graph, since)[0] == [[{"id": class_id, "@removed": {"reason": "deleted"}}]]


def test_33_a_first_delta_may_have_removed_members(graph: Graph) -> None:
    class_id, (stays, leaves) = graph.new_class(), graph.users(2)
    graph.bind(class_id, [stays, leaves])
    graph.call("DELETE", f"/groups/{class_id}/members/{leaves}/$ref")
    link = f"{graph.url}/v1.0/groups/delta?$filter=id eq '{class_id}'"
    ((plain,),), _ = follow(graph, link)
    assert [person["id"] for person in plain["members@delta"]] == [stays]
    graph.switch(first_delta="present-and-removed")
    ((group,),), _ = follow(graph, link)
    assert [(person["id"], "@removed" in person) for person in group["members@delta"]] == [
        (stays, False),
        (leaves, True),
    ]
    graph.switch(delta_events="each")
    pages, _ = follow(graph, link)
    assert [
        [(person["id"], "@removed" in person) for group in page for person in group["members@delta"]] for page in pages
    ] == [[(stays, False), (leaves, False)], [(leaves, True)]]


def test_34_a_person_may_be_added_on_one_page_and_removed_on_a_later_one(graph: Graph) -> None:
    class_id, (person,) = graph.new_class(), graph.users(1)
    since = latest(graph)
    graph.bind(class_id, [person])
    graph.call("DELETE", f"/groups/{class_id}/members/{person}/$ref")
    ((last,),), _ = follow(graph, since)
    assert ["@removed" in entry for entry in last["members@delta"]] == [True]
    graph.switch(delta_events="each")
    pages, _ = follow(graph, since)
    assert [["@removed" in entry for group in page for entry in group["members@delta"]] for page in pages] == [
        [False],
        [True],
    ]


def test_35_a_delta_filters_at_most_50_groups(graph: Graph) -> None:
    ids = " or ".join(f"id eq '{uuid4()}'" for _ in range(51))
    assert error_of(graph.call("GET", f"/groups/delta?$filter={ids}"))[:2] == (400, "Request_UnsupportedQuery")
    assert graph.call("GET", f"/groups/delta?$filter={ids.rpartition(' or ')[0]}").status_code == 200
