"""Extra owners: granted until a date by class or by rule, and nothing else of the class changes when it is over."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.tenant.names import DOMAIN
from sync_core.domain.classes.choices import Choices, ClassChoice, Follow, Grant, OwnerRule
from sync_core.domain.classes.desired import DesiredClass, GrantRecord, Pin, Reason, Rule
from sync_core.domain.classes.record import ClassRecord, ClassState, Records
from sync_core.domain.ids import AccountId, ClassKey, RunId
from sync_core.domain.roster import Doubt, GroupType, MisGroup
from sync_core.domain.runs import Cause
from sync_core.messaging.messages import RevokeOwners, SyncSchool
from sync_core.planning.diff import Origin, make_plan
from sync_core.planning.extra_owners import ExtraOwners, extra_owners
from sync_core.planning.limits.past import Past
from sync_core.planning.membership import desired_classes
from sync_core.planning.naming.class_keys import class_key
from sync_core.planning.pinned import pinned_classes
from sync_core.planning.planned import SchoolPlan
from sync_core.planning.school_plan import plan_within_limits
from tests.builders import NOON, SCHOOL, accounts, entra_id, entra_ids, settings, snapshot, synced, teaching

PUPILS = ["amy", "ben", "cleo", "dan"]
EVERYBODY = accounts([*PUPILS, "tom", "una", "cover", "head"])
KNOWN = frozenset(account.id for account in EVERYBODY)
LAST_DAY = date(2026, 12, 18)
GRANT = Grant(until=LAST_DAY, reason="cover", given_by=entra_id("admin"), given_at=NOON)
COVER, HEAD = entra_id("cover"), entra_id("head")
COVERS = frozenset({COVER})
MATHS = teaching("G1", "10A/Ma1", PUPILS, ["tom"])
ART = teaching("G2", "10A/Ar1", ["amy"], ["una"])
KEY, ART_KEY = class_key(MATHS), class_key(ART)


def owners_on(day: date, *choices: ClassChoice, rules: tuple[OwnerRule, ...] = ()) -> ExtraOwners:
    return ExtraOwners(Choices({choice.key: choice for choice in choices}, rules), day, KNOWN)


def covered(account: AccountId = COVER, **changed: Any) -> ClassChoice:
    return replace(ClassChoice(key=KEY, owners={account: GRANT}), **changed)


def plan(
    groups: list[MisGroup],
    records: Records,
    extra: ExtraOwners,
    pins: tuple[Pin, ...] = (),
    known: Any = EVERYBODY,
    doubt: Doubt | None = None,
    **chosen: Any,
) -> SchoolPlan:
    chosen_settings = settings(**{"limits": {"unmatched": 0.3, "unmatched_people": 1}, **chosen})
    past = Past(0, None, ())
    keys = frozenset(pin.key for pin in pins)
    feed = replace(snapshot(groups), doubt=doubt or Doubt())
    ruled = desired_classes(feed, chosen_settings, known, records, {}, pinned=keys, extra=extra)
    wanted = (*ruled.classes, *pinned_classes(pins, records, extra))
    request = SyncSchool(SCHOOL.id, RunId("run"), Cause.NIGHTLY)
    return plan_within_limits(wanted, records, chosen_settings, request, past, NOON, ruled, extra, whole=True)


def after(planned: SchoolPlan) -> Records:
    return dict(planned.records) | {wanted.key: synced(wanted) for wanted in planned.plan.writes}


DURING, OVER = owners_on(LAST_DAY, covered()), owners_on(LAST_DAY + timedelta(days=1), covered())
BEFORE = after(plan([MATHS], {}, owners_on(LAST_DAY)))
GRANTED = after(plan([MATHS], BEFORE, DURING))


def test_an_extra_owner_owns_the_class_until_the_last_day_and_the_reason_says_which_grant() -> None:
    wanted = GRANTED[KEY].desired
    assert wanted.owners == {COVER, entra_id("tom")}
    assert wanted.reasons[COVER] == Reason(Rule.EXTRA_OWNER, GrantRecord(entra_id("admin"), "2026-12-18").text)
    assert GrantRecord.of(wanted.reasons[COVER].record) == GrantRecord(entra_id("admin"), "2026-12-18")
    assert plan([MATHS], GRANTED, DURING).plan.writes == ()


@pytest.mark.parametrize("departed", ["keep", "revoke"])
def test_when_it_is_over_the_person_loses_the_ownership_whatever_departed_owners_says(departed: str) -> None:
    planned = plan([MATHS], GRANTED, OVER, departed_owners=departed)
    (diff,) = planned.plan.diffs
    assert (diff.owners_revoked, diff.members_removed, diff.members_added) == (COVERS, COVERS, frozenset())
    assert planned.final[KEY].expired_owners == {COVER}
    assert planned.final[KEY].owners == {entra_id("tom")}
    assert any(
        f"extra owners whose time is over, by class and account: 1 ({KEY}/{COVER})" in note
        for note in planned.run.notes
    )
    (quiet,) = [plan([MATHS], after(planned), OVER, departed_owners=departed)]
    assert (quiet.plan.writes, quiet.plan.diffs) == ((), ())
    assert not any("extra owners" in note for note in quiet.run.notes)


def test_a_grant_that_is_taken_back_is_over_at_once() -> None:
    (diff,) = plan([MATHS], GRANTED, owners_on(LAST_DAY)).plan.diffs
    assert diff.owners_revoked == {COVER}


def test_only_what_the_sync_granted_is_revoked() -> None:
    by_hand = replace(GRANTED[KEY], actual=replace(GRANTED[KEY].actual, granted=entra_ids(["tom"])))  # type: ignore[type-var]
    (diff,) = plan([MATHS], {KEY: by_hand}, OVER).plan.diffs
    assert diff.owners_revoked == frozenset()


def test_with_keep_nobody_else_loses_the_ownership() -> None:
    other_teacher = replace(MATHS, teachers=ART.teachers)
    (diff,) = plan([other_teacher], GRANTED, OVER).plan.diffs
    assert diff.owners_revoked == {COVER}


@pytest.mark.parametrize(("account", "rule"), [(entra_id("tom"), Rule.TEACHER), (HEAD, Rule.ADMIN_OWNER)])
def test_an_owner_by_another_rule_with_a_grant_stays_when_it_is_over(account: AccountId, rule: Rule) -> None:
    chosen: dict[str, Any] = {"admin_owners": [f"head@{DOMAIN}"]}
    known = after(plan([MATHS], BEFORE, owners_on(LAST_DAY, covered(account)), **chosen))
    assert known[KEY].desired.reasons[account].rule is rule
    planned = plan([MATHS], known, owners_on(LAST_DAY + timedelta(days=1), covered(account)), **chosen)
    assert (planned.plan.diffs, planned.final[KEY].expired_owners) == ((), frozenset())


def test_a_pupil_with_a_grant_stays_a_member_when_it_is_over_even_if_the_class_is_held() -> None:
    amy = entra_id("amy")
    known = after(plan([MATHS], BEFORE, owners_on(LAST_DAY, covered(amy))))
    assert (amy in known[KEY].desired.owners, known[KEY].desired.reasons[amy].rule) == (True, Rule.STUDENT)
    day_after = owners_on(LAST_DAY + timedelta(days=1), covered(amy))
    for accounts_then in (EVERYBODY, accounts(["amy", "tom", "cover", "head"])):
        planned = plan([MATHS], known, day_after, known=accounts_then)
        assert planned.matching_failed is (accounts_then is not EVERYBODY)
        assert amy in planned.final[KEY].members
        assert (amy in planned.final[KEY].owners, planned.plan.diffs[0].owners_revoked) == (False, frozenset({amy}))


def test_no_hold_keeps_an_access_that_is_over() -> None:
    planned = plan([MATHS], GRANTED, OVER, known=accounts(["tom", "cover", "head"]))
    assert planned.matching_failed
    (diff,) = planned.plan.diffs
    assert (diff.owners_revoked, diff.members_removed) == (COVERS, COVERS)


def test_a_pinned_class_gets_and_loses_its_extra_owners() -> None:
    known = BEFORE[KEY].desired
    pin = Pin(key=KEY, members=known.members, owners=known.owners, undone=RunId(""), run=RunId("pin"))
    during = plan([MATHS], BEFORE, DURING, (pin,))
    assert during.final[KEY].owners == {COVER, entra_id("tom")}
    for pinned in (pin, replace(pin, owners=pin.owners | {COVER})):
        over = plan([MATHS], after(during), OVER, (pinned,))
        assert over.final[KEY].owners == {entra_id("tom")}
        again = plan([MATHS], after(over), OVER, (pinned,))
        assert (again.plan.writes, again.final[KEY].owners) == ((), entra_ids(["tom"]))


def test_a_class_whose_group_left_the_mis_still_loses_them_and_gets_nobody() -> None:
    ended = after(plan([ART], GRANTED, DURING))
    assert (ended[KEY].state, ended[KEY].desired.owners) == (ClassState.ENDED, GRANTED[KEY].desired.owners)
    late = owners_on(LAST_DAY + timedelta(days=1), covered(), replace(covered(HEAD), key=KEY))
    planned = plan([ART], ended, owners_on(LAST_DAY + timedelta(days=1), covered()))
    assert planned.run.ended == ()
    (diff,) = [diff for diff in planned.plan.diffs if diff.key == KEY]
    assert (diff.owners_revoked, diff.members_added | diff.owners_granted) == (COVERS, frozenset())
    assert isinstance(diff.changes(Origin(SCHOOL.id, RunId("run"), Cause.NIGHTLY))[0], RevokeOwners)
    assert planned.final[KEY].ended
    assert HEAD not in plan([ART], ended, late).final[KEY].owners


def test_a_class_that_an_admin_ended_follows_the_mis_no_more_until_it_is_to_again() -> None:
    choice = ClassChoice(key=KEY, follow=Follow.ENDED)
    fewer = replace(MATHS, students=MATHS.students[:2])
    planned = plan([fewer], BEFORE, owners_on(LAST_DAY, choice))
    assert planned.run.ended == (KEY,)
    assert (planned.plan.diffs, planned.final[KEY]) == ((), replace(BEFORE[KEY].desired, ended=True))
    then = after(planned)
    next_year = replace(MATHS, academic_year=2027)
    assert plan([fewer], then, owners_on(LAST_DAY, choice)).plan.writes == ()
    reused = plan([next_year], then, owners_on(LAST_DAY, choice), rollover="reuse")
    assert (reused.run.created, reused.final[KEY]) == ((class_key(next_year),), then[KEY].desired)
    back = plan([MATHS], then, owners_on(LAST_DAY))
    assert not back.final[KEY].ended


RULE = OwnerRule(id="maths", prefix="10a/ma", account=HEAD, grant=replace(GRANT, until=None))


def test_an_owner_rule_covers_teaching_groups_by_the_beginning_of_their_names() -> None:
    form = replace(teaching("F", "10A/Ma", PUPILS), type=GroupType.REGISTRATION)
    planned = plan([MATHS, ART, form], {}, owners_on(LAST_DAY, rules=(RULE,)))
    assert {key for key, wanted in planned.wanted.items() if HEAD in wanted.owners} == {KEY}
    assert planned.wanted[KEY].reasons[HEAD].record == GrantRecord(entra_id("admin"), "", "maths").text
    over = plan([MATHS, ART, form], after(planned), owners_on(LAST_DAY))
    assert [(diff.key, diff.owners_revoked) for diff in over.plan.diffs] == [(KEY, frozenset({HEAD}))]


def test_an_extra_owner_without_an_account_is_reported_and_not_granted() -> None:
    planned = plan([MATHS], BEFORE, owners_on(LAST_DAY, covered(entra_id("nobody"))))
    assert planned.plan.writes == ()
    assert any(f"extra owners who have no account: 1 ({entra_id('nobody')})" in note for note in planned.run.notes)


def test_the_last_day_is_that_of_the_school() -> None:
    late = NOON.replace(month=7, day=31, hour=23, minute=30)
    assert extra_owners(Choices(), settings(time_zone="Europe/London"), KNOWN, late, []).today == date(2026, 8, 1)


days = st.integers(-2, 2).map(lambda days: LAST_DAY + timedelta(days=days))
some_grants = st.dictionaries(
    st.sampled_from([COVER, HEAD, entra_id("amy"), entra_id("tom")]),
    st.builds(lambda day: replace(GRANT, until=day), days | st.none()),
)


@given(some_grants, some_grants, days)
def test_who_is_there_by_another_rule_stays_and_the_overlay_is_idempotent(
    earlier: dict[AccountId, Grant], now: dict[AccountId, Grant], day: date
) -> None:
    bare: DesiredClass = BEFORE[KEY].desired
    before = owners_on(LAST_DAY - timedelta(days=3), ClassChoice(key=KEY, owners=earlier)).applied(bare, bare)
    extra = owners_on(day, ClassChoice(key=KEY, owners=now))
    wanted = extra.applied(bare, before)
    current = {account for account, grant in now.items() if grant.counts_on(day)}
    assert wanted.owners == bare.owners | current
    assert wanted.members == bare.members | current
    assert wanted.expired_owners == earlier.keys() - wanted.owners - {entra_id("tom")}
    assert extra.applied(wanted, before) == extra.applied(wanted, wanted) == wanted
    assert extra.applied(before, before).members - {COVER, HEAD} == bare.members
    record: ClassRecord = synced(before)
    (diff,) = make_plan([wanted], [], {ClassKey(KEY): record}).diffs or [None]
    assert (diff.owners_revoked if diff else frozenset()) == before.owners - wanted.owners
