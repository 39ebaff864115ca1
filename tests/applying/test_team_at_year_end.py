"""The team of a class at the end of its year: archived as an admin decided, used again, and never left half done."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sync_core.domain.classes.desired import DesiredClass
from sync_core.domain.classes.outcomes import AlreadySo
from sync_core.domain.classes.teams import DesiredTeam, TeamState
from sync_core.domain.classes.tenant_groups import Drift
from sync_core.domain.classes.year_end import YearEnd
from sync_core.domain.ids import RunId
from sync_core.domain.runs import Cause, RunOutcome, RunRecord
from sync_core.errors import GraphRefused, Transient
from sync_core.messaging.messages import Action, ChangeForYearEnd, RestoreClass, RevokeOwners
from sync_core.planning.diff import year_end_diff
from tests.applying.test_team import KEY, MAKE, OPEN, TEAM, WHERE, Bench, a_class, bench, people
from tests.builders import SCHOOL, entra_id, entra_ids

__all__ = ["bench"]
ENDING = YearEnd(run=RunId("run 1"), team_before=DesiredTeam.OPEN)
ENDED = replace(OPEN, ended=True, team=DesiredTeam.ARCHIVED, year_end=ENDING)
BACK = replace(ENDED, team=DesiredTeam.OPEN, year_end=replace(ENDING, run=RunId("run 2"), taken_back=True))
YEAR_END = ChangeForYearEnd(*WHERE)


async def work_left(bench: Bench) -> bool:
    """Whether a plan sends the change of the team again."""
    record = await bench.state.class_record(SCHOOL.id, KEY)
    assert record
    diff = year_end_diff(record)
    return diff is not None and diff.team_of_year_end


async def test_an_archive_that_was_lost_after_the_rest_is_sent_again(bench: Bench) -> None:
    await bench.apply(OPEN, *MAKE, TEAM)
    await bench.apply(ENDED, YEAR_END)
    assert await work_left(bench)
    await bench.apply(ENDED, TEAM)
    assert (await bench.team()).archived
    assert not await work_left(bench)


@pytest.mark.parametrize("wanted", [BACK, replace(BACK, ended=False, team=DesiredTeam.NONE)])
async def test_a_team_is_used_again_although_the_change_was_lost_or_no_team_is_wanted_now(
    bench: Bench, wanted: DesiredClass
) -> None:
    await bench.apply(OPEN, *MAKE, TEAM)
    await bench.apply(ENDED, YEAR_END, TEAM)
    await bench.apply(wanted, YEAR_END)
    assert await work_left(bench)
    await bench.apply(wanted, TEAM)
    assert not (await bench.team()).archived
    assert not await work_left(bench)


async def test_a_team_that_was_never_made_is_not_recorded_as_deleted_by_hand(bench: Bench) -> None:
    await bench.apply(OPEN, *MAKE)
    bench.teams.failure = GraphRefused("Forbidden", "no licence", "give one")
    await bench.apply(OPEN, TEAM)
    bench.teams.failure = None
    assert (await bench.known()).state is TeamState.MISSING
    await bench.apply(ENDED, YEAR_END, TEAM)
    assert (await bench.known()).state is TeamState.MISSING
    assert not await work_left(bench)


COVERED = a_class(["amy", "ben"], ["main", "second"], DesiredTeam.OPEN)
OVER = replace(OPEN, expired_owners=entra_ids(["second"]), ended=True)
EMPTIED = replace(
    a_class([], ["main"], DesiredTeam.OPEN),
    ended=True,
    year_end=YearEnd(run=RunId("run 1"), pupils=entra_ids(["amy", "ben"]), ended_before=True),
)


async def test_an_extra_owner_of_an_ended_class_leaves_the_team_with_the_group_and_nobody_else_does(
    bench: Bench,
) -> None:
    await bench.apply(COVERED, *MAKE, TEAM)
    bench.teams.hand_member(await bench.id(), entra_id("hand"), present=True)
    await bench.apply(OVER, RevokeOwners(*WHERE))
    assert people(await bench.team()) == (entra_ids(["amy", "ben", "hand"]), entra_ids(["main"]))
    assert (await bench.known()).owners == entra_ids(["main"])


async def test_what_teams_was_not_told_of_an_ended_class_is_told_by_the_next_delivery(bench: Bench) -> None:
    await bench.apply(COVERED, *MAKE, TEAM)
    bench.teams.failure = Transient("Teams is busy", "wait")
    with pytest.raises(Transient):
        await bench.apply(OVER, RevokeOwners(*WHERE))
    bench.teams.failure = None
    await bench.apply(OVER, RevokeOwners(*WHERE))
    assert people(await bench.team()) == (entra_ids(["amy", "ben"]), entra_ids(["main"]))


async def test_pupils_who_leave_or_return_at_a_year_end_do_so_in_the_team_too(bench: Bench) -> None:
    await bench.apply(OPEN, *MAKE, TEAM)
    bench.teams.hand_member(await bench.id(), entra_id("hand"), present=True)
    await bench.apply(EMPTIED, YEAR_END)
    assert people(await bench.team()) == (entra_ids(["hand"]), entra_ids(["main"]))
    ending = EMPTIED.year_end
    assert ending
    back = replace(OPEN, ended=True, year_end=replace(ending, run=RunId("run 2"), taken_back=True))
    await bench.apply(back, YEAR_END)
    assert people(await bench.team()) == (entra_ids(["amy", "ben", "hand"]), entra_ids(["main"]))


async def test_the_change_of_a_team_waits_for_the_class_of_another_generation(bench: Bench) -> None:
    await bench.apply(OPEN, *MAKE, TEAM)
    bench.tenant.hand_delete(await bench.id())
    await bench.state.write_drift(SCHOOL.id, [Drift(KEY, stale=True, gone=True)])
    bench.calls()
    assert await bench.apply(replace(OPEN, generation=1), TEAM) == [AlreadySo()]
    assert bench.calls() == []


async def test_a_class_restored_with_its_archived_team_has_it_back_when_the_year_end_is_taken_back(
    bench: Bench,
) -> None:
    await bench.apply(OPEN, *MAKE, TEAM)
    await bench.apply(ENDED, YEAR_END, TEAM)
    bench.tenant.hand_delete(await bench.id())
    await bench.state.write_drift(SCHOOL.id, [Drift(KEY, stale=True, gone=True)])
    requested = RunRecord(
        school=SCHOOL.id,
        id=RunId("run 1"),
        cause=Cause.ADMIN,
        at=bench.clock.now(),
        outcome=RunOutcome.REQUESTED,
        action=Action.RESTORE,
        class_key=KEY,
        requested_by=entra_id("admin"),
    )
    await bench.state.write_run(requested)
    await bench.apply(ENDED, RestoreClass(*WHERE))
    await bench.apply(BACK, YEAR_END, TEAM)
    assert not (await bench.team()).archived
