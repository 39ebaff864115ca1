"""Numbered stories of holds: an admin previews a plan, approves or rejects a hold, or finds that it has changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from azure.servicebus import ServiceBusMessage

from local.nightly import count, drain
from local.school.data import SchoolData
from sync_core.domain.ids import SchoolId
from sync_core.domain.runs import HoldKind, HoldStatus, RunOutcome
from sync_core.messaging.messages import SYNC_REQUESTS, DecideHold, Decision, encode
from tests.flow.trust import Trust, pupils, registration, staff, start_trust, teaching

EVERYBODY = "amy ben cleo dan eve fay gus hal ida jon kit lea"
HALF = "amy ben cleo dan eve fay"
NEXT = "gus hal ida jon kit lea"
OAK = SchoolData(
    "OAK",
    "Oak School",
    "1234567",
    2026,
    pupils(EVERYBODY),
    staff("main tutor"),
    (teaching("T1", "Art", EVERYBODY, "main"), registration("R1", "5L", HALF, "tutor")),
)
ART, ART_MAIL, FORM_MAIL = "2026.teaching.T1", "Art.class.1234567.2026", "5L.class.1234567.2026"


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory, storage: str) -> Iterator[Trust]:
    with start_trust(tmp_path_factory.mktemp("trust"), storage) as trust:
        trust.add_school(OAK)
        trust.run_night()
        yield trust


def set_mis(trust: Trust, *, art: str = EVERYBODY, form: str = HALF) -> None:
    """Change the MIS, without a sync."""
    trust.schools["OAK"] = replace(
        OAK, groups=(teaching("T1", "Art", art, "main"), registration("R1", "5L", form, "tutor"))
    )
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
    assert (hold["kind"], hold["classes"]) == (HoldKind.CLASS_LOSS, [ART])
    assert "class 2026.teaching.T1 (Art_Class [1234567][2026]) would lose 6 of 12 students: over 40%" in hold["what"]
    assert any(hold["what"] in line for line in plan["lines"])
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
    late = DecideHold(SchoolId("OAK"), hold["digest"], Decision.APPROVE, run["id"])
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
    assert [hold["kind"] for hold in preview(trust)["holds"]] == [HoldKind.CLASS_LOSS]


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
