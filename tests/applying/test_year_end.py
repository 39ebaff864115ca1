"""The change for a year end: what it does to the class, and that nothing else touches such a class."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from sync_core.domain.classes.outcomes import AlreadySo, Applied, Refused
from sync_core.domain.classes.year_end import YearEnd
from sync_core.domain.ids import RunId
from sync_core.errors import GraphRefused
from sync_core.messaging.messages import ChangeForYearEnd, ChangeMembers, GrantOwners, RevokeOwners
from tests.applying.test_change import CREATE_AND_FILL, K1, KEY, WHERE, Bench, bench
from tests.builders import SCHOOL, desired, entra_id, entra_ids

__all__ = ["bench"]
NAME = K1.name.display_name
ENDING = YearEnd(
    run=RunId("run 1"),
    name_before=NAME,
    name=f"{NAME} old",
    pupils=entra_ids(["amy", "ben"]),
    kept_until=date(2028, 8, 31),
)
ENDED = replace(desired("K1", [], ["main", "second"]), ended=True, year_end=ENDING)
BACK = replace(K1, ended=True, year_end=replace(ENDING, run=RunId("run 2"), taken_back=True))
CHANGE = ChangeForYearEnd(*WHERE)


async def test_the_class_is_renamed_and_loses_the_pupils_alone(bench: Bench) -> None:
    await bench.apply(K1, *CREATE_AND_FILL)
    group = await bench.group()
    bench.tenant.hand_member(group.id, entra_id("hand"), present=True)
    assert await bench.apply(ENDED, CHANGE) == [Applied(renamed=True, members_removed=2)]
    assert (group.name.display_name, group.name.mail_nickname) == (f"{NAME} old", K1.name.mail_nickname)
    assert group.members == entra_ids(["main", "second", "hand"])
    assert (await bench.row()).outline.display_name == f"{NAME} old"


async def test_it_is_done_once_so_that_a_duplicate_reverts_nothing(bench: Bench) -> None:
    await bench.apply(K1, *CREATE_AND_FILL)
    group = await bench.group()
    await bench.apply(ENDED, CHANGE)
    bench.tenant.hand_rename(group.id, NAME, group.name.mail_nickname)
    bench.tenant.hand_member(group.id, entra_id("amy"), present=True)
    assert await bench.apply(ENDED, CHANGE) == [AlreadySo()]
    assert (group.name.display_name, entra_id("amy") in group.members) == (NAME, True)


async def test_a_pupil_who_became_an_owner_stays(bench: Bench) -> None:
    await bench.apply(K1, *CREATE_AND_FILL)
    group = await bench.group()
    bench.tenant.hand_owner(group.id, entra_id("amy"), present=True)
    assert await bench.apply(ENDED, CHANGE) == [Applied(renamed=True, members_removed=1)]
    assert group.members == entra_ids(["amy", "main", "second"])


async def test_older_changes_do_not_touch_the_class(bench: Bench) -> None:
    await bench.apply(K1, *CREATE_AND_FILL)
    await bench.apply(ENDED, CHANGE)
    writes = bench.tenant.writes
    outcomes = await bench.apply(ENDED, GrantOwners(*WHERE), RevokeOwners(*WHERE), ChangeMembers(*WHERE))
    assert (outcomes, bench.tenant.writes) == ([AlreadySo()] * 3, writes)


async def test_taken_back_it_gets_its_name_and_its_pupils_again(bench: Bench) -> None:
    await bench.apply(K1, *CREATE_AND_FILL)
    await bench.apply(ENDED, CHANGE)
    group = await bench.group()
    bench.tenant.remove_account(entra_id("ben"))
    (outcome,) = await bench.apply(BACK, CHANGE)
    assert isinstance(outcome, Refused)
    assert (outcome.code, outcome.done) == ("PersonNotFound", Applied(renamed=True, members_added=1))
    assert group.name.display_name == NAME
    assert group.members == entra_ids(["amy", "main", "second"])
    assert not (await bench.row()).year_end_waits


async def test_a_refused_name_is_on_the_row_and_tried_again(bench: Bench) -> None:
    await bench.apply(K1, *CREATE_AND_FILL)
    group = await bench.group()
    kept = bench.tenant.refused_names
    bench.tenant.refused_names = {f"{NAME} old": GraphRefused("Request_BadRequest", "a blocked word", "another name")}
    (outcome,) = await bench.apply(ENDED, CHANGE)
    assert isinstance(outcome, Refused)
    assert outcome.code == "Request_BadRequest"
    row = await bench.row()
    assert (row.error is not None, row.year_end_waits) == (True, True)
    assert group.members == entra_ids(["main", "second"])
    bench.tenant.refused_names = kept
    assert await bench.apply(ENDED, CHANGE) == [Applied(renamed=True)]
    row = await bench.row()
    assert (row.error, row.year_end_waits) == (None, False)
    removed = [delta.members_removed for delta in await bench.state.history(SCHOOL.id, KEY)]
    assert removed[-2:] == [entra_ids(["amy", "ben"]), frozenset()]


async def test_a_class_that_is_gone_is_left(bench: Bench) -> None:
    await bench.apply(K1, *CREATE_AND_FILL)
    group = await bench.group()
    bench.tenant.hand_delete(group.id)
    await bench.state.write_actual(replace(await bench.row(), gone=True))
    assert await bench.apply(ENDED, CHANGE) == [AlreadySo()]
    assert group.name.display_name == NAME
