"""What the simulated tenant refuses or changes in classes and their people, in Graph's words.

The numbers are those of docs/simulated-tenant.md.
"""

from __future__ import annotations

from uuid import uuid4

import pytest

from local.tenant.answers import Answers
from local.tenant.directory.directory import Directory
from local.tenant.directory.refusals import Refusal
from tests.local.tenant.simulated import Graph, error_of

TAKEN = "Another object with the same value for property mailNickname already exists."
GUESTS = "Guests users are not allowed to join this Unified Group due to policy setting"


def new_body(**fields: str) -> dict[str, str]:
    return {"displayName": "c", "mailNickname": uuid4().hex, **fields}


def new_user(graph: Graph, **fields: object) -> str:
    return str(graph.sim("users", [{"userPrincipalName": f"{uuid4().hex}@x.org", **fields}])[0])


def test_08_a_tenant_without_education_has_no_classes(graph: Graph) -> None:
    graph.switch(education_tenant="no")
    status, code, message = error_of(graph.call("POST", "/education/classes", new_body()))
    assert (status, code) == (400, "Request_UnsupportedQuery")
    assert "Education_ObjectType" in message
    assert graph.call("GET", "/groups").status_code == 200


def test_09_a_description_has_at_most_1024_characters(graph: Graph) -> None:
    assert graph.call("POST", "/education/classes", new_body(description="d" * 1024)).status_code == 201
    refused = graph.call("POST", "/education/classes", new_body(description="d" * 1025))
    assert error_of(refused)[:2] == (400, "Request_BadRequest")
    assert graph.call("PATCH", f"/groups/{graph.new_class()}", {"description": "d" * 1025}).status_code == 400


def test_an_external_source_is_one_that_graph_knows(graph: Graph) -> None:
    assert graph.call("POST", "/education/classes", new_body(externalSource="sis")).status_code == 201
    assert graph.call("POST", "/education/classes", new_body(externalSource="mis")).status_code == 400


@pytest.mark.parametrize("character", "&*?|{}+")
def test_10_a_class_whose_name_costs_the_mailbox_is_accepted_and_noted(graph: Graph, character: str) -> None:
    assert graph.call("POST", "/education/classes", new_body(displayName=f"a {character} b")).status_code == 201
    assert graph.sim("log")[-1]["note"] == "no mailbox is made for a group with this display name"
    graph.new_class()
    assert "note" not in graph.sim("log")[-1]


def test_11_several_groups_may_have_one_nickname(graph: Graph) -> None:
    nickname = uuid4().hex
    foreign, ours = graph.sim(
        "classes",
        [
            {**new_body(mailNickname=nickname), "is_class": False},
            {**new_body(mailNickname=nickname.upper()), "externalId": "S1|7A"},
        ],
    )
    listed = graph.call("GET", f"/groups?$filter=mailNickname eq '{nickname}'").json()["value"]
    assert [group["id"] for group in listed] == [foreign, ours]
    assert graph.call("GET", f"/education/classes/{foreign}").status_code == 404
    assert graph.call("GET", f"/education/classes/{ours}").json()["externalId"] == "S1|7A"
    assert error_of(graph.call("POST", "/education/classes", new_body(mailNickname=nickname)))[2] == TAKEN
    assert graph.sim("edit", {"action": "delete", "class": ours})["deleted"]
    assert error_of(graph.call("POST", "/education/classes", new_body(mailNickname=nickname)))[2] == TAKEN


def test_12_the_nickname_of_a_deleted_class_is_kept_or_free(graph: Graph) -> None:
    nickname = uuid4().hex
    class_id = graph.new_class(nickname)
    graph.call("DELETE", f"/education/classes/{class_id}")
    assert error_of(graph.call("POST", "/education/classes", new_body(mailNickname=nickname)))[2] == TAKEN
    graph.switch(nickname_of_deleted="free")
    second = graph.new_class(nickname)
    assert error_of(graph.call("POST", f"/directory/deletedItems/{class_id}/restore"))[2] == TAKEN
    graph.call("DELETE", f"/education/classes/{second}")
    graph.switch(nickname_of_deleted="kept")
    graph.sim("clock", {"advance_seconds": 31 * 86_400})
    graph.sign_in()
    graph.new_class(nickname)


