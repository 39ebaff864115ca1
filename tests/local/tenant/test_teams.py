"""Teams of the simulated tenant: late, locked and limited. The numbers are those of docs/simulated-tenant.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.local.tenant.simulated import Graph, error_of, start

TEMPLATE = "https://graph.microsoft.com/v1.0/teamsTemplates('educationClass')"
MEMBER = "microsoft.graph.aadUserConversationMember"
DAY, QUARTER = 86_400, 900


def bound(class_id: str) -> dict[str, str]:
    return {
        "template@odata.bind": TEMPLATE,
        "group@odata.bind": f"https://graph.microsoft.com/v1.0/groups('{class_id}')",
    }


def make(graph: Graph, class_id: str, **more: object) -> httpx.Response:
    return graph.call("POST", "/teams", bound(class_id) | more)


def add(graph: Graph, class_id: str, people: list[str], *roles: str) -> httpx.Response:
    users = [f"https://graph.microsoft.com/v1.0/users('{person}')" for person in people]
    values = [{"@odata.type": MEMBER, "roles": list(roles), "user@odata.bind": user} for user in users]
    return graph.call("POST", f"/teams/{class_id}/members/add", {"values": values})


def pass_by(graph: Graph, seconds: float) -> None:
    graph.sim("clock", {"advance_seconds": seconds})
    graph.sign_in()


def truth(graph: Graph, class_id: str) -> dict[str, Any]:
    (team,) = [team for team in graph.sim("teams") if team["id"] == class_id]
    return dict(team)


def listed(graph: Graph, class_id: str, query: str = "") -> dict[str, dict[str, Any]]:
    pass_by(graph, 2)
    answer = graph.call("GET", f"/teams/{class_id}/members{query}")
    assert answer.status_code == 200, answer.text
    return {one["userId"]: one for one in answer.json()["value"]}


def members(graph: Graph, class_id: str) -> tuple[set[str], set[str]]:
    """The members and the owners that Teams shows."""
    people = listed(graph, class_id, "?$top=999")
    owners = {person for person, one in people.items() if one["roles"] == ["owner"]}
    return set(people) - owners, owners


def new_class(graph: Graph, owners: int = 1, pupils: int = 0) -> tuple[str, list[str], list[str]]:
    class_id, people = graph.new_class(), graph.users(owners + pupils)
    for owner in people[:owners]:
        assert graph.teach(class_id, owner).status_code == 204
    if pupils:
        assert graph.bind(class_id, people[owners:]).status_code == 204
    return class_id, people[:owners], people[owners:]


def new_team(graph: Graph, owners: int = 1, pupils: int = 0) -> tuple[str, list[str], list[str]]:
    class_id, teachers, others = new_class(graph, owners, pupils)
    pass_by(graph, 60)
    assert make(graph, class_id).status_code == 202
    pass_by(graph, 60)
    return class_id, teachers, others


def act(graph: Graph, action: str, class_id: str, **more: object) -> Any:
    return graph.sim("teams", {"action": action, "class": class_id, **more})


def unlock(graph: Graph, class_id: str) -> None:
    assert graph.call("PATCH", f"/teams/{class_id}", {"isMembershipLimitedToOwners": False}).status_code == 204


# --- 40 to 44: making a team


def test_40_teams_hears_of_a_class_late_up_to_fifteen_minutes(graph: Graph) -> None:
    class_id, *_ = new_class(graph)
    status, code, message = error_of(make(graph, class_id))
    assert (status, code) == (404, "NotFound")
    assert message.startswith("Failed to execute Templates backend request")
    pass_by(graph, 31)
    assert make(graph, class_id).status_code == 202
    graph.sim("switches", {"teams_class_known_seconds": QUARTER})
    later, *_ = new_class(graph)
    pass_by(graph, QUARTER - 5)
    assert make(graph, later).status_code == 404
    pass_by(graph, 6)
    assert make(graph, later).status_code == 202


def test_41_the_refusals_come_wrapped(graph: Graph) -> None:
    ownerless, _, _ = new_class(graph, owners=0)
    (owner,) = graph.users(1)
    fields = {"displayName": "plain", "mailNickname": uuid4().hex, "is_class": False, "owners": [owner]}
    (plain,) = graph.sim("classes", [fields])
    made, *_ = new_team(graph)
    words = {
        ownerless: (400, "BadRequest", "must have one or more owners in order to create a Team"),
        plain: (400, "BadRequest", "can not be provisioned using a group which does not belong to a class"),
        made: (409, "Conflict", "is already provisioned"),
    }
    for class_id, (status, code, text) in words.items():
        answered = error_of(make(graph, class_id))
        assert answered[:2] == (status, code)
        assert answered[2].startswith("Failed to execute Templates backend request")
        assert text in answered[2]


def test_42_a_team_takes_everything_from_its_class(graph: Graph) -> None:
    class_id, *_ = new_class(graph)
    pass_by(graph, 60)
    mores: list[dict[str, object]] = [{"displayName": "mine"}, {"visibility": "private"}, {"members": []}]
    for more in mores:
        assert make(graph, class_id, **more).status_code == 400
    assert make(graph, class_id).status_code == 202


def test_43_a_team_appears_later_and_is_born_locked(graph: Graph) -> None:
    class_id, (teacher,), pupils = new_class(graph, pupils=2)
    pass_by(graph, 60)
    answer = make(graph, class_id)
    assert answer.headers["Content-Location"] == f"/teams('{class_id}')"
    operation = answer.headers["Location"]
    assert graph.call("GET", operation).json()["status"] == "inProgress"
    assert graph.call("GET", f"/teams/{class_id}").status_code == 404
    assert make(graph, class_id).status_code == 409
    pass_by(graph, 16)
    assert graph.call("GET", operation).json()["status"] == "succeeded"
    assert graph.call("GET", f"/teams/{class_id}").json()["isMembershipLimitedToOwners"] is True
    assert members(graph, class_id) == (set(), {teacher})
    assert len(truth(graph, class_id)["waiting"]) == len(pupils)


@pytest.mark.parametrize(("answer", "status"), [("refused", 400), ("accepted", 202)])
def test_44_owners_without_a_licence(graph: Graph, answer: str, status: int) -> None:
    graph.switch(team_of_unlicensed_owners=answer)
    class_id = graph.new_class()
    upn = f"{uuid4().hex}@x.org"
    graph.sim("users", [{"userPrincipalName": upn, "displayName": "x", "licensed": False}])
    graph.sim("edit", {"action": "add-owner", "class": class_id, "upn": upn})
    pass_by(graph, 60)
    assert make(graph, class_id).status_code == status


# --- 45 to 49: who is in it


def test_45_an_app_unlocks_a_team_and_adds_nobody_and_a_teacher_adds_those_who_wait(graph: Graph) -> None:
    class_id, (teacher,), pupils = new_team(graph, pupils=3)
    unlock(graph, class_id)
    pass_by(graph, 2 * DAY)
    assert members(graph, class_id) == (set(), {teacher})
    act(graph, "activate", class_id)
    assert members(graph, class_id) == (set(pupils), {teacher})


def test_46_members_are_copied_late_once_somebody_used_the_team_and_owners_sooner(graph: Graph) -> None:
    class_id, (teacher,), _ = new_team(graph)
    unlock(graph, class_id)
    pupil, other = graph.users(2)
    graph.bind(class_id, [pupil])
    graph.teach(class_id, other)
    pass_by(graph, 7_100)
    assert members(graph, class_id) == (set(), {teacher})
    pass_by(graph, 200)
    assert members(graph, class_id) == (set(), {teacher, other})
    pass_by(graph, DAY)
    assert members(graph, class_id) == (set(), {teacher, other})
    act(graph, "open", class_id)
    assert members(graph, class_id) == ({pupil}, {teacher, other})
    graph.call("DELETE", f"/groups/{class_id}/members/{pupil}/$ref")
    pass_by(graph, DAY - 60)
    assert pupil in members(graph, class_id)[0]
    pass_by(graph, 120)
    assert pupil not in members(graph, class_id)[0]


@pytest.mark.parametrize("answer", ["refused", "waits"])
def test_47_a_locked_team_takes_owners_and_no_pupil(graph: Graph, answer: str) -> None:
    graph.switch(member_of_locked_team=answer)
    class_id, (teacher,), _ = new_team(graph)
    pupil, other = graph.users(2)
    added = add(graph, class_id, [pupil])
    assert added.status_code == (207 if answer == "refused" else 200)
    assert add(graph, class_id, [other], "owner").status_code == 200
    assert members(graph, class_id) == (set(), {teacher, other})


def test_48_each_person_has_a_result(graph: Graph) -> None:
    class_id, *_ = new_team(graph)
    unlock(graph, class_id)
    (pupil,) = graph.users(1)
    unlicensed = graph.sim("users", [{"userPrincipalName": f"{uuid4().hex}@x.org", "licensed": False}])[0]
    nobody = str(uuid4())
    answer = add(graph, class_id, [pupil, unlicensed, nobody])
    assert answer.status_code == 207
    errors = {one["userId"]: one["error"] for one in answer.json()["value"]}
    assert errors[pupil] is None
    assert errors[unlicensed]["message"] == "You do not have permission to perform this operation"
    assert errors[nobody] == {"code": "NotFound", "message": ""}
    assert add(graph, class_id, graph.users(201)).status_code == 400


@pytest.mark.parametrize(("answer", "status", "is_owner"), [("accepted", 200, True), ("error", 207, False)])
def test_49_a_person_who_is_in_the_team_already(graph: Graph, answer: str, status: int, is_owner: bool) -> None:
    graph.switch(team_member_again=answer)
    class_id, *_ = new_team(graph)
    unlock(graph, class_id)
    (person,) = graph.users(1)
    assert add(graph, class_id, [person]).status_code == 200
    assert add(graph, class_id, [person], "owner").status_code == status
    assert (person in members(graph, class_id)[1]) is is_owner


# --- 50 to 55: out of it, and back into the group


def test_50_memberships_are_opaque_and_new_each_time(graph: Graph) -> None:
    class_id, _, _ = new_team(graph)
    unlock(graph, class_id)
    people = graph.users(16)
    add(graph, class_id, people)
    clause = f"{MEMBER}/userId eq "
    only = listed(graph, class_id, "?$filter=" + " or ".join(f"{clause}'{one}'" for one in people[:15]))
    assert only.keys() == set(people[:15])
    of_one = listed(graph, class_id, f'?$filter={MEMBER}/userId in ("{people[3]}")')
    assert of_one.keys() == {people[3]}
    assert people[3] not in of_one[people[3]]["id"]
    too_many = " or ".join(f"{clause}'{one}'" for one in people)
    assert graph.call("GET", f"/teams/{class_id}/members?$filter={too_many}").status_code == 400
    path = f"/teams/{class_id}/members/{of_one[people[3]]['id']}"
    assert graph.call("DELETE", path).status_code == 204
    pass_by(graph, 2)
    assert graph.call("DELETE", path).status_code == 404
    add(graph, class_id, [people[3]])
    assert listed(graph, class_id)[people[3]]["id"] != of_one[people[3]]["id"]


def test_51_the_last_owner_stays(graph: Graph) -> None:
    class_id, (teacher,), _ = new_team(graph)
    membership = listed(graph, class_id)[teacher]["id"]
    assert graph.call("DELETE", f"/teams/{class_id}/members/{membership}").status_code == 400
    assert members(graph, class_id)[1] == {teacher}


def test_52_an_owner_who_leaves_the_group_loses_the_membership_of_the_team_seconds_later(graph: Graph) -> None:
    """Whoever is added as a member before that is taken out too, so an app waits for ten seconds."""
    class_id, (teacher, other), _ = new_team(graph, owners=2)
    unlock(graph, class_id)
    pass_by(graph, 2)
    graph.call("DELETE", f"/education/classes/{class_id}/teachers/{other}/$ref")
    assert other in members(graph, class_id)[1]
    pass_by(graph, 10)
    assert members(graph, class_id) == (set(), {teacher})
    add(graph, class_id, [other])
    pass_by(graph, 20)
    assert members(graph, class_id) == ({other}, {teacher})


@pytest.mark.parametrize("answer", ["at-once", "never"])
def test_53_a_change_on_the_side_of_teams_and_the_group(graph: Graph, answer: str) -> None:
    graph.switch(team_writes_in_group=answer)
    class_id, *_ = new_team(graph)
    unlock(graph, class_id)
    (pupil,) = graph.users(1)
    add(graph, class_id, [pupil])
    assert (pupil in graph.members(class_id)) is (answer == "at-once")
    membership = listed(graph, class_id)[pupil]["id"]
    graph.call("DELETE", f"/teams/{class_id}/members/{membership}")
    assert pupil not in graph.members(class_id)


# --- 54 to 58: archive, deletion, limits, the client


@pytest.mark.parametrize(("answer", "status"), [("202", 202), ("404-though-done", 404)])
def test_54_an_archive_is_done_whatever_it_answers(graph: Graph, answer: str, status: int) -> None:
    graph.switch(archive_answer=answer)
    class_id, *_ = new_team(graph)
    assert graph.call("POST", f"/teams/{class_id}/archive", {}).status_code == status
    shown = graph.call("GET", f"/teams/{class_id}").json()["isArchived"]
    assert shown is (answer != "202")
    pass_by(graph, 6)
    assert graph.call("GET", f"/teams/{class_id}").json()["isArchived"] is True
    body = {"shouldSetSpoSiteReadOnlyForMembers": True}
    assert graph.call("POST", f"/teams/{class_id}/archive", body).status_code == 400
    graph.call("POST", f"/teams/{class_id}/unarchive")
    pass_by(graph, 6)
    assert graph.call("GET", f"/teams/{class_id}").json()["isArchived"] is False


@pytest.mark.parametrize(("answer", "status"), [("kept", 200), ("gone", 404)])
def test_55_a_class_is_deleted_and_restored_with_or_without_its_team(graph: Graph, answer: str, status: int) -> None:
    graph.switch(team_after_restore=answer)
    class_id, *_ = new_team(graph)
    assert graph.call("DELETE", f"/education/classes/{class_id}").status_code == 204
    assert graph.call("GET", f"/teams/{class_id}").status_code == 404
    assert graph.call("POST", f"/directory/deletedItems/{class_id}/restore").status_code == 200
    assert graph.call("GET", f"/teams/{class_id}").status_code == status


def test_56_any_team_has_four_requests_a_second_and_the_tenant_ten_creations(graph: Graph) -> None:
    """They are no part of the identity quota."""
    class_id, *_ = new_team(graph)
    graph.sim("clock", {"rate": 0.001})
    before = graph.sim("stats")
    answers = [graph.call("GET", f"/teams/{class_id}") for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200] * 4 + [429]
    assert int(answers[-1].headers["Retry-After"]) >= 1
    classes = [new_class(graph)[0] for _ in range(11)]
    pass_by(graph, 60)
    assert [make(graph, one).status_code for one in classes] == [202] * 10 + [429]
    after = graph.sim("stats")
    assert after["resource_units"] - before["resource_units"] == 11 * 2
    assert after["throttled"] - before["throttled"] == 2


def test_57_what_people_do_in_the_client(graph: Graph) -> None:
    class_id, (teacher,), (pupil,) = new_class(graph, pupils=1)
    upns = {person: graph.call("GET", f"/users/{person}").json()["userPrincipalName"] for person in (teacher, pupil)}
    assert act(graph, "make", class_id)["members"] == [upns[pupil]]
    assert graph.call("GET", f"/teams/{class_id}").json()["isMembershipLimitedToOwners"] is False
    assert act(graph, "leave", class_id, upn=upns[pupil])["members"] == []
    assert graph.members(class_id).isdisjoint({pupil})
    assert act(graph, "add-member", class_id, upn=upns[pupil])["members"] == [upns[pupil]]
    assert pupil in graph.members(class_id)
    act(graph, "archive", class_id)
    assert graph.call("GET", f"/teams/{class_id}").json()["isArchived"] is True
    own = graph.sim("teams", {"action": "make-new", "name": "7A Art", "owner": upns[teacher], "members": [upns[pupil]]})
    assert graph.call("GET", f"/groups/{own['id']}").json()["displayName"] == "7A Art"
    assert not act(graph, "delete-alone", class_id)["exists"]
    assert graph.call("GET", f"/groups/{class_id}").status_code == 200
    assert graph.call("GET", f"/teams/{class_id}").status_code == 404
    act(graph, "delete", own["id"])
    assert graph.call("GET", f"/groups/{own['id']}").status_code == 404


@pytest.mark.parametrize(("answer", "told"), [("told", True), ("omitted", False)])
def test_58_a_team_tells_its_lock_or_not(graph: Graph, answer: str, told: bool) -> None:
    graph.switch(team_lock_told=answer)
    class_id, *_ = new_team(graph)
    assert ("isMembershipLimitedToOwners" in graph.call("GET", f"/teams/{class_id}").json()) is told
    selected = graph.call("GET", f"/teams/{class_id}?$select=id,isMembershipLimitedToOwners")
    assert selected.status_code == (200 if told else 400)


@pytest.mark.parametrize(
    ("method", "path", "needed"),
    [
        ("POST", "/teams", ["Team.Create"]),
        ("GET", "/teams/{0}", ["Team.ReadBasic.All", "TeamSettings.ReadWrite.All"]),
        ("PATCH", "/teams/{0}", ["TeamSettings.ReadWrite.All"]),
        ("POST", "/teams/{0}/archive", ["TeamSettings.ReadWrite.All"]),
        ("GET", "/teams/{0}/members", ["TeamMember.ReadWrite.All"]),
        ("POST", "/teams/{0}/members/add", ["TeamMember.ReadWrite.All"]),
        ("DELETE", "/teams/{0}/members/x", ["TeamMember.ReadWrite.All"]),
    ],
)
def test_59_each_call_needs_its_permission(graph: Graph, method: str, path: str, needed: list[str]) -> None:
    class_id, *_ = new_team(graph)
    graph.grant_all_but(*needed)
    assert error_of(graph.call(method, path.format(class_id), {}))[:2] == (403, "Forbidden")
    for permission in needed:
        graph.grant_all_but(*(one for one in needed if one != permission))
        assert graph.call(method, path.format(class_id), {}).status_code != 403


def test_60_a_restart_keeps_teams_and_what_is_still_to_be_copied(tmp_path: Path) -> None:
    state = tmp_path / "tenant.jsonl"
    child, graph = start(tmp_path, "--state", str(state))
    try:
        class_id, (teacher,), (pupil,) = new_team(graph, pupils=1)
        unlock(graph, class_id)
        (late,) = graph.users(1)
        graph.bind(class_id, [late])
        act(graph, "open", class_id)
        before = truth(graph, class_id)
    finally:
        child.stop()
    child, graph = start(tmp_path, "--state", str(state))
    try:
        assert truth(graph, class_id) == before
        pass_by(graph, DAY + 200)
        assert members(graph, class_id) == ({late}, {teacher})
        assert pupil not in members(graph, class_id)[0]
    finally:
        child.stop()


def test_61_a_person_is_in_a_thousand_teams_at_most(graph: Graph) -> None:
    assert graph.sim("switches")["teams_of_a_person"] == 1_000
    graph.sim("switches", {"teams_of_a_person": 1})
    class_id, (teacher,), _ = new_team(graph)
    unlock(graph, class_id)
    _, (owner,), _ = new_team(graph)
    refused = add(graph, class_id, [owner])
    assert refused.json()["value"][0]["error"]["message"] == "The user is a member of the maximum number of teams."
    third = graph.new_class()
    graph.teach(third, teacher)
    pass_by(graph, 60)
    assert make(graph, third).status_code == 400


@pytest.mark.parametrize(("answer", "at_once"), [("at-once", True), ("later", False)])
def test_62_a_person_who_was_added_shows_at_once_or_later(graph: Graph, answer: str, at_once: bool) -> None:
    graph.switch(team_people_shown=answer)
    class_id, *_ = new_team(graph)
    unlock(graph, class_id)
    (pupil,) = graph.users(1)
    add(graph, class_id, [pupil])
    assert (pupil in members(graph, class_id)[0]) is at_once
    pass_by(graph, 10)
    assert pupil in members(graph, class_id)[0]
