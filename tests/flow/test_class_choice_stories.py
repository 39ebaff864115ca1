"""Numbered stories of what admins choose for single classes, and of classes that go on (docs/rules.md, Y10 to Y17)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from local.school.data import SchoolData
from local.school.oneroster_csv import write_two_years
from sync_core.domain.ids import ClassKey, SchoolId
from sync_core.state.store import TableState
from tests.flow.today import on
from tests.flow.trust import HEAD, Trust, pupils, registration, staff, start_trust, teaching, upn

OAK = SchoolData(
    "OAK", "Oak School", "1234567", 2026, pupils("amy ben cleo dan eve fay gus hal", "10"), staff("main second tutor"),
    (
        teaching("T1", "10A/Ma1", "amy ben cleo dan", "main"),
        teaching("T2", "10A/Ma2", "eve fay gus hal", "second"),
        teaching("T3", "10A/Ar1", "amy ben cleo dan", "second"),
        registration("R1", "10A", "amy ben cleo dan eve", "tutor"),
    ),
)  # fmt: skip
MATHS, MATHS_2, ART, FORM = (f"2026.{key}" for key in ("teaching.T1", "teaching.T2", "teaching.T3", "registration.R1"))
MATHS_MAIL, MATHS_2_MAIL, ART_MAIL, FORM_MAIL = (
    f"{name}.class.1234567.2026" for name in ("10AMa1", "10AMa2", "10AAr1", "10A")
)
CHOICE = f"schools/OAK/classes/{MATHS}/choice"
SETTINGS: dict[str, Any] = {
    "types": ["teaching", "registration"],
    "admin_owners": [upn("boss")],
    "limits": {"class_loss": 1, "turnover": 1, "school_loss": 1, "week_loss": 1, "smallest_snapshot": 0},
}


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory, storage: str) -> Iterator[Trust]:
    with start_trust(tmp_path_factory.mktemp("trust"), storage) as trust:
        trust.add_more_users()
        trust.add_accounts(["boss", "helper"])
        trust.add_school(OAK, **SETTINGS)
        trust.run_night()
        yield trust


def change_groups(trust: Trust, **changes: Any) -> None:
    trust.schools["OAK"] = replace(trust.schools["OAK"], **changes)


def holds_of(trust: Trust) -> list[dict[str, Any]]:
    """The parts of the holds of the school."""
    return [part for hold in trust.call("GET", "schools/OAK/holds").json() for part in hold["classes"]]


def decide(trust: Trust, decision: str, *keys: str) -> dict[str, Any]:
    (hold,) = trust.call("GET", "schools/OAK/holds").json()
    return dict(
        trust.run_action("POST", f"schools/OAK/holds/{hold['digest']}/{decision}", body={"classes": list(keys)})
    )


def test_10_a_cover_teacher_owns_a_class_until_a_date_and_an_explanation_says_who_gave_it(trust: Trust) -> None:
    until = datetime.now(UTC).date() + timedelta(days=30)
    cover = {"account": HEAD, "until": f"{until}", "reason": "cover for a long illness"}
    run = trust.run_action("PUT", CHOICE, body={"owners": [cover]})
    assert run["changed"] == [MATHS]
    assert trust.read_class(MATHS_MAIL)["owners"] == "boss head.user main"
    said = trust.call("POST", f"schools/OAK/classes/{MATHS}/explain", body={"person": HEAD}).json()["rules"]["text"]
    admin = trust.call("GET", CHOICE).json()["owners"][0]["given_by"]
    assert said == (
        f"the rules want them in it: they are an extra owner until {until:%d %b %Y}, given by admin {admin}"
    )
    assert trust.call("PUT", CHOICE, "colleague", 403, {"owners": []}).status_code == 403


def test_11_the_access_ends_with_its_day_and_only_what_the_sync_gave(trust: Trust) -> None:
    """Departed owners are kept in this school. The table is changed as if the day had passed."""
    trust.edit_by_hand("add-owner", MATHS_MAIL, upn=upn("helper"))

    async def let_the_day_pass() -> None:
        state = TableState.from_connection_string(trust.addresses.tables)
        try:
            choice = (await state.choices(SchoolId("OAK"))).classes[ClassKey(MATHS)]
            yesterday = datetime.now(UTC).date() - timedelta(days=1)
            owners = {account: replace(grant, until=yesterday) for account, grant in choice.owners.items()}
            await state.write_choice(SchoolId("OAK"), replace(choice, owners=owners))
        finally:
            await state.close()

    asyncio.run(let_the_day_pass())
    trust.run_night()
    class_ = trust.read_class(MATHS_MAIL)
    assert (class_["owners"], "head.user" in class_["members"]) == ("boss helper main", False)
    assert any(
        "extra owners whose time is over" in note and HEAD in note for note in trust.read_last_run("OAK")["notes"]
    )
    writes = trust.count_writes()
    trust.run_night()
    assert trust.count_writes() == writes
    assert not any("extra owners" in note for note in trust.read_last_run("OAK")["notes"])


def test_12_the_head_of_department_owns_the_classes_of_a_prefix(trust: Trust) -> None:
    rule = {"prefix": "10a/ma", "account": HEAD, "reason": "head of department"}
    trust.call("PUT", "schools/OAK/owner-rules/maths", body=rule)
    trust.run_night()
    owners = {mail: trust.read_class(mail)["owners"] for mail in (MATHS_MAIL, MATHS_2_MAIL, ART_MAIL, FORM_MAIL)}
    assert [mail for mail, names in owners.items() if "head.user" in names] == [MATHS_MAIL, MATHS_2_MAIL]
    trust.call("DELETE", "schools/OAK/owner-rules/maths", expected=204)
    trust.run_night()
    assert trust.read_class(MATHS_2_MAIL)["owners"] == "boss second"


def test_13_a_class_that_an_admin_ended_or_pinned_stays_as_it_is(trust: Trust) -> None:
    ended, pinned = trust.read_class(ART_MAIL), trust.read_class(FORM_MAIL)
    trust.run_action("PUT", f"schools/OAK/classes/{ART}/choice", body={"follow": "ended"})
    trust.run_action("PUT", f"schools/OAK/classes/{FORM}/choice", body={"follow": "pinned"})
    smaller = [replace(group, pupils=("amy", "ben", "cleo")) for group in OAK.groups[2:]]
    change_groups(trust, groups=(*OAK.groups[:2], *smaller))
    trust.run_night()
    assert (trust.read_class(ART_MAIL), trust.read_class(FORM_MAIL)) == (ended, pinned)
    assert trust.read_status("OAK", ART)["state"] == "ended"
    assert trust.read_status("OAK", FORM)["state"] == "pinned"
    for key in (ART, FORM):
        trust.run_action("DELETE", f"schools/OAK/classes/{key}/choice")
    assert "dan" not in trust.read_class(ART_MAIL)["members"] + trust.read_class(FORM_MAIL)["members"]
    change_groups(trust, groups=OAK.groups)
    trust.run_night()


def test_14_an_mis_that_changes_all_its_ids_makes_no_second_set_of_classes(trust: Trust) -> None:
    before = {mail: trust.read_class(mail) for mail in trust.list_nicknames()}
    change_groups(trust, groups=tuple(replace(group, id=f"N-{group.id}") for group in OAK.groups))
    trust.run_night()
    assert {mail: trust.read_class(mail) for mail in trust.list_nicknames()} == before
    parts = {part["continues"]: part for part in holds_of(trust)}
    assert parts.keys() == {MATHS, MATHS_2, ART, FORM}
    assert parts[MATHS]["what"] == (
        f"waits: it may continue class {MATHS}, whose group had the same name in the MIS in the same academic year: 4 "
        "of its 4 pupils are in the new group, which has 4; 1 of its 1 staff are in it too"
    )
    run = decide(trust, "approve", *(part["key"] for part in parts.values()))
    assert (run["created"], run["ended"], run["held"]) == ([], [], [])
    trust.run_night()
    assert {mail: trust.read_class(mail) for mail in trust.list_nicknames()} == before
    assert trust.read_status("OAK", MATHS)["group"] == "N-T1"


def next_year(trust: Trust) -> None:
    """Year 10 is year 11, with the same classes of maths and art; the second set of maths is another one."""
    groups = (
        teaching("P1", "11A/Ma1", "amy ben cleo dan", "main"),
        teaching("P2", "11A/Ma2", "eve fay gus hal", "main"),
        teaching("P3", "11A/Ar1", "amy ben cleo dan", "second"),
        registration("Q1", "11A", "amy ben cleo dan eve", "tutor"),
    )
    change_groups(trust, starts=2027, groups=groups)


def test_15_a_class_goes_on_with_its_group_if_an_admin_confirms_it(trust: Trust) -> None:
    trust.save_settings("OAK", **SETTINGS, rollover="ask")
    before = {mail: trust.read_class(mail) for mail in trust.list_nicknames()}
    next_year(trust)
    trust.run_night()
    assert {mail: trust.read_class(mail) for mail in trust.list_nicknames()} == before
    parts = {part["continues"]: part for part in holds_of(trust)}
    assert parts.keys() == {MATHS, MATHS_2, ART, FORM}
    assert parts[MATHS_2]["what"] == (
        f"waits: it may continue class {MATHS_2}, whose group had the name of the year below in the MIS: 4 of its 4 "
        "pupils are in the new group, which has 4; 0 of its 1 staff are in it too"
    )
    assert "1 of its 1 staff" in parts[FORM]["what"], "a form with the same tutor"
    run = decide(trust, "approve", parts[MATHS]["key"])
    assert (run["outcome"], run["created"]) == ("planned", [])
    class_ = trust.read_class(MATHS_MAIL)
    assert (class_["displayName"], class_["id"]) == (before[MATHS_MAIL]["displayName"], before[MATHS_MAIL]["id"])
    assert trust.call("GET", f"schools/OAK/classes/{MATHS}").json()["group"] == "P1"


def test_16_a_rejected_group_gets_a_new_class_and_the_others_wait(trust: Trust) -> None:
    before = {mail: trust.read_class(mail) for mail in trust.list_nicknames()}
    rejected = next(part["key"] for part in holds_of(trust) if part["continues"] == MATHS_2)
    run = decide(trust, "reject", rejected)
    assert run["created"] == [rejected]
    trust.run_night()
    assert trust.read_class("11AMa2.class.1234567.2027")["members"] == "boss eve fay gus hal main"
    assert trust.read_status("OAK", MATHS_2)["state"] == "ended"
    assert {mail: trust.read_class(mail) for mail in before} == before
    assert {part["continues"] for part in holds_of(trust)} == {ART, FORM}


def test_17_with_new_classes_each_year_a_class_for_two_years_is_asked_about_and_no_other(trust: Trust) -> None:
    """Last year's classes of other groups stay as they are, and their groups get new ones."""
    trust.run_action("PUT", f"schools/OAK/classes/{ART}/choice", body={"follow": "two_years"})
    trust.save_settings("OAK", **SETTINGS, rollover="new")
    art = trust.read_class(ART_MAIL)
    trust.run_night()
    assert trust.read_class(ART_MAIL) == art
    assert trust.read_status("OAK", FORM)["state"] == "ended"
    assert "11A.class.1234567.2027" in trust.list_nicknames()
    (part,) = holds_of(trust)
    assert part["continues"] == ART
    decide(trust, "approve", part["key"])
    assert trust.call("GET", f"schools/OAK/classes/{ART}/choice").json()["follow"] == "mis"
    assert trust.read_status("OAK", ART)["group"] == "P3"
    assert "11AAr1.class.1234567.2027" not in trust.list_nicknames()


