"""Graph's refusals, limits, lag and links, over HTTP as any client meets them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from local.processes import Child

TAKEN = "Another object with the same value for property mailNickname already exists."


@dataclass(slots=True)
class Graph:
    """A client with a token, and the tenant's control surface."""

    url: str
    http: httpx.Client

    def call(self, method: str, path: str, body: object = None) -> httpx.Response:
        return self.http.request(method, f"{self.url}/v1.0{path}", json=body)

    def sim(self, path: str, body: object = None) -> Any:
        url = f"{self.url}/_sim/{path}"
        answer = self.http.get(url) if body is None else self.http.post(url, json=body)
        return answer.raise_for_status().json()

    def users(self, count: int) -> list[str]:
        entries = [{"userPrincipalName": f"{uuid4().hex}@x.org", "displayName": "x"} for _ in range(count)]
        ids: list[str] = self.sim("users", entries)
        return ids

    def new_class(self, nickname: str | None = None) -> str:
        made = self.call("POST", "/education/classes", {"displayName": "c", "mailNickname": nickname or uuid4().hex})
        assert made.status_code == 201, made.text
        return str(made.json()["id"])

    def bind(self, class_id: str, people: list[str]) -> httpx.Response:
        references = [f"https://graph.microsoft.com/v1.0/directoryObjects/{person}" for person in people]
        return self.call("PATCH", f"/groups/{class_id}", {"members@odata.bind": references})

    def members(self, class_id: str) -> set[str]:
        return {found["id"] for found in self.call("GET", f"/groups/{class_id}/members?$top=999").json()["value"]}


def start(folder: Path, *options: str) -> tuple[Child, Graph]:
    child = Child("tenant", [sys.executable, "-m", "local.tenant", "--port", "0", *options], folder / "tenant.log")
    url = f"http://127.0.0.1:{child.ready_line()['port']}"
    token = httpx.get(f"{url}/msi/token", headers={"X-IDENTITY-HEADER": "local"}).json()["access_token"]
    return child, Graph(url, httpx.Client(headers={"Authorization": f"Bearer {token}"}))


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
    running.sim("clock", {"advance_seconds": 200, "rate": 1})


def test_no_token_no_answer(graph: Graph) -> None:
    for bearer in ("", "Bearer wrong"):
        answer = httpx.get(f"{graph.url}/v1.0/users", headers={"Authorization": bearer})
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "InvalidAuthenticationToken")
    assert httpx.get(f"{graph.url}/msi/token").status_code == 401


@pytest.mark.parametrize(
    ("fields", "words"),
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
def test_a_class_that_graph_would_not_make(graph: Graph, fields: dict[str, str], words: str) -> None:
    answer = graph.call("POST", "/education/classes", fields)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "Request_BadRequest")
    assert words in answer.json()["error"]["message"]


def test_a_nickname_is_taken_whatever_its_capitals_and_even_by_a_deleted_group(graph: Graph) -> None:
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
    token = httpx.get(f"{graph.url}/msi/token", headers={"X-IDENTITY-HEADER": "local"}).json()["access_token"]
    graph.http.headers["Authorization"] = f"Bearer {token}"
    assert graph.call("POST", f"/directory/deletedItems/{class_id}/restore").status_code == 404


def test_members_are_bound_twenty_at_most_and_all_or_none(graph: Graph) -> None:
    class_id, people = graph.new_class(), graph.users(21)
    assert graph.bind(class_id, people).status_code == 400
    assert graph.bind(class_id, people[:20]).status_code == 204
    answer = graph.bind(class_id, people[19:])
    assert answer.status_code == 400
    assert "added object references already exist" in answer.json()["error"]["message"]
    assert graph.bind(class_id, [people[20], str(uuid4())]).status_code == 404
    assert graph.members(class_id) == set(people[:20])


def test_owners_and_teachers_are_the_same_people_and_the_last_one_stays(graph: Graph) -> None:
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


def test_a_delete_without_ref_is_refused_and_remembered(graph: Graph) -> None:
    class_id, (person,) = graph.new_class(), graph.users(1)
    graph.bind(class_id, [person])
    before = graph.sim("stats")["forbidden_deletes"]
    assert graph.call("DELETE", f"/groups/{class_id}/members/{person}").status_code == 403
    assert graph.call("DELETE", f"/users/{person}").status_code == 403
    assert graph.sim("stats")["forbidden_deletes"] == before + 2
    assert graph.members(class_id) == {person}


def test_pages_follow_their_links(graph: Graph) -> None:
    graph.users(5)
    seen: list[str] = []
    link = f"{graph.url}/v1.0/users?$top=2&$select=id"
    while link:
        page = graph.http.get(link).json()
        assert len(page["value"]) <= 2
        seen += [found["id"] for found in page["value"]]
        link = page.get("@odata.nextLink", "")
    assert len(seen) == len(set(seen)) >= 5
    assert graph.call("GET", "/users?$top=1000").status_code == 400


