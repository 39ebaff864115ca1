"""Numbered stories of holds: an admin previews a plan, approves or rejects a hold, or finds that it has changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from azure.servicebus import ServiceBusMessage

from local.nightly import count, drain
from local.school.data import SchoolData
from local.tenant.names import DOMAIN
from sync_core.domain.ids import SchoolId
from sync_core.domain.runs import HoldKind, HoldStatus, RunOutcome
from sync_core.messaging.messages import SYNC_REQUESTS, DecideHold, Decision, encode
from tests.flow.oak import ART, ART_MAIL, EVERYBODY, FORM_MAIL, HALF, OAK, oak_with
from tests.flow.trust import Trust, keys_of, pupils, staff, start_trust, teaching, upn

NEXT = "gus hal ida jon kit lea"


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory, storage: str) -> Iterator[Trust]:
    with start_trust(tmp_path_factory.mktemp("trust"), storage) as trust:
        trust.add_school(OAK)
        trust.run_night()
        yield trust


def set_mis(trust: Trust, *, art: str = EVERYBODY, form: str = HALF) -> None:
    """Change the MIS, without a sync."""
    trust.schools["OAK"] = oak_with(art, form)
    trust.save_settings("OAK")


def list_holds(trust: Trust) -> list[dict[str, Any]]:
    return list(trust.call("GET", "schools/OAK/holds").json())


def preview(trust: Trust) -> dict[str, Any]:
    return dict(trust.call("POST", "schools/OAK/plan").json())


def art_members(trust: Trust) -> str:
    return str(trust.read_class(ART_MAIL)["members"])


def test_01_a_plan_is_shown_and_nothing_is_written(trust: Trust) -> None:
    set_mis(trust, art=HALF, form="amy ben cleo dan eve gus")
    writes, runs = trust.count_writes(), trust.call("GET", "schools/OAK/runs").json()
    plan = preview(trust)
    assert plan["outcome"] == RunOutcome.PLANNED
    (form,) = plan["classes"]
    assert (form["key"], len(form["members_added"]), len(form["members_removed"])) == ("2026.registration.R1", 1, 1)
    (hold,) = plan["holds"]
    assert (hold["kind"], keys_of(hold)) == (HoldKind.LEFT_GROUP, [ART])
    loss = "would lose 6 of 12 students: 50%, over 40%"
    assert f"class 2026.teaching.T1 (Art_Class [1234567][2026]) {loss}" in hold["what"]
    (line,) = (line for line in plan["lines"] if f"hold {hold['digest']} ({hold['kind']}): " in line)
    assert f"class 2026.teaching.T1 {loss}" in line
    assert (trust.count_writes(), trust.call("GET", "schools/OAK/runs").json(), list_holds(trust)) == (writes, runs, [])


def test_02_the_night_does_what_the_plan_showed(trust: Trust) -> None:
    shown = preview(trust)
    trust.run_night()
    assert trust.read_class(FORM_MAIL)["members"] == "amy ben cleo dan eve gus"
    assert art_members(trust) == f"{EVERYBODY} main"
    assert trust.read_last_run("OAK")["held"] == [ART]
    assert [hold["digest"] for hold in list_holds(trust)] == [hold["digest"] for hold in shown["holds"]]


def test_03_a_resync_does_not_remove_held_members(trust: Trust) -> None:
    run = trust.run_action("POST", f"schools/OAK/classes/{ART}/resync")
    assert run["held"] == [ART]
    assert art_members(trust) == f"{EVERYBODY} main"


def test_04_a_held_class_still_gains_members(trust: Trust) -> None:
    trust.add_accounts(["new"])
    trust.schools["OAK"] = replace(trust.schools["OAK"], pupils=pupils(f"{EVERYBODY} new"))
    groups = (teaching("T1", "Art", f"{HALF} new", "main"), *trust.schools["OAK"].groups[1:])
    trust.schools["OAK"] = replace(trust.schools["OAK"], groups=groups)
    trust.run_night()
    assert art_members(trust) == f"{EVERYBODY} main new"


def test_05_an_approved_hold_runs_once(trust: Trust) -> None:
    (hold,) = list_holds(trust)
    run = trust.run_action("POST", f"schools/OAK/holds/{hold['digest']}/approve")
    assert (run["outcome"], run["held"], run["changed"]) == (RunOutcome.PLANNED, [], [ART])
    assert art_members(trust) == f"{HALF} main new"
    assert list_holds(trust) == []
    trust.run_night()
    assert art_members(trust) == f"{HALF} main new"

    set_mis(trust)
    trust.run_night()
    assert art_members(trust) == f"{EVERYBODY} main"
    set_mis(trust, art=f"{HALF} main")
    before = count(trust.addresses)
    late = DecideHold(SchoolId("OAK"), (hold["classes"][0]["digest"],), Decision.APPROVE, run["id"])
    trust.send(SYNC_REQUESTS, ServiceBusMessage(encode(late), session_id="OAK"))
    drain(trust.addresses, before)
    assert art_members(trust) == f"{EVERYBODY} main"


def test_06_an_approval_of_an_outdated_hold_is_rejected_with_the_new_plan(trust: Trust) -> None:
    (hold,) = list_holds(trust)
    set_mis(trust, art="amy ben")
    answer = trust.call("POST", f"schools/OAK/holds/{hold['digest']}/approve", expected=409).json()
    assert "has changed since the hold was shown" in answer["what"]
    (new,) = answer["plan"]["holds"]
    assert new["digest"] != hold["digest"]
    assert "would lose 10 of 12 students" in new["what"]
    assert art_members(trust) == f"{EVERYBODY} main"
    trust.run_action("POST", f"schools/OAK/holds/{new['digest']}/approve")
    assert art_members(trust) == "amy ben main"


def test_07_a_rejected_hold_keeps_the_class_until_the_mis_differs_again(trust: Trust) -> None:
    set_mis(trust, art=NEXT)
    trust.run_night()
    (hold,) = list_holds(trust)
    assert (hold["kind"], hold["status"]) == (HoldKind.TURNOVER, HoldStatus.OPEN)
    assert art_members(trust) == "amy ben main"
    run = trust.run_action("POST", f"schools/OAK/holds/{hold['digest']}/reject")
    assert any(note.startswith(f"rejected hold {hold['digest']}") for note in run["notes"])
    trust.run_night()
    assert [hold["status"] for hold in list_holds(trust)] == [HoldStatus.REJECTED]
    assert art_members(trust) == "amy ben main"
    set_mis(trust, art=f"amy ben {NEXT}")
    trust.run_night()
    assert (art_members(trust), list_holds(trust)) == ("amy ben gus hal ida jon kit lea main", [])


def test_08_a_school_may_set_its_own_limits(trust: Trust) -> None:
    set_mis(trust, art=NEXT)
    trust.save_settings("OAK", limits={"class_loss": 1})
    assert preview(trust)["holds"] == []
    set_mis(trust, art=f"amy {NEXT}")
    assert preview(trust)["holds"] == []
    trust.save_settings("OAK", limits={"class_loss": 0.1, "class_loss_people": 1})
    assert [hold["kind"] for hold in preview(trust)["holds"]] == [HoldKind.LEFT_GROUP]


def test_09_a_rejected_feed_is_accepted_after_the_statistics_are_forgotten(trust: Trust) -> None:
    trust.schools["OAK"] = replace(trust.schools["OAK"], dfe_code="7654321")
    trust.save_settings("OAK", name_identifier="1234567")
    assert preview(trust)["outcome"] == RunOutcome.REJECTED
    assert trust.call("GET", "schools/OAK/accepted-statistics").json()["dfe_code"] == "1234567"
    trust.call("DELETE", "schools/OAK/accepted-statistics", expected=204)
    trust.call("GET", "schools/OAK/accepted-statistics", expected=404)
    trust.run_night()
    assert trust.read_last_run("OAK")["outcome"] == RunOutcome.PLANNED
    assert trust.call("GET", "schools/OAK/accepted-statistics").json()["dfe_code"] == "7654321"


def test_10_only_admins_preview_plans_and_decide_holds(trust: Trust) -> None:
    for method, path in (
        ("POST", "plan"),
        ("GET", "holds"),
        ("POST", "holds/abc/approve"),
        ("POST", "holds/abc/reject"),
        ("GET", "accepted-statistics"),
        ("DELETE", "accepted-statistics"),
    ):
        trust.call(method, f"schools/OAK/{path}", "teacher", expected=403)
    trust.call("POST", "schools/OAK/holds/abc/approve", expected=409)


# --- a new school, whose export has the exact e-mail addresses of its accounts

ASH_PUPILS = tuple(replace(pupil, username=f"ash.{pupil.id}", email=upn(pupil.id)) for pupil in pupils(EVERYBODY))
ASH = SchoolData(
    "ASH",
    "Ash School",
    "7654321",
    2026,
    ASH_PUPILS,
    tuple(replace(teacher, username="ash.main", email=upn("main").upper()) for teacher in staff("main")),
    (teaching("T1", "Art", EVERYBODY, "main"),),
)
ASH_ART = "Art.class.7654321.2026"
WRONG_DOMAIN = {"account_domain": "ash.example", "students": {"mis": "username"}, "staff": {"mis": "username"}}


def ash_night(trust: Trust, **settings: Any) -> dict[str, Any]:
    """The last run of Ash School, after a night with these settings. Its holds and its event are `holds`, `event`."""
    trust.save_settings("ASH", **{"account_domain": "", **settings})
    trust.run_night()
    holds = trust.call("GET", "schools/ASH/holds").json()
    (*_, event) = (one for one in trust.read_events("school.planned") if one["school"] == "ASH")
    return {**trust.read_last_run("ASH"), "holds": holds, "event": event}


def test_11_a_wrong_domain_on_night_one_is_one_hold_and_makes_no_class(trust: Trust) -> None:
    trust.schools["ASH"] = ASH
    run = ash_night(trust, **WRONG_DOMAIN)
    (hold,) = run["holds"]
    assert hold["kind"] == HoldKind.ACCOUNT_MATCHING
    people = {part["group_name"]: part["people"] for part in hold["classes"]}
    assert people == {"Art": sorted([*EVERYBODY.split(), "main"]), "7": EVERYBODY.split()}
    assert "12 of 12 students find no account (0% find one)" in hold["what"]
    assert "user name at ash.example in userPrincipalName and mail (13)" in hold["what"]
    assert f"the tenant's accounts are in {DOMAIN} (" in hold["what"]
    assert "settings" in hold["remedy"] and "approve" not in hold["remedy"]
    assert (run["created"], run["changed"], len(run["held"])) == ([], [], 2)
    assert ASH_ART not in trust.list_nicknames()
    # The workbook calls a school "in step" only if its event has nothing held.
    assert (run["event"]["held"], run["event"]["held_because"]) == (2, HoldKind.ACCOUNT_MATCHING)

    plan = trust.call("POST", "schools/ASH/plan").json()
    amy = next(one for one in plan["unmatched"] if one["person"] == "amy")
    assert amy["tries"] == [
        {"mis": "username", "value": "ash.amy@ash.example", "accounts": ["userPrincipalName", "mail"]}
    ]
    assert amy["nearest"] == []
    trust.call("POST", "schools/ASH/plan", "teacher", expected=403)


def test_12_with_the_default_settings_everybody_is_found_by_the_exact_address(trust: Trust) -> None:
    run = ash_night(trust)
    assert (run["holds"], run["people_without_account"], run["people_ambiguous"]) == ([], [], [])
    assert trust.read_class(ASH_ART)["members"] == f"{EVERYBODY} main"
    assert run["event"]["held"] == 0


def test_13_a_wrong_domain_on_night_two_is_one_hold_and_nobody_leaves(trust: Trust) -> None:
    before, writes = trust.read_class(ASH_ART), trust.count_writes()
    run = ash_night(trust, **WRONG_DOMAIN)
    (hold,) = run["holds"]
    assert hold["kind"] == HoldKind.ACCOUNT_MATCHING
    assert "12 of 12 students find no account (0% find one, and 100% found one before)" in hold["what"]
    assert (run["changed"], run["removals"], run["event"]["held"]) == ([], 0, 2)
    assert (trust.read_class(ASH_ART), trust.count_writes()) == (before, writes)
    assert ash_night(trust)["holds"] == []


def test_14_a_person_who_is_not_found_any_more_stays_until_an_admin_agrees(trust: Trust) -> None:
    moved = replace(ASH_PUPILS[0], email=f"amy@old.{DOMAIN}")
    trust.schools["ASH"] = replace(ASH, pupils=(moved, *ASH_PUPILS[1:]))
    run = ash_night(trust)
    (hold,) = run["holds"]
    assert hold["kind"] == HoldKind.LOST_MATCHING
    assert [part["people"] for part in hold["classes"]] == [["amy"], ["amy"]]
    assert trust.read_class(ASH_ART)["members"] == f"{EVERYBODY} main"
    (amy,) = trust.call("POST", "schools/ASH/plan").json()["unmatched"]
    assert [near["value"] for near in amy["nearest"]] == [upn("amy")]
    approve = f"schools/ASH/holds/{hold['digest']}/approve"
    for body, what in (
        (None, "not approved yet: an approval takes people who find no account now (1) out"),
        ({"confirm": 2}, "confirm is 2, and 1 people"),
    ):
        problem = trust.call("POST", approve, expected=409, body=body).json()
        assert what in problem["what"]
        assert "the page People" in problem["remedy"] and '{"confirm": 1}' in problem["remedy"]
    assert hold["approval"] == "two_steps"
    trust.run_night()
    assert trust.read_class(ASH_ART)["members"] == f"{EVERYBODY} main"
    trust.run_action("POST", approve, body={"confirm": 1})
    assert "amy" not in trust.read_class(ASH_ART)["members"]
    logs = "".join((trust.world.folder / name).read_text(encoding="utf-8") for name in ("host.log", "host.jsonl"))
    assert f"@{DOMAIN}" not in logs and "ash.amy" not in logs


# --- one cause in several classes, and several causes in one class

ELM_PUPILS = "una vic wil xan yves zoe"
ELM_GROUPS = {"T1": "Art", "T2": "Drama", "T3": "Music"}
ELM_KEYS = {title: f"2026.teaching.{id_}" for id_, title in ELM_GROUPS.items()}


def elm(**people: str) -> SchoolData:
    """Elm School with these pupils in its groups, or else with everybody in each."""
    groups = tuple(teaching(id_, title, people.get(title, ELM_PUPILS), "main") for id_, title in ELM_GROUPS.items())
    return SchoolData("ELM", "Elm School", "2345678", 2026, pupils(ELM_PUPILS), staff("main"), groups)


def elm_members(trust: Trust) -> dict[str, str]:
    return {title: trust.read_class(f"{title}.class.2345678.2026")["members"] for title in ELM_GROUPS.values()}


def elm_holds(trust: Trust) -> dict[str, list[str]]:
    """The keys of the classes of each hold, by its kind and its status."""
    return {f"{hold['status']} {hold['kind']}": keys_of(hold) for hold in trust.call("GET", "schools/ELM/holds").json()}


def test_15_one_cause_in_three_classes_is_approved_for_one_of_them(trust: Trust) -> None:
    trust.add_school(elm(), limits={"smallest_snapshot": 0, "school_loss": 1, "week_loss": 1})
    trust.run_night()
    before = elm_members(trust)
    assert set(before.values()) == {f"main {ELM_PUPILS}"}
    trust.schools["ELM"] = elm(Art="una", Drama="una", Music="una")
    trust.run_night()
    (hold,) = trust.call("GET", "schools/ELM/holds").json()
    assert (hold["kind"], keys_of(hold)) == (HoldKind.LEFT_GROUP, list(ELM_KEYS.values()))
    assert "people who left the MIS group of their class: 5;" in hold["what"]
    part = hold["classes"][0]
    assert (part["group_name"], part["name"]) == ("Art", "Art_Class [2345678][2026]")
    assert part["what"] == "would lose 5 of 6 students: 83%, over 40%"
    assert part["people"] == ELM_PUPILS.split()[1:]

    decide = f"schools/ELM/holds/{hold['digest']}"
    problem = trust.call("POST", f"{decide}/approve", expected=422, body={"classes": ["Art", "Latin"]}).json()
    assert "it has no class Latin" in problem["what"]
    assert trust.run_action("POST", f"{decide}/approve", body={"classes": ["art"]})["changed"] == [ELM_KEYS["Art"]]
    assert elm_members(trust) == before | {"Art": "main una"}
    rest = [ELM_KEYS["Drama"], ELM_KEYS["Music"]]
    assert elm_holds(trust) == {"open left_group": rest}

    (hold,) = trust.call("GET", "schools/ELM/holds").json()
    trust.run_action("POST", f"schools/ELM/holds/{hold['digest']}/reject", body={"classes": [ELM_KEYS["Music"]]})
    decided = {"open left_group": [ELM_KEYS["Drama"]], "rejected left_group": [ELM_KEYS["Music"]]}
    assert elm_holds(trust) == decided
    trust.run_night()
    assert (elm_holds(trust), elm_members(trust)) == (decided, before | {"Art": "main una"})


def test_16_a_class_with_two_causes_is_in_two_holds(trust: Trust) -> None:
    trust.schools["ELM"] = elm(Art="una")
    trust.run_night()
    trust.delete_account("vic")
    trust.delete_account("wil")
    trust.schools["ELM"] = elm(Art="una", Music="una vic wil")
    trust.run_night()
    assert elm_holds(trust) == {
        "open account_deleted": [ELM_KEYS["Music"]],
        "open left_group": [ELM_KEYS["Music"]],
    }
    left = next(hold for hold in trust.call("GET", "schools/ELM/holds").json() if hold["kind"] == HoldKind.LEFT_GROUP)
    assert left["classes"][0]["what"] == "would lose 3 of 6 students, and 5 for all causes: 83%, over 40%"
    trust.run_action("POST", f"schools/ELM/holds/{left['digest']}/approve")
    assert elm_holds(trust) == {"open account_deleted": [ELM_KEYS["Music"]]}
    run = trust.read_last_run("ELM")
    assert run["held"] == [ELM_KEYS["Music"]]
    assert any("(account_deleted): people in classes whose account is no longer" in note for note in run["notes"])
    assert elm_members(trust)["Music"] == "main una"