ELM = SchoolData(
    "ELM", "Elm School", "7654321", 2026, pupils("ned oda pia quy", "10"), staff("iris jack"),
    (teaching("E1", "10B/Ma1", "ned oda pia quy", "iris"), teaching("E2", "10B/Ar1", "ned oda pia quy", "jack")),
)  # fmt: skip
NEXT_ELM = replace(
    ELM,
    starts=2027,
    groups=(teaching("F1", "11B/Ma1", "ned oda pia", "jack"), teaching("F2", "11B/Fr1", "ned", "iris")),
)
ELM_MATHS, ELM_MATHS_MAIL = "2026.teaching.E1", "10BMa1.class.7654321.2026"
NEXT_MATHS, NEXT_FRENCH = "2027.teaching.F1", "2027.teaching.F2"


def test_18_with_the_groups_of_both_years_a_class_that_goes_on_waits_and_last_years_stay(trust: Trust) -> None:
    dates = {"first_day": "2027-09-02", "teachers_in_from": on(-1), "pupils_in_from": on(2)}
    trust.add_school(ELM, **SETTINGS, rollover="ask", calendar=dates)
    trust.run_night()
    night_of_both(trust)
    (hold,) = trust.call("GET", "schools/ELM/holds").json()
    (part,) = hold["classes"]
    assert (part["key"], part["continues"]) == (NEXT_MATHS, ELM_MATHS)
    assert "the name of the year below in the MIS: 3 of its 4 pupils are in the new group" in part["what"]
    assert trust.read_class(ELM_MATHS_MAIL)["members"] == "boss iris ned oda pia quy"
    assert trust.read_class("11BFr1.class.7654321.2027")["members"] == "boss iris"
    approve = f"schools/ELM/holds/{hold['digest']}/approve"
    run = trust.run_action("POST", approve, body={"classes": [NEXT_MATHS]})
    assert (run["created"], run["ended"], run["held"]) == ([], [], [])
    assert trust.read_class(ELM_MATHS_MAIL)["members"] == "boss iris jack ned oda pia quy"


