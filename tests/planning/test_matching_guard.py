"""When too many people find no account, nothing is planned; and who stays in a class although their match is lost."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from sync_core.domain.accounts import Account
from sync_core.domain.classes.record import ClassRecord, Records
from sync_core.domain.ids import ClassKey, RunId
from sync_core.domain.roster import GroupType, MatchRate, MisGroup
from sync_core.domain.runs import Approval, HoldKind, HoldStatus
from sync_core.domain.school.limits import Limits
from sync_core.planning.limits.past import Past
from sync_core.planning.limits.restraint import Restraint, WithinLimits
from sync_core.planning.matching.guard import MatchRates
from sync_core.planning.membership import desired_classes
from tests.builders import NOON, accounts, entra_id, entra_ids, mis_ids, settings, snapshot, synced, teaching

NO_PAST = Past(0, None, ())


def people(count: int, stem: str = "p") -> list[str]:
    return [f"{stem}{number}" for number in range(count)]


def school(students: int, staff: int) -> list[MisGroup]:
    """A year group with these students, and a teaching group of the first of them with each teacher."""
    year = replace(teaching("Y7", "7", people(students)), type=GroupType.YEAR)
    return [year, *(teaching(f"T{number}", f"Set {number}", ["p0"], [f"t{number}"]) for number in range(staff))]


def plan(
    groups: Iterable[MisGroup],
    known_accounts: Iterable[Account],
    records: Records | None = None,
    past: Past = NO_PAST,
    scope: Iterable[str] | None = None,
    **limits: float,
) -> WithinLimits:
    within = None if scope is None else frozenset(mis_ids(*scope))
    ruled = desired_classes(snapshot(groups), settings(), known_accounts, records or {}, {}, within)
    chosen = replace(Limits(), **limits)  # type: ignore[arg-type]  # limits by name
    restraint = Restraint(records or {}, chosen, past, RunId("run"), NOON, ruled)
    return restraint.apply(ruled.classes, ruled.ended, whole=scope is None)


def night(groups: Iterable[MisGroup], known_accounts: Iterable[Account]) -> dict[ClassKey, ClassRecord]:
    """The records after a night without limits."""
    ruled = desired_classes(snapshot(groups), settings(), known_accounts, {}, {})
    return {desired.key: synced(desired) for desired in ruled.classes}


@pytest.mark.parametrize(
    ("students", "unmatched_students", "staff", "unmatched_staff", "held"),
    [
        (100, 0, 5, 0, False),
        (100, 19, 5, 0, False),
        (100, 20, 5, 0, False),
        (100, 21, 5, 0, True),
        (9, 9, 1, 0, False),
        (10, 9, 1, 0, False),
        (10, 10, 1, 0, True),
        (100, 0, 50, 10, False),
        (100, 0, 50, 11, True),
        (100, 0, 9, 9, False),
        (100, 20, 50, 10, False),
    ],
)
def test_the_first_night_is_held_above_the_share_of_students_or_of_staff(
    students: int, unmatched_students: int, staff: int, unmatched_staff: int, held: bool
) -> None:
    groups = school(students, staff)
    known = accounts([*people(students)[unmatched_students:], *people(staff, "t")[unmatched_staff:]])
    planned = plan(groups, known)
    assert planned.matching_failed is held
    if held:
        (hold,) = planned.holds
        assert (hold.kind, hold.status) == (HoldKind.ACCOUNT_MATCHING, HoldStatus.OPEN)
        assert (planned.classes, planned.ended, planned.removals) == ((), (), 0)
        assert len(hold.classes) == len(groups)
    else:
        assert planned.holds == ()
        assert len(planned.classes) == len(groups)


def test_the_limit_is_a_setting() -> None:
    groups, known = school(100, 0), accounts(people(100)[21:])
    assert plan(groups, known, unmatched=0.21).holds == ()
    assert plan(groups, known, unmatched=1).holds == ()
    assert plan(groups, known, unmatched_people=22).holds == ()
    assert plan(groups, accounts(people(100)[3:]), unmatched=0.02, unmatched_people=3).matching_failed


def test_people_in_doubt_count_too() -> None:
    known = [*accounts(people(100)), *(replace(one, id=entra_id(f"twin of {one.id}")) for one in accounts(people(21)))]
    (hold,) = plan(school(100, 0), known).holds
    assert "tried: several people or accounts for one value (21)" in hold.what


def test_a_hold_has_the_rates_and_the_kinds_of_value_but_no_value_and_no_person() -> None:
    rates = MatchRates(MatchRate(100, 2), MatchRate(20, 1))
    known = [*accounts(people(100), "oak.example"), *accounts(people(4, "f"), "family.example")]
    (hold,) = plan(school(100, 20), known, past=replace(NO_PAST, rates=rates)).holds
    assert hold.what == (
        "100 of 100 students find no account (0% find one, and 98% found one before) and "
        "20 of 20 staff find no account (0% find one, and 95% found one before): no class is made and nobody leaves; "
        "tried: e-mail address missing in the MIS (120); "
        "user name at school.onmicrosoft.com in userPrincipalName and mail (120); "
        "the tenant's accounts are in oak.example (100)"
    )
    assert hold.remedy.startswith("compare students, staff and account_domain in the school's settings")
    assert "approve" not in hold.remedy
    assert {part.key: part.people for part in hold.classes} == {
        ClassKey("2026.year.Y7"): mis_ids(*sorted(people(100))),
        **{ClassKey(f"2026.teaching.T{number}"): mis_ids("p0", f"t{number}") for number in range(20)},
    }
    assert not [part for part in hold.classes if part.leaving or part.joining]
    assert (hold.approval, hold.limit, hold.value) == (Approval.TWO_STEPS, 0.2, 1.0)


def test_existing_classes_stay_as_they_are_and_no_group_ends() -> None:
    before = school(30, 1)
    everybody = accounts([*people(40), *people(2, "t")])
    records = night(before, everybody)
    changed = [replace(before[0], students=mis_ids(*people(40)[5:])), teaching("T9", "New", ["p7"], ["t1"])]
    planned = plan(changed, everybody[20:], records)
    assert [hold.kind for hold in planned.holds] == [HoldKind.ACCOUNT_MATCHING]
    assert [desired.key for desired in planned.classes] == ["2026.year.Y7"]
    assert planned.classes[0] == records[ClassKey("2026.year.Y7")].desired
    assert planned.ended == ()


def test_an_approval_lets_exactly_this_plan_through() -> None:
    groups, known = school(100, 5), accounts([*people(100)[30:], *people(5, "t")])
    (shown,) = plan(groups, known).holds
    approved = replace(NO_PAST, holds=(replace(shown, status=HoldStatus.APPROVED),))
    assert len(plan(groups, known, past=approved).classes) == 6
    assert plan(groups, known[1:], past=approved).matching_failed
    rejected = replace(NO_PAST, holds=(replace(shown, status=HoldStatus.REJECTED),))
    assert plan(groups, known, past=rejected).holds[0].status is HoldStatus.REJECTED


@pytest.mark.parametrize(("unmatched", "held"), [(25, False), (30, False), (39, False), (40, True), (100, True)])
def test_a_rate_that_an_admin_approved_is_held_again_only_if_many_more_find_no_account(
    unmatched: int, held: bool
) -> None:
    past = replace(NO_PAST, rates=MatchRates(MatchRate(200, 60), None))
    assert plan(school(100, 0), accounts(people(100)[unmatched:]), past=past).matching_failed is held


def test_a_rate_just_below_the_limit_approves_nothing() -> None:
    past = replace(NO_PAST, rates=MatchRates(MatchRate(100, 20), None))
    assert plan(school(100, 0), accounts(people(100)[21:]), past=past).matching_failed


def test_a_plan_of_some_classes_is_held_like_the_whole_school() -> None:
    groups, known = school(100, 5), accounts([*people(100)[30:], *people(5, "t")])
    (whole,), (some,) = plan(groups, known).holds, plan(groups, known, scope=["T1"]).holds
    assert some == whole


def test_people_of_types_that_are_not_chosen_do_not_count() -> None:
    ruled = desired_classes(snapshot(school(100, 30)), settings(types=["year"]), accounts(people(100)), {}, {})
    assert ruled.matching.rates == MatchRates(MatchRate(100, 0), MatchRate(0, 0))
    assert MatchRate(0, 0).matched == 1


# --- a match that is lost

ART = teaching("T1", "Art", people(10), ["main"])
EVERYBODY = accounts([*people(10), "main"])
ART_KEY = ClassKey("2026.teaching.T1")


def renamed(*names: str) -> list[Account]:
    """Everybody's accounts, of which some have other user names now."""
    others = {entra_id(name): one for name in names for one in accounts([name], "other.example")}
    return [others.get(one.id, one) for one in EVERYBODY]


