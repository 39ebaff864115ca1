"""What an admin and a teacher can do over HTTP, in numbered stories: who may, what happens, and what the run says."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest
from azure.servicebus import ServiceBusMessage

from local.nightly import count, drain
from local.school.data import SchoolData
from local.tenant.__main__ import TENANT_ID
from local.world import USERS
from sync_core.messaging.messages import SYNC_REQUESTS, Action, ActOnClass, encode
from tests.flow.trust import (
    HEAD,
    STAFF_ROOM,
    Trust,
    conflict_body,
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


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trust]:
    with start_trust(tmp_path_factory.mktemp("trust")) as trust:
        trust.add_more_users()
        yield trust


def groups(trust: Trust, user: str = "admin") -> dict[str, dict[str, object]]:
    listed = trust.call("GET", "schools/OAK/groups", user).json()
    return {group["key"]: group for group in listed}


# --- settings


def test_01_an_admin_saves_the_settings_of_a_school_and_every_fault_is_named_at_once(trust: Trust) -> None:
    trust.add_school(OAK, types=["teaching"], access=ACCESS)
    said = trust.save_settings(
        "OAK", expected=422, types=["house"], colour="red", staff={"account": "shoe size"}
    ).json()
    for place in ("types.0", "colour", "staff.account"):
        assert place in said["what"]
    (school,) = trust.call("GET", "schools").json()
    assert (school["id"], school["types"], school["access"]) == ("OAK", ["teaching"], sorted(ACCESS, reverse=False))


def test_02_what_is_read_can_be_saved_again(trust: Trust) -> None:
    read = trust.call("GET", "schools/OAK").json()
    body = {name: value for name, value in read.items() if name != "id"}
    assert trust.call("PUT", "schools/OAK", body=body).json() == read


# --- who may


def test_03_nobody_is_let_in_without_a_principal_and_nobody_can_make_one_up(trust: Trust) -> None:
    url = f"{trust.addresses.host}/api/admin/schools"
    claims = [{"typ": "oid", "val": USERS["admin"]["id"]}, {"typ": "roles", "val": "GroupSync.Admin"}]
    forged = base64.b64encode(json.dumps({"claims": claims}).encode()).decode()
    for headers in ({}, {"X-MS-CLIENT-PRINCIPAL": forged}, {"x-ms-client-principal-id": USERS["admin"]["id"]}):
        assert httpx.get(url, headers=headers).status_code == 401
    assert httpx.get(url, headers={"Authorization": "Bearer somebody"}).status_code == 401


def test_04_without_a_role_or_without_the_school_there_is_nothing_to_see(trust: Trust) -> None:
    for path in ("schools", "schools/OAK", "schools/OAK/groups", "schools/NONE"):
        trust.call("GET", path, "visitor", 403)
    for user in ("teacher", "head"):
        trust.call("GET", "schools/NONE/groups", user, 403)
    trust.call("GET", "schools/OAK/groups", "teacher", 403)
    trust.call("GET", "schools/NONE", "admin", 404)


def test_05_a_schools_own_admin_changes_how_it_is_synced_but_not_where_from_and_where_to(trust: Trust) -> None:
    assert (
        trust.save_settings("OAK", "head", types=["teaching"], access=ACCESS, rollover="reuse").json()["rollover"]
        == "reuse"
    )
    trust.save_settings("OAK", "head", 403, access=[*ACCESS, USERS["visitor"]["id"]])
    trust.save_settings("OAK", "head", 403, access=ACCESS, source={"kind": "folder", "path": "/etc"})
    trust.call("DELETE", "schools/OAK", "head", 403)
    trust.save_settings("OAK", "head", types=["teaching"], access=ACCESS)


def test_06_teaching_staff_list_groups_and_create_classes_and_nothing_else(trust: Trust) -> None:
    trust.run_night()
    listed = groups(trust, "colleague")
    assert {
        key: (group["type"], group["name"], group["students"], group["staff"]) for key, group in listed.items()
    } == {
        MATHS: ("teaching", "10A/Ma1", 2, 2),
        FORM: ("registration", "5L", 2, 1),
        "2026.year.grade!3A7": ("year", "7", 3, 0),
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


# --- creating


def test_07_a_class_made_by_hand_has_the_name_and_description_asked_for_and_its_maker_as_owner(trust: Trust) -> None:
    before = count(trust.addresses)
    options = {"display_name": "Our form", "description": "For 5L", "required_until": "2026-09-01"}
    run = trust.call("POST", f"schools/OAK/groups/{FORM}/class", "colleague", 202, options).json()["run"]
    drain(trust.addresses, before)
    said = trust.call("GET", f"schools/OAK/runs/{run}").json()
    assert (said["outcome"], said["cause"], said["created"]) == ("planned", "admin", [FORM])
    made = trust.read_class(FORM_MAIL)
    assert (made["displayName"], made["owners"], made["members"]) == (
        "Our form",
        "colleague.user",
        "amy cleo colleague.user",
    )
    stands = trust.read_status("OAK", FORM)
    assert (stands["state"], stands["required_until"], stands["error"]) == ("live", "2026-09-01", None)
    assert stands["last_change"]["run"] == run


def test_08_a_group_that_has_a_class_and_one_that_is_not_there_are_refused(trust: Trust) -> None:
    said = trust.call("POST", f"schools/OAK/groups/{FORM}/class", "colleague", 409).json()
    assert said == conflict_body(f"group {FORM} has a class already", "resync its members instead")
    trust.call("POST", "schools/OAK/groups/2026.year.99/class", "colleague", 404)
    trust.call("POST", f"schools/OAK/groups/{FORM}/class", "colleague", 422, {"colour": "red"})


def test_09_the_night_keeps_a_hand_made_class_in_step_though_its_type_is_not_chosen(trust: Trust) -> None:
    oak = trust.schools["OAK"]
    form = replace(oak.groups[1], pupils=("amy", "ben"))
    trust.schools["OAK"] = replace(oak, groups=(oak.groups[0], form))
    trust.run_night()
    assert trust.read_class(FORM_MAIL)["members"] == "amy ben colleague.user"
    assert "2026.year.grade!3A7" not in {found["key"] for found in trust.call("GET", "schools/OAK/classes").json()}


def test_10_a_lifetime_that_is_over_is_reported_and_nothing_is_deleted(trust: Trust) -> None:
    options = {"required_until": "2020-07-20"}
    trust.run_action("POST", "schools/OAK/groups/2026.year.grade!3A7/class", body=options)
    trust.run_night()
    assert "2026.year.grade!3A7" in trust.read_last_run("OAK")["expired"]
    assert not trust.read_class("7.class.1234567.2026")["deleted"]


def test_11_scholarpacks_teaching_groups_cannot_be_asked_for(trust: Trust) -> None:
    oak = trust.schools["OAK"]
    trust.schools["OAK"] = replace(oak, groups=(*oak.groups, teaching("T2", "Art", "ben", "main")))
    trust.save_settings("OAK", mis="scholarpack", access=ACCESS)
    assert not groups(trust)["2026.teaching.T2"]["can_become_class"]
    said = trust.call("POST", "schools/OAK/groups/2026.teaching.T2/class", expected=409).json()
    assert said["what"] == "teaching groups are not extracted from ScholarPack"
    trust.schools["OAK"] = oak
    trust.save_settings("OAK", types=["teaching"], access=ACCESS)


# --- resync, delete, restore


def test_12_a_resync_puts_a_class_right_at_once(trust: Trust) -> None:
    trust.edit_by_hand("add-member", MATHS_MAIL, upn=upn("cleo"))
    trust.edit_by_hand("remove-member", MATHS_MAIL, upn=upn("amy"))
    run = trust.run_action("POST", f"schools/OAK/classes/{MATHS}/resync", "head")
    assert (run["outcome"], run["changed"]) == ("planned", [MATHS])
    assert trust.read_class(MATHS_MAIL)["members"] == "amy ben main"


def test_13_a_deleted_class_stays_deleted_whatever_the_night_and_old_messages_say(trust: Trust) -> None:
    run = trust.run_action("DELETE", f"schools/OAK/classes/{MATHS}", "head")
    assert (run["outcome"], run["action"], run["requested_by"]) == ("planned", "delete", HEAD)
    assert trust.read_class(MATHS_MAIL)["deleted"]
    assert trust.read_status("OAK", MATHS)["state"] == "deleted"
    trust.run_night()
    assert trust.read_class(MATHS_MAIL)["deleted"]
    assert trust.read_last_run("OAK")["gone"] == []
    trust.call("DELETE", f"schools/OAK/classes/{MATHS}", expected=409)
    trust.call("POST", f"schools/OAK/classes/{MATHS}/resync", expected=409)


def test_14_a_restored_class_is_brought_up_to_date(trust: Trust) -> None:
    oak = trust.schools["OAK"]
    maths = replace(oak.groups[0], pupils=("ben", "cleo"))
    trust.schools["OAK"] = replace(oak, groups=(maths, oak.groups[1]))
    trust.run_action("POST", f"schools/OAK/classes/{MATHS}/restore")
    assert trust.read_class(MATHS_MAIL)["members"] == "amy ben main"
    trust.run_night()
    assert trust.read_class(MATHS_MAIL)["members"] == "ben cleo main"
    trust.call("POST", f"schools/OAK/classes/{MATHS}/restore", expected=409)


def test_15_an_old_message_that_comes_again_deletes_nothing(trust: Trust) -> None:
    runs = trust.call("GET", "schools/OAK/runs").json()
    deleted = next(run for run in runs if run["action"] == "delete")
    old = ActOnClass("OAK", MATHS, Action.DELETE, deleted["id"])
    before = count(trust.addresses)
    trust.send(SYNC_REQUESTS, ServiceBusMessage(encode(old), session_id=old.session, message_id="again"))
    drain(trust.addresses, before)
    assert not trust.read_class(MATHS_MAIL)["deleted"]


def test_16_a_class_deleted_for_good_cannot_be_restored_and_the_row_says_why(trust: Trust) -> None:
    trust.run_action("DELETE", f"schools/OAK/classes/{FORM}")
    trust.edit_by_hand("purge", FORM_MAIL)
    trust.run_action("POST", f"schools/OAK/classes/{FORM}/restore")
    stands = trust.read_status("OAK", FORM)
    assert (stands["state"], stands["error"]["code"], stands["error"]["remedy"]) == (
        "gone",
        "NotRestorable",
        "create the class again",
    )
    trust.run_action("POST", f"schools/OAK/groups/{FORM}/class", "colleague", {"display_name": "5L again"})
    assert trust.read_status("OAK", FORM)["state"] == "live"
    assert trust.read_status("OAK", FORM)["name"] == "5L again"


def test_17_a_sync_of_the_whole_school_can_be_asked_for_unless_it_is_paused(trust: Trust) -> None:
    assert trust.run_action("POST", "schools/OAK/sync", "head")["outcome"] == "planned"
    trust.save_settings("OAK", types=["teaching"], access=ACCESS, enabled=False)
    trust.call("POST", "schools/OAK/sync", expected=409)
    trust.call("POST", f"schools/OAK/groups/{FORM}/class", expected=409)


def test_18_a_full_resync_finds_what_graph_did_not_tell_of(trust: Trust) -> None:
    trust.save_settings("OAK", types=["teaching"], access=ACCESS)
    trust.run_night()
    before = trust.read_class(MATHS_MAIL)["members"]
    trust.edit_by_hand("remove-member", MATHS_MAIL, upn=upn("ben"), told=False)
    trust.run_night()
    assert trust.read_class(MATHS_MAIL)["members"] != before
    trust.call("POST", f"tenants/{TENANT_ID}/full-resync", "head", 403)
    trust.call("POST", "tenants/NONE/full-resync", expected=404)
    queued = count(trust.addresses)
    trust.call("POST", f"tenants/{TENANT_ID}/full-resync", expected=202)
    drain(trust.addresses, queued)
    assert trust.read_class(MATHS_MAIL)["members"] == before


def test_19_who_asked_for_what_is_on_record_without_a_name(trust: Trust) -> None:
    lines = (trust.world.folder / "host.jsonl").read_text(encoding="utf-8").splitlines()
    events = [json.loads(line).get("event", {}) for line in lines]
    asked = {(event["caller"], event["action"]) for event in events if event.get("name") == "admin.requested"}
    assert (HEAD, "delete") in asked
    assert (HEAD, "resync") in asked
    assert not any("user" in caller for caller, _ in asked)


def test_20_what_is_held_of_a_school_that_left_is_erased_and_its_classes_stay(trust: Trust) -> None:
    classes = trust.list_nicknames()
    trust.call("DELETE", "schools/OAK/records", expected=409)
    trust.call("DELETE", "schools/OAK", expected=204)
    trust.call("DELETE", "schools/OAK/records", "head", expected=403)
    for _ in range(2):
        trust.call("DELETE", "schools/OAK/records", expected=204)
    trust.save_settings("OAK", enabled=False)
    assert (trust.call("GET", "schools/OAK/runs").json(), trust.call("GET", "schools/OAK/classes").json()) == ([], [])
    assert trust.list_nicknames() == classes