def test_filters(graph: Graph) -> None:
    nickname = f"o-{uuid4().hex[:8]}"
    class_id = graph.new_class(nickname)
    for path in ("/groups", "/education/classes"):
        found = graph.call("GET", f"{path}?$filter=mailNickname eq '{nickname.upper()}'").json()["value"]
        assert [one["id"] for one in found] == [class_id]
    assert graph.call("GET", "/groups?$filter=contains(mailNickname,'x')").status_code == 400


def test_delta_pages_spread_groups_replays_and_expires(graph: Graph) -> None:
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
    ours = [found for found in objects if found["id"] == class_id]
    assert len(ours) == 3
    assert {person["id"] for found in ours for person in found["members@delta"]} == set(people)
    assert graph.http.get(page["@odata.deltaLink"]).json()["value"] == []
    graph.sim("switches", {"delta_replayed_events": 6, "delta_people_per_object": 99, "delta_objects_per_page": 99})
    assert [found["id"] for found in graph.http.get(page["@odata.deltaLink"]).json()["value"]] == [class_id]
    graph.sim("clock", {"advance_seconds": 8 * 86_400})
    token = httpx.get(f"{graph.url}/msi/token", headers={"X-IDENTITY-HEADER": "local"}).json()["access_token"]
    graph.http.headers["Authorization"] = f"Bearer {token}"
    expired = graph.http.get(page["@odata.deltaLink"])
    assert (expired.status_code, expired.json()["error"]["code"]) == (410, "syncStateNotFound")
    assert graph.call("GET", "/groups/delta?$top=5").status_code == 400


def test_the_units_of_a_call_and_the_warning_before_the_limit(graph: Graph) -> None:
    class_id = graph.new_class()
    for path, units in ((f"/groups/{class_id}/members", 3), (f"/groups/{class_id}/members?$select=id&$top=5", 1)):
        assert graph.call("GET", path).headers["x-ms-resource-unit"] == str(units)


def test_writes_are_throttled_with_and_without_a_retry_after(graph: Graph) -> None:
    graph.sim("clock", {"rate": 0.0001})
    graph.sim("switches", {"silent_429s_every": 2, "tenant_size": "L"})
    class_id = graph.new_class()
    answers = [graph.call("PATCH", f"/groups/{class_id}", {"description": str(n)}) for n in range(3_001)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused
    assert all(answer.status_code in (204, 429) for answer in answers)
    again = [graph.call("PATCH", f"/groups/{class_id}", {"description": "x"}) for _ in range(2)]
    assert sorted("Retry-After" in answer.headers for answer in again) == [False, True]
    passed = [answer for answer in answers if answer.status_code == 204]
    assert float(passed[-1].headers["x-ms-throttle-limit-percentage"]) >= 0.8
    graph.sim("clock", {"advance_seconds": 151})
    assert graph.call("PATCH", f"/groups/{class_id}", {"description": "y"}).status_code == 204


def test_a_batch_is_answered_part_by_part(graph: Graph) -> None:
    class_id = graph.new_class()
    requests = [
        {"id": "1", "method": "GET", "url": f"/groups/{class_id}?$select=id"},
        {"id": "2", "method": "GET", "url": f"/groups/{uuid4()}"},
        {"id": "3", "method": "GET", "url": f"/groups/{class_id}", "dependsOn": ["2"]},
    ]
    answer = graph.call("POST", "/$batch", {"requests": requests})
    assert answer.status_code == 200
    assert [part["status"] for part in answer.json()["responses"]] == [200, 404, 424]
    assert graph.call("POST", "/$batch", {"requests": [requests[0]] * 21}).status_code == 400


def test_a_new_class_is_not_visible_at_once(graph: Graph) -> None:
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


def test_faults_on_demand(graph: Graph) -> None:
    class_id, (person,) = graph.new_class(), graph.users(1)
    graph.sim("faults", {"method": "GET", "path": "/groups/", "status": 503, "retry_after": 3, "times": 1})
    broken = graph.call("GET", f"/groups/{class_id}")
    assert (broken.status_code, broken.headers["Retry-After"]) == (503, "3")
    assert graph.call("GET", f"/groups/{class_id}").status_code == 200
    graph.sim("faults", {"method": "PATCH", "after_work": True})
    with pytest.raises(httpx.HTTPError):
        graph.bind(class_id, [person])
    assert graph.members(class_id) == {person}


def test_unknown_switches_and_edits_are_refused(graph: Graph) -> None:
    for path, body, words in (
        ("switches", {"colour": 1}, "unknown switch colour"),
        ("edit", {"action": "delete", "class": "nowhere"}, "there is no class"),
        ("clock", {"year": 1}, "unknown year"),
    ):
        answer = graph.http.post(f"{graph.url}/_sim/{path}", json=body)
        assert answer.status_code >= 400
        assert words in answer.json()["error"]


def test_what_was_answered_survives_a_kill(tmp_path: Path) -> None:
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