def test_a_person_whose_match_is_lost_stays_until_an_admin_agrees() -> None:
    records = night([ART], EVERYBODY)
    planned = plan([ART], renamed("p3", "p4", "main"), records)
    assert planned.classes == (records[ART_KEY].desired,)
    (hold,) = planned.holds
    (part,) = hold.classes
    assert (hold.kind, part.people, part.leaving) == (
        HoldKind.LOST_MATCHING,
        ("main", "p3", "p4"),
        tuple(sorted(entra_ids(["main", "p3", "p4"]))),
    )
    assert (part.key, hold.approval, hold.value) == (ART_KEY, Approval.TWO_STEPS, 3)
    assert hold.what == "3 people had an account and find none now: they stay in their classes (1)"
    assert "settings" in hold.remedy and "approve" not in hold.remedy

    approved = replace(NO_PAST, holds=(replace(hold, status=HoldStatus.APPROVED),))
    (left,) = plan([ART], renamed("p3", "p4", "main"), records, approved).classes
    assert left.members == entra_ids(people(10)) - entra_ids(["p3", "p4"])
    assert not left.revoke


def test_everybody_else_still_comes_and_goes() -> None:
    records = night([ART], EVERYBODY)
    changed = replace(ART, students=mis_ids(*people(10)[1:], "new"))
    planned = plan([changed], [*renamed("p3"), *accounts(["new"])], records)
    assert planned.classes[0].members == (entra_ids([*people(10), "main", "new"]) - entra_ids(["p0"]))


