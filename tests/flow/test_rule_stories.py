"""Numbered stories of every rule (docs/rules.md), in order in one trust of small schools."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from local import loopback
from local.school.data import SchoolData
from local.tenant.names import DOMAIN
from sync_core.domain.runs import HoldKind
from tests.flow.trust import Trust, pupils, registration, staff, start_trust, teaching, upn

OAK = SchoolData(
    "OAK",
    "Oak School",
    "1234567",
    2026,
    (*pupils("amy ben cleo"), *pupils("dan eve", "8")),
    staff("main second tutor shared"),
    (
        teaching("T1", "2S/DT1", "amy ben", "main second"),
        teaching("T2", "2SDT1", "cleo", "second"),
        teaching("T3", "Mon Ch", "dan eve", "second"),
        registration("R1", "5L", "amy cleo", "tutor"),
    ),
)
ELM = SchoolData(
    "ELM", "Elm School", "7654321", 2026, pupils("fay"), staff("shared"), (teaching("T1", "Art", "fay", "shared"),)
)
DT1, MON, FORM, YEAR = (f"{stem}.class.1234567.2026" for stem in ("2SDT1-2", "Mon-Ch", "5L", "7"))
SETTINGS: dict[str, Any] = {"admin_owners": [upn("boss")]}


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory, storage: str) -> Iterator[Trust]:
    with start_trust(tmp_path_factory.mktemp("trust"), storage) as trust:
        trust.add_more_users()
        trust.add_accounts(["boss", "helper"])
        yield trust


def change_group(trust: Trust, group: str, **changes: Any) -> None:
    """Change one of Oak's groups."""
    oak = trust.schools["OAK"]
    groups = tuple(replace(one, **changes) if one.id == group else one for one in oak.groups)
    trust.schools["OAK"] = replace(oak, groups=groups)


# --- types and owners


def test_01_only_the_chosen_types_become_classes(trust: Trust) -> None:
    trust.add_school(OAK, types=["registration"], **SETTINGS)
    trust.run_night()
    assert trust.list_nicknames() == [FORM]


def test_02_admins_are_owners_pupils_are_members_and_every_owner_is_a_member(trust: Trust) -> None:
    trust.save_settings("OAK", **SETTINGS)
    trust.run_night()
    assert trust.read_class(FORM) | {"id": "", "externalId": ""} == {
        "id": "",
        "externalId": "",
        "externalSource": "sis",
        "displayName": "5L_Class [1234567][2026]",
        "mailNickname": FORM,
        "owners": "boss",
        "members": "amy boss cleo",
        "deleted": False,
    }
    assert trust.read_class(YEAR)["members"] == "amy ben boss cleo"


def test_03_the_main_teacher_owns_a_teaching_group(trust: Trust) -> None:
    assert trust.read_class(DT1)["owners"] == "boss main"
    assert trust.read_class(DT1)["members"] == "amy ben boss main"


def test_04_names_follow_the_table_and_colliding_names_are_made_distinct(trust: Trust) -> None:
    assert trust.list_nicknames() == sorted([FORM, YEAR, "8.class.1234567.2026", MON, "2SDT1.class.1234567.2026", DT1])
    assert trust.read_class("2SDT1.class.1234567.2026")["members"] == "boss cleo second"
    assert trust.read_class(MON)["displayName"] == "Mon-Ch_Class [1234567][2026]"


def test_05_all_teaching_staff_are_owners_if_the_mis_is_seemis(trust: Trust) -> None:
    trust.save_settings("OAK", mis="seemis", **SETTINGS)
    trust.run_night()
    assert trust.read_class(DT1)["owners"] == "boss main second"


def test_06_scholarpack_has_no_teaching_groups_and_the_run_reports_it(trust: Trust) -> None:
    answer = trust.save_settings("OAK", expected=422, mis="scholarpack", types=["teaching"])
    assert "teaching groups are not extracted from ScholarPack" in answer.json()["what"]
    trust.save_settings("OAK", mis="scholarpack", **SETTINGS)
    trust.run_night()
    assert any("teaching groups are not extracted" in note for note in trust.read_last_run("OAK")["notes"])
    assert trust.read_class(DT1)["members"] == "amy ben boss main second"


