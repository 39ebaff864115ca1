"""Where all MIS ids changed, last year's classes and this year's groups wait until an admin says which are the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sync_core.domain.classes.choices import Choices, ClassChoice, Follow
from sync_core.domain.classes.desired import ClassRequest, DesiredClass
from sync_core.domain.classes.record import Records
from sync_core.domain.ids import ClassKey, MisId, RunId
from sync_core.domain.roster import GroupType, MisGroup
from sync_core.domain.runs import Cause, Hold, HoldKind, HoldStatus
from sync_core.messaging.messages import SyncSchool
from sync_core.planning.limits.holds import NO_DECISIONS
from sync_core.planning.limits.past import Past
from sync_core.planning.membership import desired_classes
from sync_core.planning.naming.class_keys import class_key
from sync_core.planning.planned import SchoolPlan
from sync_core.planning.school_plan import plan_within_limits
from sync_core.planning.year.calendar import school_day
from sync_core.planning.year.continued import follow_groups
from tests.builders import (
    NOON,
    SCHOOL,
    accounts,
    by_class_key,
    entra_id,
    entra_ids,
    settings,
    snapshot,
    synced,
    teaching,
)

COHORT, OTHERS = ["amy", "ben", "cleo", "dan"], ["eve", "fay", "gus", "hal"]
EVERYBODY = accounts([*COHORT, *OTHERS, "tom"])
NO_LIMITS = {"school_loss": 1, "week_loss": 1, "class_loss": 1, "turnover": 1, "new_classes": 1000}

last = partial(teaching, teachers=["tom"])
now = partial(teaching, teachers=["tom"], year=2027)
MATHS, ART = last("A1", "10A/Ma1", COHORT), last("A2", "10A/Ar1", OTHERS)
NEXT_MATHS, NEXT_ART = now("B1", "10A/Ma1", OTHERS), now("B2", "11A/Ar1", [*OTHERS[:3], "amy"])
MATHS_KEY, ART_KEY = map(class_key, (MATHS, ART))
NEW_MATHS, NEW_ART = map(class_key, (NEXT_MATHS, NEXT_ART))


def plan(
    groups: Iterable[MisGroup],
    records: Records,
    decided: Mapping[str, HoldStatus] | None = None,
    standing: Sequence[Hold] = (),
    requests: Iterable[ClassRequest] = (),
    scope: frozenset[MisId] | None = None,
    pinned: frozenset[ClassKey] = frozenset(),
    known: Sequence[Any] = EVERYBODY,
    at: datetime = NOON,
    **chosen: object,
) -> SchoolPlan:
    chosen_settings = settings(**{"rollover": "reuse", "limits": NO_LIMITS, **chosen})
    past = Past(0, None, tuple(standing), decided or {})
    requested = {request.key: request for request in requests}
    ruled = desired_classes(
        snapshot(groups),
        chosen_settings,
        known,
        records,
        requested,
        scope,
        pinned,
        past.decisions,
        day=school_day(chosen_settings, at),
    )
    request = SyncSchool(SCHOOL.id, RunId("run"), Cause.NIGHTLY)
    return plan_within_limits(ruled.classes, records, chosen_settings, request, past, at, ruled, whole=scope is None)


def last_year(*groups: MisGroup) -> Records:
    """The classes of the groups after a night."""
    planned = plan(groups, {}, rollover="new")
    return {key: synced(wanted) for key, wanted in planned.wanted.items()}


def after(planned: SchoolPlan) -> Records:
    """The rows when the changes of the plan are made."""
    return dict(planned.records) | {wanted.key: synced(wanted) for wanted in planned.plan.writes}


def decide(planned: SchoolPlan, status: HoldStatus, *keys: ClassKey) -> dict[str, HoldStatus]:
    (hold,) = planned.holds
    return {part.digest: status for part in hold.classes if part.key in keys}


def written(planned: SchoolPlan) -> dict[ClassKey, DesiredClass]:
    return {wanted.key: wanted for wanted in planned.plan.writes}


CLASSES = last_year(MATHS, ART)
GROUPS = [NEXT_MATHS, NEXT_ART]


def test_until_an_admin_decides_nothing_is_made_and_nobody_leaves() -> None:
    planned = plan(GROUPS, CLASSES)
    assert (planned.plan.writes, planned.plan.diffs, planned.run.ended) == ((), (), ())
    (hold,) = planned.open_holds
    assert (hold.kind, hold.value, planned.run.held) == (HoldKind.CONTINUATION, 2, (NEW_MATHS, NEW_ART))
    maths, art = hold.classes
    assert [(part.key, part.continues) for part in hold.classes] == [(NEW_MATHS, MATHS_KEY), (NEW_ART, ART_KEY)]
    assert (maths.group_name, maths.name, maths.lost, maths.students) == ("10A/Ma1", "", 4, 4)
    assert (art.lost, art.students, art.people) == (1, 4, ("amy", "eve", "fay", "gus", "tom"))
    assert art.what == (
        "waits: it may continue class 2026.teaching.A2, whose group had the name of the year below in the MIS: 3 of "
        "its 4 pupils are in the new group, which has 4; 1 of its 1 staff are in it too"
    )
    assert plan(reversed(GROUPS), CLASSES).holds == planned.holds
    assert plan(GROUPS, CLASSES, standing=planned.open_holds).holds == planned.holds


def test_an_approved_group_continues_the_class_and_the_others_wait() -> None:
    shown = plan(GROUPS, CLASSES)
    planned = plan(GROUPS, CLASSES, decide(shown, HoldStatus.APPROVED, NEW_MATHS), shown.open_holds)
    wanted = written(planned)
    assert wanted.keys() == {MATHS_KEY}
    assert wanted[MATHS_KEY].name == CLASSES[MATHS_KEY].desired.name
    assert (wanted[MATHS_KEY].members, wanted[MATHS_KEY].group_id) == (entra_ids([*OTHERS, "tom"]), "B1")
    assert (planned.run.changed, planned.run.created, planned.run.held) == ((MATHS_KEY,), (), (NEW_ART,))
    assert [part.key for hold in planned.open_holds for part in hold.classes] == [NEW_ART]
    then = plan(GROUPS, after(planned), standing=planned.open_holds)
    assert (then.plan.writes, then.run.held, then.run.ended) == ((), (NEW_ART,), ())


def test_an_approval_before_the_pupils_come_in_stands_until_the_class_has_the_group() -> None:
    """Until that day the class goes on as it was, and nobody is asked again."""
    dates = {"first_day": "2027-09-02", "teachers_in_from": "2027-08-30", "pupils_in_from": "2027-09-03"}
    shown = plan(GROUPS, CLASSES, calendar=dates)
    approved = decide(shown, HoldStatus.APPROVED, NEW_MATHS)
    planned = plan(GROUPS, CLASSES, approved, shown.holds_to_keep, calendar=dates)
    then = plan(GROUPS, after(planned), standing=planned.holds_to_keep, calendar=dates)
    for before_the_day in (planned, then):
        assert (before_the_day.run.held, before_the_day.run.created) == ((NEW_ART,), ())
        assert before_the_day.final[MATHS_KEY].group_id == "A1"
    on_the_day = plan(GROUPS, after(then), standing=then.holds_to_keep)
    assert written(on_the_day)[MATHS_KEY].group_id == "B1"
    assert [part.key for hold in on_the_day.holds_to_keep for part in hold.classes] == [NEW_ART]


def test_a_rejected_group_gets_a_new_class_and_last_years_keeps_its_people() -> None:
    shown = plan(GROUPS, CLASSES)
    planned = plan(GROUPS, CLASSES, decide(shown, HoldStatus.REJECTED, NEW_MATHS), shown.open_holds)
    assert (planned.run.created, planned.run.ended, planned.run.held) == ((NEW_MATHS,), (MATHS_KEY,), (NEW_ART,))
    assert written(planned)[MATHS_KEY] == replace(CLASSES[MATHS_KEY].desired, ended=True)
    then = plan(GROUPS, after(planned), standing=planned.open_holds)
    assert (then.plan.writes, then.run.held) == ((), (NEW_ART,))


def test_an_approval_does_not_fit_a_group_that_has_changed_since() -> None:
    shown = plan(GROUPS, CLASSES)
    decided = decide(shown, HoldStatus.APPROVED, NEW_MATHS, NEW_ART)
    planned = plan([replace(NEXT_MATHS, students=NEXT_MATHS.students[1:]), NEXT_ART], CLASSES, decided)
    assert (tuple(written(planned)), planned.run.held) == ((ART_KEY,), (NEW_MATHS,))


def test_a_rejection_lasts_where_no_class_is_made_because_the_type_is_not_chosen() -> None:
    shown = plan([NEXT_MATHS], CLASSES, types=["year"])
    assert shown.run.held == (NEW_MATHS,)
    decided = decide(shown, HoldStatus.REJECTED, NEW_MATHS)
    planned = plan([NEXT_MATHS], CLASSES, decided, shown.open_holds, types=["year"])
    assert (planned.run.created, planned.run.ended) == ((), (MATHS_KEY, ART_KEY))
    then = plan([NEXT_MATHS], after(planned), standing=planned.open_holds, types=["year"])
    assert (then.plan.writes, [hold.status for hold in then.holds]) == ((), [HoldStatus.REJECTED])


def test_a_class_that_somebody_requested_is_new() -> None:
    request = ClassRequest(key=NEW_MATHS, creator=entra_id("tom"), requested_at=NOON)
    planned = plan([NEXT_MATHS], CLASSES, requests=[request])
    assert (planned.run.created, planned.run.ended, planned.holds) == ((NEW_MATHS,), (MATHS_KEY, ART_KEY), ())


def test_a_class_that_somebody_requested_last_year_may_be_continued() -> None:
    request = ClassRequest(key=MATHS_KEY, creator=entra_id("tom"), requested_at=NOON)
    assert plan([NEXT_MATHS], CLASSES, requests=[request]).run.held == (NEW_MATHS,)


def test_a_pinned_class_is_not_proposed() -> None:
    planned = plan([NEXT_MATHS], last_year(MATHS), pinned=frozenset({MATHS_KEY}))
    assert (planned.run.created, planned.holds) == ((NEW_MATHS,), ())


def test_a_group_that_is_not_the_only_choice_gets_a_new_class_and_a_note() -> None:
    twin = now("B3", "10A/Ma1", ["amy"])
    planned = plan([now("B1", "10A/Ma1", ["ben"]), twin], CLASSES)
    assert planned.run.created == (NEW_MATHS, class_key(twin))
    assert planned.ruled
    assert planned.ruled.notes == (
        "new classes of groups that might continue earlier classes, but are not the only choice: 2 "
        "(2027.teaching.B1, 2027.teaching.B3) — none is taken for another, and the earlier classes keep their people; "
        "what a group still needs of its earlier class can be copied from there",
    )


def test_a_plan_of_other_groups_leaves_the_proposals_as_they_are() -> None:
    planned = plan(GROUPS, CLASSES, scope=frozenset({NEXT_ART.id}))
    assert (planned.plan.writes, planned.run.held) == ((), (NEW_ART,))


def test_while_matching_fails_nothing_else_is_asked() -> None:
    planned = plan(GROUPS, CLASSES, known=[], limits={**NO_LIMITS, "unmatched_people": 1})
    assert [hold.kind for hold in planned.holds] == [HoldKind.ACCOUNT_MATCHING]
    assert (planned.plan.writes, planned.run.ended) == ((), ())


def test_a_school_that_makes_new_classes_is_asked_nothing() -> None:
    planned = plan(GROUPS, CLASSES, rollover="new")
    assert (planned.run.created, planned.run.ended) == ((NEW_MATHS, NEW_ART), (MATHS_KEY, ART_KEY))
    assert planned.holds == ()


_groups = st.lists(
    st.tuples(
        st.sampled_from(["A1", "A2", "B1", "B2"]),
        st.sampled_from(list(GroupType)),
        st.sampled_from(["10A", "10a", "11A", "?"]),
        st.sets(st.sampled_from([*COHORT, *OTHERS])),
    ),
    max_size=5,
    unique_by=lambda each: each[:2],
)
_statuses = st.sampled_from([None, *HoldStatus])


@pytest.mark.parametrize("types", [["teaching"], list(GroupType)], ids=["one type", "all types"])
@given(_groups, _groups, st.lists(_statuses, min_size=5, max_size=5))
def test_whatever_the_ids_nobody_comes_into_last_years_class_without_an_approval(
    types: list[str], before: list[tuple[Any, ...]], then: list[tuple[Any, ...]], statuses: list[HoldStatus | None]
) -> None:
    old, new = (
        [replace(make(id_, name, sorted(pupils)), type=type_) for id_, type_, name, pupils in groups]
        for make, groups in ((last, before), (now, then))
    )
    records = last_year(*old)
    shown = plan(new, records, types=types)
    parts = [part for hold in shown.holds if hold.kind is HoldKind.CONTINUATION for part in hold.classes]
    decisions = {part.digest: status for part, status in zip(parts, statuses, strict=False) if status}
    planned = plan(new, records, decisions, types=types)
    approved = {part.continues: part.key for part in parts if decisions.get(part.digest) is HoldStatus.APPROVED}
    by_key = by_class_key(new)
    for key in records:
        wanted, had = planned.final[key], records[key].desired
        if wanted.members == had.members and wanted.group_id == had.group_id:
            continue
        group = by_key[approved[key]] if key in approved else None
        same_id = (wanted.group_type, wanted.group_id) == (had.group_type, had.group_id)
        assert same_id or (group and wanted.group_id == group.id), "an id or an admin says that it is the same group"
    for part in parts:
        if decisions.get(part.digest, HoldStatus.OPEN) is HoldStatus.OPEN:
            assert part.key not in planned.final
            assert planned.final[part.continues] == records[part.continues].desired
    assert {*planned.run.created, *planned.run.changed, *planned.run.held} <= planned.wanted.keys()
    counted = {*planned.run.created, *planned.run.changed, *planned.run.held, *planned.run.gone}
    assert len(counted) + planned.run.unchanged == planned.run.groups


MATHS_NEW, ART_NEW = teaching("C1", "10A/Ma1", COHORT, ["tom"]), teaching("C2", "10A/Ar7", OTHERS, ["tom"])


@pytest.mark.parametrize("rollover", ["new", "reuse", "ask"])
def test_an_mis_that_changes_its_ids_within_the_year_ends_nothing_and_makes_nothing(rollover: str) -> None:
    planned = plan([MATHS_NEW, ART_NEW], CLASSES, rollover=rollover)
    assert (planned.plan.writes, planned.plan.diffs, planned.run.ended) == ((), (), ())
    pairs = [(part.key, part.continues) for hold in planned.open_holds for part in hold.classes]
    assert pairs == [(class_key(MATHS_NEW), MATHS_KEY), (class_key(ART_NEW), ART_KEY)]
    decided = decide(planned, HoldStatus.APPROVED, class_key(ART_NEW))
    then = plan([MATHS_NEW, ART_NEW], CLASSES, decided, planned.open_holds, rollover=rollover)
    assert [(each.key, each.group_id, each.members) for each in then.plan.writes] == [
        (ART_KEY, "C2", CLASSES[ART_KEY].desired.members)
    ]
    assert then.run.held == (class_key(MATHS_NEW),)


def test_pupils_alone_do_not_hold_a_group_of_the_same_year_while_other_classes_have_their_groups() -> None:
    """As in a carousel, where a form has one subject after the other."""
    others = [last(f"O{number}", f"Club {number}", ["amy"]) for number in range(3)]
    known = last_year(MATHS, ART, *others)
    planned = plan([MATHS, *others, ART_NEW], known, rollover="new")
    assert (planned.run.created, planned.run.ended, planned.holds) == ((class_key(ART_NEW),), (ART_KEY,), ())
    renamed = replace(ART_NEW, name="10a/ar1")
    assert plan([MATHS, *others, renamed], known, rollover="new").run.held == (class_key(renamed),)


def test_what_waits_for_a_decision_goes_on_waiting_when_others_are_decided() -> None:
    others = [last(f"O{number}", f"Club {number}", [COHORT[number]]) for number in range(2)]
    known = last_year(MATHS, ART, *others)
    moved = [replace(other, id=MisId(f"N{other.id}")) for other in others]
    shown = plan([MATHS, *moved, ART_NEW], known, rollover="new")
    assert shown.run.held == (class_key(ART_NEW), *map(class_key, moved))
    decided = decide(shown, HoldStatus.APPROVED, *map(class_key, moved))
    then = plan([MATHS, *moved, ART_NEW], known, decided, shown.open_holds, rollover="new")
    again = plan([MATHS, *moved, ART_NEW], after(then), standing=then.open_holds, rollover="new")
    assert (again.run.held, again.run.created, again.run.ended) == ((class_key(ART_NEW),), (), ())


BOTH = [MATHS, ART, NEXT_MATHS, NEXT_ART]
DATES = {"last_day": "2027-07-21", "first_day": "2027-09-02", "teachers_in_from": "2027-07-01"}
DATES["pupils_in_from"] = "2027-09-03"
TERM, SUMMER, AUTUMN = (datetime(2027, month, day, 12, tzinfo=UTC) for month, day in ((7, 5), (8, 20), (9, 3)))
on_term, on_summer, on_autumn = (partial(plan, rollover="ask", calendar=DATES, at=at) for at in (TERM, SUMMER, AUTUMN))


def test_while_the_mis_has_the_groups_of_both_years_a_class_that_goes_on_is_proposed() -> None:
    planned = on_term(BOTH, CLASSES)
    (part,) = (part for hold in planned.open_holds for part in hold.classes)
    assert (part.key, part.continues) == (NEW_ART, ART_KEY)
    assert (planned.run.created, planned.run.held, planned.run.ended) == ((NEW_MATHS,), (NEW_ART,), ())
    assert written(planned)[NEW_MATHS].members == entra_ids(["tom"])


def test_it_keeps_its_own_group_to_the_last_day_then_its_people_and_then_gets_the_next_group() -> None:
    shown = on_term(BOTH, CLASSES)
    approved = decide(shown, HoldStatus.APPROVED, NEW_ART)
    planned = on_term(BOTH, CLASSES, approved, shown.holds_to_keep)
    assert (planned.run.held, planned.run.created, planned.run.ended) == ((), (NEW_MATHS,), ())
    assert [part.key for hold in planned.holds_to_keep for part in hold.classes] == [NEW_ART]
    # A pupil who is in the class alone leaves it, so the proposal shows something else and is asked again.
    left = [MATHS, replace(ART, students=ART.students[:3]), NEXT_MATHS, NEXT_ART]
    moved = on_term(left, after(planned), standing=planned.holds_to_keep)
    assert written(moved)[ART_KEY].members == entra_ids([*OTHERS[:3], "tom"])
    asked = on_summer(left, after(moved), standing=moved.holds_to_keep)
    assert asked.run.held == (NEW_ART,)
    again = decide(asked, HoldStatus.APPROVED, NEW_ART)
    summer = on_summer(left, after(asked), again, asked.holds_to_keep)
    assert (summer.plan.writes, summer.run.held, summer.run.ended) == ((), (), ())
    autumn = on_autumn(left, after(summer), standing=summer.holds_to_keep)
    assert (written(autumn)[ART_KEY].group_id, written(autumn)[ART_KEY].earlier_group) == ("B2", "A2")
    assert written(autumn)[ART_KEY].members == entra_ids([*NEXT_ART.students, "tom"])
    assert autumn.holds_to_keep == []
    for groups in (left, [NEXT_MATHS, NEXT_ART], left):
        then = on_autumn(groups, after(autumn), standing=autumn.holds_to_keep)
        assert (then.run.created, then.run.held, ART_KEY in then.run.ended) == ((), (), False)
        assert then.final[ART_KEY].group_id == "B2"


def test_without_a_calendar_an_approved_group_takes_the_class_at_once() -> None:
    shown = plan(BOTH, CLASSES, rollover="ask")
    planned = plan(BOTH, CLASSES, decide(shown, HoldStatus.APPROVED, NEW_ART), shown.open_holds, rollover="ask")
    assert written(planned)[ART_KEY].group_id == "B2"
    assert written(planned).keys() == {ART_KEY, NEW_MATHS}
    rejected = decide(shown, HoldStatus.REJECTED, NEW_ART)
    apart = plan(BOTH, CLASSES, rejected, shown.open_holds, rollover="ask")
    assert (apart.run.created, apart.run.ended) == ((NEW_MATHS, NEW_ART), ())


def test_a_class_that_goes_on_a_second_time_leaves_no_group_behind() -> None:
    """Its key is that of its first group, so only its row says which group it had last."""
    third = replace(NEXT_ART, id=MisId("C2"), name="12A/Ar1", academic_year=2028)
    records = CLASSES
    for groups in ([NEXT_ART], [NEXT_ART, third]):
        shown = plan(groups, records, rollover="ask")
        decided = decide(shown, HoldStatus.APPROVED, class_key(groups[-1]))
        records = after(plan(groups, records, decided, shown.open_holds, rollover="ask"))
    then = plan([NEXT_ART, third], records, rollover="ask")
    assert (then.run.created, then.run.held, then.plan.writes) == ((), (), ())
    assert (then.final[ART_KEY].group_id, then.final[ART_KEY].earlier_group) == ("C2", "B2")


_SETS = [last("A1", "10A/Ma1", COHORT), last("A2", "10A/Dr2", COHORT)]
"""Two groups of the same pupils; one keeps its id in the next year, and the other one neither id nor name."""
_NEXT_SETS = [now("A1", "11A/Ma1", COHORT), now("B2", "11A/Th4", COHORT)]
_NEXT_MATHS, _NEXT_DRAMA = map(class_key, _NEXT_SETS)


@pytest.mark.parametrize("at", [SUMMER, AUTUMN])
@pytest.mark.parametrize(
    "then",
    [
        _NEXT_SETS,
        [_NEXT_SETS[0], replace(_NEXT_SETS[1], students=_NEXT_SETS[1].students[1:])],
        [*_NEXT_SETS, now("B3", "11A/Hi2", COHORT)],
    ],
    ids=["the MIS as before", "a pupil fewer in the group", "another group of these pupils"],
)
def test_a_question_stays_when_another_pair_becomes_possible(then: list[MisGroup], at: datetime) -> None:
    """The class of a rejected pair may continue in another group, and another group may have the same pupils."""
    records = last_year(*_SETS)
    ask = partial(plan, rollover="ask", calendar=DATES, at=at)
    shown = ask([*_SETS, *_NEXT_SETS], records)
    rejected = decide(shown, HoldStatus.REJECTED, _NEXT_MATHS)
    planned = ask([*_SETS, *_NEXT_SETS], records, rejected, shown.open_holds)
    assert (planned.run.created, planned.run.held) == ((_NEXT_MATHS,), (_NEXT_DRAMA,))
    again = ask([*_SETS, *then], after(planned), standing=planned.holds_to_keep)
    assert _NEXT_DRAMA not in again.run.created
    asked = {part.key: part.continues for hold in again.open_holds for part in hold.classes}
    assert asked[_NEXT_DRAMA] == class_key(_SETS[1])


def test_an_approval_for_the_summer_is_carried_out_though_another_pair_becomes_possible() -> None:
    records, groups = last_year(*_SETS), [*_SETS, *_NEXT_SETS]
    ask = partial(plan, rollover="ask", calendar=DATES)
    shown = ask(groups, records, at=SUMMER)
    decided = decide(shown, HoldStatus.REJECTED, _NEXT_MATHS) | decide(shown, HoldStatus.APPROVED, _NEXT_DRAMA)
    planned = ask(groups, records, decided, shown.open_holds, at=SUMMER)
    assert planned.run.created == (_NEXT_MATHS,)
    then = ask(groups, after(planned), standing=planned.holds_to_keep, at=AUTUMN)
    assert then.run.created == ()
    assert then.final[class_key(_SETS[1])].group_id == "B2"


_ALL = {"amy", "ben", "cleo"}


@given(_groups, _groups, st.lists(_statuses, min_size=5, max_size=5), st.sampled_from([TERM, SUMMER, AUTUMN]))
@example(
    [("A1", GroupType.YEAR, "11A", _ALL), ("A2", GroupType.YEAR, "11A", _ALL), ("B2", GroupType.YEAR, "11A", _ALL)],
    [("A1", GroupType.YEAR, "10A", _ALL), ("A2", GroupType.YEAR, "10A", _ALL), ("B1", GroupType.YEAR, "10A", _ALL)],
    [None, HoldStatus.REJECTED, None, None, None],
    SUMMER,
)
def test_with_the_groups_of_both_years_no_class_has_the_people_of_two(
    before: list[tuple[Any, ...]],
    then: list[tuple[Any, ...]],
    statuses: list[HoldStatus | None],
    at: datetime,
) -> None:
    old, new = (
        [replace(make(id_, name, sorted(pupils)), type=type_) for id_, type_, name, pupils in groups]
        for make, groups in ((last, before), (now, then))
    )
    records, types = last_year(*old), list(GroupType)
    ask = partial(plan, rollover="ask", calendar=DATES, at=at, types=types)
    shown = ask([*old, *new], records)
    parts = [part for hold in shown.holds if hold.kind is HoldKind.CONTINUATION for part in hold.classes]
    decisions = {part.digest: status for part, status in zip(parts, statuses, strict=False) if status}
    planned = ask([*old, *new], records, decisions, shown.holds_to_keep)
    approved = {part.continues: part.key for part in parts if decisions.get(part.digest) is HoldStatus.APPROVED}
    of_new = by_class_key(new)
    assert planned.run.ended == ()
    for key, record in records.items():
        has = planned.final[key]
        if key in approved and at is AUTUMN:
            assert (has.group_id, has.academic_year) == (of_new[approved[key]].id, 2027)
        else:
            assert (has.group_id, has.academic_year, has.members) == (
                record.desired.group_id,
                2026,
                record.desired.members,
            )
    made = planned.final.keys() - records.keys()
    assert made.isdisjoint(approved.values())
    pupils = {member for key in made for member in planned.final[key].members} - entra_ids(["tom"])
    assert at is AUTUMN or not pupils
    again = ask([*old, *new], after(planned), standing=planned.holds_to_keep)
    assert (again.plan.writes, again.run.created, again.run.ended) == ((), (), ())


def test_a_class_for_two_years_is_the_only_one_of_last_year_that_is_proposed_with_new_classes() -> None:
    choice = ClassChoice(key=ART_KEY, follow=Follow.TWO_YEARS, goes_into=2027)
    followed = follow_groups(
        [now("B1", "11A/Ma1", COHORT), now("B2", "11A/Ar1", OTHERS)],
        CLASSES,
        settings(),
        frozenset(),
        frozenset(),
        NO_DECISIONS,
        Choices({ART_KEY: choice}),
    )
    assert [(each.part.key, each.part.continues) for each in followed.proposals] == [(NEW_ART, ART_KEY)]
    used = Choices({ART_KEY: replace(choice, goes_into=2026)})
    groups = [now("B2", "11A/Ar1", OTHERS)]
    assert follow_groups(groups, CLASSES, settings(), frozenset(), frozenset(), NO_DECISIONS, used).proposals == ()