@pytest.mark.parametrize(
    ("students", "known"),
    [
        (people(10)[1:], renamed("p0")),
        (people(10), [one for one in EVERYBODY if one.id != entra_id("p0")]),
    ],
    ids=["left the group", "the account is deleted"],
)
def test_a_person_who_left_the_group_or_whose_account_is_gone_does_leave(
    students: list[str], known: list[Account]
) -> None:
    planned = plan([replace(ART, students=mis_ids(*students))], known, night([ART], EVERYBODY))
    assert planned.holds == ()
    assert entra_id("p0") not in planned.classes[0].members


def test_a_person_who_finds_another_account_now_moves_to_it() -> None:
    known = [*renamed("p0"), *(replace(one, id=entra_id("new p0")) for one in accounts(["p0"]))]
    planned = plan([ART], known, night([ART], EVERYBODY))
    assert planned.holds == ()
    assert entra_id("new p0") in planned.classes[0].members
    assert entra_id("p0") not in planned.classes[0].members


def test_an_admin_owner_loses_nothing_by_matching() -> None:
    admin = {"admin_owners": ["main@other.example"]}
    ruled = desired_classes(snapshot([ART]), settings(**admin), renamed("main"), night([ART], EVERYBODY), {})
    assert ruled.matching.lost == {}


@pytest.mark.parametrize(
    "change",
    [{"gone": True}, {"desired": {"ended": True}}, {"desired": {"deleted": True}}],
    ids=["gone", "ended", "deleted"],
)
def test_a_class_that_no_sync_changes_loses_nothing(change: dict[str, Any]) -> None:
    (record,) = night([ART], EVERYBODY).values()
    desired = replace(record.desired, **change.get("desired", {}))
    record = replace(record, desired=desired, gone=change.get("gone", False))
    ruled = desired_classes(snapshot([ART]), settings(), renamed("p3"), {record.key: record}, {})
    assert ruled.matching.lost == {}


def test_a_pinned_class_loses_nothing_and_follows_its_pin_while_the_plan_is_held() -> None:
    records = night([ART], EVERYBODY)
    ruled = desired_classes(snapshot([ART]), settings(), renamed("p3"), records, {}, pinned={ART_KEY})
    assert ruled.matching.lost == {}

    pinned = replace(records[ART_KEY].desired, pinned=True, members=entra_ids(["main", *people(9)]))
    failed = desired_classes(snapshot([ART]), settings(), renamed(*people(10)), records, {}, pinned={ART_KEY})
    restraint = Restraint(records, Limits(), NO_PAST, RunId("run"), NOON, failed)
    planned = restraint.apply([pinned], whole=True)
    assert planned.matching_failed
    assert planned.classes == (pinned,)


def test_an_approved_loss_counts_against_no_other_limit() -> None:
    records = night([ART], EVERYBODY)
    lost = renamed(*people(9))
    (hold,) = plan([ART], lost, records).holds
    approved = replace(NO_PAST, holds=(replace(hold, status=HoldStatus.APPROVED),))
    planned = plan([ART], lost, records, approved)
    assert [each.kind for each in planned.holds] == [HoldKind.LOST_MATCHING]
    assert planned.removals == 0
    assert planned.classes[0].members == entra_ids(["p9", "main"])


def test_a_plan_of_some_classes_shows_the_same_hold() -> None:
    other = teaching("T2", "Music", people(10), ["main"])
    records = night([ART, other], EVERYBODY)
    (whole,) = plan([ART, other], renamed("p3"), records).holds
    planned = plan([ART, other], renamed("p3"), records, scope=["T1"])
    assert planned.holds == (whole,)
    assert planned.classes == (records[ART_KEY].desired,)