def test_13_a_restored_class_keeps_or_loses_its_external_id(graph: Graph) -> None:
    for answer, external_id in (("kept", "S1|x"), ("lost", None)):
        graph.switch(external_id_after_restore=answer)
        class_id = graph.call("POST", "/education/classes", new_body(externalId="S1|x")).json()["id"]
        graph.call("DELETE", f"/education/classes/{class_id}")
        assert graph.call("POST", f"/directory/deletedItems/{class_id}/restore").status_code == 200
        assert graph.call("GET", f"/education/classes/{class_id}").json()["externalId"] == external_id


def test_14_a_naming_policy_changes_or_refuses_a_name(graph: Graph) -> None:
    body = new_body()
    graph.switch(naming_policy="refuses")
    refused = graph.call("POST", "/education/classes", body)
    assert error_of(refused)[:2] == (400, "Request_BadRequest")
    assert "Group naming requirements" in error_of(refused)[2]
    assert refused.json()["error"]["details"] == [{"code": "MissingPrefixSuffix", "target": "displayName"}]
    graph.switch(naming_policy="changes")
    created = graph.call("POST", "/education/classes", body).json()
    names = (created["displayName"], created["mailNickname"])
    assert names == ("School c", f"school-{body['mailNickname']}")
    graph.switch(naming_policy="refuses")
    conforming = new_body(displayName="School d", mailNickname=f"school-{uuid4().hex}")
    assert graph.call("POST", "/education/classes", conforming).status_code == 201


def test_15_lists_lag_more_than_reads(graph: Graph) -> None:
    graph.sim("switches", {"lag_seconds": 30})
    nickname = uuid4().hex
    class_id = graph.new_class(nickname)
    graph.sim("clock", {"advance_seconds": 40})
    assert graph.call("GET", f"/groups/{class_id}").status_code == 200
    listing = f"/groups?$filter=mailNickname eq '{nickname}'"
    assert graph.call("GET", listing).json()["value"] == []
    graph.sim("clock", {"advance_seconds": 30})
    assert len(graph.call("GET", listing).json()["value"]) == 1


def test_16_a_teacher_is_referred_to_as_an_education_user(graph: Graph) -> None:
    class_id, (person,) = graph.new_class(), graph.users(1)
    for collection in ("users", "directoryObjects"):
        status, _, message = error_of(graph.teach(class_id, person, collection))
        assert (status, message) == (500, "Unable to find target address")
    assert graph.teach(class_id, person).status_code == 204


def test_17_a_teacher_without_a_licence_is_accepted_refused_or_not_found(graph: Graph) -> None:
    class_id, unlicensed = graph.new_class(), new_user(graph, licensed=False)
    graph.switch(unlicensed_teacher="refused")
    assert graph.teach(class_id, unlicensed).status_code == 400
    graph.switch(unlicensed_teacher="not-found")
    assert graph.teach(class_id, unlicensed).status_code == 404
    assert graph.teach(class_id, *graph.users(1)).status_code == 204
    graph.switch(unlicensed_teacher="accepted")
    assert graph.teach(class_id, unlicensed).status_code == 204
    assert "licensed" not in graph.call("GET", f"/users/{unlicensed}").json()


def test_18_a_teacher_who_is_not_a_member_stays_one_becomes_one_or_is_refused(graph: Graph) -> None:
    class_id, (first, second, third) = graph.new_class(), graph.users(3)
    assert graph.teach(class_id, first).status_code == 204
    assert graph.members(class_id) == set()
    graph.switch(teacher_not_member="added")
    assert graph.teach(class_id, second).status_code == 204
    assert graph.members(class_id) == {second}
    graph.switch(teacher_not_member="refused")
    assert graph.teach(class_id, third).status_code == 400
    graph.bind(class_id, [third])
    assert graph.teach(class_id, third).status_code == 204


