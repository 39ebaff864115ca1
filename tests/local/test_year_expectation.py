"""The expectation of a year finds each kind of difference, and withholds people as the calendar of the school says."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from local.school.data import SchoolData, SchoolGroup, SchoolPerson, Staffing
from local.year_expectation import ExpectedYear, YearDates

DOMAIN = "oak.example"
DATES = YearDates(
    last_day=date(2027, 7, 21),
    pause_from=date(2027, 8, 1),
    pause_until=date(2027, 8, 31),
    teachers_in=date(2027, 8, 30),
    pupils_in=date(2027, 9, 3),
)
IN_THE_YEAR = date(2027, 3, 1)
OAK = SchoolData(
    id="OAK",
    name="Oak School",
    dfe_code="1234567",
    starts=2026,
    pupils=(SchoolPerson("P1", "Amy", "Ash", "amy", ""), SchoolPerson("P2", "Ben", "Bay", "ben", "")),
    staff=(SchoolPerson("T1", "Tom", "Tod", "tom", ""), SchoolPerson("T2", "Una", "Ude", "una", "")),
    groups=(SchoolGroup("C1", "10A/Ma1", False, (Staffing("T1", True),), ("P1", "P2")),),
)
NEXT = replace(OAK, starts=2027, groups=(replace(OAK.groups[0], id="D1", staff=(Staffing("T2", True),)),))
KEY, NEXT_KEY = "2026.teaching.C1", "2027.teaching.D1"


def upn(*names: str) -> list[str]:
    return [f"{name}@{DOMAIN}" for name in names]


CLASS = {
    "id": "1",
    "externalId": f"OAK|{KEY}",
    "displayName": "10AMa1",
    "owners": upn("boss", "tom"),
    "members": upn("boss", "tom", "amy", "ben"),
    "deleted": False,
}
TEAM = {
    "id": "1",
    "exists": True,
    "owners": upn("boss", "tom"),
    "members": upn("amy", "ben"),
    "locked": False,
    "archived": False,
}


@pytest.fixture
def expected() -> ExpectedYear:
    """Oak School in March."""
    expected = ExpectedYear(DATES, upn("boss"), DOMAIN, ["teaching"])
    expected.night(IN_THE_YEAR, OAK)
    return expected


def names(people: set[str]) -> str:
    return " ".join(sorted(upn.partition("@")[0] for upn in people))


def test_a_tenant_as_the_rules_say_has_no_difference(expected: ExpectedYear) -> None:
    assert expected.differences([CLASS], [TEAM]) == []


@pytest.mark.parametrize(
    ("class_", "team", "sentence"),
    [
        ({"externalId": "OAK|other"}, {}, f"{KEY}: is not in the tenant"),
        ({"members": upn("boss", "tom", "amy")}, {}, f"{KEY}: members: 1 of 4 are missing, 0 should not be there"),
        ({"owners": upn("boss", "tom", "una")}, {}, f"{KEY}: owners: 0 of 2 are missing, 1 should not be there"),
        ({"displayName": "Other"}, {}, f"{KEY}: has another display name than expected"),
        ({"deleted": True}, {}, "1 classes are deleted, or have a key that another one has"),
        ({}, {"exists": False}, f"{KEY}: has no team"),
        ({}, {"id": "2"}, "1 teams are of no class"),
        ({}, {"locked": True}, f"{KEY}: its team is locked: True, archived: False"),
        ({}, {"archived": True}, f"{KEY}: its team is locked: False, archived: True"),
        ({}, {"members": upn("amy")}, f"{KEY}: members of the team: 1 of 2 are missing, 0 should not be there"),
        ({}, {"owners": upn("tom")}, f"{KEY}: owners of the team: 1 of 2 are missing, 0 should not be there"),
    ],
)
def test_each_kind_of_difference_has_a_sentence(
    expected: ExpectedYear, class_: dict[str, Any], team: dict[str, Any], sentence: str
) -> None:
    assert expected.differences([CLASS], [TEAM]) == []
    assert sentence in expected.differences([CLASS | class_], [TEAM | team])


def test_next_years_class_gets_its_teacher_then_its_pupils(expected: ExpectedYear) -> None:
    expected.night(date(2027, 8, 29), NEXT)
    assert NEXT_KEY not in expected.rooms
    expected.night(DATES.teachers_in, NEXT)
    assert names(expected.rooms[NEXT_KEY].members) == "boss una"
    assert not expected.rooms[NEXT_KEY].open
    expected.night(DATES.pupils_in, NEXT)
    assert names(expected.rooms[NEXT_KEY].members) == "amy ben boss una"
    assert names(expected.rooms[KEY].members) == "amy ben boss tom"


def test_a_class_that_goes_on_keeps_its_people_until_the_pupils_come_in(expected: ExpectedYear) -> None:
    expected.goes_on(NEXT_KEY, KEY)
    changed = replace(NEXT, groups=(replace(NEXT.groups[0], pupils=("P1",)),))
    expected.night(DATES.teachers_in, changed)
    assert names(expected.rooms[KEY].members) == "amy ben boss tom una"
    expected.night(DATES.pupils_in, changed)
    assert names(expected.rooms[KEY].members) == "amy boss una"
    assert list(expected.rooms) == [KEY]


def test_a_class_of_a_year_that_is_over_keeps_its_people(expected: ExpectedYear) -> None:
    expected.night(date(2027, 7, 22), replace(OAK, groups=(replace(OAK.groups[0], pupils=()),)))
    assert names(expected.rooms[KEY].members) == "amy ben boss tom"


def test_a_cover_owns_a_class_until_the_day_and_who_left_stays_until_somebody_comes(expected: ExpectedYear) -> None:
    without = replace(OAK, groups=(replace(OAK.groups[0], staff=()),))
    expected.give(KEY, upn("una")[0], IN_THE_YEAR)
    expected.night(IN_THE_YEAR, without)
    assert names(expected.rooms[KEY].owners) == "boss tom una"
    expected.night(date(2027, 3, 2), without)
    assert names(expected.rooms[KEY].owners) == "boss tom"
    expected.night(date(2027, 3, 3), replace(OAK, groups=(replace(OAK.groups[0], staff=(Staffing("T2", True),)),)))
    assert names(expected.rooms[KEY].owners) == "boss una"


def test_a_class_whose_year_ended_keeps_its_people_and_has_another_name(expected: ExpectedYear) -> None:
    assert expected.differences([CLASS], [TEAM]) == []
    expected.end_year([KEY], "of last year")
    expected.night(date(2027, 3, 2), replace(OAK, groups=(replace(OAK.groups[0], pupils=()),)))
    archived = TEAM | {"archived": True}
    assert expected.differences([CLASS | {"displayName": "10AMa1 of last year"}], [archived]) == []
    assert expected.differences([CLASS], [archived]) == [f"{KEY}: has another display name than expected"]
