"""A team of next year's classes is not opened before the day on which pupils come in."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from sync_core.domain.classes.teams import DesiredTeam
from sync_core.domain.school.year import SchoolYear
from sync_core.planning.year.arrangement import arrange
from sync_core.planning.year.calendar import SchoolDay
from tests.builders import desired

CALENDAR = SchoolYear(first_day=date(2027, 9, 1), pupils_in_from=date(2027, 9, 3))


@pytest.mark.parametrize(
    ("today", "wanted", "team"),
    [
        (date(2027, 9, 2), DesiredTeam.OPEN, DesiredTeam.LOCKED),
        (date(2027, 9, 3), DesiredTeam.OPEN, DesiredTeam.OPEN),
        (date(2027, 9, 2), DesiredTeam.ARCHIVED, DesiredTeam.ARCHIVED),
        (date(2027, 9, 2), DesiredTeam.NONE, DesiredTeam.NONE),
    ],
)
def test_the_team_waits_for_the_day(today: date, wanted: DesiredTeam, team: DesiredTeam) -> None:
    coming = replace(desired("K1", ["amy"], ["main"]), academic_year=2027, team=wanted)
    (arranged,) = arrange([coming], {}, SchoolDay(today, CALENDAR, 9)).classes
    assert arranged.team is team
