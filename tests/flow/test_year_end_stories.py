"""Numbered stories of the year end: classes of last year that an admin ends, and that stay as the admin left them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.school.data import SchoolData
from local.school.oneroster_csv import write
from sync_core.domain.classes.record import ClassState
from sync_core.domain.runs import RunOutcome
from tests.flow.today import YEAR, on
from tests.flow.trust import Trust, pupils, registration, staff, start_trust, teaching, upn
from tests.waiting import wait_until

CLASS = "amy ben cleo dan eve"
OAK = SchoolData(
    "OAK",
    "Oak School",
    "1234567",
    2025,
    pupils(CLASS),
    staff("main tutor"),
    (teaching("T1", "Art", CLASS, "main"), registration("R1", "5L", CLASS, "tutor")),
)
THIS_YEAR = replace(
    OAK, starts=2026, groups=(teaching("T2", "Art", CLASS, "main"), registration("R2", "6L", CLASS, "tutor"))
)
ART, FORM = "2025.teaching.T1", "2025.registration.R1"
ART_MAIL, FORM_MAIL = "Art.class.1234567.2025", "5L.class.1234567.2025"
NAME = "Art_Class [1234567][2025]"
LAST_YEAR: dict[str, Any] = {"years": [2025]}
ORDER: dict[str, Any] = {
    "filter": LAST_YEAR,
    "choice": {"rename": "year", "pupils": "remove", "keep_years": 2},
}
AT = "schools/OAK/year-end"


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory, storage: str) -> Iterator[Trust]:
    with start_trust(tmp_path_factory.mktemp("trust"), storage) as trust:
        trust.add_school(OAK, types=["teaching", "registration"], admin_owners=[upn("tutor")])
        trust.run_night()
        trust.schools["OAK"] = THIS_YEAR
        trust.run_night()
        yield trust


def preview(trust: Trust, path: str, body: dict[str, Any]) -> dict[str, Any]:
    return dict(trust.call("POST", f"{AT}/{path}", body=body).json())


def test_20_a_new_year_ends_nothing_but_the_following_of_the_mis(trust: Trust) -> None:
    assert trust.read_class(ART_MAIL)["members"] == f"{CLASS} main tutor"
    states = {key: trust.read_status("OAK", key)["state"] for key in (ART, FORM)}
    assert states == {ART: ClassState.ENDED, FORM: ClassState.ENDED}


def test_21_the_preview_names_each_class_and_writes_nothing(trust: Trust) -> None:
    writes = trust.count_writes()
    shown = preview(trust, "plan", {"filter": {}, "choice": ORDER["choice"]})
    refused = {each["key"]: each["refused"] for each in shown["classes"]}
    assert {key for key, reason in refused.items() if not reason} == {ART, FORM}
    assert all("the MIS still has its group" in reason for reason in refused.values() if reason)
    assert "memberships of pupils that end: 10" in shown["what"]
    assert trust.count_writes() == writes


def test_22_what_was_shown_is_done_as_one_run(trust: Trust) -> None:
    shown = preview(trust, "plan", ORDER)
    run = trust.run_action("POST", f"{AT}/{shown['digest']}/apply", body=ORDER)
    assert (run["outcome"], run["cause"], run["changed"]) == (RunOutcome.PLANNED, "admin", [FORM, ART])
    assert run["requested_by"]
    art = trust.read_class(ART_MAIL)
    assert (art["displayName"], art["owners"], art["members"]) == (f"{NAME} (2025/26)", "main tutor", "main tutor")
    assert trust.read_class("Art.class.1234567.2026")["members"] == f"{CLASS} main tutor"
    (change,) = [one for one in trust.call("GET", f"schools/OAK/runs/{run['id']}/changes").json() if one["key"] == ART]
    assert (change["change"]["renamed"], len(change["change"]["members_removed"])) == (True, 5)


def test_23_no_night_changes_them_even_if_the_mis_has_the_groups_again(trust: Trust) -> None:
    trust.edit_by_hand("rename", FORM_MAIL, name="Our old form")
    trust.schools["OAK"] = replace(THIS_YEAR, groups=(*THIS_YEAR.groups, *OAK.groups))
    trust.run_night()
    trust.run_night()
    art, form = trust.read_class(ART_MAIL), trust.read_class(FORM_MAIL)
    assert (art["displayName"], art["members"]) == (f"{NAME} (2025/26)", "main tutor")
    assert (form["displayName"], form["members"]) == ("Our old form", "tutor")
    trust.schools["OAK"] = THIS_YEAR
    trust.run_night()


def test_24_another_digest_changes_nothing(trust: Trust) -> None:
    answer = trust.call("POST", f"{AT}/{'0' * 32}/apply", expected=409, body=ORDER).json()
    assert "so nothing was changed" in answer["detail"]


def test_25_taking_it_back_restores_the_name_and_the_pupils_but_no_name_that_somebody_gave(trust: Trust) -> None:
    shown = preview(trust, "taking-back/plan", LAST_YEAR)
    notes = {each["key"]: each["note"] for each in shown["classes"]}
    assert "somebody renamed it since" in notes[FORM]
    run = trust.run_action("POST", f"{AT}/taking-back/{shown['digest']}/apply", body=LAST_YEAR)
    assert run["changed"] == [FORM, ART]
    art, form = trust.read_class(ART_MAIL), trust.read_class(FORM_MAIL)
    assert (art["displayName"], art["members"]) == (NAME, f"{CLASS} main tutor")
    assert (form["displayName"], form["members"]) == ("Our old form", f"{CLASS} tutor")
    trust.run_night()
    assert trust.read_class(ART_MAIL)["members"] == f"{CLASS} main tutor"
    assert trust.read_status("OAK", ART)["state"] == ClassState.ENDED


def test_26_the_undo_of_a_year_end_gives_the_people_back_and_pins_the_classes(trust: Trust) -> None:
    shown = preview(trust, "plan", ORDER)
    run = trust.run_action("POST", f"{AT}/{shown['digest']}/apply", body=ORDER)
    undone = trust.run_action("POST", f"schools/OAK/runs/{run['id']}/undo")
    assert "only their people are restored" in " ".join(undone["notes"])
    art = trust.read_class(ART_MAIL)
    assert (art["displayName"], art["members"]) == (f"{NAME} (2025/26)", f"{CLASS} main tutor")
    assert trust.read_status("OAK", ART)["state"] == ClassState.PINNED


def test_27_a_rehearsed_plan_is_carried_out_at_its_time(trust: Trust) -> None:
    """The queue delivers the approval at its time, and the class is made then."""
    later = f"{YEAR + 1}-09-01"
    music = teaching("T3", "Music", CLASS, "main")
    trust.schools["OAK"] = replace(THIS_YEAR, groups=(*THIS_YEAR.groups, music))
    write(trust.schools["OAK"], trust.world.folder / "feed OAK")
    writes = trust.count_writes()
    rehearsed = trust.call("POST", "schools/OAK/rehearsal", body={"day": later}).json()
    assert rehearsed["made"]
    shown = trust.call("POST", "schools/OAK/rehearsal", body={"day": on(0)}).json()
    assert [each["address"] for each in shown["begins"]] == ["Music.class.1234567.2026"]
    assert trust.count_writes() == writes

    begins_at = (datetime.now(UTC) + timedelta(seconds=3)).isoformat()
    body = {"day": on(0), "begins_at": begins_at}
    run = trust.call("POST", f"schools/OAK/rehearsal/{shown['digest']}/approve", expected=202, body=body).json()["run"]
    wait_until(lambda: trust.call("GET", f"schools/OAK/runs/{run}").json()["outcome"] == RunOutcome.PLANNED)
    wait_until(lambda: "Music.class.1234567.2026" in trust.list_nicknames())
