"""Losses are held by their cause, class by class, and a decision on some classes lets nobody else go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_core.domain.accounts import Account
from sync_core.domain.classes.desired import DesiredClass
from sync_core.domain.classes.record import ClassRecord, Records
from sync_core.domain.ids import AccountId, ClassKey, RunId
from sync_core.domain.roster import GroupType, MisGroup, Snapshot
from sync_core.domain.runs import HeldClass, Hold, HoldKind, HoldStatus
from sync_core.domain.school.limits import Limits
from sync_core.planning.limits.holds import hold_text, holds_of, parts_of, with_newer
from sync_core.planning.limits.past import Past
from sync_core.planning.limits.restraint import Restraint, WithinLimits
from sync_core.planning.membership import RuledSchool, desired_classes
from tests.builders import (
    NOON,
    SCHOOL,
    accounts,
    by_id,
    desired,
    entra_id,
    entra_ids,
    mis_ids,
    person,
    settings,
    synced,
    teaching,
)

PUPILS = [f"p{number:02}" for number in range(12)]
NO_PAST = Past(0, None, ())
NO_SCHOOL_LIMITS = replace(Limits(), school_loss=1, week_loss=1)
ART = teaching("T1", "Art", PUPILS, ["main"])
DRAMA = teaching("T2", "Drama", PUPILS, ["main"])
YEAR = replace(teaching("Y7", "7", PUPILS), type=GroupType.YEAR)
ART_KEY, DRAMA_KEY, YEAR_KEY = map(ClassKey, ("2026.teaching.T1", "2026.teaching.T2", "2026.year.Y7"))
EVERYBODY = accounts([*PUPILS, "main"])


def ruled(groups: Iterable[MisGroup], known: Iterable[Account], records: Records) -> RuledSchool:
    listed = tuple(groups)
    people = by_id(*(person(id_, id_) for group in listed for id_ in (*group.students, *group.teachers)))
    return desired_classes(Snapshot(SCHOOL, listed, people, NOON), settings(), known, records, {})


def record(groups: Iterable[MisGroup]) -> dict[ClassKey, ClassRecord]:
    return {class_.key: synced(class_) for class_ in ruled(groups, EVERYBODY, {}).classes}


def plan(
    groups: Iterable[MisGroup],
    records: Records,
    known: Iterable[Account] = EVERYBODY,
    past: Past = NO_PAST,
    limits: Limits = NO_SCHOOL_LIMITS,
) -> WithinLimits:
    wanted = ruled(groups, known, records)
    return Restraint(records, limits, past, RunId("run"), NOON, wanted).apply(wanted.classes, whole=True)


def without(*names: str) -> list[Account]:
    return [one for one in EVERYBODY if one.id not in entra_ids(names)]


def kinds(planned: WithinLimits) -> dict[HoldKind, tuple[str, ...]]:
    """The MIS ids of people in the only class of each hold."""
    return {hold.kind: part.people for hold in planned.holds for part in hold.classes}


def decide(holds: Iterable[Hold], keys: Iterable[str], status: HoldStatus = HoldStatus.APPROVED) -> Past:
    chosen = {part.digest: status for hold in holds for part in hold.classes if part.key in set(keys)}
    return replace(NO_PAST, decided=chosen)


# --- causes


@pytest.mark.parametrize(
    ("after", "known", "expected"),
    [
        ([replace(ART, students=mis_ids(*PUPILS[6:])), YEAR], EVERYBODY, {HoldKind.LEFT_GROUP: mis_ids(*PUPILS[:6])}),
        ([replace(ART, students=mis_ids(*PUPILS[6:]))], EVERYBODY, {HoldKind.LEFT_MIS: mis_ids(*PUPILS[:6])}),
        ([replace(ART, students=()), YEAR], EVERYBODY, {HoldKind.GROUP_EMPTIED: mis_ids(*PUPILS)}),
        ([ART], without(*PUPILS[:6]), {HoldKind.ACCOUNT_DELETED: mis_ids(*PUPILS[:6])}),
        (
            [replace(ART, students=mis_ids(*PUPILS[3:]))],
            without(*PUPILS[:6]),
            {HoldKind.LEFT_MIS: mis_ids(*PUPILS[:3]), HoldKind.ACCOUNT_DELETED: mis_ids(*PUPILS[3:6])},
        ),
    ],
    ids=["left the group", "left the MIS", "the group is empty", "the account is deleted", "two causes"],
)
def test_people_are_held_by_what_took_them_out_of_the_class(
    after: list[MisGroup], known: list[Account], expected: Mapping[HoldKind, tuple[str, ...]]
) -> None:
    records = record([ART])
    planned = plan(after, records, known, limits=replace(NO_SCHOOL_LIMITS, unmatched=1))
    assert kinds(planned) == expected
    art = next(each for each in planned.classes if each.key == ART_KEY)
    assert art.members == entra_ids([*PUPILS, "main"])


def test_a_person_who_finds_another_account_leaves_the_old_one_unclaimed() -> None:
    moved = [replace(one, values={}) if one.id in entra_ids(PUPILS[:6]) else one for one in EVERYBODY]
    others = [replace(one, id=AccountId(f"new {one.id}")) for one in accounts(PUPILS[:6])]
    planned = plan([ART], record([ART]), [*moved, *others], limits=replace(NO_SCHOOL_LIMITS, turnover=1))
    assert kinds(planned) == {HoldKind.UNCLAIMED_ACCOUNT: mis_ids(*PUPILS[:6])}


def test_a_pin_is_a_cause_of_its_own() -> None:
    records = record([ART])
    pinned = replace(records[ART_KEY].desired, pinned=True, members=entra_ids(["main", *PUPILS[:2]]))
    planned = Restraint(records, NO_SCHOOL_LIMITS, NO_PAST, RunId("run"), NOON).apply([pinned], whole=False)
    assert kinds(planned) == {HoldKind.PINNED: mis_ids(*PUPILS[2:])}


def test_a_hold_sums_up_its_classes_and_each_class_has_its_names_and_people() -> None:
    groups = [teaching(f"S{number}", f"Set {number}", PUPILS, ["main"]) for number in range(5)]
    smaller = [replace(group, students=mis_ids(*PUPILS[6 + place :])) for place, group in enumerate(groups)]
    (hold,) = plan([*smaller, YEAR], record(groups)).holds
    assert hold.what == (
        "people who left the MIS group of their class: 10; "
        "class 2026.teaching.S4 (Set-4_Class [1234567][2026]) would lose 10 of 12 students: 83%, over 40%; "
        "class 2026.teaching.S3 (Set-3_Class [1234567][2026]) would lose 9 of 12 students: 75%, over 40%; "
        "class 2026.teaching.S2 (Set-2_Class [1234567][2026]) would lose 8 of 12 students: 67%, over 40%; and 2 more"
    )
    assert (hold.limit, hold.value, hold.keys) == (0.4, 10 / 12, tuple(f"2026.teaching.S{n}" for n in range(5)))
    part = hold.classes[0]
    assert (part.group_name, part.name, part.lost, part.students) == ("Set 0", "Set-0_Class [1234567][2026]", 6, 12)
    assert (part.people, part.leaving) == (mis_ids(*PUPILS[:6]), tuple(sorted(entra_ids(PUPILS[:6]))))
    assert hold_text(hold).startswith(f"hold {hold.digest} (left_group): people who left")


def test_a_digest_binds_the_cause_the_class_and_the_people() -> None:
    records = record([ART, DRAMA])
    six, seven = ([replace(group, students=mis_ids(*PUPILS[n:])) for group in (ART, DRAMA)] for n in (6, 7))
    shown = [
        plan([*six, YEAR], records).holds,
        plan(six, records).holds,
        plan([*seven, YEAR], records).holds,
    ]
    assert len({part.digest for holds in shown for hold in holds for part in hold.classes}) == 6
    assert len({hold.digest for holds in shown for hold in holds}) == 3


# --- decisions


def test_a_decision_on_some_classes_leaves_the_others_in_a_hold_of_their_own() -> None:
    records, after = record([ART, DRAMA]), [replace(each, students=mis_ids(*PUPILS[6:])) for each in (ART, DRAMA)]
    (shown,) = plan([*after, YEAR], records).holds
    planned = plan([*after, YEAR], records, past=decide([shown], [ART_KEY]))
    assert [(hold.status, hold.keys) for hold in planned.holds] == [
        (HoldStatus.APPROVED, (ART_KEY,)),
        (HoldStatus.OPEN, (DRAMA_KEY,)),
    ]
    sizes = {each.key: len(each.members) for each in planned.classes}
    assert (sizes[ART_KEY], sizes[DRAMA_KEY]) == (7, 13)
    assert len({hold.digest for hold in (shown, *planned.holds)}) == 3


def test_what_is_left_of_two_causes_stays_although_the_limits_would_let_it_go() -> None:
    records, known = record([ART]), without(*PUPILS[5:9])
    after = [replace(ART, students=mis_ids(*PUPILS[5:])), YEAR]
    shown = plan(after, records, known, limits=replace(NO_SCHOOL_LIMITS, unmatched=1)).holds
    past = decide([hold for hold in shown if hold.kind is HoldKind.LEFT_GROUP], [ART_KEY])
    first = plan(after, records, known, past, replace(NO_SCHOOL_LIMITS, unmatched=1))
    art = next(each for each in first.classes if each.key == ART_KEY)
    assert art.members == entra_ids([*PUPILS[5:], "main"])

    # Four of seven are fewer than five people, who may go without an approval.
    standing = tuple(hold for hold in first.holds if not hold.approved)
    later = records | {ART_KEY: synced(art)}
    then = plan(after, later, known, replace(NO_PAST, holds=standing), replace(NO_SCHOOL_LIMITS, unmatched=1))
    assert next(each for each in then.classes if each.key == ART_KEY).members == art.members
    (hold,) = then.holds
    assert (hold.kind, hold.digest) == (HoldKind.ACCOUNT_DELETED, standing[0].digest)
    assert hold.classes[0].what == (
        "would lose 4 of 7 students: fewer than the limits allow, but held since an earlier plan"
    )
    new = plan(after, later, known, NO_PAST, replace(NO_SCHOOL_LIMITS, unmatched=1))
    assert new.holds == ()


def remove_students(class_: DesiredClass, count: int) -> DesiredClass:
    return replace(class_, members=class_.members - set(sorted(class_.members - class_.owners)[:count]))


BIG = [desired(f"B{number}", [f"B{number}.{pupil}" for pupil in range(30)], ["boss"]) for number in range(10)]


def limited(wanted: Iterable[DesiredClass], records: Records, past: Past = NO_PAST, whole: bool = True) -> WithinLimits:
    return Restraint(records, Limits(), past, RunId("run"), NOON).apply(wanted, whole=whole)


@pytest.mark.parametrize("status", [HoldStatus.OPEN, HoldStatus.REJECTED])
def test_classes_of_a_school_loss_that_are_not_approved_stay_on_every_later_night(status: HoldStatus) -> None:
    records = {class_.key: synced(class_) for class_ in BIG}
    wanted = [remove_students(class_, 4) for class_ in BIG]
    (shown,) = limited(wanted, records).holds
    decided = decide([shown], shown.keys[5:], status) if status is HoldStatus.REJECTED else NO_PAST
    approved = decide([shown], shown.keys[:5])
    first = limited(wanted, records, replace(NO_PAST, decided={**decided.decided, **approved.decided}))
    assert first.removals == 0
    assert [(hold.status, len(hold.classes)) for hold in first.holds] == [(HoldStatus.APPROVED, 5), (status, 5)]
    assert [len(class_.members) for class_ in first.classes] == [27] * 5 + [31] * 5

    # Twenty of 280 memberships are under the limit of a tenth.
    later = {class_.key: synced(class_) for class_ in first.classes}
    past = replace(NO_PAST, holds=tuple(hold for hold in first.holds if not hold.approved))
    for whole in (True, False):
        then = limited(wanted, later, past, whole=whole)
        assert list(then.classes) == list(first.classes)
    (hold,) = limited(wanted, later, past).holds
    assert (hold.kind, hold.status, hold.keys) == (HoldKind.SCHOOL_LOSS, status, shown.keys[5:])
    assert [part.digest for part in hold.classes] == [part.digest for part in shown.classes[5:]]


def test_new_classes_that_are_not_approved_are_not_made_later() -> None:
    new = [desired(f"N{number:02}", ["amy"]) for number in range(31)]
    records = {class_.key: synced(class_) for class_ in BIG}
    past = Past(0, 10, ())
    (shown,) = limited([*BIG, *new], records, past).holds
    decided = replace(past, decided=decide([shown], ["N00", "N01"]).decided)
    first = limited([*BIG, *new], records, decided)
    assert [each.key for each in first.classes if each.key not in records] == ["N00", "N01"]
    later = records | {class_.key: synced(class_) for class_ in first.classes}
    then = limited([*BIG, *new], later, replace(past, holds=first.holds[1:]))
    assert {each.key for each in then.classes} == later.keys()
    assert [(hold.kind, len(hold.classes)) for hold in then.holds] == [(HoldKind.NEW_CLASSES, 29)]
    assert then.holds[0].classes[0].joining == (entra_id("amy"),)


def test_a_failed_matching_may_be_approved_for_some_classes() -> None:
    groups = [ART, teaching("T2", "Drama", [f"q{number}" for number in range(12)])]
    known = accounts([*PUPILS[6:], "main"])
    (shown,) = plan(groups, {}, known).holds
    planned = plan(groups, {}, known, decide([shown], [ART_KEY]))
    assert [each.key for each in planned.classes] == [ART_KEY]
    assert planned.matching_failed
    assert [(hold.status, hold.keys) for hold in planned.holds] == [
        (HoldStatus.APPROVED, (ART_KEY,)),
        (HoldStatus.OPEN, (DRAMA_KEY,)),
    ]


def held_part(key: str, digest: str) -> HeldClass:
    return HeldClass(group_name="", name="", key=ClassKey(key), what="", digest=digest)


def test_a_plan_of_some_classes_replaces_their_parts_of_a_hold() -> None:
    template: dict[str, Any] = {"kind": HoldKind.LEFT_GROUP, "what": "", "remedy": "", "run": RunId("r"), "at": NOON}
    old = Hold(digest="", classes=(held_part("A", "a"), held_part("B", "b")), **template)
    new = Hold(digest="", classes=(held_part("A", "a2"),), **template)
    (merged,) = with_newer([old], [new])
    assert [part.digest for part in merged.classes] == ["a2", "b"]
    rejected = holds_of(parts_of([merged], {"b": HoldStatus.REJECTED}))
    assert [(hold.status, hold.keys) for hold in rejected] == [(HoldStatus.OPEN, ("A",)), (HoldStatus.REJECTED, ("B",))]


# --- whatever is decided

pupils = st.frozensets(st.sampled_from(PUPILS))
decisions = st.sampled_from([HoldStatus.OPEN, HoldStatus.APPROVED, HoldStatus.REJECTED])
few_limits = replace(Limits(), class_loss_people=2, school_loss_people=2, unmatched=1)
three_groups = st.tuples(pupils, pupils, pupils)


@given(
    three_groups,
    st.frozensets(st.sampled_from(PUPILS), max_size=4),
    st.lists(st.tuples(three_groups, st.lists(decisions, min_size=8, max_size=8)), min_size=1, max_size=4),
)
def test_nobody_leaves_whose_class_was_not_approved_and_what_was_approved_is_what_was_shown(
    first: tuple[frozenset[str], ...],
    deleted: frozenset[str],
    nights: list[tuple[tuple[frozenset[str], ...], list[HoldStatus]]],
) -> None:
    groups = [teaching(f"T{number}", f"Set {number}", sorted(old), ["main"]) for number, old in enumerate(first)]
    known, records, past = without(*deleted), record(groups), NO_PAST
    for lists, choices in nights:
        after = [replace(group, students=mis_ids(*sorted(new))) for group, new in zip(groups, lists, strict=True)]
        shown = plan([*after, YEAR], records, known, past, few_limits)
        parts = [part for hold in shown.holds for part in hold.classes]
        decided = {part.digest: choice for part, choice in zip(parts, choices, strict=False) if choice != "open"}
        planned = plan([*after, YEAR], records, known, replace(past, decided=decided), few_limits)
        statuses = {part.digest: status for _, part, status in parts_of(planned.holds)}
        assert statuses.keys() >= decided.keys()
        assert all(statuses[digest] is choice for digest, choice in decided.items())

        by_class = {class_.key: class_.members for class_ in planned.classes}
        may_leave: dict[ClassKey, set[AccountId]] = {key: set() for key in records}
        for _, part, status in parts_of(planned.holds):
            staying = set(part.leaving) & by_class[part.key] if part.key in records else set()
            assert staying == (set() if status is HoldStatus.APPROVED else set(part.leaving)), part.what
            if part.key in records and status is HoldStatus.APPROVED:
                may_leave[part.key] |= set(part.leaving)
        for _, part, _ in parts_of(past.holds):
            left = set(part.leaving) & records[part.key].desired.members - by_class[part.key]
            assert left <= may_leave[part.key], part.what
        records = {class_.key: synced(class_) for class_ in planned.classes}
        past = replace(NO_PAST, holds=tuple(hold for hold in planned.holds if not hold.approved))