def night_of_both(trust: Trust) -> None:
    """A night in which the MIS has last year's groups beside those of the next year."""
    trust.run_night(partial(write_two_years, ELM, NEXT_ELM, trust.world.folder / "feed ELM"))


def test_19_on_the_day_it_gets_its_new_group_and_the_mis_may_drop_last_years_all_at_once(trust: Trust) -> None:
    dates = {"first_day": "2027-09-02", "teachers_in_from": on(-1), "pupils_in_from": on(-1)}
    limits = {name: value for name, value in SETTINGS["limits"].items() if name != "smallest_snapshot"}
    trust.call("PATCH", "schools/ELM", body={"calendar": dates, "limits": limits})
    night_of_both(trust)
    assert trust.read_class(ELM_MATHS_MAIL)["members"] == "boss iris jack ned oda pia"
    assert trust.read_status("ELM", ELM_MATHS)["group"] == "F1"
    assert trust.read_status("ELM", "2026.teaching.E2")["state"] == "live"
    before = trust.list_nicknames()
    trust.schools["ELM"] = NEXT_ELM
    trust.run_night()
    run = trust.read_last_run("ELM")
    assert (run["outcome"], run["ended"], run["created"]) == ("planned", ["2026.teaching.E2"], [])
    assert trust.list_nicknames() == before
    assert trust.read_class("10BAr1.class.7654321.2026")["members"] == "boss jack ned oda pia quy"
