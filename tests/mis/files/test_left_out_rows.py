"""Rows that cannot be understood, one a case: each is left out and recorded, and nothing else is lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from local.feed import read_feed
from sync_core.domain.roster import Doubt, Snapshot
from tests.builders import mis_ids
from tests.mis import feeds

ROSTER, ROLES, V2, V1 = feeds.oneroster, feeds.oneroster_1_2, feeds.sds_v2, feeds.sds_v1

# feed, file, its text, the bad text in its place, the row that is left out, and what is in doubt: groups, people,
# memberships
Case = tuple[Callable[[], feeds.Feed], str, str, str, str, str, str, str]
TABLE: list[Case] = [
    (
        ROSTER,
        "users.csv",
        "p2,,,",
        "p1,,,",
        "users.csv line 3: sourcedId: repeats the id of users.csv line 2, with other values",
        "",
        "p1",
        "R1 p2",
    ),
    (ROSTER, "users.csv", "p2,,,", ",,,", "users.csv line 3: sourcedId: is empty", "", "?", "R1 p2"),
    (ROSTER, "users.csv", "p2,,,true,", "p2,,,", "users.csv line 3: has 12 cells instead of 13", "", "? p2", ""),
    (ROSTER, "users.csv", "Ben,Pupil", 'Ben,"Pupil', "users.csv line 3: has 14 cells instead of 13", "", "? p2", ""),
    (ROSTER, "users.csv", "Ben,Pupil", 'Ben,"Pu"pil', "users.csv line 3: has 14 cells instead of 13", "", "? p2", ""),
    (
        ROSTER,
        "users.csv",
        "S1,student,APupil",
        "S9,student,APupil",
        "users.csv line 2: orgSourcedIds: names no school in orgs.csv, nor a part of one",
        "",
        "p1",
        "",
    ),
    (
        ROSTER,
        "users.csv",
        "p1,,,",
        "p1,maybe,,",
        "users.csv line 2: status: is neither active nor tobedeleted",
        "",
        "p1",
        "",
    ),
    (
        ROSTER,
        "users.csv",
        "S1,student,APupil",
        "S1,chorister,APupil",
        "users.csv line 2: role: is not a role of OneRoster",
        "",
        "p1",
        "",
    ),
    (
        ROSTER,
        "classes.csv",
        "scheduled",
        "choir",
        "classes.csv line 2: classType: is neither homeroom nor scheduled",
        "C1",
        "",
        "",
    ),
    (ROSTER, "classes.csv", "10A/Ma1", "", "classes.csv line 2: title: is empty", "C1", "", ""),
    (
        ROSTER,
        "classes.csv",
        "homeroom,S1",
        "homeroom,S2",
        "classes.csv line 3: schoolSourcedId: names no school in orgs.csv, nor a part of one",
        "R1",
        "",
        "",
    ),
    (
        ROSTER,
        "classes.csv",
        "homeroom,S1",
        "homeroom,D1",
        "classes.csv line 3: schoolSourcedId: names no school in orgs.csv, nor a part of one",
        "R1",
        "",
        "",
    ),
    (ROSTER, "classes.csv", "R1,,,", ",,,", "classes.csv line 3: sourcedId: is empty", "?", "", "R1 p2, R1 t1"),
    (
        ROSTER,
        "classes.csv",
        "R1,,,",
        "C1,,,",
        "classes.csv line 3: sourcedId: repeats the id of classes.csv line 2, with other values",
        "C1",
        "",
        "R1 p2, R1 t1",
    ),
    (
        ROSTER,
        "classes.csv",
        '"T1,T2"',
        "T9",
        "classes.csv line 2: termSourcedIds: names no session whose academic year is known in academicSessions.csv",
        "C1",
        "",
        "",
    ),
    (ROSTER, "classes.csv", '"T1,T2"', "", "classes.csv line 2: termSourcedIds: is empty", "C1", "", ""),
    (
        ROSTER,
        "enrollments.csv",
        "E3,,,C1",
        "E3,,,C9",
        "enrollments.csv line 4: classSourcedId: is not in classes.csv",
        "",
        "",
        "C9 p1",
    ),
    (
        ROSTER,
        "enrollments.csv",
        "E3,,,C1",
        "E3,,,c1",
        "enrollments.csv line 4: classSourcedId: is not in classes.csv, which has it with other capitals",
        "",
        "",
        "c1 p1, C1 p1",
    ),
    (ROSTER, "enrollments.csv", "E3,,,C1", "E3,,,", "enrollments.csv line 4: classSourcedId: is empty", "", "", "? p1"),
    (
        ROSTER,
        "enrollments.csv",
        "S1,p1,student",
        "S1,p9,student",
        "enrollments.csv line 4: userSourcedId: is not in users.csv",
        "",
        "",
        "C1 p9",
    ),
    (
        ROSTER,
        "enrollments.csv",
        "S1,p1,student",
        "S1,P1,student",
        "enrollments.csv line 4: userSourcedId: is not in users.csv, which has it with other capitals or leading zeros",
        "",
        "",
        "C1 P1, C1 p1",
    ),
    (
        ROSTER,
        "enrollments.csv",
        "S1,p1,student",
        "S1,p1.0,student",
        "enrollments.csv line 4: userSourcedId: is not in users.csv, which has it with other capitals or leading zeros",
        "",
        "",
        "C1 p1.0, C1 p1",
    ),
    (
        ROSTER,
        "enrollments.csv",
        "S1,p1,student",
        "S1,,student",
        "enrollments.csv line 4: userSourcedId: is empty",
        "",
        "",
        "C1 ?",
    ),
    (
        ROSTER,
        "enrollments.csv",
        "p1,student",
        "p1,chorister",
        "enrollments.csv line 4: role: is not a role of OneRoster",
        "",
        "",
        "C1 p1",
    ),
    (ROSTER, "enrollments.csv", "p1,student", "p1,", "enrollments.csv line 4: role: is empty", "", "", "C1 p1"),
    (
        ROSTER,
        "enrollments.csv",
        "teacher,true",
        "teacher,maybe",
        "enrollments.csv line 3: primary: is neither true nor false",
        "",
        "",
        "C1 t2",
    ),
    (
        ROSTER,
        "enrollments.csv",
        "E3,,,C1,S1,p1,student,false",
        "E3,C1,S1,p1",
        "enrollments.csv line 4: has 4 cells instead of 8",
        "",
        "",
        "? ?",
    ),
    (ROLES, "roles.csv", ",,,p1,", ",,,p9,", "roles.csv line 2: userSourcedId: is not in users.csv", "", "p9", ""),
    (
        ROLES,
        "roles.csv",
        "r1,,,",
        "r1,maybe,,",
        "roles.csv line 2: status: is neither active nor tobedeleted",
        "",
        "p1",
        "",
    ),
    (
        ROLES,
        "roles.csv",
        "student,,,S1",
        "student,soon,,S1",
        "roles.csv line 2: beginDate: is not a date",
        "",
        "p1",
        "",
    ),
    (
        ROLES,
        "roles.csv",
        "student,,,S1",
        "student,,,S9",
        "users.csv line 2: orgSourcedIds: names no school in orgs.csv, nor a part of one",
        "",
        "p1",
        "",
    ),
    (V2, "roles.csv", "t1,O1,prof", "t9,O1,prof", "roles.csv line 3: userSourcedId: is not in users.csv", "", "t9", ""),
    (
        V2,
        "roles.csv",
        "O1,student",
        "O1,chorister",
        "roles.csv line 2: role: is not a role of School Data Sync",
        "",
        "p1",
        "",
    ),
    (
        V2,
        "enrollments.csv",
        "C1,t2",
        "C9,t2",
        "enrollments.csv line 3: classSourcedId: is not in classes.csv",
        "",
        "",
        "C9 t2",
    ),
    (V2, "enrollments.csv", "p1,student", "p1,", "enrollments.csv line 2: role: is empty", "", "", "C1 p1"),
    (
        V1,
        "Section.csv",
        "C2,1234567,Old,9/1/2026,7/21/2027,Inactive",
        "C2,7654321,Old,,,",
        "Section.csv line 3: School DfE Number: is not in School.csv",
        "C2",
        "",
        "",
    ),
    (
        V1,
        "Section.csv",
        "Old,9/1/2026,7/21/2027,Inactive",
        "Old,soon,,",
        "Section.csv line 3: Term StartDate: is not a date",
        "C2",
        "",
        "",
    ),
    (
        V1,
        "Section.csv",
        "Inactive",
        "Paused",
        "Section.csv line 3: Status: is neither Active nor Inactive",
        "C2",
        "",
        "",
    ),
    (
        V1,
        "Student.csv",
        "1,1234567,AP",
        "1,7654321,AP",
        "Student.csv line 2: School DfE Number: is not in School.csv",
        "",
        "student:1",
        "",
    ),
    (
        V1,
        "Student.csv",
        "2,1234567,Left",
        "1,1234567,Left",
        "Student.csv line 3: ID: is in an earlier row, with another username or address",
        "",
        "student:1",
        "C1 student:2",
    ),
    (V1, "Student.csv", "2,1234567,Left", ",1234567,Left", "Student.csv line 3: ID: is empty", "", "?", "C1 student:2"),
    (
        V1,
        "StudentEnrollment.csv",
        "C1,1",
        "C9,1",
        "StudentEnrollment.csv line 2: Section ID: is not in Section.csv",
        "",
        "",
        "C9 student:1",
    ),
    (
        V1,
        "TeacherRoster.csv",
        "C1,2",
        "C1,9",
        "TeacherRoster.csv line 3: ID: is not in Teacher.csv",
        "",
        "",
        "C1 teacher:9",
    ),
]


@pytest.mark.parametrize(("feed", "file", "before", "instead", "left_out", "groups", "people", "memberships"), TABLE)
def test_a_bad_row_is_left_out_and_what_it_says_is_in_doubt(
    feed: Callable[[], feeds.Feed],
    file: str,
    before: str,
    instead: str,
    left_out: str,
    groups: str,
    people: str,
    memberships: str,
    tmp_path: Path,
) -> None:
    files = feed()
    assert before in files[file]
    files[file] = files[file].replace(before, instead, 1)
    (read,) = read_feed(feeds.write(files, tmp_path), feeds.TODAY).values()
    recorded = [str(row).replace(', column "', ": ").replace('": ', ": ") for row in read.left_out]
    assert any(row.startswith(left_out) for row in recorded), recorded
    assert all(row.remedy and row.reason for row in read.left_out)
    pairs = [pair.split() for pair in memberships.split(", ") if pair]
    assert read.doubt == Doubt(
        frozenset(mis_ids(*(id_.strip("?") for id_ in groups.split()))),
        frozenset(mis_ids(*(id_.strip("?") for id_ in people.split()))),
        frozenset(mis_ids(*(id_.strip("?") for id_ in pair)) for pair in pairs),  # type: ignore[misc]
    )
    for private in ("Anne", "Ben", "APupil", "ben@else.org", "secret", "chorister"):
        assert private not in repr(read.left_out)
    everything = (row for each in read.groups for row in (*each.students, *each.teachers))
    assert set(everything) <= set(_whole(feed, tmp_path).people)


@pytest.mark.parametrize("feed", [ROSTER, ROLES, V2, V1])
def test_a_repeated_row_that_says_the_same_is_harmless(feed: Callable[[], feeds.Feed], tmp_path: Path) -> None:
    files = feed()
    for name, text in files.items():
        header, *rows = text.splitlines(keepends=True)
        files[name] = "".join((header, *rows, *rows))
    (read,) = read_feed(feeds.write(files, tmp_path / "twice"), feeds.TODAY).values()
    whole = _whole(feed, tmp_path)
    assert (read.groups, read.people, read.left_out, read.doubt) == (whole.groups, whole.people, (), Doubt())


def test_the_faults_of_one_school_are_not_those_of_another(tmp_path: Path) -> None:
    files = feeds.oneroster()
    files["orgs.csv"] += "S2,,,Other School,school,7654321,D1\n"
    files["classes.csv"] += "X1,,,9Z,homeroom,S2,T1\n"
    files["users.csv"] += "x1,,,true,S2,student,x1,,X,X,,9,secret\n"
    files["enrollments.csv"] += "".join(f"X{n},,,X1,S2,gone{n},student,\n" for n in range(30))
    read = read_feed(feeds.write(files, tmp_path), feeds.TODAY)
    assert {id_: sum(count.left_out for count in snapshot.counts) for id_, snapshot in read.items()} == {
        "S1": 0,
        "S2": 30,
    }
    assert not read[next(iter(read))].doubt


def test_a_school_whose_own_row_is_unread_does_not_stop_the_others(tmp_path: Path) -> None:
    files = feeds.oneroster()
    files["classes.csv"] += "".join(f"X{n},,,9Z,homeroom,S2,T1\n" for n in range(30))
    (read,) = read_feed(feeds.write(files, tmp_path), feeds.TODAY).values()
    assert [(count.source, count.left_out, count.counts) for count in read.counts] == [("classes.csv", 30, False)]


def _whole(feed: Callable[[], feeds.Feed], folder: Path) -> Snapshot:
    (read,) = read_feed(feeds.write(feed(), folder / "whole"), feeds.TODAY).values()
    return read
