"""Numbered stories of the school year (docs/school-year.md), in one local world.

Time does not move here. The dates of the calendar do: a date in the past has come, and one in the future has not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from local.school.data import SchoolData
from tests.flow.today import YEAR, on, today
from tests.flow.trust import Trust, pupils, registration, staff, start_trust, teaching, upn

ART, FORM = f"Art.class.1234567.{YEAR}", f"5L.class.1234567.{YEAR}"
ART_KEY = f"{YEAR}.teaching.T1"
COMING = {"last_day": f"{YEAR}-07-21", "first_day": f"{YEAR}-09-02"}
"""The classes of the school are those of the coming year."""
EVERYBODY = "amy ben cleo dan eve fay gus hal ida jon"


def oak_with(art: str, form: str = "amy ben cleo dan eve") -> SchoolData:
    groups = (teaching("T1", "Art", art, "main"), registration("R1", "5L", form, "tutor"))
    return SchoolData("OAK", "Oak School", "1234567", YEAR, pupils(EVERYBODY), staff("main tutor"), groups)


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory, storage: str) -> Iterator[Trust]:
    with start_trust(tmp_path_factory.mktemp("trust"), storage) as trust:
        trust.add_more_users()
        trust.add_accounts(["boss"])
        yield trust


def set_dates(trust: Trust, **dates: str) -> None:
    trust.save_settings("OAK", types=["teaching", "registration"], admin_owners=[upn("boss")], calendar=dates)


def notes(trust: Trust) -> str:
    return "\n".join(trust.read_last_run("OAK")["notes"])


def read_dates(trust: Trust) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in trust.call("GET", "schools/OAK/calendar").json()["dates"]}


def explain_amy(trust: Trust) -> list[str]:
    path = f"schools/OAK/classes/{ART_KEY}/explain"
    return list(trust.call("POST", path, body={"person": "amy"}).json()["lines"])


def test_01_before_the_teachers_come_in_the_groups_of_the_coming_year_wait_and_have_no_class(trust: Trust) -> None:
    dates = COMING | {"teachers_in_from": on(2), "pupils_in_from": on(4)}
    trust.add_school(oak_with("amy ben cleo"), types=["teaching", "registration"], calendar=dates)
    set_dates(trust, **dates)
    trust.run_night()
    assert trust.list_classes() == []
    run = trust.read_last_run("OAK")
    assert (run["classes_to_make"], run["pupils_to_come"], run["ended"], run["held"]) == (2, 5, [], [])
    assert f"classes of the coming year that wait for {_words(2)}: 2 ({YEAR}.registration.R1, {ART_KEY})" in notes(
        trust
    )
    assert [(each["classes"], each["people"]) for each in read_dates(trust).values()][-2:] == [(2, None), (2, 5)]


def test_02_a_request_by_hand_makes_no_class_before_that_day(trust: Trust) -> None:
    answer = trust.call("POST", f"schools/OAK/groups/{ART_KEY}/class", expected=409, body={}).json()
    assert answer["what"] == (f"group {ART_KEY} is one of the coming year, whose classes are made from {_words(2)}")
    assert trust.list_classes() == []


def test_03_classes_have_their_owners_before_the_pupils_come_in_and_no_pupil(trust: Trust) -> None:
    set_dates(trust, **COMING, teachers_in_from=on(-1), pupils_in_from=on(2))
    trust.run_night()
    assert (trust.read_class(ART)["owners"], trust.read_class(ART)["members"]) == (
        "boss main",
        "boss main",
    )
    assert trust.read_class(FORM)["members"] == "boss"
    assert f"pupils who come into classes of the coming year from {_words(2)}: 5" in notes(trust)


def test_04_no_resync_and_no_change_of_the_feed_lets_a_pupil_in(trust: Trust) -> None:
    trust.schools["OAK"] = oak_with("amy ben cleo dan")
    trust.run_action("POST", f"schools/OAK/classes/{ART_KEY}/resync")
    trust.run_action("POST", "schools/OAK/sync")
    trust.run_night()
    assert trust.read_class(ART)["members"] == "boss main"
    lines = explain_amy(trust)
    assert lines[-1] == (
        f"the next sync leaves it as it is; pupils come into next year's classes from {_words(2)}, and until then they "
        "stay as they are"
    )


def test_05_on_the_day_the_pupils_come_in_and_nothing_is_held(trust: Trust) -> None:
    set_dates(trust, **COMING, teachers_in_from=on(-1), pupils_in_from=on(0))
    trust.run_night()
    assert trust.read_class(ART)["members"] == "amy ben boss cleo dan main"
    assert trust.read_class(FORM)["members"] == "amy ben boss cleo dan eve"
    run = trust.read_last_run("OAK")
    assert (run["held"], run["pupils_to_come"], read_dates(trust)["pupils_in_from"]["past"]) == ([], 0, True)


def test_06_a_day_that_is_set_late_takes_nobody_out_and_lets_nobody_else_in(trust: Trust) -> None:
    set_dates(trust, **COMING, pupils_in_from=on(2))
    trust.schools["OAK"] = oak_with("amy ben cleo dan eve")
    trust.run_night()
    assert trust.read_class(ART)["members"] == "amy ben boss cleo dan main"
    assert "pupils who are in classes of the coming year before their day: 9 in classes" in notes(trust)
    assert trust.read_last_run("OAK")["removals"] == 0


def test_07_during_a_pause_people_join_and_nobody_leaves(trust: Trust) -> None:
    set_dates(trust, pause_from=on(-1), pause_until=on(2))
    trust.schools["OAK"] = oak_with("ben cleo dan eve")
    trust.run_night()
    assert trust.read_class(ART)["members"] == "amy ben boss cleo dan eve main"
    assert f"because the calendar pauses the school from {_words(-1)} to {_words(2)}: 1 in classes {ART_KEY}" in notes(
        trust
    )
    lines = explain_amy(trust)
    assert f"nobody leaves a class before {_words(2)} has passed" in lines[-1]


def test_08_in_a_pause_of_everything_no_plan_is_made_and_an_admin_still_deletes_a_class(trust: Trust) -> None:
    set_dates(trust, pause_from=on(-1), pause_until=on(2), pause="nothing")
    trust.run_night()
    run = trust.read_last_run("OAK")
    assert (run["outcome"], trust.read_class(ART)["members"]) == ("paused", "amy ben boss cleo dan eve main")
    assert f"the school's calendar pauses it from {_words(-1)} to {_words(2)}" in notes(trust)
    trust.edit_by_hand("remove-member", ART, upn=upn("ben"))
    trust.run_night()
    assert "ben" not in trust.read_class(ART)["members"].split()
    deleted = trust.run_action("DELETE", f"schools/OAK/classes/{YEAR}.registration.R1")
    assert (deleted["outcome"], trust.list_nicknames()) == ("planned", [ART])


def test_09_after_the_pause_the_changes_of_the_feed_and_of_hands_are_caught_up_with(trust: Trust) -> None:
    set_dates(trust)
    trust.run_night()
    assert trust.read_class(ART)["members"] == "ben boss cleo dan eve main"


def test_10_after_its_last_day_a_class_keeps_its_people_whatever_the_feed_has(trust: Trust) -> None:
    before = trust.read_class(ART)
    set_dates(trust, last_day=on(-1), first_day=f"{YEAR + 1}-09-02")
    emptied = oak_with("", "")
    trust.schools["OAK"] = emptied
    trust.run_night()
    assert trust.read_class(ART) == before
    assert trust.read_last_run("OAK")["held"] == []
    trust.schools["OAK"] = replace(emptied, groups=emptied.groups[1:])
    trust.run_night()
    assert trust.read_class(ART) == before


def test_11_the_night_before_something_large_says_so(trust: Trust) -> None:
    assert trust.read_events("calendar.ahead") == []
    set_dates(trust, **COMING, pupils_in_from=on(1), archive_on=on(30))
    trust.run_night()
    (event,) = trust.read_events("calendar.ahead")
    assert (event["school"], event["date"], event["day"]) == ("OAK", "pupils_in_from", on(1))


def _words(days: int) -> str:
    day = today() + timedelta(days=days)
    return f"{day.day} {day:%B %Y}"
