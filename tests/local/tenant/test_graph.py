"""The simulated Graph over HTTP: refusals, limits, lag and paging links."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from local import loopback
from tests.local.tenant.simulated import Graph, start

TAKEN = "Another object with the same value for property mailNickname already exists."


def test_a_request_without_a_valid_token_is_rejected(graph: Graph) -> None:
    for bearer in ("", "Bearer wrong"):
        response = loopback.get(f"{graph.url}/v1.0/users", headers={"Authorization": bearer})
        assert (response.status_code, response.json()["error"]["code"]) == (401, "InvalidAuthenticationToken")
    assert loopback.get(f"{graph.url}/msi/token").status_code == 401


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"mailNickname": "n"}, "displayName"),
        ({"displayName": "d"}, "mailNickname"),
        ({"displayName": "d", "mailNickname": "a b"}, "mailNickname"),
        ({"displayName": "d", "mailNickname": "a/b"}, "mailNickname"),
        ({"displayName": "d", "mailNickname": "é"}, "mailNickname"),
        ({"displayName": "d", "mailNickname": "x" * 65}, "mailNickname"),
        ({"displayName": "d" * 257, "mailNickname": "n"}, "displayName"),
    ],
)
def test_an_invalid_class_is_rejected(graph: Graph, fields: dict[str, str], field: str) -> None:
    response = graph.call("POST", "/education/classes", fields)
    assert (response.status_code, response.json()["error"]["code"]) == (400, "Request_BadRequest")
    assert field in response.json()["error"]["message"]


def test_a_nickname_is_unique_ignoring_case_and_including_deleted_groups(graph: Graph) -> None:
    class_id = graph.new_class("Taken-1")
    body = {"displayName": "d", "mailNickname": "tAKEN-1"}
    assert graph.call("POST", "/groups", body).json()["error"]["message"] == TAKEN
    assert graph.call("DELETE", f"/education/classes/{class_id}").status_code == 204
    assert graph.call("POST", "/education/classes", body).json()["error"]["message"] == TAKEN
    assert graph.call("GET", f"/groups/{class_id}").status_code == 404
    assert graph.call("GET", f"/directory/deletedItems/{class_id}").json()["id"] == class_id
    assert graph.call("POST", f"/directory/deletedItems/{class_id}/restore").status_code == 200
    assert graph.call("GET", f"/education/classes/{class_id}").status_code == 200
    graph.call("DELETE", f"/groups/{class_id}")
    graph.sim("clock", {"advance_seconds": 31 * 86_400})
    graph.sign_in()
    assert graph.call("POST", f"/directory/deletedItems/{class_id}/restore").status_code == 404


def test_members_are_bound_all_or_none_and_at_most_twenty(graph: Graph) -> None:
    class_id, people = graph.new_class(), graph.users(21)
    assert graph.bind(class_id, people).status_code == 400
    assert graph.bind(class_id, people[:20]).status_code == 204
    response = graph.bind(class_id, people[19:])
    assert response.status_code == 400
    assert "added object references already exist" in response.json()["error"]["message"]
    assert graph.bind(class_id, [people[20], str(uuid4())]).status_code == 404
    assert graph.members(class_id) == set(people[:20])


def test_owners_are_the_teachers_and_the_last_one_cannot_be_removed(graph: Graph) -> None:
    class_id, (first, second) = graph.new_class(), graph.users(2)
    for person in (first, second):
        reference = {"@odata.id": f"https://graph.microsoft.com/v1.0/education/users/{person}"}
        assert graph.call("POST", f"/education/classes/{class_id}/teachers/$ref", reference).status_code == 204
    owners = graph.call("GET", f"/groups/{class_id}/owners?$select=id").json()["value"]
    assert owners == [{"id": first}, {"id": second}]
    assert graph.call("DELETE", f"/groups/{class_id}/owners/{first}/$ref").status_code == 204
    last = graph.call("DELETE", f"/education/classes/{class_id}/teachers/{second}/$ref")
    assert last.status_code == 400
    assert "at least one owner" in last.json()["error"]["message"]


def test_a_delete_without_ref_is_rejected_and_counted(graph: Graph) -> None:
    class_id, (person,) = graph.new_class(), graph.users(1)
    graph.bind(class_id, [person])
    before = graph.sim("stats")["forbidden_deletes"]
    assert graph.call("DELETE", f"/groups/{class_id}/members/{person}").status_code == 403
    assert graph.call("DELETE", f"/users/{person}").status_code == 403
    assert graph.sim("stats")["forbidden_deletes"] == before + 2
    assert graph.members(class_id) == {person}


def test_pages_are_linked(graph: Graph) -> None:
    graph.users(5)
    seen: list[str] = []
    link = f"{graph.url}/v1.0/users?$top=2&$select=id"
    while link:
        page = graph.http.get(link).json()
        assert len(page["value"]) <= 2
        seen += [user["id"] for user in page["value"]]
        link = page.get("@odata.nextLink", "")
    assert len(seen) == len(set(seen)) >= 5
    assert graph.call("GET", "/users?$top=1000").status_code == 400


def test_groups_can_be_filtered_by_nickname(graph: Graph) -> None:
    nickname = f"o-{uuid4().hex[:8]}"
    class_id = graph.new_class(nickname)
    for path in ("/groups", "/education/classes"):
        groups = graph.call("GET", f"{path}?$filter=mailNickname eq '{nickname.upper()}'").json()["value"]
        assert [group["id"] for group in groups] == [class_id]
    assert graph.call("GET", "/groups?$filter=contains(mailNickname,'x')").status_code == 400


def test_a_delta_splits_groups_over_pages_repeats_events_and_expires(graph: Graph) -> None:
    link = graph.call("GET", "/groups/delta()?$select=id,members").json()
    while "@odata.nextLink" in link:
        link = graph.http.get(link["@odata.nextLink"]).json()
    class_id, people = graph.new_class(), graph.users(5)
    graph.bind(class_id, people)
    graph.sim("switches", {"delta_objects_per_page": 1, "delta_people_per_object": 2})
    objects, page = [], graph.http.get(link["@odata.deltaLink"]).json()
    while True:
        objects += page["value"]
        if "@odata.deltaLink" in page:
            break
        page = graph.http.get(page["@odata.nextLink"]).json()
    ours = [group for group in objects if group["id"] == class_id]
    assert len(ours) == 3
    assert {person["id"] for group in ours for person in group["members@delta"]} == set(people)
    assert graph.http.get(page["@odata.deltaLink"]).json()["value"] == []
    graph.sim("switches", {"delta_replayed_events": 6, "delta_people_per_object": 99, "delta_objects_per_page": 99})
    assert [group["id"] for group in graph.http.get(page["@odata.deltaLink"]).json()["value"]] == [class_id]
    graph.sim("clock", {"advance_seconds": 8 * 86_400})
    graph.sign_in()
    expired = graph.http.get(page["@odata.deltaLink"])
    assert (expired.status_code, expired.json()["error"]["code"]) == (410, "syncStateNotFound")
    assert graph.call("GET", "/groups/delta?$top=5").status_code == 400


def test_a_response_names_its_resource_units(graph: Graph) -> None:
    class_id = graph.new_class()
    for path, units in ((f"/groups/{class_id}/members", 3), (f"/groups/{class_id}/members?$select=id&$top=5", 1)):
        assert graph.call("GET", path).headers["x-ms-resource-unit"] == str(units)


def test_writes_are_throttled_with_and_without_a_retry_after(graph: Graph) -> None:
    graph.sim("clock", {"rate": 0.0001})
    graph.sim("switches", {"retry-after": "sometimes-missing", "tenant_size": "L"})
    class_id = graph.new_class()
    responses = [graph.call("PATCH", f"/groups/{class_id}", {"description": str(n)}) for n in range(3_001)]
    refused = [response for response in responses if response.status_code == 429]
    assert refused
    assert all(response.status_code in (204, 429) for response in responses)
    repeated = [graph.call("PATCH", f"/groups/{class_id}", {"description": "x"}) for _ in range(2)]
    assert sorted("Retry-After" in response.headers for response in repeated) == [False, True]
    passed = [response for response in responses if response.status_code == 204]
    assert float(passed[-1].headers["x-ms-throttle-limit-percentage"]) >= 0.8
    graph.sim("clock", {"advance_seconds": 151})
    assert graph.call("PATCH", f"/groups/{class_id}", {"description": "y"}).status_code == 204


def test_each_part_of_a_batch_has_a_response(graph: Graph) -> None:
    class_id = graph.new_class()
    requests = [
        {"id": "1", "method": "GET", "url": f"/groups/{class_id}?$select=id"},
        {"id": "2", "method": "GET", "url": f"/groups/{uuid4()}"},
        {"id": "3", "method": "GET", "url": f"/groups/{class_id}", "dependsOn": ["2"]},
    ]
    response = graph.call("POST", "/$batch", {"requests": requests})
    assert response.status_code == 200
    assert [part["status"] for part in response.json()["responses"]] == [200, 404, 424]
    assert graph.call("POST", "/$batch", {"requests": [requests[0]] * 21}).status_code == 400


def test_a_new_class_is_not_visible_immediately(graph: Graph) -> None:
    graph.sim("switches", {"lag_seconds": 30})
    nickname = uuid4().hex
    class_id, (person,) = graph.new_class(nickname), graph.users(1)
    assert graph.call("GET", f"/education/classes/{class_id}").status_code == 404
    assert graph.bind(class_id, [person]).status_code == 404
    assert graph.call("GET", f"/groups?$filter=mailNickname eq '{nickname}'").json()["value"] == []
    body = {"displayName": "d", "mailNickname": nickname}
    assert graph.call("POST", "/education/classes", body).json()["error"]["message"] == TAKEN
    graph.sim("clock", {"advance_seconds": 31})
    assert graph.bind(class_id, [person]).status_code == 204


def test_faults_can_be_injected(graph: Graph) -> None:
    class_id, (person,) = graph.new_class(), graph.users(1)
    graph.sim("faults", {"method": "GET", "path": "/groups/", "status": 503, "retry_after": 3, "times": 1})
    broken = graph.call("GET", f"/groups/{class_id}")
    assert (broken.status_code, broken.headers["Retry-After"]) == (503, "3")
    assert graph.call("GET", f"/groups/{class_id}").status_code == 200
    graph.sim("faults", {"method": "PATCH", "after_work": True})
    with pytest.raises(httpx.HTTPError):
        graph.bind(class_id, [person])
    assert graph.members(class_id) == {person}


def test_unknown_switches_and_edits_are_rejected(graph: Graph) -> None:
    for path, body, message in (
        ("switches", {"colour": 1}, "unknown switch colour"),
        ("edit", {"action": "delete", "class": "nowhere"}, "there is no class"),
        ("clock", {"year": 1}, "unknown year"),
    ):
        response = graph.http.post(f"{graph.url}/_sim/{path}", json=body)
        assert response.status_code >= 400
        assert message in response.json()["error"]


def test_confirmed_changes_survive_a_kill(tmp_path: Path) -> None:
    state = ("--state", str(tmp_path / "tenant.jsonl"))
    child, graph = start(tmp_path, *state)
    class_id, people = graph.new_class("kept"), graph.users(3)
    graph.bind(class_id, people)
    link = graph.call("GET", "/groups/delta()").json()["@odata.deltaLink"].split("/v1.0")[1]
    graph.call("DELETE", f"/groups/{class_id}/members/{people[0]}/$ref")
    before = graph.sim("classes")
    child.kill()
    child, graph = start(tmp_path, *state)
    assert graph.sim("classes") == before
    (change,) = graph.call("GET", link).json()["value"]
    assert [person["id"] for person in change["members@delta"]] == [people[0]]
    child.stop()
