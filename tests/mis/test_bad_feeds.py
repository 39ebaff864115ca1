"""Bad feeds, one a row: the fault, and the place and remedy that an admin reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from local.feed import open_feed, read_feed
from sync_core.errors import SnapshotRejected
from tests.mis import feeds

Change = tuple[Callable[[], feeds.Feed], str, str, str]

ROSTER, V2, V1 = feeds.oneroster, feeds.sds_v2, feeds.sds_v1
ROLES = feeds.oneroster_1_2

# feed, file, its text, the bad text in its place, text that the error must have
TABLE = [
    (
        ROSTER,
        "users.csv",
        "p2,,,",
        "p1,,,",
        'users.csv line 3, column "sourcedId": id p1 already appears in users.csv line 2',
    ),
    (ROSTER, "users.csv", "p2,,,", ",,,", 'users.csv line 3, column "sourcedId": is empty'),
    (ROSTER, "users.csv", "sourcedId,status", "SourcedId,status", 'users.csv line 1: no column "sourcedId"'),
    (ROSTER, "users.csv", "email,grades", "email,email", 'users.csv line 1: column "email" appears twice'),
    (ROSTER, "users.csv", "p2,,,true,", "p2,,,", "users.csv line 3: 12 columns instead of 13"),
    (ROSTER, "users.csv", ",S1,student,APupil", ",S9,student,APupil", "org S9 is not in orgs.csv"),
    (ROSTER, "users.csv", "Ben,Pupil", 'Ben,"Pupil', "users.csv line 3: cut off or badly quoted"),
    (ROSTER, "users.csv", "Ben", "B\0n", "users.csv line 3: has a NUL character"),
    (ROSTER, "users.csv", "p1,,,", "p1,maybe,,", 'column "status": is neither active nor tobedeleted'),
    (ROSTER, "classes.csv", "scheduled", "choir", 'classes.csv line 2, column "classType"'),
    (ROSTER, "classes.csv", "10A/Ma1", "", 'classes.csv line 2, column "title": is empty'),
    (ROSTER, "classes.csv", "homeroom,S1", "homeroom,S2", "school S2 is not in orgs.csv"),
    (ROSTER, "classes.csv", "homeroom,S1", "homeroom,D1", "school D1 is not in orgs.csv"),
    (ROSTER, "classes.csv", '"T1,T2"', "T9", "session T9 is not in academicSessions.csv"),
    (ROSTER, "classes.csv", '"T1,T2"', "", 'column "termSourcedIds": is empty'),
    (ROSTER, "enrollments.csv", "E3,,,C1", "E3,,,C9", 'enrollments.csv line 4, column "classSourcedId": class C9'),
    (ROSTER, "enrollments.csv", "S1,p1,student", "S1,p9,student", 'line 4, column "userSourcedId": user p9'),
    (ROSTER, "enrollments.csv", "p1,student", "p1,pupil", 'enrollments.csv line 4, column "role"'),
    (ROSTER, "enrollments.csv", "teacher,true", "teacher,yes", 'enrollments.csv line 3, column "primary"'),
    (ROSTER, "academicSessions.csv", "2026-09-01,2027", "1/9/2026,2027", 'line 2, column "startDate": is not a date'),
    (ROSTER, "academicSessions.csv", "2026-12-18,Y1", "2026-12-18,Y9", "session Y9 is not in academicSessions.csv"),
    (ROSTER, "academicSessions.csv", "2026-09-01,2027", "01/09/2026,2027", 'column "startDate": is not a date'),
    (ROSTER, "academicSessions.csv", "2026-09-01,2027", "20260901,2027", 'column "startDate": is not a date'),
    (ROSTER, "academicSessions.csv", "2026-09-01,2027", "2026-09-01T00:00:00Z,2027", "is not a date"),
    (ROSTER, "academicSessions.csv", "2027-08-31,,", "2027-08-31,T1,", "academicSessions.csv line 2, column"),
    (ROSTER, "academicSessions.csv", "2027-08-31,,", "2027-08-31,T1,", "Y1 is its own ancestor (cycle length 2)"),
    (
        ROSTER,
        "orgs.csv",
        "district,,",
        "district,,S1",
        'orgs.csv line 2, column "parentSourcedId": D1 is its own ancestor',
    ),
    (ROSTER, "orgs.csv", "district,,", "district,,D1", "D1 is its own ancestor (cycle length 1)"),
    (ROLES, "orgs.csv", "district,,", "district,,S1", "D1 is its own ancestor"),
    (ROSTER, "users.csv", "Ben", "B" * 1_000_001, "users.csv line 3: is longer than 1000000 characters"),
    (ROSTER, "users.csv", "Ben", "B" * 140_000, "users.csv line 3: cut off or badly quoted (field larger"),
    (ROSTER, "users.csv", "Ben,Pupil", 'Ben,"Pu\npil', "users.csv line 3: cut off or badly quoted"),
    (ROSTER, "users.csv", "Ben,Pupil", 'Ben,"Pu"pil', "users.csv line 3: cut off or badly quoted"),
    (V2, "orgs.csv", "school,", "school,O1", 'orgs.csv line 2, column "parentSourcedId": O1 is its own ancestor'),
    (ROSTER, "manifest.csv", "file.users,bulk", "file.users,delta", 'manifest.csv says that users.csv is "delta"'),
    (ROSTER, "manifest.csv", "file.users,bulk", "file.users,absent", 'manifest.csv says that users.csv is "absent"'),
    (ROSTER, "manifest.csv", "version,1.1", "version,1.3", "manifest.csv says OneRoster 1.3"),
    (ROLES, "manifest.csv", "file.roles,bulk", "file.roles,absent", 'roles.csv is "absent"'),
    (ROLES, "manifest.csv", "file.roles,bulk", "file.roles,delta", 'roles.csv is "delta"'),
    (ROLES, "roles.csv", ",,,p1,", ",,,p9,", 'roles.csv line 2, column "userSourcedId": user p9 is not in users.csv'),
    (ROLES, "roles.csv", "r1,,,", "r1,maybe,,", "is neither active nor tobedeleted"),
    (ROLES, "roles.csv", "student,,,S1", "student,,,S9", "org S9 is not in orgs.csv"),
    (V2, "classes.csv", "orgSourcedId,title", "orgsourcedid,title", 'classes.csv line 1: no column "orgSourcedId"'),
    (V2, "classes.csv", "C1,O1", "C1,O9", "org O9 is not in orgs.csv"),
    (V2, "classes.csv", "T2,", "T9,", "session T9 is not in academicSessions.csv"),
    (V2, "roles.csv", "t1,O1,prof", "t9,O1,prof", 'roles.csv line 3, column "userSourcedId": user t9'),
    (V2, "enrollments.csv", "C1,t2", "C9,t2", "class C9 is not in classes.csv"),
    (V2, "enrollments.csv", "p1,student", "p1,", 'enrollments.csv line 2, column "role": is empty'),
    (V1, "Section.csv", "9/1/2026,Active", "2026-09-01,Active", 'Section.csv line 2, column "Term StartDate"'),
    (V1, "Section.csv", "C1,1234567", "C1,7654321", "school 7654321 is not in School.csv"),
    (V1, "Student.csv", "1,1234567,AP", "1,7654321,AP", "school 7654321 is not in School.csv"),
    (V1, "StudentEnrollment.csv", "C1,1", "C9,1", "section C9 is not in Section.csv"),
    (V1, "TeacherRoster.csv", "C1,2", "C1,9", "teacher 9 is not in Teacher.csv"),
]


@pytest.mark.parametrize(("feed", "file", "before", "instead", "message"), TABLE)
def test_a_bad_feed_is_rejected_with_place_and_remedy(
    feed: Callable[[], feeds.Feed], file: str, before: str, instead: str, message: str, tmp_path: Path
) -> None:
    files = feed()
    assert before in files[file]
    files[file] = files[file].replace(before, instead, 1)
    with pytest.raises(SnapshotRejected) as caught:
        read_feed(feeds.write(files, tmp_path))
    assert message in caught.value.message
    assert caught.value.remedy
    assert not any(private in str(caught.value) for private in ("Anne", "Ben", "APupil", "ben@else.org", "secret"))


@pytest.mark.parametrize("feed", [ROSTER, V2, V1])
def test_a_missing_file_is_named(feed: Callable[[], feeds.Feed], tmp_path: Path) -> None:
    for name in feed():
        files = feed()
        del files[name]
        with pytest.raises(SnapshotRejected) as caught:
            read_feed(feeds.write(files, tmp_path / name))
        assert name in caught.value.message or "unknown format" in caught.value.message


def test_a_broken_encoding_is_reported_by_line_and_byte(tmp_path: Path) -> None:
    feeds.write(feeds.sds_v1(), tmp_path)
    (tmp_path / "Student.csv").write_bytes(b"ID,School DfE Number,Username\n1,1234567,Andr\xe9\n")
    with pytest.raises(
        SnapshotRejected, match="line 2, byte 15: not UTF-8 — nothing was changed; export the feed as UTF-8"
    ):
        read_feed(tmp_path)


@pytest.mark.parametrize("lines", [0, 1, 76_923, 200_000])
@pytest.mark.parametrize("wrong", [b"\xe9,", b"\xc3,", b"\xf0\x9f\x98,"])
def test_a_wrong_byte_is_found_anywhere_in_a_file(lines: int, wrong: bytes, tmp_path: Path) -> None:
    """Also if the file is read in parts, and a part ends within a character."""
    feeds.write(feeds.sds_v1(), tmp_path)
    header = "\ufeffID,School DfE Number,Username\n".encode()
    (tmp_path / "Student.csv").write_bytes(header + "x,y,ééé\n".encode() * lines + b"ab" + wrong)
    with pytest.raises(SnapshotRejected, match=rf"Student\.csv line {lines + 2}, byte 3: not UTF-8"):
        read_feed(tmp_path)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_recognised(encoding: str, tmp_path: Path) -> None:
    files = feeds.write(feeds.sds_v1(), tmp_path)
    (tmp_path / "Student.csv").write_text(feeds.sds_v1()["Student.csv"], encoding=encoding)
    with pytest.raises(
        SnapshotRejected, match=r"Student\.csv: is UTF-16 — nothing was changed; export the feed as UTF-8"
    ):
        read_feed(files)


def test_a_file_that_disappears_is_rejected(tmp_path: Path) -> None:
    files = open_feed(feeds.write(feeds.sds_v1(), tmp_path))
    (tmp_path / "Student.csv").unlink()
    with pytest.raises(SnapshotRejected, match=r"Student\.csv cannot be read"):
        list(files.read("Student.csv", ["ID"]))


def test_an_empty_file_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(SnapshotRejected, match="is empty and has no header"):
        read_feed(feeds.write(feeds.sds_v2() | {"orgs.csv": ""}, tmp_path))


def test_a_feed_of_headers_only_is_rejected(tmp_path: Path) -> None:
    headers = {name: text.splitlines()[0] + "\n" for name, text in feeds.sds_v2().items()}
    with pytest.raises(SnapshotRejected, match="no school with a group"):
        read_feed(feeds.write(headers, tmp_path))


def test_a_class_with_sessions_of_two_school_years_is_rejected(tmp_path: Path) -> None:
    files = feeds.oneroster()
    files["academicSessions.csv"] += "Y2,,,2027/28,schoolYear,2027-09-01,2028-08-31,,2028\n"
    files["classes.csv"] = files["classes.csv"].replace('"T1,T2"', '"T1,Y2"')
    with pytest.raises(SnapshotRejected, match="sessions belong to different school years"):
        read_feed(feeds.write(files, tmp_path))


def test_an_unknown_format_is_rejected_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(SnapshotRejected) as caught:
        read_feed(feeds.write({"pupils.csv": "a,b\n"}, tmp_path))
    assert "pupils.csv" in caught.value.message
    assert "OneRoster 1.1 or 1.2 CSV" in caught.value.remedy


def test_the_american_form_of_sds_v1_is_rejected(tmp_path: Path) -> None:
    files = feeds.sds_v1()
    files["School.csv"] = "SIS ID,Name\n1,A\n"
    with pytest.raises(SnapshotRejected, match="not in its UK form"):
        read_feed(feeds.write(files, tmp_path))


def test_faults_are_listed_together_up_to_a_limit(tmp_path: Path) -> None:
    files = feeds.oneroster()
    files["enrollments.csv"] += "".join(f"X{number},,,C9,S1,p1,student,\n" for number in range(30))
    with pytest.raises(SnapshotRejected) as caught:
        read_feed(feeds.write(files, tmp_path))
    assert caught.value.message.count("class C9") == 10
    assert caught.value.message.endswith("and 20 more")


def test_a_missing_feed_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(SnapshotRejected, match="there is no feed at"):
        read_feed(tmp_path / "nowhere")
