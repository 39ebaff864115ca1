"""Bad feeds, one a row: the fault, and the place and remedy that an admin reads."""

from __future__ import annotations

from collections import deque
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
    (ROSTER, "users.csv", "email,grades", "email,email", 'users.csv line 1: column "email" appears twice'),
    (ROSTER, "users.csv", "Ben", "B\0n", "users.csv line 3: has a NUL character"),
    (ROSTER, "users.csv", "Ben", "B" * 1_000_001, "users.csv line 3: is longer than 1000000 characters"),
    (ROSTER, "users.csv", "Second,,Tia,Teacher,,,secret\n", "Second,,T", "users.csv line 5: the file is cut off"),
    (ROSTER, "users.csv", "Second,,Tia,Teacher,,,secret\n", 'Second,,"T', "users.csv line 5: the file is cut off"),
    (ROSTER, "users.csv", "sourcedId,status", "id,status", 'users.csv line 1: no column "sourcedId"'),
    (ROSTER, "manifest.csv", "file.users,bulk", "file.users,delta", 'manifest.csv says that users.csv is "delta"'),
    (ROSTER, "manifest.csv", "file.users,bulk", "file.users,absent", 'manifest.csv says that users.csv is "absent"'),
    (ROSTER, "manifest.csv", "file.users,bulk\n", "", "manifest.csv does not list users.csv (as file.users), and no"),
    (ROSTER, "manifest.csv", "file.users,bulk", "file.users,", "manifest.csv says of users.csv neither bulk, delta"),
    (ROSTER, "manifest.csv", "version,1.1", "version,1.3", "manifest.csv says OneRoster 1.3"),
    (ROLES, "manifest.csv", "file.roles,bulk", "file.roles,absent", 'roles.csv is "absent"'),
    (ROLES, "manifest.csv", "file.roles,bulk", "file.roles,delta", 'roles.csv is "delta"'),
    (V2, "classes.csv", "orgSourcedId,title", "org,title", 'classes.csv line 1: no column "orgSourcedId"'),
    (V1, "Section.csv", "Section Name", "Section", 'Section.csv line 1: no column "Section Name"'),
    (
        V1,
        "Section.csv",
        "ID,School DfE Number,Section Name",
        "sep=,\nID,School DfE Number,Class",
        "Section.csv line 2: no",
    ),
    (
        V2,
        "users.csv",
        "sourcedId,username",
        "PK\3\4,username",
        "users.csv is an Excel workbook or a zip file, and not CSV",
    ),
    (V2, "users.csv", "sourcedId,username", "<!DOCTYPE html>", "users.csv is a web page, and not CSV"),
    (
        V2,
        "enrollments.csv",
        "C1,t2,",
        "classSourcedId,role,userSourcedId\nC1,t2,",
        "enrollments.csv line 3: a second header",
    ),
    (V1, "School.csv", "DfE Number", "Number", 'School.csv has neither a column "DfE Number" nor "SIS ID"'),
]


@pytest.mark.parametrize(("feed", "file", "before", "instead", "message"), TABLE)
def test_a_bad_feed_is_rejected_with_place_and_remedy(
    feed: Callable[[], feeds.Feed], file: str, before: str, instead: str, message: str, tmp_path: Path
) -> None:
    files = feed()
    assert before in files[file]
    files[file] = files[file].replace(before, instead, 1)
    with pytest.raises(SnapshotRejected) as caught:
        read_feed(feeds.write(files, tmp_path), feeds.TODAY)
    assert message in caught.value.message
    assert caught.value.remedy
    assert not any(private in str(caught.value) for private in ("Anne", "Ben", "APupil", "ben@else.org", "secret"))


@pytest.mark.parametrize("feed", [ROSTER, V2, V1])
def test_a_missing_file_is_named(feed: Callable[[], feeds.Feed], tmp_path: Path) -> None:
    for name in feed().keys() - {"manifest.csv"}:
        files = feed()
        del files[name]
        with pytest.raises(SnapshotRejected) as caught:
            read_feed(feeds.write(files, tmp_path / name), feeds.TODAY)
        assert name in caught.value.message or "unknown format" in caught.value.message


def test_a_broken_encoding_is_reported_by_line_and_byte(tmp_path: Path) -> None:
    """A byte that neither UTF-8 nor Windows-1252 has, or one that is not UTF-8 in a file that is."""
    for number, (text, message) in enumerate(
        (
            (b"1,1234567,Andr\x81\n", "line 2, byte 15: neither UTF-8 nor Windows-1252"),
            (b"1,1234567,Andr\xc3\xa9 \xe9\n", "line 2, byte 18: not UTF-8"),
        )
    ):
        folder = feeds.write(feeds.sds_v1(), tmp_path / str(number))
        (folder / "Student.csv").write_bytes(b"ID,School DfE Number,Username\n" + text)
        with pytest.raises(SnapshotRejected, match=f"{message} — nothing was changed; export the feed as UTF-8"):
            read_feed(folder, feeds.TODAY)


@pytest.mark.parametrize("lines", [0, 1, 76_923, 200_000])
@pytest.mark.parametrize("wrong", [b"\xe9,", b"\xc3,", b"\xf0\x9f\x98,"])
def test_a_wrong_byte_is_found_anywhere_in_a_file(lines: int, wrong: bytes, tmp_path: Path) -> None:
    """Also if the file is read in parts, and a part ends within a character."""
    files = open_feed(feeds.write(feeds.sds_v1(), tmp_path))
    header = "\ufeffID,School DfE Number,Username\n".encode()
    (tmp_path / "Student.csv").write_bytes(header + "x,y,ééé\n".encode() * lines + b"ab" + wrong)
    with pytest.raises(SnapshotRejected, match=rf"Student\.csv line {lines + 2}, byte 3: not UTF-8"):
        deque(files.read("Student.csv", ["ID", "School DfE Number"], ["Username"]), maxlen=0)


def test_a_file_that_disappears_is_rejected(tmp_path: Path) -> None:
    files = open_feed(feeds.write(feeds.sds_v1(), tmp_path))
    (tmp_path / "Student.csv").unlink()
    with pytest.raises(SnapshotRejected, match=r"Student\.csv cannot be read"):
        list(files.read("Student.csv", ["ID"]))


def test_an_empty_file_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(SnapshotRejected, match="is empty and has no header"):
        read_feed(feeds.write(feeds.sds_v2() | {"orgs.csv": ""}, tmp_path), feeds.TODAY)


def test_a_feed_of_headers_only_is_rejected(tmp_path: Path) -> None:
    headers = {name: text.splitlines()[0] + "\n" for name, text in feeds.sds_v2().items()}
    with pytest.raises(SnapshotRejected, match="no school with a group"):
        read_feed(feeds.write(headers, tmp_path), feeds.TODAY)


def test_an_unknown_format_is_rejected_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(SnapshotRejected) as caught:
        read_feed(feeds.write({"pupils.csv": "a,b\n"}, tmp_path), feeds.TODAY)
    assert "pupils.csv" in caught.value.for_admin().message
    assert "(CSV files found: 1 with other names)" in caught.value.message
    assert "OneRoster 1.1 or 1.2 CSV" in caught.value.remedy


def test_a_missing_feed_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(SnapshotRejected, match="there is no feed at"):
        read_feed(tmp_path / "nowhere", feeds.TODAY)
