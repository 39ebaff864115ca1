"""Reads School Data Sync v1 CSV in its UK form (Microsoft): School, Section, Student, Teacher, two enrolment files."""

from __future__ import annotations

from collections.abc import Mapping

from sync_core.domain.roster import GroupType, Person, School, Snapshot
from sync_core.mis.files.archive import FeedFiles
from sync_core.mis.files.strict_csv import Faults, Row, by_id, read_date
from sync_core.mis.roster import RosterClass, YearGroups, build_snapshots

_DATE = "%m/%d/%Y"


def read_sds_v1(files: FeedFiles) -> dict[str, Snapshot]:
    """The schools of the feed by DfE number. Raises SnapshotRejected.

    Student ids and teacher ids may coincide in this format, so person ids are `student:…` and `teacher:…`.
    A row whose Status is neither empty nor Active is left out, and so are its enrolments.
    """
    faults = Faults()
    school_rows = by_id(files.read("School.csv", ["DfE Number", "Name"]), "DfE Number", faults)
    schools = {id_: School(id_, row["Name"], id_) for id_, row in school_rows.items()}

    columns = ["ID", "School DfE Number", "Section Name", "Term StartDate"]
    section_rows = by_id(files.read("Section.csv", columns, optional=["Status"]), "ID", faults)
    sections: dict[str, RosterClass] = {}
    for id_, row in section_rows.items():
        if _active(row) and (roster_class := _read_section(id_, row, schools, faults)):
            sections[id_] = roster_class

    years = YearGroups()
    students = _read_people(files, "Student.csv", "student", faults, optional=["Grade"])
    teachers = _read_people(files, "Teacher.csv", "teacher", faults)
    for row in students.values():
        school = row["School DfE Number"]
        if school not in schools:
            faults.add(row, "School DfE Number", f"school {school} is not in School.csv")
        elif _active(row) and row["Grade"]:
            years.add(school, row["Grade"], f"student:{row['ID']}")

    ids = {id_: id_ for id_ in (*students, *teachers)}
    for name, kind, rows in (
        ("StudentEnrollment.csv", "student", students),
        ("TeacherRoster.csv", "teacher", teachers),
    ):
        for row in files.read(name, ["Section ID", "ID"]):
            person = rows.get(f"{kind}:{row['ID']}")
            if row["Section ID"] not in section_rows:
                faults.add(row, "Section ID", f"section {row['Section ID']} is not in Section.csv")
            elif person is None:
                faults.add(row, "ID", f"{kind} {row['ID']} is not in {kind.title()}.csv")
            elif _active(person) and (section := sections.get(row["Section ID"])):
                enrolled = section.students if kind == "student" else section.teachers
                enrolled[ids[f"{kind}:{row['ID']}"]] = None
    faults.raise_any()
    people = {id_: Person(id_, row["Username"], row["Secondary Email"]) for id_, row in (students | teachers).items()}
    return build_snapshots(schools.values(), sections.values(), years, people, None, files.taken_at)


def _active(row: Row) -> bool:
    return row["Status"].lower() in ("", "active")


def _read_section(id_: str, row: Row, schools: Mapping[str, School], faults: Faults) -> RosterClass | None:
    start = read_date(row, "Term StartDate", _DATE, faults)
    if not row["Section Name"]:
        faults.add(row, "Section Name", "is empty")
    elif row["School DfE Number"] not in schools:
        faults.add(row, "School DfE Number", f"school {row['School DfE Number']} is not in School.csv")
    elif start:
        return RosterClass(
            id=id_,
            school=row["School DfE Number"],
            type=GroupType.TEACHING,
            name=row["Section Name"],
            academic_year=start.year,
        )
    return None


def _read_people(
    files: FeedFiles, name: str, kind: str, faults: Faults, optional: list[str] | None = None
) -> dict[str, Row]:
    columns = ["ID", "School DfE Number", "Username"]
    rows = files.read(name, columns, optional=["Secondary Email", "Status", *(optional or [])])
    return {f"{kind}:{id_}": row for id_, row in by_id(rows, "ID", faults).items()}