def test_19_a_teacher_is_refused_a_second_time_in_one_text_or_another(graph: Graph) -> None:
    class_id, (person,) = graph.new_class(), graph.users(1)
    graph.teach(class_id, person)
    known = error_of(graph.teach(class_id, person))
    assert known[0] == 400
    assert "added object references already exist" in known[2]
    graph.switch(teacher_twice="other-text")
    status, _, message = error_of(graph.teach(class_id, person))
    assert status == 400
    assert "references already exist" not in message


def test_20_one_guest_refuses_the_whole_patch(graph: Graph) -> None:
    class_id, (person,), guest = graph.new_class(), graph.users(1), new_user(graph, userType="Guest")
    assert error_of(graph.bind(class_id, [person, guest])) == (403, "Authorization_RequestDenied", GUESTS)
    assert graph.members(class_id) == set()
    reference = {"@odata.id": f"https://graph.microsoft.com/v1.0/directoryObjects/{guest}"}
    assert error_of(graph.call("POST", f"/groups/{class_id}/members/$ref", reference))[2] == GUESTS
    assert graph.call("GET", f"/users/{guest}?$select=userType").json()["userType"] == "Guest"
    assert graph.call("GET", f"/users/{person}?$select=userType").json()["userType"] == "Member"


def test_21_one_unknown_id_refuses_the_whole_patch_with_404_or_400(graph: Graph) -> None:
    class_id, (person,) = graph.new_class(), graph.users(1)
    assert error_of(graph.bind(class_id, [person, str(uuid4())]))[:2] == (404, "Request_ResourceNotFound")
    graph.switch(unknown_member="400")
    assert error_of(graph.bind(class_id, [person, str(uuid4())]))[:2] == (400, "Request_BadRequest")
    assert graph.members(class_id) == set()


def test_22_removing_a_person_who_is_not_a_member_is_404_or_400(graph: Graph) -> None:
    class_id, (person,) = graph.new_class(), graph.users(1)
    path = f"/groups/{class_id}/members/{person}/$ref"
    assert error_of(graph.call("DELETE", path))[:2] == (404, "Request_ResourceNotFound")
    graph.switch(removal_of_stranger="400")
    text = "One or more removed object references do not exist for the following modified properties: 'members'."
    assert error_of(graph.call("DELETE", path)) == (400, "Request_BadRequest", text)


def test_23_a_group_has_at_most_100_owners(graph: Graph) -> None:
    owners = graph.users(101)
    (class_id,) = graph.sim("classes", [{**new_body(), "owners": owners[:100]}])
    text = "Unable to perform operation as '101' would exceed the maximum quota count '100' for forward-link owners."
    assert error_of(graph.teach(class_id, owners[100])) == (403, "Directory_QuotaExceeded", text)


def test_24_a_group_has_at_most_25000_members() -> None:
    directory = Directory("tenant", Answers(), lambda _: None)
    people = [directory.add_user(f"{number}@x.org", "x").id for number in range(25_001)]
    group = directory.seed_group(new_body(), {"members": people[:24_999]}, 0.0, is_class=True)
    with pytest.raises(Refusal) as refused:
        directory.bind_members(group, people[24_999:])
    assert (refused.value.status, refused.value.code) == (403, "Directory_QuotaExceeded")
    assert "'25001' would exceed the maximum quota count '25000' for forward-link members" in refused.value.message
    directory.bind_members(group, people[24_999:25_000])
    assert len(group.members) == 25_000


