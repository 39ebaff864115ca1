"""Which team a class wants, and for which classes a plan sends Teams something to do."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from sync_core.domain.classes.desired import DesiredClass
from sync_core.domain.classes.record import ClassRecord
from sync_core.domain.classes.row_error import RowError
from sync_core.domain.classes.teams import ActualTeam, DesiredTeam, TeamState
from sync_core.domain.ids import ClassKey, RunId, SchoolId
from sync_core.domain.roster import GroupType
from sync_core.domain.runs import Cause
from sync_core.domain.school.settings import Teams
from sync_core.messaging.messages import ChangeTeam, Priority
from sync_core.planning.diff import Origin
from sync_core.planning.teams import LOOK_EVERY, TeamDiff, plan_teams, team_changes, wanted_team
from tests.builders import NOON, desired, entra_id, entra_ids, settings, synced

KEY = ClassKey("K1")
ORIGIN = Origin(SchoolId("S1"), RunId("run"), Cause.NIGHTLY)
PUPILS = entra_ids(["amy", "ben"])
MAIN = entra_ids(["main"])
K1 = replace(desired("K1", ["amy", "ben"], ["main"]), team=DesiredTeam.LOCKED)
OPEN = replace(K1, team=DesiredTeam.OPEN)
FILLED = ActualTeam(state=TeamState.OPEN, members=PUPILS, owners=MAIN, seen_at=NOON)
READY = ActualTeam(state=TeamState.LOCKED, owners=MAIN, seen_at=NOON)


def row(team: ActualTeam | None) -> ClassRecord:
    record = synced(K1)
    assert record.actual is not None
    return replace(record, actual=replace(record.actual, team=team))


@pytest.mark.parametrize(
    ("teams", "types", "before", "wanted"),
    [
        (Teams.NONE, set(GroupType), DesiredTeam.NONE, DesiredTeam.NONE),
        (Teams.NONE, set(GroupType), DesiredTeam.OPEN, DesiredTeam.NONE),
        (Teams.CREATE, {GroupType.YEAR}, DesiredTeam.NONE, DesiredTeam.NONE),
        (Teams.CREATE, {GroupType.TEACHING}, DesiredTeam.NONE, DesiredTeam.LOCKED),
        (Teams.RELEASE, {GroupType.TEACHING}, DesiredTeam.LOCKED, DesiredTeam.OPEN),
        (Teams.RELEASE, {GroupType.TEACHING}, DesiredTeam.ARCHIVED, DesiredTeam.ARCHIVED),
        (Teams.NONE, set(GroupType), DesiredTeam.ARCHIVED, DesiredTeam.ARCHIVED),
    ],
)
def test_the_team_that_a_class_wants(
    teams: Teams, types: set[GroupType], before: DesiredTeam, wanted: DesiredTeam
) -> None:
    chosen = replace(settings(), teams=teams, team_types=frozenset(types))
    assert wanted_team(chosen, GroupType.TEACHING, before) is wanted


LATER = NOON + LOOK_EVERY
FAILED = RowError("TeamNotReady", "not ready", "wait")


@pytest.mark.parametrize(
    ("wanted", "team", "diff"),
    [
        (replace(K1, team=DesiredTeam.NONE), None, None),
        (K1, None, TeamDiff(key=KEY, create=True)),
        (replace(K1, owners=frozenset()), None, TeamDiff(key=KEY, waiting=True)),
        (K1, ActualTeam(state=TeamState.MISSING, error=FAILED), TeamDiff(key=KEY, create=True, failed=True)),
        (K1, READY, None),
        (OPEN, READY, TeamDiff(key=KEY, open=True)),
        (OPEN, FILLED, None),
        (K1, FILLED, None),
        (OPEN, replace(FILLED, members=entra_ids(["amy"])), TeamDiff(key=KEY, look=True)),
        (OPEN, replace(FILLED, members=entra_ids(["amy"]), refused=entra_ids(["ben"])), None),
        (OPEN, replace(FILLED, members=PUPILS | {entra_id("cleo")}), TeamDiff(key=KEY, look=True)),
        (OPEN, replace(FILLED, owners=MAIN | {entra_id("departed")}), None),
        (OPEN, replace(FILLED, error=FAILED), TeamDiff(key=KEY, look=True, failed=True)),
        (OPEN, replace(FILLED, state=TeamState.GONE), None),
        (OPEN, replace(FILLED, state=TeamState.ARCHIVED_BY_HAND), None),
        (OPEN, replace(FILLED, state=TeamState.ARCHIVED), TeamDiff(key=KEY, unarchive=True)),
        (replace(OPEN, team=DesiredTeam.ARCHIVED), replace(FILLED, state=TeamState.ARCHIVED), None),
        (replace(OPEN, ended=True), None, None),
        (replace(OPEN, deleted=True), None, None),
    ],
)
def test_what_a_plan_sends_to_teams(wanted: DesiredClass, team: ActualTeam | None, diff: TeamDiff | None) -> None:
    assert plan_teams([wanted], {KEY: replace(row(team), desired=wanted)}, NOON) == ((diff,) if diff else ())


@pytest.mark.parametrize("state", [TeamState.LOCKED, TeamState.OPEN, TeamState.GONE, TeamState.ARCHIVED_BY_HAND])
def test_every_team_is_looked_at_once_a_week(state: TeamState) -> None:
    records = {KEY: row(replace(FILLED, state=state))}
    assert plan_teams([K1], records, LATER - timedelta(seconds=1)) == ()
    assert plan_teams([K1], records, LATER) == (TeamDiff(key=KEY, look=True),)


def test_teams_is_told_of_a_change_of_the_group_by_that_change_alone() -> None:
    grown = replace(OPEN, members=OPEN.members | {entra_id("cleo")})
    assert plan_teams([grown], {KEY: row(FILLED)}, NOON) == ()


def test_a_class_that_is_not_made_yet_gets_its_team_with_it_and_one_that_is_gone_gets_none() -> None:
    assert plan_teams([K1], {}, NOON) == (TeamDiff(key=KEY, create=True),)
    assert plan_teams([K1], {KEY: replace(row(None), gone=True)}, NOON) == ()
    again = replace(K1, generation=1)
    assert plan_teams([again], {KEY: replace(row(FILLED), gone=True)}, NOON) == (TeamDiff(key=KEY, create=True),)


def test_the_teams_of_a_night_are_spread_over_its_window_and_new_classes_have_a_quarter_of_an_hour_first() -> None:
    diffs = [TeamDiff(key=ClassKey(f"K{number}"), create=True) for number in range(4)]
    sent = team_changes(diffs, [ClassKey("K3")], ORIGIN, Priority.BULK, NOON, NOON + timedelta(hours=1))
    minutes = [(at - NOON) / timedelta(minutes=1) for at, _ in sent]
    assert minutes == [0, 15, 30, 60]
    assert sent[0][1] == ChangeTeam(ORIGIN.school, ClassKey("K0"), ORIGIN.run, ORIGIN.cause)


def test_a_team_that_somebody_waits_for_comes_at_once_or_once_teams_may_know_the_class() -> None:
    diffs = [TeamDiff(key=KEY, create=True), TeamDiff(key=ClassKey("K2"), look=True)]
    sent = team_changes(diffs, [KEY], ORIGIN, Priority.URGENT, NOON, None)
    assert [at - NOON for at, _ in sent] == [timedelta(seconds=24), timedelta(0)]


def test_a_team_that_waits_for_an_owner_sends_nothing() -> None:
    assert team_changes([TeamDiff(key=KEY, waiting=True)], [KEY], ORIGIN, Priority.BULK, NOON, None) == []


@pytest.mark.parametrize("until", [None, NOON - timedelta(minutes=1)])
def test_a_night_without_a_window_makes_its_teams_at_once(until: datetime | None) -> None:
    sent = team_changes([TeamDiff(key=KEY, create=True)], [KEY], ORIGIN, Priority.BULK, NOON, until)
    assert [at for at, _ in sent] == [NOON]
