"""Where the calendar, teams, year ends and extra owners of a school meet in one plan."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sync_core.domain.classes.desired import ClassRequest
from sync_core.domain.classes.record import ClassRecord
from sync_core.domain.classes.teams import ActualTeam, DesiredTeam, TeamState
from sync_core.domain.classes.year_end import YearEnd
from sync_core.domain.ids import RunId
from sync_core.domain.roster import Doubt
from sync_core.planning.membership import desired_classes
from sync_core.planning.naming.class_keys import class_key
from tests.builders import NOON, entra_id, entra_ids, settings, snapshot, synced
from tests.planning.test_extra_owners import (
    ART,
    BEFORE,
    COVERS,
    DURING,
    EVERYBODY,
    GRANTED,
    KEY,
    MATHS,
    OVER,
    after,
    plan,
)

LAST_YEAR = replace(MATHS, academic_year=2025)
LAST_KEY = class_key(LAST_YEAR)
IS_OVER: dict[str, Any] = {"calendar": {"last_day": "2026-07-21"}}
LAST = after(plan([LAST_YEAR], {}, DURING))


def with_team(record: ClassRecord, team: ActualTeam | None, wanted: DesiredTeam) -> ClassRecord:
    assert record.actual
    return replace(record, actual=replace(record.actual, team=team), desired=replace(record.desired, team=wanted))


@pytest.mark.parametrize(
    ("team", "wanted", "teams"),
    [
        (None, DesiredTeam.NONE, "create"),
        (None, DesiredTeam.LOCKED, "create"),
        (ActualTeam(state=TeamState.LOCKED, seen_at=NOON), DesiredTeam.LOCKED, "release"),
    ],
)
def test_no_team_is_made_or_opened_for_a_class_whose_year_is_over(
    team: ActualTeam | None, wanted: DesiredTeam, teams: str
) -> None:
    known = {LAST_KEY: with_team(LAST[LAST_KEY], team, wanted)}
    assert plan([LAST_YEAR], known, DURING, teams=teams).teams
    planned = plan([LAST_YEAR], known, DURING, teams=teams, **IS_OVER)
    assert (planned.teams, planned.run.teams_made, planned.run.teams_waiting) == ((), (), ())
    assert planned.final[LAST_KEY].team is wanted


def test_a_plan_before_pupils_are_put_back_by_a_reversal_wants_them_in_their_class() -> None:
    """Otherwise its own change would take them out again."""
    amy = entra_ids(["amy"])
    record = LAST[LAST_KEY]
    assert record.actual and record.actual.members
    back = YearEnd(run=RunId("back"), pupils=amy, taken_back=True)
    waiting = replace(
        record,
        desired=replace(record.desired, year_end=back),
        actual=replace(record.actual, members=record.actual.members - amy),
    )
    planned = plan([LAST_YEAR], {LAST_KEY: waiting}, DURING, **IS_OVER)
    assert planned.final[LAST_KEY].members == record.desired.members
    done = replace(waiting, actual=replace(record.actual, year_end=back.run, members=record.actual.members - amy))
    planned = plan([LAST_YEAR], {LAST_KEY: done}, DURING, **IS_OVER)
    assert planned.final[LAST_KEY].members == record.desired.members - amy


def test_a_grant_that_is_over_ends_in_an_ended_class_of_a_school_whose_people_find_no_account() -> None:
    ended = after(plan([ART], GRANTED, DURING))
    planned = plan([ART], ended, OVER, known=[])
    assert planned.matching_failed
    assert [diff.owners_revoked for diff in planned.plan.diffs if diff.key == KEY] == [COVERS]
    assert (planned.final[KEY].ended, planned.run.ended) == (True, ())


def test_a_grant_that_is_over_ends_in_a_class_that_waits_for_a_decision_on_its_group() -> None:
    other_id = replace(MATHS, id=ART.id)
    planned = plan([other_id], GRANTED, OVER)
    assert planned.run.held == (class_key(other_id),)
    (diff,) = [diff for diff in planned.plan.diffs if diff.key == KEY]
    assert (diff.owners_revoked, diff.members_removed) == (COVERS, COVERS)
    assert not planned.final[KEY].ended
    assert plan([other_id], after(planned), OVER).plan.diffs == ()
    assert plan([other_id], GRANTED, DURING).plan.writes == ()


def test_a_grant_that_is_over_ends_in_a_class_whose_group_the_feed_may_have() -> None:
    planned = plan([ART], GRANTED, OVER, doubt=Doubt(groups=frozenset({MATHS.id})))
    (diff,) = [diff for diff in planned.plan.diffs if diff.key == KEY]
    assert (diff.owners_revoked, planned.final[KEY].ended) == (COVERS, False)


def test_a_grant_does_not_end_because_the_list_of_accounts_has_lost_people() -> None:
    planned = plan([MATHS], GRANTED, DURING, known=[])
    assert planned.matching_failed
    assert (planned.plan.writes, planned.plan.diffs) == ((), ())


def test_a_class_that_is_requested_again_after_it_was_gone_has_no_year_end_and_may_have_a_team() -> None:
    before = replace(
        BEFORE[KEY].desired,
        ended=True,
        team=DesiredTeam.ARCHIVED,
        year_end=YearEnd(run=RunId("end"), team_before=DesiredTeam.OPEN),
    )
    records = {KEY: replace(synced(before), gone=True)}
    request = ClassRequest(key=KEY, creator=entra_id("tom"), requested_at=NOON)
    chosen = settings(teams="create")
    ruled = desired_classes(snapshot([MATHS]), chosen, EVERYBODY, records, {KEY: request})
    assert ruled.classes == ()
    ruled = desired_classes(snapshot([MATHS]), chosen, EVERYBODY, records, {KEY: replace(request, generation=1)})
    (wanted,) = ruled.classes
    assert (wanted.year_end, wanted.ended, wanted.team, wanted.generation) == (None, False, DesiredTeam.LOCKED, 1)
    assert (ruled.ended, [note for note in ruled.notes if "year" in note]) == ((), [])


def test_a_pause_of_losses_keeps_no_access_that_is_over() -> None:
    pause = {"pause_from": "2026-09-01", "pause_until": "2026-09-30", "pause": "additions_only"}
    planned = plan([MATHS], GRANTED, OVER, calendar=pause)
    assert [diff.owners_revoked for diff in planned.plan.diffs] == [COVERS]


def test_the_end_of_a_grant_makes_no_class() -> None:
    not_made = {KEY: replace(GRANTED[KEY], actual=None)}
    planned = plan([ART], not_made, OVER, doubt=Doubt(groups=frozenset({MATHS.id})))
    assert KEY not in planned.run.created