def test_25_any_answer_can_be_injected_with_its_words_also_into_a_batch(graph: Graph) -> None:
    class_id, (first, second) = graph.new_class(), graph.users(2)
    graph.bind(class_id, [first, second])
    graph.sim("faults", {"method": "DELETE", "path": second, "status": 409})
    parts = [
        {"id": person, "method": "DELETE", "url": f"/groups/{class_id}/members/{person}/$ref"}
        for person in (first, second)
    ]
    answers = graph.call("POST", "/$batch", {"requests": parts}).json()["responses"]
    assert [answer["status"] for answer in answers] == [204, 409]
    assert answers[1]["body"]["error"]["code"] == "Directory_ConcurrencyViolation"
    graph.sim("faults", {"path": "/groups", "status": 403, "code": "Directory_QuotaExceeded", "message": "full"})
    assert error_of(graph.call("GET", f"/groups/{class_id}")) == (403, "Directory_QuotaExceeded", "full")
    rejected = graph.http.post(f"{graph.url}/_sim/faults", json={"statuses": 409})
    assert (rejected.status_code, "unknown statuses" in rejected.json()["error"]) == (400, True)


def test_26_the_envelope_of_a_batch_with_a_failure_is_200_or_424(graph: Graph) -> None:
    class_id = graph.new_class()
    parts = [{"id": id_, "method": "GET", "url": f"/groups/{id_}"} for id_ in (class_id, str(uuid4()))]
    assert graph.call("POST", "/$batch", {"requests": parts}).status_code == 200
    graph.switch(batch_envelope="424")
    failed = graph.call("POST", "/$batch", {"requests": parts})
    assert failed.status_code == 424
    assert [answer["status"] for answer in failed.json()["responses"]] == [200, 404]
    assert graph.call("POST", "/$batch", {"requests": parts[:1]}).status_code == 200


def test_27_a_request_in_a_batch_with_a_body_names_its_content_type(graph: Graph) -> None:
    class_id = graph.new_class()
    part = {"id": "1", "method": "PATCH", "url": f"/groups/{class_id}", "body": {"description": "d"}}
    assert graph.call("POST", "/$batch", {"requests": [part]}).json()["responses"][0]["status"] == 400
    part["headers"] = {"content-type": "application/json"}
    assert graph.call("POST", "/$batch", {"requests": [part]}).json()["responses"][0]["status"] == 204


def test_28_an_account_that_is_deleted_and_made_again_is_another_person(graph: Graph) -> None:
    upn, class_id = f"{uuid4().hex}@x.org", graph.new_class()
    (before,) = graph.sim("users", [{"userPrincipalName": upn}])
    graph.bind(class_id, [before])
    link = graph.call("GET", "/users/delta?$select=userPrincipalName").json()
    while "@odata.nextLink" in link:
        link = graph.http.get(link["@odata.nextLink"]).json()
    graph.http.delete(f"{graph.url}/_sim/users/{upn}").raise_for_status()
    (after,) = graph.sim("users", [{"userPrincipalName": upn}])
    assert after != before
    assert graph.members(class_id) == set()
    changes = {user["id"]: user for user in graph.http.get(link["@odata.deltaLink"]).json()["value"]}
    assert changes[before]["@removed"] == {"reason": "changed"}
    assert changes[after]["userPrincipalName"] == upn
    assert graph.call("GET", f"/users/{upn}").json()["id"] == after


def test_29_a_user_principal_name_can_move_to_another_person(graph: Graph) -> None:
    first, second, spare = (f"{uuid4().hex}@x.org" for _ in range(3))
    leaver, joiner = graph.sim("users", [{"userPrincipalName": first}, {"userPrincipalName": second}])
    graph.http.patch(f"{graph.url}/_sim/users/{first}", json={"userPrincipalName": spare}).raise_for_status()
    assert graph.call("GET", f"/users/{first}").status_code == 404
    graph.http.patch(f"{graph.url}/_sim/users/{second}", json={"userPrincipalName": first}).raise_for_status()
    assert graph.call("GET", f"/users/{first}").json()["id"] == joiner
    assert graph.call("GET", f"/users/{spare}").json()["id"] == leaver