# --- authority


def test_07_an_owner_added_by_hand_stays_and_a_member_is_removed(trust: Trust) -> None:
    trust.save_settings("OAK", **SETTINGS)
    trust.edit_by_hand("add-owner", FORM, upn=upn("helper"))
    trust.edit_by_hand("add-member", FORM, upn=upn("helper"))
    trust.edit_by_hand("add-member", FORM, upn=upn("dan"))
    trust.run_night()
    assert (trust.read_class(FORM)["owners"], trust.read_class(FORM)["members"]) == (
        "boss helper",
        "amy boss cleo helper",
    )


def test_08_a_rename_by_hand_stays_and_membership_is_still_synced(trust: Trust) -> None:
    trust.edit_by_hand("rename", FORM, name="Our form")
    change_group(trust, "R1", pupils=("amy", "cleo", "ben"))
    trust.run_night()
    assert trust.read_class(FORM)["displayName"] == "Our form"
    assert trust.read_class(FORM)["members"] == "amy ben boss cleo helper"


def test_09_a_new_identifier_applies_to_new_classes_only(trust: Trust) -> None:
    trust.save_settings("OAK", name_identifier="Oak", **SETTINGS)
    oak = trust.schools["OAK"]
    trust.schools["OAK"] = replace(oak, groups=(*oak.groups, teaching("T4", "New", "eve", "second")))
    trust.run_night()
    assert trust.read_class("New.class.Oak.2026")["displayName"] == "New_Class [Oak][2026]"
    assert trust.read_class(MON)["displayName"] == "Mon-Ch_Class [1234567][2026]"


def test_10_a_departed_owner_stays_unless_the_school_revokes_them(trust: Trust) -> None:
    trust.edit_by_hand("add-owner", MON, upn=upn("helper"))
    change_group(trust, "T3", staff=teaching("", "", "", "main").staff)
    trust.run_night()
    assert trust.read_class(MON)["owners"] == "boss helper main second"
    trust.save_settings("OAK", departed_owners="revoke", **SETTINGS)
    trust.run_night()
    assert (trust.read_class(MON)["owners"], trust.read_class(MON)["members"]) == (
        "boss helper main",
        "boss dan eve main",
    )


def test_11_a_second_night_changes_nothing(trust: Trust) -> None:
    trust.run_night()
    before = trust.count_writes()
    trust.run_night()
    assert trust.count_writes() == before


# --- people


def test_12_a_disabled_account_stays_and_a_missing_one_is_reported_by_id(trust: Trust) -> None:
    oak = trust.schools["OAK"]
    trust.schools["OAK"] = replace(oak, pupils=(*oak.pupils, *pupils("nobody")))
    change_group(trust, "R1", pupils=("amy", "cleo", "ben", "nobody"))
    trust.update_account("amy", accountEnabled=False)
    trust.run_night()
    run = trust.read_last_run("OAK")
    assert (run["people_without_account"], run["people_disabled"]) == (["nobody"], ["amy"])
    assert trust.read_class(FORM)["members"] == "amy ben boss cleo helper"


def test_13_one_role_may_be_matched_by_another_property(trust: Trust) -> None:
    for name in ("amy", "ben", "cleo", "dan", "eve"):
        trust.update_account(name, employeeId=f"{name.upper()}")
    trust.update_account("ben", userPrincipalName=upn("benjamin"))
    trust.update_account("helper", employeeId="cleo")
    by_id = {"mis": "id", "account": "employeeId"}
    trust.save_settings("OAK", departed_owners="revoke", students=by_id, **SETTINGS)
    trust.run_night()
    run = trust.read_last_run("OAK")
    assert run["people_ambiguous"] == ["cleo"]
    assert run["people_without_account"] == ["nobody"]
    # Cleo is ambiguous: she stays in her classes, and the other account is not added.
    assert trust.read_class(FORM)["members"] == "amy benjamin boss cleo helper"
    trust.update_account("helper", employeeId=None)
    trust.update_account("benjamin", userPrincipalName=upn("ben"))


