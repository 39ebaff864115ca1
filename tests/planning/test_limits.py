"""Which snapshots are rejected and which parts of a plan are held, with the messages that an admin reads."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_core.domain.classes.desired import DesiredClass
from sync_core.domain.classes.record import ClassRecord
from sync_core.domain.ids import ClassKey, RunId
from sync_core.domain.roster import FeedStatistics, GroupType, Snapshot, YearCounts
from sync_core.domain.runs import HoldKind, HoldStatus
from sync_core.domain.school.limits import Limits
from sync_core.errors import SnapshotRejected
from sync_core.planning.limits.past import Past
from sync_core.planning.limits.restraint import Restraint, WithinLimits
from sync_core.planning.limits.snapshot import check_snapshot, statistics_of
from tests.builders import NOON, SCHOOL, by_id, desired, entra_ids, person, synced, teaching

LAST = FeedStatistics(
    dfe_code="1234567",
    academic_year=2026,
    groups=220,
    students=1000,
    staff=75,
    enrolments=7000,
    domain="x.org",
    taken_at=NOON,
)
RUN = RunId("run")
NO_PAST = Past(0, None, ())


# --- the snapshot


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"groups": 175}, "it has 175 groups of 2026/27 and the last accepted one had 220: under 80%"),
        ({"students": 0}, "it has 0 students and the last accepted one had 1000"),
        ({"enrolments": 5599}, "it has 5599 enrolments of 2026/27 and the last accepted one had 7000"),
        ({"staff": 0}, "it has no teaching staff and the last accepted one had 75"),
        ({"dfe_code": "7654321"}, "its DfE code is 7654321 and was 1234567"),
        ({"academic_year": 2025}, "its academic year is 2025"),
        ({"domain": "y.org"}, "most of its addresses end in y.org, and most ended in x.org before"),
        ({"taken_at": NOON - timedelta(days=1)}, "it was exported on 06 Sep 2026 12:00, before the last accepted one"),
        ({"academic_year": 2027, "students": 799}, "it has 799 students"),
    ],
)
def test_a_rejected_snapshot_names_its_reason(change: dict[str, object], message: str) -> None:
    with pytest.raises(SnapshotRejected) as caught:
        check_snapshot(replace(LAST, **change), LAST, Limits())  # type: ignore[arg-type]  # statistics by name
    assert message in caught.value.message
    assert "nothing was changed" in caught.value.message
    assert ("limits.smallest_snapshot" in caught.value.remedy) is ("under 80%" in caught.value.message)
    assert caught.value.remedy.endswith("forget the accepted statistics")


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"groups": 176, "students": 800, "enrolments": 5600},
        {"groups": 2200},
        {"domain": ""},
        {"academic_year": 2027, "groups": 3, "enrolments": 1000},
        {"taken_at": NOON + timedelta(days=1)},
    ],
)
def test_a_plausible_snapshot_is_accepted(change: dict[str, object]) -> None:
    check_snapshot(replace(LAST, **change), LAST, Limits())  # type: ignore[arg-type]  # statistics by name
    check_snapshot(replace(LAST, groups=1), None, Limits())
    check_snapshot(replace(LAST, groups=1, students=0), LAST, Limits(smallest_snapshot=0))


def test_every_fault_is_named_at_once() -> None:
    with pytest.raises(SnapshotRejected) as caught:
        check_snapshot(replace(LAST, groups=1, domain="y.org", dfe_code=""), LAST, Limits())
    for word in ("groups", "y.org", "DfE code is empty"):
        assert word in caught.value.message


def test_statistics_summarise_a_snapshot() -> None:
    people = by_id(
        person("amy", "amy@X.org"),
        person("ben", "", "ben@x.org"),
        person("cleo", "cleo", "cleo@y.org"),
        person("main", "main@z.org"),
        *(person(name, "", f"{name}@x.org") for name in ("eve", "finn", "gus")),
    )
    groups = (teaching("1", "A", ["amy", "ben"], ["main"]), teaching("2", "B", ["amy", "cleo"], year=2025))
    statistics = statistics_of(Snapshot(SCHOOL, groups, people, NOON))
    assert statistics == FeedStatistics(
        dfe_code="1234567",
        academic_year=2026,
        groups=2,
        students=3,
        staff=1,
        enrolments=4,
        domain="x.org",
        taken_at=NOON,
        earlier_years={"2025": YearCounts(1, 2)},
    )


SUMMER = replace(LAST, groups=250, enrolments=7300, earlier_years={"2025": YearCounts(200, 6000)})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"groups": 50, "enrolments": 1300, "earlier_years": {}}, ""),
        ({"groups": 90, "earlier_years": {"2025": YearCounts(40, 6000)}}, "it has 40 groups of 2025/26 and the last"),
        ({"enrolments": 6000, "earlier_years": {"2025": YearCounts(200, 4700)}}, "it has 4700 enrolments of 2025/26"),
        ({"groups": 239}, "it has 39 groups of 2026/27 and the last accepted one had 50: under 80%"),
        ({"enrolments": 7039}, "it has 1039 enrolments of 2026/27"),
        ({"groups": 50, "enrolments": 1300, "earlier_years": {}, "students": 799}, "it has 799 students"),
        ({"academic_year": 2025, "groups": 200, "earlier_years": {}}, "its academic year is 2025"),
    ],
)
def test_the_mis_may_drop_an_earlier_year_as_a_whole_and_each_other_year_is_compared(
    change: dict[str, object], message: str
) -> None:
    now = replace(SUMMER, **change)  # type: ignore[arg-type]  # statistics by name
    if not message:
        check_snapshot(now, SUMMER, Limits())
        return
    with pytest.raises(SnapshotRejected) as caught:
        check_snapshot(now, SUMMER, Limits())
    assert message in caught.value.message


def test_year_groups_count_with_the_newest_year_whichever_they_have() -> None:
    """On the first day of a year they get another, and nothing is missing."""
    people = by_id(person("amy", ""), person("main", ""))
    classes = (teaching("1", "A", ["amy"]), teaching("2", "B", ["amy"], year=2025))
    year_group = replace(teaching("Y", "10", ["amy"]), type=GroupType.YEAR)
    before, after = (
        statistics_of(Snapshot(SCHOOL, (*classes, replace(year_group, academic_year=year)), people, NOON))
        for year in (2025, 2026)
    )
    assert before == after
    assert before.newest_year == YearCounts(2, 2)


def test_a_domain_of_a_few_people_is_in_no_statistics() -> None:
    """It may be that of one family."""
    people = [person(f"p{number}", f"p{number}@family.example") for number in range(5)]
    assert statistics_of(Snapshot(SCHOOL, (), by_id(*people[1:]), NOON)).domain == ""
    assert statistics_of(Snapshot(SCHOOL, (), by_id(*people), NOON)).domain == "family.example"


# --- the plan


def people(count: int, stem: str = "p") -> list[str]:
    return [f"{stem}{number}" for number in range(count)]


def record_all(*classes: DesiredClass) -> dict[ClassKey, ClassRecord]:
    return {class_.key: synced(class_) for class_ in classes}


def apply_default_limits(
    wanted: Iterable[DesiredClass],
    records: dict[ClassKey, ClassRecord],
    past: Past = NO_PAST,
    limits: Limits | None = None,
    whole: bool = True,
) -> WithinLimits:
    return Restraint(records, limits or Limits(), past, RUN, NOON).apply(wanted, whole=whole)


BIG = [desired(f"B{number}", people(30, f"B{number}."), ["boss"]) for number in range(10)]
K30 = desired("K", people(30), ["main"])
TURNOVER = "would lose {} of {} students and get {} others: a turnover of over 80%"


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        (["amy", "ben"], [], "would lose 2 of 2 students, which is everybody"),
        (["amy"], [], "would lose 1 of 1 students, which is everybody"),
        (people(30), people(17), "would lose 13 of 30 students: 43%, over 40%"),
        (people(30), people(18), None),
        (people(9), people(5), None),
        (people(10), people(5), "would lose 5 of 10 students: 50%, over 40%"),
        (people(10), ["p0", *people(9, "q")], TURNOVER.format(9, 10, 9)),
        (people(10), ["p0", "p1", *people(9, "q")], "would lose 8 of 10 students: 80%, over 40%"),
        (["amy"], ["ben"], TURNOVER.format(1, 1, 1)),
        ([], ["amy"], None),
        (["amy", "ben"], ["amy", "ben", "cleo"], None),
    ],
)
def test_a_class_that_would_lose_too_much_is_held(before: list[str], after: list[str], why: str | None) -> None:
    records = record_all(desired("K", before, ["main"]), *BIG)
    result = apply_default_limits([desired("K", after, ["main", "new"]), *BIG], records)
    planned = next(class_ for class_ in result.classes if class_.key == "K")
    turnover = why is not None and why.endswith("a turnover of over 80%")
    kind = HoldKind.TURNOVER if turnover else HoldKind.UNCLAIMED_ACCOUNT
    held = [(hold.kind, part.what) for hold in result.holds for part in hold.classes]
    assert held == ([(kind, why)] if why else [])
    if turnover:
        assert planned == records[ClassKey("K")].desired
    elif why:
        assert planned.members == entra_ids({*before, *after, "main", "new"})
        assert planned.owners == entra_ids(["main", "new"])
    else:
        assert planned == desired("K", after, ["main", "new"])


def test_a_class_with_only_its_teacher_left_counts_as_emptied() -> None:
    result = apply_default_limits([desired("K", [], ["main"]), *BIG], record_all(desired("K", ["amy"], ["main"]), *BIG))
    text = "class K (K_Class [1234567][2026]) would lose 1 of 1 students, which is everybody"
    assert result.holds[0].what == f"accounts in classes that nobody in the MIS group finds any more: 1; {text}"
    assert "approve this hold" in result.holds[0].remedy


def test_a_class_reused_in_a_new_year_is_no_turnover() -> None:
    before = replace(K30, academic_year=2026)
    after = replace(desired("K", people(30, "q"), ["main"]), academic_year=2027)
    assert apply_default_limits([after], record_all(before)).holds == ()
    (hold,) = apply_default_limits([replace(desired("K", [], ["main"]), academic_year=2027)], record_all(before)).holds
    assert [part.what for part in hold.classes] == ["would lose 30 of 30 students, which is everybody"]


def remove_students(class_: DesiredClass, count: int) -> DesiredClass:
    students = sorted(class_.members - class_.owners)
    return replace(class_, members=class_.members - set(students[:count]))


def test_a_school_that_would_lose_too_much_keeps_everybody_and_still_gains_members() -> None:
    wanted = [remove_students(class_, 4) for class_ in BIG]
    wanted[0] = replace(wanted[0], members=wanted[0].members | entra_ids(["new"]))
    result = apply_default_limits(wanted, record_all(*BIG))
    (hold,) = result.holds
    assert hold.kind is HoldKind.SCHOOL_LOSS
    assert hold.what == (
        "the school would lose 40 of 300 memberships in one plan: over 10%; 40 of them now, in 10 classes"
    )
    assert result.classes[0].members == BIG[0].members | entra_ids(["new"])
    assert result.removals == 0
    assert apply_default_limits([remove_students(class_, 3) for class_ in BIG], record_all(*BIG)).removals == 30


def test_a_slow_leak_is_held_at_the_weekly_limit() -> None:
    wanted = [remove_students(BIG[0], 6), *BIG[1:]]
    assert apply_default_limits(wanted, record_all(*BIG), Past(67, None, ())).holds == ()
    (hold,) = apply_default_limits(wanted, record_all(*BIG), Past(68, None, ())).holds
    assert hold.kind is HoldKind.SLOW_LEAK
    assert "74 of 368 memberships in seven days: over 20%" in hold.what


def test_a_few_removals_in_a_small_school_are_not_held() -> None:
    small = desired("K", ["a", "b", "c", "d", "e"], ["main"])
    assert apply_default_limits([remove_students(small, 2)], record_all(small)).removals == 2


def test_too_many_new_classes_are_held_and_the_others_are_synced() -> None:
    new = [desired(f"N{number}") for number in range(31)]
    result = apply_default_limits([*BIG, *new], record_all(*BIG), Past(0, 10, ()))
    assert [hold.kind for hold in result.holds] == [HoldKind.NEW_CLASSES]
    assert [class_.key for class_ in result.classes] == [class_.key for class_ in BIG]
    assert apply_default_limits([*BIG, *new[:30]], record_all(*BIG), Past(0, 10, ())).holds == ()
    for classes_before in (None, 0):
        assert apply_default_limits([*BIG, *new], record_all(*BIG), Past(0, classes_before, ())).holds == ()


# --- approval


def test_an_approved_hold_allows_only_the_plan_that_was_shown() -> None:
    records = record_all(K30, *BIG)
    shown = apply_default_limits([desired("K", people(10), ["main"]), *BIG], records)
    approved = Past(0, None, (replace(shown.holds[0], status=HoldStatus.APPROVED),))
    run = apply_default_limits([desired("K", people(10), ["main"]), *BIG], records, approved)
    assert run.removals == 0
    assert run.classes[0] == desired("K", people(10), ["main"])
    other = apply_default_limits([desired("K", people(9), ["main"]), *BIG], records, approved)
    assert other.removals == 0
    assert other.holds[0].digest != shown.holds[0].digest
    assert other.holds[0].status is HoldStatus.OPEN


def test_an_approved_loss_of_a_class_does_not_count_against_the_school() -> None:
    records = record_all(K30, *BIG)
    wanted = [remove_students(K30, 30), *(remove_students(class_, 2) for class_ in BIG)]
    shown = apply_default_limits(wanted, records)
    assert [part.what for hold in shown.holds for part in hold.classes] == [
        "would lose 30 of 30 students, which is everybody"
    ]
    run = apply_default_limits(wanted, records, Past(0, None, (replace(shown.holds[0], status=HoldStatus.APPROVED),)))
    assert [hold.status for hold in run.holds] == [HoldStatus.APPROVED]
    assert (run.removals, list(run.classes)) == (20, wanted)


def test_a_rejected_hold_stays_rejected_while_the_mis_is_unchanged() -> None:
    records = record_all(K30, *BIG)
    shown = apply_default_limits([desired("K", people(10), ["main"]), *BIG], records)
    rejected = Past(0, None, (replace(shown.holds[0], status=HoldStatus.REJECTED),))
    next_plan = apply_default_limits([desired("K", people(10), ["main"]), *BIG], records, rejected)
    assert (next_plan.removals, next_plan.holds[0].status) == (0, HoldStatus.REJECTED)


def test_additions_do_not_change_the_digest_of_a_hold() -> None:
    records = record_all(K30, *BIG)
    first = apply_default_limits([desired("K", people(10), ["main"]), *BIG], records)
    second = apply_default_limits([desired("K", [*people(10), "new"], ["main"]), *BIG], records)
    assert first.holds[0].digest == second.holds[0].digest


def test_an_open_hold_also_applies_to_a_plan_of_one_class() -> None:
    records = record_all(*BIG)
    night = apply_default_limits([remove_students(class_, 4) for class_ in BIG], records)
    for status, removed in ((HoldStatus.OPEN, 0), (HoldStatus.REJECTED, 0), (HoldStatus.APPROVED, 4)):
        past = Past(0, None, (replace(night.holds[0], status=status),))
        assert apply_default_limits([remove_students(BIG[0], 4)], records, past, whole=False).removals == removed
    assert apply_default_limits([remove_students(BIG[0], 4)], records, whole=False).removals == 4


class_lists = st.lists(
    st.tuples(st.frozensets(st.sampled_from(people(12))), st.frozensets(st.sampled_from(people(12)))), max_size=6
)


@given(class_lists)
def test_no_class_is_emptied_without_an_admin_and_nobody_is_invented(
    lists: list[tuple[frozenset[str], frozenset[str]]],
) -> None:
    before = [desired(f"K{number}", old, ["main"]) for number, (old, _) in enumerate(lists)]
    after = [desired(f"K{number}", new, ["main"]) for number, (_, new) in enumerate(lists)]
    records = record_all(*before)
    result = apply_default_limits(after, records)
    for old, new, planned in zip(before, after, result.classes, strict=True):
        students = old.members - old.owners
        assert not students or planned.members & students or planned.members - planned.owners
        assert planned.members <= old.members | new.members
        assert planned.owners in (new.owners, old.owners)
    memberships = sum(len(record.desired.members - record.desired.owners) for record in records.values())
    assert result.removals < 5 or result.removals <= 0.1 * memberships
    assert apply_default_limits(after, records) == result
