"""A small school goes through the whole year of the benchmark, and its tenant is as the rules say after each night."""

from __future__ import annotations

import pytest

from bench import school_year
from bench.school_year import Result, section
from local.school import year
from local.school.year import YearAtSchool
from tests.forked import Forked

PUPILS, QUIET_DAYS = 60, 28


@pytest.fixture(scope="module")
def result() -> Result:
    """Raises if the tenant differs from the rules after a night, or if a class that goes on was not proposed."""
    return school_year.run(PUPILS, ("registration", "teaching"), QUIET_DAYS, spawn=Forked)


def test_each_event_of_the_year_happens(result: Result) -> None:
    events = {day: " ".join(what) for day, what in result.events.items()}
    for day, what in {
        year.NEW_TIMETABLE: "a new timetable",
        year.TEACHER_LEAVES: "a teacher of",
        year.TEACHER_COMES: "their successor",
        year.COMING_GROUPS: "groups of the next year",
        year.LEAVERS_TAKEN_OUT: "leavers",
        year.ROLLOVER: "the MIS rolled over",
        year.TEACHER_REPLACED: "another teacher",
        year.PUPILS_IN: "the pupils come in",
    }.items():
        assert what in events[day]
    assert any("joined" in day.ordinary for day in YearAtSchool(PUPILS).days())
    assert result.rejected == (year.EMPTY_FEED, year.TORN_FEED)


def test_classes_go_on_end_and_are_archived(result: Result) -> None:
    school = YearAtSchool(PUPILS)
    assert result.continued == len(school.coming.continues) > 0
    assert result.decisions["continuation approve"] == result.continued
    assert result.decisions["continuation reject"] > 0
    assert result.decisions["left_group approve"] > 0
    assert result.ended == result.archived == result.groups - result.continued
    assert result.made == result.groups + len(school.coming.groups) + 7 - result.continued


def test_the_section_has_the_months_and_no_difference(result: Result) -> None:
    text = section(result)
    assert "| differences from the rules | 0 |" in text
    assert "| September 2026 |" in text and "| September 2027 |" in text
