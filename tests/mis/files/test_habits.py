"""Habits of exporters, spreadsheets and servers, one a case: each feed is the same school as without the habit."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from local.feed import read_feed
from sync_core.domain.roster import Snapshot
from sync_core.errors import SnapshotRejected
from tests.mis import feeds

ROSTER, ROLES, V2, V1 = feeds.oneroster, feeds.oneroster_1_2, feeds.sds_v2, feeds.sds_v1
Habit = Callable[[feeds.Feed], feeds.Feed]
Formats = tuple[Callable[[], feeds.Feed], ...]
_ALL: Formats = (ROSTER, ROLES, V2, V1)


def each(change: Callable[[str], str]) -> Habit:
    return lambda feed: {name: change(text) for name, text in feed.items()}


def each_line(change: Callable[[str], str]) -> Habit:
    return each(lambda text: "".join(change(line) + "\n" for line in text.splitlines()))


def header(change: Callable[[str], str]) -> Habit:
    return each(lambda text: change(text.partition("\n")[0]) + "\n" + text.partition("\n")[2])


def words(*pairs: tuple[str, str]) -> Habit:
    """Replaces text in every file that has it; at least one has."""

    def change(feed: feeds.Feed) -> feeds.Feed:
        for before, instead in pairs:
            assert any(before in text for text in feed.values()), before
            feed = {name: text.replace(before, instead) for name, text in feed.items()}
        return feed

    return change


def rows(name: str, text: str) -> Habit:
    return lambda feed: feed | {name: feed[name] + text}


def without(*names: str) -> Habit:
    return lambda feed: {name: text for name, text in feed.items() if name not in names}


def dropped(column: str) -> Habit:
    """Without the column, in every file that has it."""

    def change(text: str) -> str:
        header, *others = csv.reader(io.StringIO(text))
        kept = [place for place, name in enumerate(header) if name != column]
        written = io.StringIO()
        csv.writer(written, lineterminator="\n").writerows([row[place] for place in kept] for row in (header, *others))
        return written.getvalue()

    return each(change)


def both(first: Habit, second: Habit) -> Habit:
    return lambda feed: second(first(feed))


def separated(by: str) -> Habit:
    """As a spreadsheet of another country saves it: lists in a cell have the separator, too."""
    return each(lambda text: text.replace(",", by))


def enrolled(row: str) -> Habit:
    """With a further enrolment, in a file that has the dates of each."""

    def change(feed: feeds.Feed) -> feeds.Feed:
        first, *rest = feed["enrollments.csv"].splitlines()
        lines = (f"{first},beginDate,endDate", *(f"{line},2026-09-01,2026-11-27" for line in rest))
        return feed | {"enrollments.csv": "\n".join(lines) + f"\n{row}"}

    return change


SESSIONS = feeds.oneroster()["academicSessions.csv"].partition("\n")[0] + "\n"

SAME: list[tuple[str, Formats, Habit]] = [
    ("headers in capitals", _ALL, header(str.upper)),
    ("blanks around headers", _ALL, header(lambda line: line.replace(",", " , "))),
    ("two blanks in a header", (V1,), words(("Section Name", "Section  Name"))),
    ("quoted headers", _ALL, header(lambda line: ",".join(f'"{name}"' for name in line.split(",")))),
    ("a byte order mark", _ALL, each(lambda text: "\ufeff" + text)),
    ("line ends of Windows", _ALL, each(lambda text: text.replace("\n", "\r\n"))),
    ("line ends of old Macs", _ALL, each(lambda text: text.replace("\n", "\r"))),
    ("a type line above", _ALL, each(lambda text: "#TYPE System.Management.Automation.PSCustomObject\n" + text)),
    ("a separator line above", _ALL, each(lambda text: "sep=,\n" + text)),
    ("blank lines above and below", _ALL, each(lambda text: f"\n\n{text}\n\n")),
    ("lines of separators", _ALL, each(lambda text: f"{text},,,,\n,,,,,,,,,,,,,,\n")),
    ("a comma more in each line", _ALL, each_line(lambda line: line + ",")),
    ("a comma more in each row", _ALL, each(lambda text: text.replace("\n", ",\n").replace(",\n", "\n", 1))),
    ("a comma more in the header", _ALL, header(lambda line: line + ",,")),
    ("a character of no width in each cell", _ALL, each(lambda text: text.replace(",", "\u200b,\ufeff"))),
    ("blanks that do not break", (ROSTER, ROLES), words((",S1", ",\u00a0S1\u00a0"), ("p1", "\u00a0p1"))),
    ("no line end at the end", _ALL, each(lambda text: text.rstrip("\n"))),
    ("statuses in other capitals", (ROSTER,), words(("p1,,", "p1,Active,"), ("C1,,", "C1, ACTIVE ,"))),
    ("a deleted row in other capitals", (ROSTER,), rows("users.csv", "p9,toBeDeleted,,,S1,student,,,,,,10,\n")),
    ("roles in capitals", (ROSTER,), words((",student", ",Student"), (",teacher", ",Teacher"))),
    ("roles in capitals in v2", (V2,), words((",student", ",Student"), (",professor", ",Professor"))),
    ("class types in capitals", (ROSTER,), words(("homeroom", "Homeroom"), ("scheduled", "SCHEDULED"))),
    ("org types in capitals", (ROSTER, V2), words((",school,", ",School,"))),
    ("session types in capitals", (ROSTER, V2), words(("schoolYear,2", "SchoolYear,2"))),
    ("primary as 1 and 0", (ROSTER,), words(("teacher,true", "teacher,1"), ("teacher,false", "teacher,0"))),
    ("primary as yes and no", (ROSTER,), words(("teacher,true", "teacher,Yes"), ("teacher,false", "teacher,no"))),
    ("modes in capitals", (ROSTER, ROLES), words((",bulk", ",Bulk"))),
    ("a version with v", (ROSTER,), words(("oneroster.version,1.1", "oneroster.version,v1.1"))),
    ("dates with a time", (ROSTER,), words(("2026-09-01", "2026-09-01T00:00:00.000Z"))),
    ("dates without hyphens", (ROSTER,), words(("2026-09-01", "20260901"), ("2027-08-31", "20270831"))),
    ("dates of the USA", (ROSTER,), words(("2026-09-01", "9/1/2026"), ("2027-08-31", "8/31/2027"))),
    ("dates of the UK", (ROSTER,), words(("2026-09-01", "01/09/2026"), ("2027-08-31", "31/08/2027"))),
    ("dates of the UK with dots", (V1,), words(("9/1/2026", "01.09.2026"), ("7/21/2027", "21.07.2027"))),
    ("dates of the UK with times", (V1,), words(("9/1/2026", "01/09/2026 00:00"), ("7/21/2027", "21/07/2027 00:00"))),
    ("ISO dates in v1", (V1,), words(("9/1/2026", "2026-09-01"), ("7/21/2027", "2027-07-21"))),
    ("a term that starts in January", (V1,), words(("9/1/2026", "1/5/2027"), ("7/21/2027", "3/26/2027"))),
    ("the year alone in sessions", (ROSTER,), words(("schoolYear,2026", "term,2026"), (",Y1,2027", ",,2027"))),
    ("a year as 2026/27", (ROSTER,), words((",2027\n", ",2026/27\n"))),
    ("a session that nobody uses", (ROSTER,), rows("academicSessions.csv", "Q9,,,Q,gradingPeriod,soon,,GONE,\n")),
    ("a session that is inactive", (ROSTER,), rows("academicSessions.csv", "Q9,inactive,,Q,term,,,,\n")),
    ("sessions in a circle", (ROSTER,), words(("2027-08-31,,", "2027-08-31,T1,"))),
    ("orgs in a circle", (ROSTER, ROLES), words(("district,,", "district,,S1"))),
    ("an org that is not exported", (ROSTER,), words(("true,S1,teacher", 'true,"S1,SX9",teacher'))),
    ("a guardian elsewhere", (ROLES,), rows("roles.csv", "r9,,,t1,secondary,guardian,,,S9\n")),
    ("a role that ended", (ROLES,), rows("roles.csv", "r9,,,t2,primary,student,,2026-07-21,S1\n")),
    ("a role in a class that is neither", (ROSTER,), rows("enrollments.csv", "E9,,,C1,S1,p2,aide,\n")),
    ("an administrator in a class", (ROSTER,), rows("enrollments.csv", "E9,,,C1,S1,p2,systemAdministrator,\n")),
    ("an enrolment that ended", (ROSTER,), enrolled("E9,,,C1,S1,p2,student,,2026-09-01,2026-11-26\n")),
    ("an enrolment that begins later", (ROSTER,), enrolled("E9,,,C1,S1,p2,student,,28/11/2026,\n")),
    ("no academic sessions", (V2,), lambda feed: without("academicSessions.csv")(words((",T2,", ",,"))(feed))),
    ("sessions without a row", (ROSTER,), lambda feed: feed | {"academicSessions.csv": SESSIONS}),
    ("no type of class", (ROSTER,), words(("10A/Ma1,scheduled", "10A/Ma1,"))),
    ("no manifest", (ROSTER, ROLES), without("manifest.csv")),
    ("semicolons", _ALL, separated(";")),
    ("tabs", _ALL, separated("\t")),
    ("a word for nothing", (ROSTER,), words((",,,secret", ",NULL,NULL,secret"), ("p2,student,", "p2,student,null"))),
    ("no status, as a database writes it", (ROSTER,), words(("p1,,", "p1,(null),"), ("C1,,", "C1,\\N,"))),
    ("a zero date", (ROLES,), words(("p1,primary,student,,", "p1,primary,student,0000-00-00,0000-00-00 00:00:00"))),
    ("zeros kept by a formula", (V1,), words((",1234567,", ',="1234567",'), ("C1,1\n", '="C1",="1"\n'))),
    ("a rule below the header", _ALL, each(lambda text: text.replace("\n", "\n---,----,--\n", 1))),
    ("the number of rows at the end", _ALL, each(lambda text: f"{text}\n(5 rows affected)\n")),
    ("primary as in Access", (ROSTER,), words(("teacher,true", "teacher,-1"), ("teacher,false", "teacher,0"))),
    ("a type of school of its own", (ROSTER,), words((",school,", ",Academy,"))),
    ("an org without a type", (ROSTER,), words((",school,", ",,"))),
    ("dates with slashes, year first", (V1,), words(("9/1/2026", "2026/09/01"), ("7/21/2027", "2027/07/21"))),
    ("dates with a month's name", (V1,), words(("9/1/2026", "1-Sep-2026"), ("7/21/2027", "21st July 2027"))),
    ("dates with a short year", (V1,), words(("9/1/2026", "01/09/26"), ("7/21/2027", "21/07/27"))),
    ("a pupil at two schools in one cell", (V1,), words(("1,1234567,AP", '1,"1234567,7654321",AP'))),
    ("a quoted separator line", (V1,), each(lambda text: '"sep=;"\n' + text.replace(",", ";"))),
    ("vertical bars", (V2, V1), separated("|")),
    ("files that copy joined", _ALL, each(lambda text: text + text.partition("\n")[0] + "\n\x1a")),
    ("joined files with a mark each", _ALL, each(lambda text: f"\ufeff{text}\ufeff{text.partition(chr(10))[0]}\n")),
    ("headers with underscores", (ROSTER, ROLES), header(lambda line: line.replace("Sourced", "_Sourced_"))),
    ("headers without blanks", (V1,), header(lambda line: line.replace(" ", ""))),
    ("headers of one instead of many", (ROSTER,), words(("orgSourcedIds", "orgSourcedId"), ("grades,", "Grade,"))),
    ("headers of many instead of one", (V2,), words((",grade\n", ",grades\n"))),
    ("dates as a spreadsheet counts days", (V1,), words(("9/1/2026", "46266"), ("7/21/2027", "46589.0"))),
    ("dates without zeros", (V1,), words(("9/1/2026", "2026-9-1"), ("7/21/2027", "2027-7-21"))),
    ("dates in words", (V1,), words(("9/1/2026", '"Sep 1, 2026"'), ("7/21/2027", '"Wednesday, 21 July 2027"'))),
    ("no end, as .NET writes it", (ROLES,), words(("p1,primary,student,,", "p1,primary,student,,0001-01-01"))),
    ("no end, as Excel writes it", (ROLES,), words(("p1,primary,student,,", "p1,primary,student,,30/12/1899"))),
    ("no end, as Python writes it", (ROLES,), words(("p1,primary,student,,", "p1,primary,student,None,nan"))),
    ("roles that schools in the UK have", (V2,), words((",professor\n", ",Class Teacher\n"), ("student", "Pupils"))),
    ("an assistant as schools name one", (ROSTER,), rows("enrollments.csv", "E9,,,C1,S1,p2,Teaching Assistant,\n")),
    ("statuses with signs", (ROSTER,), rows("users.csv", "p9,to_be_deleted,,,S1,student,,,,,,10,\n")),
    ("a class type of two words", (ROSTER,), words(("homeroom", "Home Room"))),
    ("primary as pandas has it", (ROSTER,), words(("teacher,true", "teacher,1.0"), ("teacher,false", "teacher,0.0"))),
    ("several grades", (ROSTER,), words((",10,secret", ",10;11,secret"))),
    ("no column of statuses", (ROSTER, ROLES), dropped("status")),
    ("a version with a patch", (ROLES,), words(("oneroster.version,1.2", "oneroster.version,1.2.1"))),
    ("neither manifest nor dates", (ROSTER, ROLES), both(without("manifest.csv"), dropped("dateLastModified"))),
    ("a row for each org of a user", (ROSTER,), rows("users.csv", "p1,,,true,D1,student,APupil,,A,P,,10,secret\n")),
    ("lists as JSON", (ROSTER,), words(('"T1,T2"', '"[""T1"", ""T2""]"'), ("true,S1,", "true,['S1'],"))),
]  # fmt: skip


@pytest.mark.parametrize(("what", "formats", "habit"), SAME, ids=[row[0] for row in SAME])
def test_the_school_is_the_same(what: str, formats: Formats, habit: Habit, tmp_path: Path) -> None:
    for number, feed in enumerate(formats):
        read = school(feeds.write(habit(feed()), tmp_path / str(number)))
        assert read.left_out == ()
        assert replace(read, notes=()) == school(feeds.write(feed(), tmp_path / f"{number} plain"))


NO_GRADES = (
    "the feed has no year group of any pupil, so none is synced, and classes of earlier year groups stay as they are "
    "— have the MIS export the year group of each pupil ({})"
)
NOTED = [
    ("no manifest", ROSTER, without("manifest.csv"), "the set has no manifest.csv and was read as a full set"),
    ("semicolons", V1, separated(";"), "School.csv separates its cells with semicolons"),
    ("no date", V1, words(("9/1/2026", "")), "1 sections have no Term StartDate: today's date gives"),
    ("no type", ROSTER, words(("10A/Ma1,scheduled", "10A/Ma1,")), "1 classes have no classType"),
    ("either order", ROSTER, words(("2026-09-01", "1/9/2026")), "academicSessions.csv has dates that can be"),
    ("many", V2, words((",grade\n", ",grades\n")), 'roles.csv has a column "grades", which was read as "grade"'),
    ("joined", V1, each(lambda text: text + text.partition("\n")[0]), "School.csv has its header more than once"),
    ("days", V1, words(("9/1/2026", "46266")), "Section.csv has dates as a spreadsheet counts them, in days"),
    ("no grades", ROSTER, words(("grades,", "unknown,")), NO_GRADES.format('"grades" of users.csv')),
    ("no grades in 1.2", ROLES, words((",10,secret", ",,secret")), NO_GRADES.format('"grades" of users.csv')),
    ("no grades in v2", V2, words((",grade\n", ",unknown\n")), NO_GRADES.format('"grade" of roles.csv')),
    ("no grades in v1", V1, words(("Grade,", "Unknown,")), NO_GRADES.format('"Grade" of Student.csv')),
    ("an old role", ROLES, words(("p1,primary,student,,", "p1,primary,student,,2026-07-21")), "1 enrolments or roles"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "feed", "habit", "note"), NOTED, ids=[row[0] for row in NOTED])
def test_what_was_assumed_is_noted(
    what: str, feed: Callable[[], feeds.Feed], habit: Habit, note: str, tmp_path: Path
) -> None:
    assert [each for each in school(feeds.write(habit(feed()), tmp_path)).notes if each.startswith(note)]


OFF = "p9,,,false,S1,student,p9,,A,P,,10,secret\n"


def test_a_pupil_who_is_switched_off_and_in_no_class_is_in_no_year_group(tmp_path: Path) -> None:
    """They applied, or they left. One who is in a class is in the year group, and so are all where most are off."""
    feed = rows("users.csv", OFF)(feeds.oneroster())
    read = school(feeds.write(feed, tmp_path))
    assert read.groups == school(feeds.write(feeds.oneroster(), tmp_path / "plain")).groups
    assert read.notes == (
        "1 pupils are switched off in the MIS (enabledUser) and in no class, so no year group has them",
    )
    for change in (
        rows("enrollments.csv", "E9,,,C1,S1,p9,student,false\n"),
        rows("enrollments.csv", "E9,,,C1,S1,gone,student,false\n"),
        words(("p1,,,true", "p1,,,false")),
    ):
        (year,) = (group for group in school(feeds.write(change(feed), tmp_path)).groups if group.id == "grade:10")
        assert "p9" in year.students


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "cp1252"])
def test_other_encodings_are_read_with_a_note(encoding: str, tmp_path: Path) -> None:
    feed = {name: text.replace("10A", "10é’") for name, text in feeds.sds_v1().items()}
    for name, text in feed.items():
        (tmp_path / name).write_bytes(text.encode(encoding))
    read = school(tmp_path)
    assert [group.name for group in read.groups] == ["10é’/Ma1", "10"]
    assert all("export the feed as UTF-8" in note for note in read.notes)
    assert read.notes


def test_a_zip_of_windows_has_backslashes(tmp_path: Path) -> None:
    path = tmp_path / "feed.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in feeds.oneroster().items():
            member = zipfile.ZipInfo("x")
            member.filename = f"OneRoster\\{name}"
            archive.writestr(member, text)
    assert school(path) == school(feeds.write(feeds.oneroster(), tmp_path / "plain"))


def test_the_general_form_and_the_least_columns_of_sds_v1_are_read(tmp_path: Path) -> None:
    feed = {
        "School.csv": "SIS ID,Name\n7,A School\n",
        "Section.csv": "SIS ID,School SIS ID,Section Name\nC1,7,10A/Ma1\n",
        "Student.csv": "SIS ID,School SIS ID,Username\n1,7,APupil\n",
        "Teacher.csv": "SIS ID,School SIS ID,Username\n1,7,First\n",
        "StudentEnrollment.csv": "Section SIS ID,SIS ID\nC1,1\n",
        "TeacherRoster.csv": "Section SIS ID,SIS ID\nC1,1\n",
    }
    (group,) = school(feeds.write(feed, tmp_path)).groups
    assert (group.name, group.academic_year, group.students, group.teachers) == (
        "10A/Ma1",
        2026,
        ("student:1",),
        ("teacher:1",),
    )


def test_the_four_files_of_sds_v2_are_read(tmp_path: Path) -> None:
    feed = {
        "orgs.csv": "sourcedId,name,type,parentSourcedId\nO1,A School,school,\n",
        "users.csv": "sourcedId,orgSourcedIds,username,role,grade\np1,O1,pupil,Student,10\nt1,O1,tia,Teacher,\n",
        "classes.csv": "sourcedId,orgSourcedId,title\nC1,O1,Biology 10\n",
        "enrollments.csv": "classSourcedId,userSourcedId,role\nC1,p1,Student\nC1,t1,Teacher\n",
    }
    read = school(feeds.write(feed, tmp_path))
    assert [(group.id, group.students, group.teachers) for group in read.groups] == [
        ("C1", ("p1",), ("t1",)),
        ("grade:10", ("p1",), ()),
    ]
    del feed["users.csv"]
    feed["users.csv"] = "sourcedId,username\np1,pupil\nt1,tia\n"
    with pytest.raises(SnapshotRejected, match=r"roles\.csv is missing"):
        school(feeds.write(feed, tmp_path))


def school(path: Path) -> Snapshot:
    read = read_feed(path, feeds.TODAY)
    return replace(next(iter(read.values())), taken_at=datetime(2026, 1, 1, tzinfo=UTC))


def test_a_quotation_mark_that_never_ends_costs_its_row_alone(tmp_path: Path) -> None:
    """The module csv gives up within the file: what it took for one cell is read line by line."""
    files = feeds.oneroster()
    rows = "".join(f"X{number},tobedeleted,,C1,S1,p1,student,false\n" for number in range(20_000))
    files["enrollments.csv"] = files["enrollments.csv"].replace("E1,", '"E1,', 1) + rows
    (read,) = read_feed(feeds.write(files, tmp_path), feeds.TODAY).values()
    assert [row.place for row in read.left_out] == ["line 2"]
