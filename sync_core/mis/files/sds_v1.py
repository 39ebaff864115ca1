"""Reads School Data Sync v1 CSV in its UK form (Microsoft): School, Section, Student, Teacher, two enrolment files."""

from __future__ import annotations

from sync_core.domain.ids import MisId, SchoolId
from sync_core.domain.roster import Person, School
from sync_core.mis.files.archive import FeedFiles
from sync_core.mis.files.strict_csv import Faults, Row, by_id, read_date
from sync_core.mis.roster import RosterClass, Snapshots, YearGroups, build_snapshots

_DATE = "%m/%d/%Y"
_PERSON = ("ID", "School DfE Number", "Username")
_OPTIONAL = ("Secondary Email", "Status")


def read_sds_v1(files: FeedFiles) -> Snapshots:
    """The schools of the feed by DfE number. Raises SnapshotRejected.

    Student ids and teacher ids may coincide in this format, so person ids are `student:…` and `teacher:…`.
    A row whose Status is neither empty nor Active is left out, and so are its enrolments.
    """
    faults = Faults()
    school_rows = by_id(files.read("School.csv", ["DfE Number", "Name"]), "DfE Number", faults)
    schools = {id_: School(SchoolId(id_), row["Name"], id_) for id_, row in school_rows.items()}

    columns = ["ID", "School DfE Number", "Section Name", "Term StartDate"]
    section_rows = by_id(files.read("Section.csv", columns, optional=["Status"]), "ID", faults)
    sections: dict[str, RosterClass] = {}
    for id_, row in section_rows.items():
        if not _active(row):
            continue
        start = read_date(row, "Term StartDate", _DATE, faults)
        if (
            faults.require(row, "Section Name", row["Section Name"])
            and faults.require_known(row, "School DfE Number", schools, "school", "School.csv")
            and start
        ):
            school, name = row["School DfE Number"], row["Section Name"]
            sections[id_] = RosterClass(id=id_, school=school, name=name, academic_year=start.year)

    years = YearGroups(dict)
    students = by_id(files.read("Student.csv", _PERSON, optional=[*_OPTIONAL, "Grade"]), "ID", faults)
    teachers = by_id(files.read("Teacher.csv", _PERSON, optional=_OPTIONAL), "ID", faults)
    for id_, row in students.items():
        known = faults.require_known(row, "School DfE Number", schools, "school", "School.csv")
        if known and _active(row) and row["Grade"]:
            years[row["School DfE Number"], row["Grade"]][MisId(f"student:{id_}")] = None

    people: dict[str, Person] = {}
    enrolments = (("StudentEnrollment.csv", "student", students), ("TeacherRoster.csv", "teacher", teachers))
    for name, kind, rows in enrolments:
        ids = {id_: MisId(f"{kind}:{id_}") for id_ in rows}
        people |= {ids[id_]: Person(ids[id_], row["Username"], row["Secondary Email"]) for id_, row in rows.items()}
        for row in files.read(name, ["Section ID", "ID"]):
            if (
                faults.require_known(row, "Section ID", section_rows, "section", "Section.csv")
                and faults.require_known(row, "ID", rows, kind, f"{kind.title()}.csv")
                and _active(rows[row["ID"]])
                and (section := sections.get(row["Section ID"]))
            ):
                members = section.students if kind == "student" else section.teachers
                members[ids[row["ID"]]] = None
    faults.raise_any()
    return build_snapshots(schools.values(), sections.values(), years, people, None, files.taken_at)


def _active(row: Row) -> bool:
    return row["Status"].lower() in ("", "active")
