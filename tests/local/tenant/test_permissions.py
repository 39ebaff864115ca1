"""The permissions of the app: in its tokens, for each call, and for the hidden members of classes.

The numbers are those of docs/simulated-tenant.md.
"""

from __future__ import annotations

import base64
import json
from uuid import uuid4

import pytest

from local.tenant.answers import Answers
from local.tenant.graph import delta, groups, people, users
from local.tenant.permissions import GRANTED, needs
from tests.local.tenant.simulated import Graph, error_of

DENIED = (403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")
ID = "11111111-2222-4333-8444-555555555555"


def claims_of(token: str) -> dict[str, object]:
    header, payload, signature = (base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in token.split("."))
    assert json.loads(header)["typ"] == "JWT"
    assert signature
    return dict(json.loads(payload))


def test_01_a_token_carries_the_permissions_that_were_granted_when_it_was_issued(graph: Graph) -> None:
    first = claims_of(graph.sign_in("https://graph.microsoft.com"))
    second = claims_of(graph.sign_in("https://graph.microsoft.com"))
    assert (first["aud"], first["roles"]) == ("https://graph.microsoft.com", sorted(GRANTED))
    assert first["tid"] == second["tid"]
    assert first["uti"] != second["uti"]
    assert int(str(first["exp"])) - int(str(first["iat"])) == 86_400
    graph.grant("User.Read.All")
    assert graph.call("GET", "/users").status_code == 200
    graph.sim("permissions", {"granted": []})
    assert graph.call("GET", "/users").status_code == 200
    assert "roles" not in claims_of(graph.sign_in())
    assert error_of(graph.call("GET", "/users")) == DENIED
    graph.sim("permissions", {"granted": GRANTED})
    assert error_of(graph.call("GET", "/users")) == DENIED
    graph.sign_in()
    assert graph.call("GET", "/users").status_code == 200
    assert graph.sim("permissions") == {"granted": sorted(GRANTED)}


def test_02_a_token_for_another_audience_has_no_permissions_and_is_not_for_graph(graph: Graph) -> None:
    claims = claims_of(graph.sign_in("api://AzureADTokenExchange"))
    assert claims["aud"] == "api://AzureADTokenExchange"
    assert "roles" not in claims
    response = graph.call("GET", "/users")
    assert (response.status_code, response.json()["error"]["code"]) == (401, "InvalidAuthenticationToken")


@pytest.mark.parametrize("body", [{"granted": "User.Read.All"}, {}, []])
def test_permissions_that_are_no_list_are_rejected(graph: Graph, body: object) -> None:
    assert graph.http.post(f"{graph.url}/_sim/permissions", json=body).status_code == 400
    assert graph.sim("permissions") == {"granted": sorted(GRANTED)}


@pytest.mark.parametrize(
    ("method", "path", "enough", "not_enough"),
    [
        ("GET", "/users", ["User.Read.All", "User.ReadBasic.All"], ["GroupMember.Read.All"]),
        ("GET", f"/users/{ID}", ["User.Read.All", "User.ReadBasic.All"], ["GroupMember.Read.All"]),
        ("GET", "/users/delta()", ["User.Read.All"], ["User.ReadBasic.All"]),
        ("GET", "/groups", ["GroupMember.Read.All", "Group.Read.All"], ["GroupMember.ReadWrite.All"]),
        ("GET", f"/groups/{ID}", ["GroupMember.Read.All", "Group.Read.All"], ["GroupMember.ReadWrite.All"]),
        (
            "GET",
            f"/groups/{ID}/members",
            ["GroupMember.Read.All", "Group.ReadWrite.All"],
            ["GroupMember.ReadWrite.All"],
        ),
        ("GET", f"/groups/{ID}/owners", ["GroupMember.Read.All", "Group.ReadWrite.All"], ["GroupMember.ReadWrite.All"]),
        ("GET", "/groups/delta", ["GroupMember.Read.All", "Group.ReadWrite.All"], ["GroupMember.ReadWrite.All"]),
        ("POST", "/groups", ["Group.ReadWrite.All"], ["EduRoster.ReadWrite.All", "GroupMember.ReadWrite.All"]),
        ("PATCH", f"/groups/{ID}", ["Group.ReadWrite.All"], ["GroupMember.ReadWrite.All"]),
        ("DELETE", f"/groups/{ID}", ["Group.ReadWrite.All"], ["GroupMember.ReadWrite.All"]),
        ("POST", f"/groups/{ID}/members/$ref", ["GroupMember.ReadWrite.All"], ["GroupMember.Read.All"]),
        ("DELETE", f"/groups/{ID}/members/{ID}/$ref", ["GroupMember.ReadWrite.All"], ["GroupMember.Read.All"]),
        ("POST", f"/groups/{ID}/owners/$ref", ["Group.ReadWrite.All"], ["GroupMember.ReadWrite.All"]),
        ("DELETE", f"/groups/{ID}/owners/{ID}/$ref", ["Group.ReadWrite.All"], ["GroupMember.ReadWrite.All"]),
        ("GET", "/education/classes", ["EduRoster.ReadWrite.All", "EduRoster.Read.All"], ["Group.ReadWrite.All"]),
        ("POST", "/education/classes", ["EduRoster.ReadWrite.All"], ["EduRoster.Read.All", "Group.ReadWrite.All"]),
        ("DELETE", f"/education/classes/{ID}", ["EduRoster.ReadWrite.All"], ["Group.ReadWrite.All"]),
        ("POST", f"/education/classes/{ID}/teachers/$ref", ["EduRoster.ReadWrite.All"], ["Group.ReadWrite.All"]),
        ("GET", f"/directory/deletedItems/{ID}", ["Group.Read.All", "Group.ReadWrite.All"], ["GroupMember.Read.All"]),
        ("POST", f"/directory/deletedItems/{ID}/restore", ["Group.ReadWrite.All"], ["Group.Read.All"]),
    ],
)
def test_03_each_call_needs_its_permission(
    graph: Graph, method: str, path: str, enough: list[str], not_enough: list[str]
) -> None:
    graph.grant(*not_enough)
    assert error_of(graph.call(method, path, {})) == DENIED
    for permission in enough:
        graph.grant(permission)
        assert graph.call(method, path, {}).status_code != 403


def test_every_route_of_graph_has_its_permission() -> None:
    for method, pattern, _ in (*delta.ROUTES, *users.ROUTES, *groups.ROUTES, *people.ROUTES):
        for path in pattern.replace(r"\$", "$").replace("([^/]+)", ID).replace(r"\.", ".").split("|/"):
            plain = f"/{path.lstrip('/')}".replace("(education/classes|groups)", "groups").replace(r"(?:\(\))?", "")
            plain = plain.replace("(?:education/classes|groups)", "groups").replace("(users|groups)", "users")
            assert isinstance(
                needs(method, plain.replace("(members|teachers|owners)", "owners"), {}, Answers()), frozenset
            )


def test_04_members_of_a_class_are_hidden_without_the_permission(graph: Graph) -> None:
    class_id, (person,) = graph.new_class(), graph.users(1)
    graph.bind(class_id, [person])
    assert graph.call("GET", f"/groups/{class_id}").json()["visibility"] == "HiddenMembership"
    paths = [f"/groups/{class_id}/members", f"/education/classes/{class_id}/members"]
    for path in paths:
        assert [user["id"] for user in graph.call("GET", path).json()["value"]] == [person]
    graph.grant_all_but("Member.Read.Hidden")
    for path in paths:
        graph.switch(hidden_members="empty")
        assert graph.call("GET", path).json() == {"value": []}
        graph.switch(hidden_members="omitted")
        assert "value" not in graph.call("GET", path).json()
        graph.switch(hidden_members="forbidden")
        assert error_of(graph.call("GET", path)) == DENIED
    already = graph.bind(class_id, [person])
    assert "references already exist" in already.json()["error"]["message"]


def test_04_members_of_other_groups_and_all_owners_are_not_hidden(graph: Graph) -> None:
    (person,) = graph.users(1)
    group = graph.call("POST", "/groups", {"displayName": "g", "mailNickname": uuid4().hex}).json()["id"]
    class_id = graph.new_class()
    graph.bind(group, [person])
    graph.teach(class_id, person)
    graph.grant_all_but("Member.Read.Hidden")
    graph.switch(hidden_members="forbidden")
    assert graph.members(group) == {person}
    assert graph.call("GET", f"/groups/{class_id}/owners").json()["value"][0]["id"] == person
    graph.switch(class_visibility="public")
    assert graph.members(class_id) == set()


def test_05_the_delta_omits_hidden_members_and_keeps_owners(graph: Graph) -> None:
    since = graph.call("GET", "/groups/delta()").json()["@odata.deltaLink"]
    class_id, (member, owner) = graph.new_class(), graph.users(2)
    graph.bind(class_id, [member])
    graph.teach(class_id, owner)
    (told,) = graph.http.get(since).json()["value"]
    assert [person["id"] for person in told["members@delta"]] == [member]
    graph.switch(delta_members="omitted")
    (silent,) = graph.http.get(since).json()["value"]
    graph.switch(delta_members="told")
    graph.grant_all_but("Member.Read.Hidden")
    (without,) = graph.http.get(since).json()["value"]
    assert silent == without == {name: value for name, value in told.items() if name != "members@delta"}
    first = graph.call("GET", f"/groups/delta?$filter=id eq '{class_id}'").json()["value"]
    assert first == [without]
    later = graph.http.get(since).json()["@odata.deltaLink"]
    graph.bind(class_id, graph.users(1))
    assert graph.http.get(later).json()["value"] == []


def test_06_members_are_added_with_the_permission_for_members_or_only_with_that_for_groups(graph: Graph) -> None:
    class_id, people_ids = graph.new_class(), graph.users(3)
    graph.grant_all_but("Group.ReadWrite.All")
    assert graph.bind(class_id, people_ids[:1]).status_code == 204
    graph.switch(patch_members="forbidden")
    assert error_of(graph.bind(class_id, people_ids[1:])) == DENIED
    reference = {"@odata.id": f"https://graph.microsoft.com/v1.0/directoryObjects/{people_ids[1]}"}
    part = {"id": "1", "method": "POST", "url": f"/groups/{class_id}/members/$ref", "body": reference}
    part["headers"] = {"Content-Type": "application/json"}
    (answer,) = graph.call("POST", "/$batch", {"requests": [part]}).json()["responses"]
    assert answer["status"] == 204
    graph.grant_all_but()
    assert graph.bind(class_id, people_ids[2:]).status_code == 204
    assert graph.members(class_id) == set(people_ids)


def test_07_deleted_groups_are_read_and_restored_only_with_the_permission_for_groups(graph: Graph) -> None:
    class_id = graph.new_class()
    graph.call("DELETE", f"/education/classes/{class_id}")
    graph.grant_all_but("Group.ReadWrite.All")
    listing = "/directory/deletedItems/microsoft.graph.group"
    assert error_of(graph.call("GET", listing)) == DENIED
    assert error_of(graph.call("POST", f"/directory/deletedItems/{class_id}/restore")) == DENIED
    graph.grant("Group.Read.All")
    assert class_id in {group["id"] for group in graph.call("GET", listing).json()["value"]}


def test_a_delete_without_ref_is_counted_whatever_the_permissions(graph: Graph) -> None:
    graph.grant()
    before = graph.sim("stats")["forbidden_deletes"]
    assert graph.call("DELETE", f"/groups/{ID}/members/{ID}").status_code == 403
    assert graph.sim("stats")["forbidden_deletes"] == before + 1
