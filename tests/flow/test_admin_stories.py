"""Numbered stories: what admins and teachers may do over HTTP, what happens, and what the run reports."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
from azure.servicebus import ServiceBusMessage

from local import loopback
from local.nightly import count, drain
from local.school.data import SchoolData
from local.tenant.names import TENANT_ID
from local.world import USERS
from sync_core.domain.ids import ClassKey, SchoolId
from sync_core.domain.tenants import ProbeQuestion
from sync_core.messaging.messages import SYNC_REQUESTS, Action, ActOnClass, encode
from tests.flow.trust import (
    HEAD,
    STAFF_ROOM,
    Trust,
    conflict,
    pupils,
    registration,
    staff,
    start_trust,
    teaching,
    upn,
)

OAK = SchoolData(
    "OAK",
    "Oak School",
    "1234567",
    2026,
    pupils("amy ben cleo"),
    staff("main second"),
    (teaching("T1", "10A/Ma1", "amy ben", "main second"), registration("R1", "5L", "amy cleo", "second")),
)
MATHS, FORM = "2026.teaching.T1", "2026.registration.R1"
MATHS_MAIL, FORM_MAIL = "10AMa1.class.1234567.2026", "5L.class.1234567.2026"
ACCESS = [HEAD, STAFF_ROOM]
DEPUTY = "d5c0ffee-0000-4000-8000-000000000001"


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory, storage: str) -> Iterator[Trust]:
    with start_trust(tmp_path_factory.mktemp("trust"), storage) as trust:
        trust.add_more_users()
        yield trust


def groups(trust: Trust, user: str = "admin") -> dict[str, dict[str, object]]:
    listed = trust.call("GET", "schools/OAK/groups", user).json()
    return {group["key"]: group for group in listed}


# --- settings


def test_01_an_admin_saves_settings_and_sees_every_invalid_one_at_once(trust: Trust) -> None:
    trust.add_school(OAK, types=["teaching"], access=ACCESS)
    problem = trust.save_settings(
        "OAK", expected=422, types=["house"], colour="red", staff={"account": "shoe size"}
    ).json()
    for place in ("types.0", "colour", "staff.account"):
        assert place in problem["what"]
    (school,) = trust.call("GET", "schools").json()
    assert (school["id"], school["types"], school["access"]) == ("OAK", ["teaching"], sorted(ACCESS))


def test_02_settings_that_are_read_can_be_saved_unchanged(trust: Trust) -> None:
    read = trust.call("GET", "schools/OAK")
    assert trust.call("PUT", "schools/OAK", body=read.json()).json() == read.json()
    url = f"{trust.addresses.host}/api/admin/schools/OAK"
    for name, status in (("Oak", 200), ("Elm", 412)):  # the first change makes the ETag an old one
        headers = {"Authorization": "Bearer admin", "If-Match": read.headers["ETag"]}
        changed = loopback.request("PATCH", url, headers=headers, json={"name": name})
        assert changed.status_code == status, changed.text
    assert "(name)" in changed.json()["what"]


# --- permissions


def test_03_a_request_without_a_principal_or_with_a_forged_one_is_rejected(trust: Trust) -> None:
    url = f"{trust.addresses.host}/api/admin/schools"
    claims = [{"typ": "oid", "val": USERS["admin"]["id"]}, {"typ": "roles", "val": "GroupSync.Admin"}]
    forged = base64.b64encode(json.dumps({"claims": claims}).encode()).decode()
    for headers in ({}, {"X-MS-CLIENT-PRINCIPAL": forged}, {"x-ms-client-principal-id": USERS["admin"]["id"]}):
        assert loopback.get(url, headers=headers).status_code == 401
    assert loopback.get(url, headers={"Authorization": "Bearer somebody"}).status_code == 401


def test_04_a_caller_sees_nothing_without_a_role_and_access_to_the_school(trust: Trust) -> None:
    for path in ("schools", "schools/OAK", "schools/OAK/groups", "schools/NONE"):
        trust.call("GET", path, "visitor", 403)
    for user in ("teacher", "head"):
        trust.call("GET", "schools/NONE/groups", user, 403)
    trust.call("GET", "schools/OAK/groups", "teacher", 403)
    trust.call("GET", "schools/NONE", "admin", 404)


def test_05_a_schools_own_admin_changes_its_rules_and_adds_admins_but_not_its_source_or_tenant(trust: Trust) -> None:
    assert (
        trust.save_settings("OAK", "head", types=["teaching"], access=ACCESS, rollover="reuse").json()["rollover"]
        == "reuse"
    )
    trust.add_accounts(["deputy"], [DEPUTY])
    patched = trust.call("PATCH", "schools/OAK", "head", body={"access": [*ACCESS, upn("deputy")]}).json()
    assert (patched["access"], patched["rollover"]) == ([*ACCESS, DEPUTY], "reuse")
    trust.save_settings("OAK", "head", 403, types=["teaching"], access=ACCESS)
    trust.save_settings("OAK", types=["teaching"], access=ACCESS)
    trust.save_settings("OAK", "head", 403, access=ACCESS, source={"kind": "folder", "path": "/etc"})
    trust.call("DELETE", "schools/OAK", "head", 403)
    trust.save_settings("OAK", "head", types=["teaching"], access=ACCESS)


def test_06_teachers_may_only_list_groups_and_create_classes(trust: Trust) -> None:
    trust.run_night()
    listed = groups(trust, "colleague")
    assert {
        key: (group["type"], group["name"], group["students"], group["staff"]) for key, group in listed.items()
    } == {
        MATHS: ("teaching", "10A/Ma1", 2, 2),
        FORM: ("registration", "5L", 2, 1),
        "2026.year.grade~3A7": ("year", "7", 3, 0),
    }
    assert listed[FORM]["class"] is None
    for method, path in (
        ("GET", "schools"),
        ("GET", "schools/OAK"),
        ("PUT", "schools/OAK"),
        ("DELETE", "schools/OAK"),
        ("POST", "schools/OAK/sync"),
        ("GET", "schools/OAK/classes"),
        ("GET", f"schools/OAK/classes/{MATHS}"),
        ("POST", f"schools/OAK/classes/{MATHS}/resync"),
        ("POST", f"schools/OAK/classes/{MATHS}/restore"),
        ("DELETE", f"schools/OAK/classes/{MATHS}"),
        ("GET", "schools/OAK/runs"),
    ):
        body = trust.call("GET", "schools/OAK").json() if method == "PUT" else None
        if body:
            del body["id"]
        trust.call(method, path, "colleague", 403, body)


# --- create


def test_07_a_requested_class_has_the_requested_name_and_its_requester_as_owner(trust: Trust) -> None:
    before = count(trust.addresses)
    options = {"display_name": "Our form", "description": "For 5L", "required_until": "2026-09-01"}
    run = trust.call("POST", f"schools/OAK/groups/{FORM}/class", "colleague", 202, options).json()["run"]
    drain(trust.addresses, before)
    record = trust.call("GET", f"schools/OAK/runs/{run}").json()
    assert (record["outcome"], record["cause"], record["created"]) == ("planned", "admin", [FORM])
    form = trust.read_class(FORM_MAIL)
    assert (form["displayName"], form["owners"], form["members"]) == (
        "Our form",
        "colleague.user",
        "amy cleo colleague.user",
    )
    status = trust.read_status("OAK", FORM)
    assert (status["state"], status["required_until"], status["error"]) == ("live", "2026-09-01", None)
    assert status["last_change"]["run"] == run


def test_08_a_request_for_an_existing_class_or_an_unknown_group_is_rejected(trust: Trust) -> None:
    said = trust.call("POST", f"schools/OAK/groups/{FORM}/class", "colleague", 409).json()
    assert said == conflict(f"group {FORM} has a class already", "resync its members instead")
    trust.call("POST", "schools/OAK/groups/2026.year.99/class", "colleague", 404)
    trust.call("POST", f"schools/OAK/groups/{FORM}/class", "colleague", 422, {"colour": "red"})
    trust.call("POST", f"schools/OAK/groups/{FORM}/class", "colleague", 422, {"display_name": "Arts & Crafts"})


def test_09_the_night_syncs_a_requested_class_whose_type_is_not_chosen(trust: Trust) -> None:
    oak = trust.schools["OAK"]
    form = replace(oak.groups[1], pupils=("amy", "ben"))
    trust.schools["OAK"] = replace(oak, groups=(oak.groups[0], form))
    trust.run_night()
    assert trust.read_class(FORM_MAIL)["members"] == "amy ben colleague.user"
    assert "2026.year.grade~3A7" not in {class_["key"] for class_ in trust.call("GET", "schools/OAK/classes").json()}


def test_10_an_expired_class_is_reported_and_not_deleted(trust: Trust) -> None:
    options = {"required_until": "2020-07-20"}
    trust.run_action("POST", "schools/OAK/groups/2026.year.grade~3A7/class", body=options)
    trust.run_night()
    assert "2026.year.grade~3A7" in trust.read_last_run("OAK")["expired"]
    assert not trust.read_class("7.class.1234567.2026")["deleted"]


def test_11_a_class_for_a_scholarpack_teaching_group_cannot_be_requested(trust: Trust) -> None:
    oak = trust.schools["OAK"]
    trust.schools["OAK"] = replace(oak, groups=(*oak.groups, teaching("T2", "Art", "ben", "main")))
    trust.save_settings("OAK", mis="scholarpack", access=ACCESS)
    assert not groups(trust)["2026.teaching.T2"]["can_become_class"]
    said = trust.call("POST", "schools/OAK/groups/2026.teaching.T2/class", expected=409).json()
    assert said["what"] == "teaching groups are not extracted from ScholarPack"
    trust.schools["OAK"] = oak
    trust.save_settings("OAK", types=["teaching"], access=ACCESS)


# --- resync, delete, restore


def test_12_a_resync_corrects_a_class_at_once(trust: Trust) -> None:
    trust.edit_by_hand("add-member", MATHS_MAIL, upn=upn("cleo"))
    trust.edit_by_hand("remove-member", MATHS_MAIL, upn=upn("amy"))
    run = trust.run_action("POST", f"schools/OAK/classes/{MATHS}/resync", "head")
    assert (run["outcome"], run["changed"]) == ("planned", [MATHS])
    assert trust.read_class(MATHS_MAIL)["members"] == "amy ben main"


def test_13_a_deleted_class_stays_deleted_after_the_next_night(trust: Trust) -> None:
    run = trust.run_action("DELETE", f"schools/OAK/classes/{MATHS}", "head")
    assert (run["outcome"], run["action"], run["requested_by"]) == ("planned", "delete", HEAD)
    assert trust.read_class(MATHS_MAIL)["deleted"]
    assert trust.read_status("OAK", MATHS)["state"] == "deleted"
    trust.run_night()
    assert trust.read_class(MATHS_MAIL)["deleted"]
    assert trust.read_last_run("OAK")["gone"] == []
    trust.call("DELETE", f"schools/OAK/classes/{MATHS}", expected=409)
    trust.call("POST", f"schools/OAK/classes/{MATHS}/resync", expected=409)


def test_14_a_restored_class_is_synced_again(trust: Trust) -> None:
    oak = trust.schools["OAK"]
    maths = replace(oak.groups[0], pupils=("ben", "cleo"))
    trust.schools["OAK"] = replace(oak, groups=(maths, oak.groups[1]))
    trust.run_action("POST", f"schools/OAK/classes/{MATHS}/restore")
    assert trust.read_class(MATHS_MAIL)["members"] == "amy ben main"
    trust.run_night()
    assert trust.read_class(MATHS_MAIL)["members"] == "ben cleo main"
    trust.call("POST", f"schools/OAK/classes/{MATHS}/restore", expected=409)


def test_15_a_redelivered_delete_does_nothing(trust: Trust) -> None:
    runs = trust.call("GET", "schools/OAK/runs").json()
    deleted = next(run for run in runs if run["action"] == "delete")
    old = ActOnClass(SchoolId("OAK"), ClassKey(MATHS), Action.DELETE, deleted["id"])
    before = count(trust.addresses)
    trust.send(SYNC_REQUESTS, ServiceBusMessage(encode(old), session_id=old.session, message_id="again"))
    drain(trust.addresses, before)
    assert not trust.read_class(MATHS_MAIL)["deleted"]


def test_16_a_purged_class_cannot_be_restored_and_its_status_gives_the_remedy(trust: Trust) -> None:
    trust.run_action("DELETE", f"schools/OAK/classes/{FORM}")
    trust.edit_by_hand("purge", FORM_MAIL)
    trust.run_action("POST", f"schools/OAK/classes/{FORM}/restore")
    status = trust.read_status("OAK", FORM)
    assert (status["state"], status["error"]["code"], status["error"]["remedy"]) == (
        "gone",
        "NotRestorable",
        "create the class again",
    )
    trust.run_action("POST", f"schools/OAK/groups/{FORM}/class", "colleague", {"display_name": "5L again"})
    assert trust.read_status("OAK", FORM)["state"] == "live"
    assert trust.read_status("OAK", FORM)["name"] == "5L again"


def test_17_a_sync_of_a_whole_school_can_be_requested_unless_it_is_paused(trust: Trust) -> None:
    assert trust.run_action("POST", "schools/OAK/sync", "head")["outcome"] == "planned"
    trust.save_settings("OAK", types=["teaching"], access=ACCESS, enabled=False)
    trust.call("POST", "schools/OAK/sync", expected=409)
    trust.call("POST", f"schools/OAK/groups/{FORM}/class", expected=409)


def test_18_a_full_resync_finds_a_change_that_graphs_delta_omits(trust: Trust) -> None:
    trust.save_settings("OAK", types=["teaching"], access=ACCESS)
    trust.run_night()
    before = trust.read_class(MATHS_MAIL)["members"]
    trust.edit_by_hand("remove-member", MATHS_MAIL, upn=upn("ben"), in_delta=False)
    trust.run_night()
    assert trust.read_class(MATHS_MAIL)["members"] != before
    trust.call("POST", f"tenants/{TENANT_ID}/full-resync", "head", 403)
    trust.call("POST", "tenants/NONE/full-resync", expected=404)
    queued = count(trust.addresses)
    trust.call("POST", f"tenants/{TENANT_ID}/full-resync", expected=202)
    drain(trust.addresses, queued)
    assert trust.read_class(MATHS_MAIL)["members"] == before


def test_19_a_probe_asks_the_tenant_and_leaves_no_class(trust: Trust) -> None:
    trust.call("GET", f"tenants/{TENANT_ID}/probe", expected=404)
    trust.call("POST", f"tenants/{TENANT_ID}/probe", "head", 403)
    nobody = trust.call("POST", f"tenants/{TENANT_ID}/probe", expected=409).json()
    assert "disabled" in nobody["what"]
    trust.add_accounts([f"leaver{number}" for number in range(20)])
    for number in range(20):
        trust.update_account(f"leaver{number}", accountEnabled=False)
    before = trust.list_classes()
    trust.run_night()
    probe = trust.call("POST", f"tenants/{TENANT_ID}/probe").json()
    of_teams = (ProbeQuestion.TEAM, ProbeQuestion.TEAM_LOCKED, ProbeQuestion.TEAM_PEOPLE)
    assert [answer["question"] for answer in probe["answers"]] == [
        question for question in ProbeQuestion if question not in of_teams
    ]
    answers = {answer["question"]: answer["answer"] for answer in probe["answers"]}
    assert answers[ProbeQuestion.PRICE] == "1 resource unit for 20 members"
    assert answers[ProbeQuestion.EXTERNAL_ID] == "yes"
    assert trust.call("GET", f"tenants/{TENANT_ID}/probe").json() == probe
    left = {class_["mailNickname"]: class_["deleted"] for class_ in trust.list_classes()[len(before) :]}
    assert left == {f"mis-class-sync-probe-{probe['id']}": True}
    assert "@" not in json.dumps(probe)


def test_20_each_request_is_recorded_with_its_requesters_id_and_no_name(trust: Trust) -> None:
    lines = (trust.world.folder / "host.jsonl").read_text(encoding="utf-8").splitlines()
    events = [json.loads(line).get("event", {}) for line in lines]
    requests = {(event["caller"], event["action"]) for event in events if event.get("name") == "admin.requested"}
    assert (HEAD, "delete") in requests
    assert (HEAD, "resync") in requests
    assert not any("user" in caller for caller, _ in requests)


def test_21_the_records_of_a_removed_school_are_erased_and_its_classes_stay(trust: Trust) -> None:
    classes = trust.list_nicknames()
    trust.call("DELETE", "schools/OAK/records", expected=409)
    trust.call("DELETE", "schools/OAK", expected=204)
    trust.call("DELETE", "schools/OAK/records", "head", expected=403)
    for _ in range(2):
        trust.call("DELETE", "schools/OAK/records", expected=204)
    trust.save_settings("OAK", enabled=False)
    assert (trust.call("GET", "schools/OAK/runs").json(), trust.call("GET", "schools/OAK/classes").json()) == ([], [])
    assert trust.list_nicknames() == classes
