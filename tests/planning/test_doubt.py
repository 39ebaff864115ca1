"""In doubt nobody leaves: whatever rows of a feed are damaged, people and classes that they may be about stay."""

from __future__ import annotations

import csv
import io
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from local.feed import read_feed
from sync_core.domain.accounts import Account, AccountProperty
from sync_core.domain.classes.desired import DesiredClass
from sync_core.domain.classes.record import Records
from sync_core.domain.ids import ClassKey
from sync_core.domain.roster import Doubt, GroupType, Snapshot
from sync_core.domain.school.limits import Limits
from sync_core.errors import SnapshotRejected
from sync_core.planning.limits.snapshot import check_left_out
from sync_core.planning.membership import RuledSchool, desired_classes
from tests.builders import accounts, entra_id, entra_ids, mis_ids, snapshot, synced, teaching
from tests.builders import settings as school_settings
from tests.mis import feeds

PEOPLE = ["amy", "ben", "tom", "tia"]
MATHS = teaching("C1", "10A/Ma1", ["amy", "ben"], ["tom", "tia"])
FORM = replace(teaching("R1", "10A", ["amy"], ["tom"]), type=GroupType.REGISTRATION)
ALL = school_settings(teaching_owners="all", departed_owners="revoke")


def plan(read: Snapshot, known: Records | None = None) -> RuledSchool:
    upns = {person.username or person.email or person.id for person in read.people.values()}
    named = [Account(entra_id(upn), {AccountProperty.UPN: upn.lower()}) for upn in upns if "@" in upn]
    names = dict.fromkeys((*PEOPLE, *(upn for upn in upns if "@" not in upn)))
    return desired_classes(read, ALL, [*accounts(names), *named], known or {}, {})


def records(ruled: RuledSchool) -> Records:
    return {desired.key: synced(desired) for desired in ruled.classes}


KNOWN = records(plan(snapshot([MATHS, FORM])))
MATHS_KEY, FORM_KEY = (ClassKey(f"2026.{name}") for name in ("teaching.C1", "registration.R1"))


def memberships(*pairs: str) -> Doubt:
    return Doubt(memberships=frozenset(mis_ids(*(id_.strip("?") for id_ in pair.split())) for pair in pairs))  # type: ignore[misc]


# what is in doubt, what the feed still has of the class C1, and who of its two pupils and two teachers stays
STAYS = [
    ("a pupil's own row", Doubt(people=frozenset(mis_ids("amy"))), ["ben"], ["tom", "tia"], "amy ben tom tia"),
    ("a teacher's own row", Doubt(people=frozenset(mis_ids("tia"))), ["ben"], ["tom"], "ben tom tia"),
    ("a row of somebody", Doubt(people=frozenset(mis_ids(""))), ["ben"], ["tom", "tia"], "ben tom tia"),
    ("the class's own row", Doubt(groups=frozenset(mis_ids("C1"))), ["ben"], ["tom"], "amy ben tom tia"),
    ("an enrolment", memberships("C1 amy"), ["ben"], ["tom", "tia"], "amy ben tom tia"),
    ("somebody's enrolment", memberships("C1 ?"), ["ben"], ["tom"], "amy ben tom tia"),
    ("an enrolment somewhere", memberships("? amy"), ["ben"], ["tom", "tia"], "amy ben tom tia"),
    ("an enrolment, unreadable", memberships("? ?"), [], [], "amy ben tom tia"),
    ("another class", memberships("R1 ben"), ["amy"], ["tom", "tia"], "amy tom tia"),
    ("nothing", Doubt(), ["ben"], ["tom", "tia"], "ben tom tia"),
]


@pytest.mark.parametrize(("what", "doubt", "students", "teachers", "stays"), STAYS)
def test_who_is_in_doubt_stays(what: str, doubt: Doubt, students: list[str], teachers: list[str], stays: str) -> None:
    read = replace(snapshot([teaching("C1", "10A/Ma1", students, teachers), FORM]), doubt=doubt)
    (maths,) = (desired for desired in plan(read, KNOWN).classes if desired.key == MATHS_KEY)
    assert maths.members == entra_ids(stays.split())
    assert maths.owners == entra_ids({"tom", "tia"} & set(stays.split()))


@pytest.mark.parametrize(
    ("doubt", "ended"),
    [
        (Doubt(), True),
        (Doubt(groups=frozenset(mis_ids("C1"))), False),
        (Doubt(groups=frozenset(mis_ids(""))), False),
        (Doubt(groups=frozenset(mis_ids("R1"))), True),
        (Doubt(people=frozenset(mis_ids("ben"))), False),
        (memberships("C1 zoe"), False),
        (memberships("? zoe"), False),
        (Doubt(types=frozenset({GroupType.TEACHING})), False),
        (Doubt(types=frozenset({GroupType.YEAR})), True),
    ],
)
def test_a_class_in_doubt_is_not_ended(doubt: Doubt, ended: bool) -> None:
    ruled = plan(replace(snapshot([FORM]), doubt=doubt), KNOWN)
    assert [desired.key for desired in ruled.ended] == ([MATHS_KEY] if ended else [])
    assert [desired.key for desired in ruled.classes] == [FORM_KEY]


