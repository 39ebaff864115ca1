"""How each format is read: schools, groups, years, people and main teachers."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from local.feed import open_feed, read_feed
from sync_core.domain.ids import MisId, SchoolId, digest_of
from sync_core.domain.roster import GroupType, MisGroup, School, Snapshot
from sync_core.domain.school.sources import FeedFolder
from sync_core.errors import SnapshotRejected
from sync_core.mis.files.formats import ONEROSTER, SDS_V1, SDS_V2, recognise
from tests.builders import by_id, mis_ids, mis_sources, person, settings
from tests.fakes.fixed_clock import FixedClock
from tests.mis import feeds

S1 = SchoolId("S1")
C1 = MisId("C1")
GRADE_10 = MisId("grade:10")
P1 = MisId("p1")
ANY_TIME = datetime(2026, 1, 1, tzinfo=UTC)


def read(feed: feeds.Feed, folder: Path) -> dict[str, Snapshot]:
    snapshots = read_feed(feeds.write(feed, folder), feeds.TODAY)
    return {school: replace(snapshot, taken_at=ANY_TIME) for school, snapshot in snapshots.items()}


def test_oneroster_is_read(tmp_path: Path) -> None:
    snapshots = read(feeds.oneroster(), tmp_path)
    assert snapshots == {
        "S1": Snapshot(
            School(S1, "A School", "1234567"),
            (
                MisGroup(
                    id=C1,
                    type=GroupType.TEACHING,
                    name="10A/Ma1",
                    academic_year=2026,
                    students=mis_ids("p1"),
                    teachers=mis_ids("t2", "t1"),
                ),
                MisGroup(
                    id=MisId("R1"),
                    type=GroupType.REGISTRATION,
                    name="10A",
                    academic_year=2026,
                    students=mis_ids("p2"),
                    teachers=mis_ids("t1"),
                ),
                MisGroup(
                    id=GRADE_10,
                    type=GroupType.YEAR,
                    name="10",
                    academic_year=2026,
                    students=mis_ids("p1", "p2"),
                    teachers=(),
                ),
            ),
            by_id(
                person("p1", "APupil", ""),
                person("p2", "", "ben@else.org"),
                person("t1", "First", ""),
                person("t2", "Second", ""),
            ),
            ANY_TIME,
        )
    }


def test_oneroster_1_2_gives_the_same_school(tmp_path: Path) -> None:
    assert read(feeds.oneroster_1_2(), tmp_path / "new") == read(feeds.oneroster(), tmp_path / "old")


def test_a_user_whom_the_mis_switched_off_is_read_as_disabled(tmp_path: Path) -> None:
    feed = feeds.oneroster()
    feed["users.csv"] = feed["users.csv"].replace("p1,,,true", "p1,,,False").replace("p2,,,true", "p2,,,")
    people = read(feed, tmp_path)["S1"].people
    assert {id_ for id_, one in people.items() if not one.enabled} == {"p1"}


def test_a_student_with_another_role_elsewhere_is_a_student(tmp_path: Path) -> None:
    feed = feeds.oneroster_1_2()
    feed["roles.csv"] += "r6,,,p1,secondary,proctor,,,D1\nr7,tobedeleted,,p2,primary,teacher,,,S1\n"
    assert read(feed, tmp_path / "new") == read(feeds.oneroster(), tmp_path / "old")


def test_sds_v2_is_read(tmp_path: Path) -> None:
    snapshots = read(feeds.sds_v2(), tmp_path)
    assert snapshots["O1"].school == School(SchoolId("O1"), "A School", "O1")
    assert snapshots["O1"].groups == (
        MisGroup(
            id=C1,
            type=GroupType.TEACHING,
            name="Biology 10",
            academic_year=2026,
            students=mis_ids("p1"),
            teachers=mis_ids("t1", "t2"),
        ),
        MisGroup(id=GRADE_10, type=GroupType.YEAR, name="10", academic_year=2026, students=mis_ids("p1"), teachers=()),
    )
    assert snapshots["O1"].people[P1] == person("p1", "pupil@else.org", "")


def test_sds_v1_is_read(tmp_path: Path) -> None:
    snapshots = read(feeds.sds_v1(), tmp_path)
    assert snapshots["1234567"] == Snapshot(
        School(SchoolId("1234567"), "A School", "1234567"),
        (
            MisGroup(
                id=C1,
                type=GroupType.TEACHING,
                name="10A/Ma1",
                academic_year=2026,
                students=mis_ids("student:1"),
                teachers=mis_ids("teacher:1", "teacher:2"),
            ),
            MisGroup(
                id=GRADE_10,
                type=GroupType.YEAR,
                name="10",
                academic_year=2026,
                students=mis_ids("student:1"),
                teachers=(),
            ),
        ),
        by_id(
            person("student:1", "APupil", ""),
            person("teacher:1", "", "ted@else.org"),
            person("teacher:2", "Second", ""),
        ),
        ANY_TIME,
    )


@pytest.mark.parametrize(
    ("feed", "format_"), [(feeds.oneroster(), ONEROSTER), (feeds.sds_v2(), SDS_V2), (feeds.sds_v1(), SDS_V1)]
)
def test_the_format_is_recognised_in_folders_and_zips(feed: feeds.Feed, format_: str, tmp_path: Path) -> None:
    folder = feeds.write(feed, tmp_path / "folder")
    assert recognise(open_feed(folder)) == format_
    for zipped in (
        feeds.write_zip(feed, tmp_path / "flat.zip"),
        feeds.write_zip(feed, tmp_path / "nested.zip", inside="export/"),
    ):
        assert recognise(open_feed(zipped)) == format_
        assert {
            school: replace(snapshot, taken_at=ANY_TIME) for school, snapshot in read_feed(zipped, feeds.TODAY).items()
        } == {
            school: replace(snapshot, taken_at=ANY_TIME) for school, snapshot in read_feed(folder, feeds.TODAY).items()
        }


def without_roles(feed: feeds.Feed) -> feeds.Feed:
    users = "sourcedId,username,orgSourcedIds,role,grade\np1,pupil,O1,student,10\nt1,teacher,O1,teacher,\n"
    rows = "classSourcedId,userSourcedId,role\nC1,p1,student\nC1,t1,teacher\n"
    return {name: text for name, text in feed.items() if name != "roles.csv"} | {
        "users.csv": users,
        "enrollments.csv": rows,
    }


@pytest.mark.parametrize(
    ("feed", "told"),
    [
        (feeds.oneroster(), "OneRoster 1.1 CSV (manifest.csv says so)"),
        (feeds.oneroster_1_2(), "OneRoster 1.2 CSV (manifest.csv says so)"),
        (
            {name: text.replace("oneroster.version,1.1\n", "") for name, text in feeds.oneroster().items()},
            "OneRoster CSV, read as 1.1 (manifest.csv names no version)",
        ),
        (
            {name: text for name, text in feeds.oneroster().items() if name != "manifest.csv"},
            "OneRoster 1.1 CSV (it has no manifest.csv, and no roles.csv)",
        ),
        (
            {name: text for name, text in feeds.oneroster_1_2().items() if name != "manifest.csv"},
            "OneRoster 1.2 CSV (it has no manifest.csv, but roles.csv)",
        ),
        (feeds.sds_v2(), "School Data Sync v2.1 CSV (it has roles.csv)"),
        (without_roles(feeds.sds_v2()), "School Data Sync v2 CSV (users.csv has the roles)"),
        (feeds.sds_v1(), 'School Data Sync v1 CSV in its UK form (School.csv has the column "DfE Number")'),
    ],
)
def test_a_snapshot_tells_the_format_with_its_version_and_the_schools_of_the_feed(
    feed: feeds.Feed, told: str, tmp_path: Path
) -> None:
    (snapshot,) = read_feed(feeds.write(feed, tmp_path), feeds.TODAY).values()
    assert (snapshot.feed.format, snapshot.feed.schools) == (told, (snapshot.school,))


BOTH = digest_of("maths, statistics")


def test_the_subject_of_a_class_is_read_where_the_feed_has_one(tmp_path: Path) -> None:
    oneroster, sds = feeds.oneroster(), feeds.sds_v1()
    oneroster["classes.csv"] = (
        "sourcedId,status,dateLastModified,title,classType,schoolSourcedId,termSourcedIds,subjects\n"
        'C1,,,10A/Ma1,scheduled,S1,T1,"Statistics,Maths"\nR1,,,10A,homeroom,S1,T1,\nC2,,,10B,,S1,T1,"maths,STATISTICS"\n'
    )
    sds["Section.csv"] = (
        "ID,School DfE Number,Section Name,Term StartDate,Course Subject\nC1,1234567,10A/Ma1,9/1/2026,Maths\n"
    )
    for name, feed, expected in (
        ("oneroster", oneroster, {"C1": BOTH, "R1": "", "C2": BOTH, "grade:10": ""}),
        ("sds", sds, {"C1": digest_of("maths"), "grade:10": ""}),
    ):
        (read_one,) = read(feed, tmp_path / name).values()
        assert {group.id: group.subject for group in read_one.groups} == expected


def test_a_byte_order_mark_and_other_line_ends_are_accepted(tmp_path: Path) -> None:
    feed = {name: "\ufeff" + text.replace("\n", "\r\n") for name, text in feeds.sds_v1().items()}
    assert read(feed, tmp_path / "marked") == read(feeds.sds_v1(), tmp_path / "plain")


def test_the_first_teacher_is_the_main_one_if_none_is_marked(tmp_path: Path) -> None:
    feed = feeds.oneroster()
    feed["enrollments.csv"] = feed["enrollments.csv"].replace("t2,teacher,true", "t2,teacher,false")
    assert read(feed, tmp_path)["S1"].groups[0].teachers == ("t1", "t2")


def test_the_academic_year_is_taken_from_the_school_year_not_the_term(tmp_path: Path) -> None:
    feed = feeds.oneroster()
    feed["classes.csv"] = feed["classes.csv"].replace('"T1,T2"', "T2").replace("S1,T1", "S1,T2")
    feed["academicSessions.csv"] = feed["academicSessions.csv"].replace("2027-03-27,Y1", "2027-03-27,")
    assert {group.academic_year for group in read(feed, tmp_path)["S1"].groups} == {2026}


@pytest.mark.parametrize(
    ("row", "pupils", "left_out"),
    [
        ("p1,,,true,S2,student,APupil,,Anna,Pupil,,10,secret\n", ("p1",), 0),
        ("p1,,,true,S2,student,Another,,Anna,Pupil,,10,secret\n", (), 1),
        ("p1,,,true,S2,student,APupil,,Anna,Pupil,,11,secret\n", (), 1),
        ("p1,,,true,S2,teacher,APupil,,Anna,Pupil,,10,secret\n", (), 1),
    ],
)
def test_a_person_with_a_row_for_each_school_is_one_person_at_both(
    row: str, pupils: tuple[str, ...], left_out: int, tmp_path: Path
) -> None:
    """Where a row says anything else than the first one, it is left out."""
    feed = feeds.oneroster()
    feed["orgs.csv"] += "S2,,,B School,school,7654321,D1\n"
    feed["users.csv"] += row + "p3,,,true,S2,student,Third,,C,Pupil,,10,secret\n"
    here, there = read_feed(feeds.write(feed, tmp_path), feeds.TODAY).values()
    assert here.groups == read(feeds.oneroster(), tmp_path / "alone")["S1"].groups
    assert [group.students for group in there.groups] == [(*pupils, "p3")]
    assert len(there.left_out) == left_out


def test_rows_to_be_deleted_are_ignored_with_their_enrolments(tmp_path: Path) -> None:
    feed = feeds.oneroster()
    feed["users.csv"] = feed["users.csv"].replace("p1,,,", "p1,tobedeleted,,")
    feed["classes.csv"] = feed["classes.csv"].replace("R1,,,", "R1,tobedeleted,,")
    assert [(group.id, group.students) for group in read(feed, tmp_path)["S1"].groups] == [
        ("C1", ()),
        ("grade:10", ("p2",)),
    ]


def test_the_order_of_rows_does_not_matter(tmp_path: Path) -> None:
    feed = feeds.oneroster()
    for name in ("orgs.csv", "users.csv", "academicSessions.csv"):
        header, *rows = feed[name].splitlines()
        feed[name] = "\n".join([header, *reversed(rows)]) + "\n"
    reordered, original = read(feed, tmp_path / "b")["S1"], read(feeds.oneroster(), tmp_path / "a")["S1"]
    assert reordered.groups[:2] == original.groups[:2]
    assert set(reordered.groups[2].students) == set(original.groups[2].students)
    assert reordered.people == original.people


def test_passwords_and_names_are_not_loaded(tmp_path: Path) -> None:
    for number, feed in enumerate((feeds.oneroster(), feeds.sds_v2(), feeds.sds_v1())):
        loaded = repr(read(feed, tmp_path / str(number)))
        for private in ("secret", "Pupil", "Anne", "ben@else.org", "123,"):
            assert private not in loaded.replace("APupil", "")


async def test_the_port_returns_one_school_of_the_feed(tmp_path: Path) -> None:
    feeds.write(feeds.oneroster(), tmp_path)
    chosen = replace(settings(), source=FeedFolder(str(tmp_path)))
    assert (await mis_sources(FixedClock(), {}).snapshot(replace(chosen, school=S1))).school.id == "S1"
    with pytest.raises(SnapshotRejected, match="no school S9, but 1 other") as caught:
        await mis_sources(FixedClock(), {}).snapshot(replace(chosen, school=SchoolId("S9")))
    assert "no school S9, but S1" in caught.value.for_admin().message