def test_14_a_person_may_have_two_roles_or_two_schools(trust: Trust) -> None:
    trust.save_settings("OAK", **SETTINGS)
    change_group(trust, "T4", pupils=("eve", "main"))
    trust.add_school(ELM)
    trust.run_night()
    assert trust.read_class("New.class.Oak.2026")["members"] == "boss eve main second"
    assert (
        trust.read_class("Art.class.7654321.2026")["owners"],
        trust.read_class("Art.class.7654321.2026")["members"],
    ) == (
        "shared",
        "fay shared",
    )
    oak = trust.schools["OAK"]
    trust.schools["OAK"] = replace(oak, groups=(*oak.groups, teaching("T5", "Art", "amy", "shared")))
    trust.run_night()
    assert trust.read_class("Art.class.1234567.2026")["owners"] == "boss shared"
    assert trust.read_class("Art.class.7654321.2026")["members"] == "fay shared"


def test_15_two_schools_of_one_tenant_may_not_share_an_identifier(trust: Trust) -> None:
    trust.save_settings("OAK", name_identifier="Trust", **SETTINGS)
    answer = trust.save_settings("ELM", expected=422, name_identifier="trust")
    assert "school OAK of the same tenant has it already" in answer.json()["what"]
    trust.save_settings("OAK", **SETTINGS)


# --- from creation to deletion


def test_16_a_group_that_disappears_leaves_its_class_ended_and_unchanged(trust: Trust) -> None:
    oak = trust.schools["OAK"]
    trust.schools["OAK"] = replace(oak, groups=tuple(group for group in oak.groups if group.id != "T3"))
    before = trust.read_class(MON)
    trust.run_night()
    assert trust.read_class(MON) == before
    assert trust.read_last_run("OAK")["ended"] == ["2026.teaching.T3"]
    assert trust.read_status("OAK", "2026.teaching.T3")["state"] == "ended"
    trust.edit_by_hand("add-member", MON, upn=upn("amy"))
    trust.run_night()
    assert trust.read_class(MON)["members"] == "amy boss dan eve main"
    trust.schools["OAK"] = oak
    trust.run_night()
    assert trust.read_class(MON) == before


def test_17_a_class_deleted_by_hand_is_reported_and_not_created_again(trust: Trust) -> None:
    trust.edit_by_hand("delete", MON)
    trust.run_night()
    assert trust.read_last_run("OAK")["gone"] == ["2026.teaching.T3"]
    assert trust.read_status("OAK", "2026.teaching.T3")["state"] == "gone"
    assert trust.read_class(MON)["deleted"]


def test_18_a_deleted_class_is_created_again_when_an_admin_requests_it(trust: Trust) -> None:
    trust.run_action("POST", "schools/OAK/groups/2026.teaching.T3/class")
    recreated = trust.read_class("Mon-Ch-2.class.1234567.2026")
    assert recreated["owners"] == "admin.user boss main"
    assert recreated["members"] == "admin.user boss dan eve main"
    assert trust.read_class(MON)["deleted"]
    trust.run_night()
    assert trust.read_last_run("OAK")["gone"] == []