def test_the_reasons_of_people_in_doubt_stay_so_that_the_next_plan_writes_nothing() -> None:
    read = replace(snapshot([teaching("C1", "10A/Ma1", ["ben"], ["tom", "tia"]), FORM]), doubt=memberships("C1 amy"))
    once = plan(read, KNOWN)
    assert plan(read, records(once)).classes == once.classes
    assert {desired.key: desired.reasons for desired in once.classes} == {
        key: record.desired.reasons for key, record in KNOWN.items()
    }


# --- whole feeds

_FILES = {
    feeds.oneroster: ("classes.csv", "users.csv", "enrollments.csv"),
    feeds.oneroster_1_2: ("classes.csv", "users.csv", "enrollments.csv", "roles.csv"),
    feeds.sds_v2: ("classes.csv", "users.csv", "enrollments.csv", "roles.csv"),
    feeds.sds_v1: ("Section.csv", "Student.csv", "Teacher.csv", "StudentEnrollment.csv", "TeacherRoster.csv"),
}
_READ_WORDS = ("status", "role", "classtype", "primary")


@st.composite
def damaged_feeds(draw: st.DrawFn) -> tuple[feeds.Feed, feeds.Feed]:
    """A feed, and the same feed with cells of some rows emptied or garbled, or with rows cut short."""
    feed = draw(st.sampled_from(list(_FILES)))
    whole, damaged = feed(), feed()
    for _ in range(draw(st.integers(1, 3))):
        name = draw(st.sampled_from(_FILES[feed]))
        header, *rows = csv.reader(io.StringIO(damaged[name]))
        number = draw(st.integers(0, len(rows) - 1))
        row = rows[number]
        column = draw(st.integers(0, len(row) - 1))
        ids_or_words = header[column].lower()
        if draw(st.booleans()):
            del row[max(column, 1) :]
        elif "id" in ids_or_words.split() or ids_or_words.endswith("sourcedid") or ids_or_words in _READ_WORDS[1:2]:
            row[column] = ""
        elif ids_or_words in _READ_WORDS:
            row[column] = "garbled"
        assume(any(row))  # a row without any cell is no row
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([header, *(row for row in rows if row)])
        damaged[name] = text.getvalue()
    return whole, damaged


@settings(max_examples=150)
@given(damaged_feeds())
def test_whatever_rows_are_damaged_nobody_leaves(feeds_: tuple[feeds.Feed, feeds.Feed]) -> None:
    whole, damaged = (_read(feed) for feed in feeds_)
    if whole is None or damaged is None:
        return
    before = plan(whole)
    after = plan(damaged, records(before))
    now = {desired.key: desired for desired in after.classes}
    ended = {desired.key for desired in after.ended}
    for desired in before.classes:
        assert desired.key not in ended
        assert _people(desired) <= _people(now.get(desired.key, desired))


def _people(desired: DesiredClass) -> set[tuple[str, str]]:
    return {("member", id_) for id_ in desired.members} | {("owner", id_) for id_ in desired.owners}


def _read(feed: feeds.Feed) -> Snapshot | None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            return next(iter(read_feed(feeds.write(feed, Path(folder)), feeds.TODAY).values()))
        except SnapshotRejected:
            return None


# --- the threshold


@pytest.mark.parametrize(
    ("gone", "kept", "rejected"), [(20, 20, False), (21, 20, True), (21, 1_100, False), (30, 1_100, True)]
)
def test_a_feed_is_rejected_above_a_share_and_a_number_of_rows(
    gone: int, kept: int, rejected: bool, tmp_path: Path
) -> None:
    files = feeds.oneroster()
    files["users.csv"] += "".join(f"k{n},,,true,S1,student,k{n},,X,X,,10,secret\n" for n in range(kept))
    files["enrollments.csv"] += "".join(f"K{n},,,C1,S1,k{n},student,\n" for n in range(kept))
    files["enrollments.csv"] += "".join(f"X{n},,,C1,S1,gone{n},student,\n" for n in range(gone))
    (read,) = read_feed(feeds.write(files, tmp_path), feeds.TODAY).values()
    if not rejected:
        check_left_out(read, Limits())
        return
    with pytest.raises(SnapshotRejected) as caught:
        check_left_out(read, Limits())
    assert f"{gone} of {gone + kept + 5} rows of enrollments.csv cannot be read" in caught.value.message
    assert caught.value.message.count("is not in users.csv") == 10
    assert f"and {gone - 10} more" in caught.value.message
    assert "gone1" not in str(caught.value)
    check_left_out(read, Limits(left_out=1.0))
