"""Numbered stories of explanations: is a person in a class, since when, why, by whom, and what the next sync does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from local.school.data import SchoolData
from sync_core.domain.classes.desired import Rule
from sync_core.planning.explain.model import By, Next
from tests.flow.trust import Trust, pupils, registration, staff, start_trust, teaching, upn

CLASS = "amy ben cleo dan eve fay gus hal ida jon"
FIR = SchoolData(
    "FIR",
    "Fir School",
    "1234567",
    2026,
    pupils(f"{CLASS} kit nil"),
    staff("main second tutor boss"),
    (teaching("T1", "Art", CLASS, "main second"), registration("R1", "5L", f"{CLASS} nil", "tutor")),
)
ART, FORM = "2026.teaching.T1", "2026.registration.R1"
ART_MAIL, FORM_MAIL = "Art.class.1234567.2026", "5L.class.1234567.2026"
SETTINGS: dict[str, Any] = {
    "admin_owners": [upn("boss")],
    "limits": {"school_loss": 1, "week_loss": 1, "smallest_snapshot": 0.1},
}


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory, storage: str) -> Iterator[Trust]:
    with start_trust(tmp_path_factory.mktemp("trust"), storage) as trust:
        trust.add_more_users()
        trust.add_school(FIR, **SETTINGS)
        trust.update_account("nil", userPrincipalName=upn("no.longer.nil"))
        trust.run_night()
        yield trust


def explained(trust: Trust, person: str, key: str = ART) -> dict[str, Any]:
    return dict(trust.call("POST", f"schools/FIR/classes/{key}/explain", body={"person": person}).json())


def set_mis(trust: Trust, art: str, teachers: str = "main second") -> None:
    groups = (teaching("T1", "Art", art, teachers), registration("R1", "5L", f"{CLASS} nil", "tutor"))
    trust.schools["FIR"] = replace(trust.schools["FIR"], groups=groups)


def last_nightly_run(trust: Trust) -> str:
    runs = trust.call("GET", "schools/FIR/runs").json()
    return str([run["id"] for run in runs if run["cause"] == "nightly"][-1])


def test_01_a_membership_is_explained_by_a_run_a_rule_and_an_mis_record(trust: Trust) -> None:
    answer = explained(trust, "amy")
    member = answer["member"]
    assert (member["there"], member["by"], member["next"]) == (True, By.SYNC, Next.STAYS)
    assert (member["event"]["run"], member["event"]["cause"]) == (last_nightly_run(trust), "nightly")
    assert member["event"]["reason"] == answer["wanted"] == {"rule": Rule.STUDENT, "record": "amy"}
    assert not answer["owner"]["there"]
    now, rules, next_sync = answer["lines"]
    assert now.startswith("in the class since ")
    assert now.endswith(f"by nightly run {last_nightly_run(trust)}: the MIS lists person amy as a student of its group")
    assert rules == "the rules want them in it: the MIS lists person amy as a student of its group"
    assert next_sync == "the next sync leaves it as it is"


def test_02_a_person_is_found_by_mis_id_entra_id_or_address(trust: Trust) -> None:
    by_record = explained(trust, "amy")
    for person in (by_record["account"], by_record["account"].upper(), upn("amy"), upn("Amy")):
        assert explained(trust, person) | {"at": ""} == by_record | {"at": ""}


def test_03_no_address_and_no_name_is_in_a_response_or_a_log(trust: Trust) -> None:
    answer = trust.call("POST", f"schools/FIR/classes/{ART}/explain", body={"person": upn("amy")}).text
    assert "@" not in answer
    assert "Pupil" not in answer
    assert upn("amy") not in (trust.world.folder / "host.jsonl").read_text(encoding="utf-8")


def test_04_an_ownership_is_explained_by_the_settings_or_the_mis(trust: Trust) -> None:
    main, boss, second, tutor = (explained(trust, person) for person in ("main", upn("boss"), "second", "tutor"))
    assert (main["owner"]["by"], main["wanted"]) == (By.SYNC, {"rule": Rule.TEACHER, "record": "main"})
    assert main["lines"][1].startswith("an owner of it since ")
    assert (boss["owner"]["by"], boss["wanted"]) == (By.SYNC, {"rule": Rule.ADMIN_OWNER, "record": ""})
    assert "the school's settings name them in admin_owners" in boss["lines"][0]
    assert (second["owner"]["there"], second["owner"]["by"], second["wanted"]) == (False, By.NOBODY, None)
    assert "only the main teacher owns a class of such a group" in second["lines"][1]
    assert "the MIS does not list them in teaching group T1" in tutor["lines"][1]
    assert "no teacher owns a class of such a group" in explained(trust, "tutor", FORM)["lines"][1]


def test_05_a_missing_account_explains_why_a_pupil_is_not_in_the_class(trust: Trust) -> None:
    answer = explained(trust, "nil", FORM)
    assert (answer["account"], answer["person"], answer["member"]["there"]) == ("", "nil", False)
    assert answer["lines"][1] == (
        "the MIS lists person nil in group R1, and no account matches; looked for "
        f"{upn('nil')} as userPrincipalName or mail — correct the account, the MIS, or students and account_domain in "
        "the school's settings"
    )


def test_06_two_matching_accounts_explain_why_a_pupil_is_not_in_the_class(trust: Trust) -> None:
    settings = SETTINGS | {"students": {"account": "mailNickname"}}
    trust.update_account("no.longer.nil", mailNickname="nil")
    trust.update_account("tutor", mailNickname="nil")
    trust.save_settings("FIR", **settings)
    trust.run_night()
    assert "several accounts match" in explained(trust, "nil", FORM)["lines"][1]
    trust.save_settings("FIR", **SETTINGS)
    trust.update_account("tutor", mailNickname="tutor")
    trust.run_night()


def test_07_a_member_added_by_hand_is_removed_by_the_next_sync(trust: Trust) -> None:
    trust.edit_by_hand("add-member", ART_MAIL, upn=upn("kit"))
    answer = explained(trust, upn("kit"))
    assert (answer["member"]["there"], answer["member"]["by"], answer["member"]["next"]) == (True, By.HAND, Next.GOES)
    assert answer["lines"] == [
        "in the class, added by hand in Microsoft 365",
        "the rules do not want them in it: the MIS does not list them in teaching group T1",
        "the next sync removes them",
    ]
    trust.run_night()
    answer = explained(trust, upn("kit"))
    assert (answer["member"]["there"], answer["member"]["by"]) == (False, By.SYNC)
    assert answer["lines"][0].startswith("not in the class since ")
    assert answer["lines"][0].endswith(f"by nightly run {last_nightly_run(trust)}")


def test_08_a_member_removed_by_hand_is_added_again(trust: Trust) -> None:
    trust.edit_by_hand("remove-member", ART_MAIL, upn=upn("ben"))
    answer = explained(trust, "ben")
    assert (answer["member"]["there"], answer["member"]["by"], answer["member"]["next"]) == (False, By.HAND, Next.COMES)
    assert answer["lines"][0].startswith("not in the class, removed by hand in Microsoft 365; added by nightly run ")
    trust.run_night()
    assert explained(trust, "ben")["member"]["event"]["run"] == last_nightly_run(trust)


def test_09_an_owner_added_by_hand_stays_owner_and_member(trust: Trust) -> None:
    trust.edit_by_hand("add-owner", ART_MAIL, upn=upn("tutor"))
    trust.edit_by_hand("add-member", ART_MAIL, upn=upn("tutor"))
    answer = explained(trust, upn("tutor"))
    for role in ("member", "owner"):
        assert (answer[role]["there"], answer[role]["by"], answer[role]["next"]) == (True, By.HAND, Next.STAYS)
    why = "an owner stays if they were added by hand or if their grant was never confirmed"
    assert answer["lines"][-1] == f"the next sync leaves it as it is; {why}"
    trust.run_night()
    assert "tutor" in trust.read_class(ART_MAIL)["owners"]
    assert "tutor" in trust.read_class(ART_MAIL)["members"]


def test_10_the_next_sync_does_what_the_explanation_predicted(trust: Trust) -> None:
    set_mis(trust, f"{CLASS[4:]} kit")
    trust.save_settings("FIR", **SETTINGS)
    assert [explained(trust, person)["member"]["next"] for person in ("amy", "ben", "kit")] == [
        Next.GOES,
        Next.STAYS,
        Next.COMES,
    ]
    run = trust.run_action("POST", "schools/FIR/sync")
    for person, there in (("amy", False), ("kit", True)):
        member = explained(trust, person)["member"]
        assert (member["there"], member["by"], member["next"]) == (there, By.SYNC, Next.STAYS)
        assert (member["event"]["run"], member["event"]["cause"]) == (run["id"], "admin")


def test_11_a_departed_owner_stays_or_is_revoked_as_the_settings_say(trust: Trust) -> None:
    set_mis(trust, CLASS, "second")
    trust.save_settings("FIR", **SETTINGS)
    staying = explained(trust, "main")
    assert (staying["owner"]["next"], staying["member"]["next"]) == (Next.STAYS, Next.STAYS)
    assert "departed_owners is keep in the school's settings" in staying["lines"][-1]
    trust.save_settings("FIR", departed_owners="revoke", **SETTINGS)
    leaving = explained(trust, "main")
    assert leaving["lines"][-1] == "the next sync removes them and revokes their ownership"
    trust.run_night()
    assert not explained(trust, "main")["owner"]["there"]
    assert explained(trust, "main")["owner"]["event"]["came"] is False


def test_12_a_held_change_names_its_hold(trust: Trust) -> None:
    set_mis(trust, "amy ben", "second")
    trust.run_night()
    answer = explained(trust, "cleo")
    (hold,) = trust.call("GET", "schools/FIR/holds").json()
    assert (answer["member"]["there"], answer["member"]["next"]) == (True, Next.HELD)
    assert answer["lines"][-1].startswith(
        f"the next sync leaves it as it is; hold {hold['digest']} (left_group): class {ART} ("
    )
    assert "the MIS does not list them in teaching group T1" in answer["lines"][1]


def test_13_a_rejected_feed_leaves_the_rules_unknown(trust: Trust) -> None:
    trust.edit_by_hand("add-member", ART_MAIL, upn=upn("kit"))
    (trust.world.folder / "feed FIR" / "classes.csv").write_text("torn", encoding="utf-8")
    answer = explained(trust, upn("kit"))
    assert answer["wanted"] is None
    assert answer["lines"][1].startswith("the rules could not be applied: ")
    assert (answer["member"]["by"], answer["member"]["next"]) == (By.HAND, Next.GOES)
    set_mis(trust, CLASS, "second")
    trust.run_night()
    assert not explained(trust, upn("kit"))["member"]["there"]


def test_14_a_pinned_class_names_the_run_that_was_undone(trust: Trust) -> None:
    set_mis(trust, CLASS[4:], "second")
    trust.run_night()
    night = last_nightly_run(trust)
    trust.run_action("POST", f"schools/FIR/runs/{night}/undo")
    answer = explained(trust, "amy")
    assert (answer["member"]["there"], answer["member"]["event"]["reason"]) == (
        True,
        {"rule": Rule.UNDONE, "record": night},
    )
    assert answer["member"]["event"]["cause"] == "admin"
    assert f"they were in it before run {night}, which was undone" in answer["lines"][0]
    assert "until an admin releases it" in answer["lines"][-1]
    trust.run_action("DELETE", f"schools/FIR/classes/{ART}/pin")
    assert not explained(trust, "amy")["member"]["there"]


def test_15_a_paused_school_or_a_deleted_class_is_left_as_it_is(trust: Trust) -> None:
    trust.save_settings("FIR", enabled=False, **SETTINGS)
    assert "the next sync leaves it as it is; the school is paused" in explained(trust, "ben")["lines"][-1]
    trust.save_settings("FIR", **SETTINGS)
    trust.run_action("DELETE", f"schools/FIR/classes/{FORM}")
    answer = explained(trust, "ben", FORM)
    assert not answer["member"]["there"]
    assert answer["lines"][-1] == "the next sync leaves it as it is; an admin deleted the class"


def test_16_a_new_generation_is_owned_by_its_requester_and_has_the_earlier_history(trust: Trust) -> None:
    trust.run_action("POST", f"schools/FIR/groups/{FORM}/class")
    trust.run_night()
    answer = explained(trust, "ben", FORM)
    assert [event["came"] for event in answer["history"]] == [True, True]
    assert answer["member"]["by"] == By.SYNC
    owners = trust.read_class(trust.read_status("FIR", FORM)["mail_nickname"])["owners"].split()
    wanted = [explained(trust, upn(owner), FORM)["wanted"]["rule"] for owner in owners]
    assert sorted(wanted) == [Rule.ADMIN_OWNER, Rule.CREATOR]


def test_17_an_unknown_person_is_not_found_and_an_explanation_writes_nothing(trust: Trust) -> None:
    before = trust.count_writes()
    answer = trust.call("POST", f"schools/FIR/classes/{ART}/explain", expected=404, body={"person": "nobody"}).json()
    assert "neither the MIS nor Microsoft 365 has this person" in answer["what"]
    assert "nobody@" not in str(answer)
    runs = trust.call("GET", "schools/FIR/runs").json()
    explained(trust, "ben")
    assert trust.call("GET", "schools/FIR/runs").json() == runs
    assert trust.count_writes() == before