def test_19_a_nickname_that_another_group_has_is_replaced_by_the_next(trust: Trust) -> None:
    token = loopback.get(f"{trust.addresses.tenant}/msi/token", headers={"X-IDENTITY-HEADER": "local"}).json()
    foreign = {"displayName": "Choir", "mailNickname": "Choir.class.1234567.2026"}
    bearer = {"Authorization": f"Bearer {token['access_token']}"}
    loopback.post(f"{trust.addresses.tenant}/v1.0/groups", json=foreign, headers=bearer).raise_for_status()
    trust.edit_by_hand("age", foreign["mailNickname"], seconds=3600)
    oak = trust.schools["OAK"]
    trust.schools["OAK"] = replace(oak, groups=(*oak.groups, teaching("T6", "Choir", "amy", "main")))
    trust.run_night()
    assert trust.read_class("Choir-2.class.1234567.2026")["members"] == "amy boss main"
    assert "Choir.class.1234567.2026" not in trust.list_nicknames()


def test_20_a_paused_school_is_not_changed_and_catches_up_when_it_resumes(trust: Trust) -> None:
    trust.save_settings("OAK", enabled=False, **SETTINGS)
    change_group(trust, "R1", pupils=("amy",))
    trust.edit_by_hand("add-member", FORM, upn=upn("dan"))
    before = trust.read_class(FORM)
    trust.run_night()
    assert trust.read_class(FORM) == before
    trust.save_settings("OAK", **SETTINGS)
    trust.run_night()
    assert trust.read_class(FORM)["members"] == "amy boss helper"


def test_21_a_removed_school_keeps_its_classes_and_may_return(trust: Trust) -> None:
    trust.call("DELETE", "schools/ELM", expected=204)
    art = "Art.class.7654321.2026"
    trust.edit_by_hand("add-member", art, upn=upn("dan"))
    before = trust.read_class(art)
    trust.run_night()
    assert trust.read_class(art) == before
    trust.add_school(ELM)
    trust.run_night()
    assert trust.read_class(art)["members"] == "fay shared"


def test_22_a_new_year_creates_new_classes_and_leaves_last_years_unchanged(trust: Trust) -> None:
    before = trust.read_class(FORM)
    oak = trust.schools["OAK"]
    next_form = registration("R9", "5L", "dan eve", "tutor")
    trust.schools["OAK"] = replace(oak, starts=2027, groups=(next_form,))
    trust.run_night()
    assert trust.read_class("5L.class.1234567.2027")["members"] == "boss dan eve"
    assert trust.read_class(FORM) == before
    assert trust.read_status("OAK", "2026.registration.R1")["state"] == "ended"


def test_23_a_school_may_reuse_last_years_classes(trust: Trust) -> None:
    """The MIS gave the group another id, so an admin says whether it is last year's."""
    trust.save_settings("ELM", rollover="reuse")
    elm = trust.schools["ELM"]
    trust.schools["ELM"] = replace(
        elm, starts=2027, pupils=pupils("fay gus"), groups=(teaching("T7", "Art", "gus", "shared"),)
    )
    trust.add_accounts(["gus"])
    before = trust.read_class("Art.class.7654321.2026")
    trust.run_night()
    assert trust.read_class("Art.class.7654321.2026") == before
    (hold,) = trust.call("GET", "schools/ELM/holds").json()
    (part,) = hold["classes"]
    assert (hold["kind"], part["key"], part["continues"]) == (
        HoldKind.CONTINUATION,
        "2027.teaching.T7",
        "2026.teaching.T1",
    )
    assert trust.read_status("ELM", "2026.teaching.T1")["state"] == "live"
    run = trust.run_action("POST", f"schools/ELM/holds/{hold['digest']}/approve")
    assert (run["created"], run["changed"], run["held"]) == ([], ["2026.teaching.T1"], [])
    assert trust.read_class("Art.class.7654321.2026")["members"] == "gus shared"
    assert "Art.class.7654321.2027" not in trust.list_nicknames()


def test_24_no_person_was_deleted_and_no_name_was_logged(trust: Trust) -> None:
    assert loopback.get(f"{trust.addresses.tenant}/_sim/stats").json()["forbidden_deletes"] == 0
    logs = "".join((trust.world.folder / name).read_text(encoding="utf-8") for name in ("host.log", "host.jsonl"))
    assert f"@{DOMAIN}" not in logs
    assert "Pupil" not in logs
