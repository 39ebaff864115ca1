"""Plans and runs in the words of a page: what is listed, in which order, and how many names are looked up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sync_core.admin.overview.runs import progress_of
from sync_core.domain.classes.record import ClassRecord
from sync_core.domain.classes.row_error import RowError
from sync_core.domain.ids import AccountId, ClassKey, RunId
from sync_core.domain.runs import Cause, RunOutcome, RunRecord
from sync_core.http.console.views.runs.moves import Move, MovedClass, list_moves, moves_of, people_to_name
from sync_core.http.console.views.runs.words import started_by
from tests.builders import NOON, SCHOOL, desired, synced

KEYS = [ClassKey(f"2026.teaching.G{number}") for number in range(4)]
people = st.frozensets(st.sampled_from([AccountId(letter) for letter in "abcdef"]))
moved_classes = st.lists(
    st.builds(
        lambda new, added, removed, granted, revoked: MovedClass(
            key=KEYS[0], title="Maths", name="", new=new, moves=moves_of(added, removed, granted, revoked, {})
        ),
        st.booleans(), people, people, people, people,
    ),
    max_size=4,
)  # fmt: skip


def moves(*groups: str) -> list[tuple[str, str]]:
    added, removed, granted, revoked = (frozenset(map(AccountId, group)) for group in groups)
    return [(move.person, move.verb) for move in moves_of(added, removed, granted, revoked, {})]


def test_a_person_who_moves_in_both_roles_is_listed_once() -> None:
    assert moves("ab", "cd", "be", "df") == [
        ("c", "leaves"),
        ("d", "leaves, was owner"),
        ("f", "no longer owner"),
        ("a", "joins"),
        ("b", "joins as owner"),
        ("e", "becomes owner"),
    ]


@given(moved_classes, st.integers(0, 8))
def test_names_are_looked_up_for_those_who_leave_first_and_every_move_is_listed_or_counted(
    classes: list[MovedClass], most: int
) -> None:
    named = people_to_name(classes, most)
    everybody = {move.person for each in classes for move in each.moves}
    leaving = {move.person for each in classes for move in each.moves if not move.joins}
    assert (len(named), len(set(named))) == (min(most, len(everybody)), len(named))
    assert set(named[: len(leaving)]) <= leaving
    for moved, listed in zip(classes, list_moves(classes, {person: person for person in named}), strict=True):
        assert len(listed.moves) + listed.more == len(moved.moves) == moved.joins + moved.leaves
        assert {each.move.person for each in listed.moves} <= set(named)


def test_moves_are_listed_by_name_and_those_who_leave_first() -> None:
    shown = [
        Move(person=AccountId("1"), joins=True, verb="joins"),
        Move(person=AccountId("2"), joins=True, verb="joins"),
        Move(person=AccountId("3"), joins=False, verb="leaves"),
    ]
    moved = MovedClass(key=KEYS[0], title="Maths", name="", moves=tuple(shown))
    names = {AccountId("1"): "Zoe", AccountId("2"): "amy", AccountId("3"): "Zed"}
    (listed,) = list_moves([moved], names)
    assert [each.name for each in listed.moves] == ["Zed", "amy", "Zoe"]


def record(key: ClassKey, *, agrees: bool = True, refused: bool = False, gone: bool = False) -> ClassRecord:
    row = synced(desired(key, ["amy"]))
    wanted = row.desired if agrees else desired(key, ["amy", "ben"])
    error = RowError("code", "no", "nothing") if refused else None
    return replace(row, desired=wanted, error=error, gone=gone)


def run_record(**values: Any) -> RunRecord:
    run = RunRecord(school=SCHOOL.id, id=RunId("run"), cause=Cause.ADMIN, at=NOON, outcome=RunOutcome.PLANNED)
    return replace(run, **values)


def test_the_progress_of_a_run_is_that_of_its_classes() -> None:
    run = run_record(created=(KEYS[0],), changed=tuple(KEYS[1:]))
    other = ClassKey("2026.teaching.OTHER")
    records = [
        record(KEYS[0]),
        record(KEYS[1], agrees=False),
        record(KEYS[2], agrees=False, refused=True),
        record(KEYS[3], agrees=False, gone=True),
        record(other, agrees=False),
    ]
    progress = progress_of(run, records)
    assert (progress.classes, progress.done, progress.open, progress.refused) == (4, 2, (KEYS[1],), (KEYS[2],))
    assert not progress.ended
    assert progress_of(run, [record(KEYS[2], agrees=False, refused=True)]).ended
    assert not progress_of(run_record(outcome=RunOutcome.REQUESTED), []).ended


def test_what_started_a_run_is_said_in_words() -> None:
    assert started_by(run_record()) == "Sync of some classes"
    assert started_by(run_record(whole=True)) == "Sync"
    assert started_by(run_record(outcome=RunOutcome.REQUESTED)) == "Sync"
    assert started_by(run_record(action="apply 00ff")) == "Apply a plan"
    assert started_by(run_record(action="undo 2026-run")) == "Undo a run"
    assert started_by(run_record(cause=Cause.FILE_DROP)) == "File drop"
