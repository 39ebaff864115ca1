"""Reads School Data Sync v1 CSV (Microsoft), in its UK form and in its general one, which names the ids differently."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from sync_core.domain.ids import MisId, SchoolId
from sync_core.domain.roster import Person, School
from sync_core.mis.academic_years import Calendar
from sync_core.mis.files.archive import FeedFiles
from sync_core.mis.files.text import one_word
from sync_core.mis.files.words import Dates, DayFirst, Role, is_present
from sync_core.mis.quarantine import KnownIds, Quarantine
from sync_core.mis.roster import RosterClass, Snapshots, YearGroups, build_snapshots
from sync_core.mis.rows import Row, by_id

_TERM = ("Term StartDate", "Term EndDate")
_STATUS = "is neither Active nor Inactive"


@dataclass(frozen=True, slots=True)
class _Names:
    """The columns of the ids: of a school in School.csv, of a school elsewhere, of a section elsewhere, of others."""

    school: str
    at_school: str
    section: str
    id: str


_UK = _Names("DfE Number", "School DfE Number", "Section ID", "ID")
_GENERAL = _Names("SIS ID", "School SIS ID", "Section SIS ID", "SIS ID")


def is_sds_v1(header: Iterable[str]) -> bool:
    """Whether these are the columns of a School.csv, as one word each."""
    return any(one_word(names.school) in header for names in (_UK, _GENERAL))


def describe_sds_v1(files: FeedFiles) -> str:
    """The form of the format, and what shows it."""
    names = _names(files)
    form = "UK form" if names is _UK else "general form"
    return f'School Data Sync v1 CSV in its {form} (School.csv has the column "{names.school}")'


def read_sds_v1(files: FeedFiles, calendar: Calendar) -> Snapshots:
    """The schools of the feed by DfE number, or by SIS ID in the general form. Raises SnapshotRejected.

    Student ids and teacher ids may coincide in this format, so person ids are `student:…` and `teacher:…`. A row whose
    Status is Inactive does not count. A person with a row for each of several schools is one person at all of them.
    Rows that cannot be understood are left out.
    """
    names = _names(files)
    feed = _Feed(files, calendar, Quarantine(), names)
    feed.read_schools()
    feed.read_sections()
    for table, enrolments, role in (
        ("Student.csv", "StudentEnrollment.csv", Role.STUDENT),
        ("Teacher.csv", "TeacherRoster.csv", Role.TEACHER),
    ):
        feed.read_enrolments(enrolments, table, feed.read_people(table, role), role)
    for section in feed.sections.values():
        feed.quarantine.count("Section.csv", section.school, 1)
    return build_snapshots(
        feed.schools.values(),
        feed.sections.values(),
        feed.years,
        feed.people,
        calendar,
        files.taken_at,
        feed.quarantine,
    )


def _names(files: FeedFiles) -> _Names:
    return _UK if one_word(_UK.school) in files.files["school.csv"].header() else _GENERAL


@dataclass(slots=True)
class _Feed:
    """The tables of a feed while they are read, each of which refers to those before it."""

    files: FeedFiles
    calendar: Calendar
    quarantine: Quarantine
    names: _Names
    schools: dict[str, School] = field(default_factory=dict)
    section_rows: dict[str, Row] = field(default_factory=dict)
    sections: dict[str, RosterClass] = field(default_factory=dict)
    people: dict[str, Person] = field(default_factory=dict)
    school_of_person: dict[str, str] = field(default_factory=dict)
    years: YearGroups = field(init=False)

    def __post_init__(self) -> None:
        self.years = YearGroups(self.quarantine.budget, '"Grade" of Student.csv')

    def read_schools(self) -> None:
        leave_out = self.quarantine.leaving_out(lambda row: row[self.names.school])
        rows = by_id(
            self._read("School.csv", [self.names.school, "Name"]), self.names.school, leave_out, self.quarantine.budget
        )
        self.schools = {id_: School(SchoolId(id_), row["Name"], id_) for id_, row in rows.items()}

    def read_sections(self) -> None:
        leave_out = self.quarantine.leaving_out(
            lambda row: row[self.names.at_school], self.quarantine.doubt_groups_by(self.names.id)
        )
        columns = [self.names.id, self.names.at_school, "Section Name"]
        found = self._read("Section.csv", columns, ["Status", "Course Subject", *_TERM])
        self.section_rows = by_id(found, self.names.id, leave_out, self.quarantine.budget)
        texts = [row[column] for row in self.section_rows.values() for column in _TERM]
        note = self.quarantine.note
        dates = Dates(lambda: texts, DayFirst.NO, lambda text: note(f"Section.csv {text}"), self.calendar.zone)
        for id_, row in self.section_rows.items():
            school, start = row[self.names.at_school], dates.read(row[_TERM[0]])
            year = self.calendar.year_of_period(start, dates.read(row[_TERM[1]]))
            if (present := is_present(row["Status"])) is None:
                leave_out(row, "Status", _STATUS)
            elif not present:
                continue
            elif not row["Section Name"]:
                leave_out(row, "Section Name", "is empty")
            elif school not in self.schools:
                leave_out(row, self.names.at_school, "is not in School.csv" if school else "is empty")
            elif row[_TERM[0]] and year is None:
                leave_out(row, _TERM[0], "is not a date")
            else:
                of = year or self.calendar.current_year
                section = RosterClass(id_, school, row["Section Name"], of, self.quarantine.budget)
                section.subject = row["Course Subject"]
                self.sections[id_] = section
                if year is None:
                    current = self.calendar.current_year
                    self.quarantine.note(
                        f"{{n}} sections have no Term StartDate: today's date gives them the year {current} — have the "
                        "MIS export the column",
                        school,
                    )

    def read_people(self, table: str, role: Role) -> dict[str, bool]:
        """Whether each person of the table counts, by their id in it."""
        kind = role.name.lower()

        def doubt(row: Row, school: str) -> None:
            id_ = row[self.names.id]
            self.quarantine.doubt_person(f"{kind}:{id_}" if id_ and not row.is_guess else "", school)

        leave_out = self.quarantine.leaving_out(lambda row: next(iter(row.ids(self.names.at_school)), ""), doubt)
        columns = [self.names.id, self.names.at_school]
        counts: dict[str, bool] = {}
        for row in self._read(table, columns, ["Username", "Secondary Email", "Status", "Grade"]):
            id_, schools, present = row[self.names.id], row.ids(self.names.at_school), is_present(row["Status"])
            person = Person(MisId(f"{kind}:{id_}"), row["Username"], row["Secondary Email"])
            known = [school for school in schools if school in self.schools]
            if row.fault:
                leave_out(row, row.column, row.fault)
            elif not id_:
                leave_out(row, self.names.id, "is empty")
            elif present is None:
                leave_out(row, "Status", _STATUS)
            elif self.people.get(person.id, person) != person:
                leave_out(row, self.names.id, "is in an earlier row, with another username or address")
            elif not known and present:
                leave_out(row, self.names.at_school, "is not in School.csv" if schools else "is empty")
            else:
                if id_ not in counts:
                    self.quarantine.budget.keep_row(row.cells)
                counts[id_] = counts.get(id_, False) or present
                self._add(person, known if present else [], row["Grade"] if role is Role.STUDENT else "")
        return counts

    def _add(self, person: Person, schools: Iterable[str], grade: str) -> None:
        self.people[person.id] = person
        for school in schools:
            self.school_of_person.setdefault(person.id, school)
            self.quarantine.count("Student.csv" if person.id.startswith("student:") else "Teacher.csv", school, 1)
            if grade:
                self.years.add(school, grade, person.id)

    def read_enrolments(self, name: str, table: str, counts: dict[str, bool], role: Role) -> None:
        kind = role.name.lower()
        sections, people = KnownIds(self.section_rows, "Section.csv"), KnownIds(counts, table)

        def leave_out(row: Row, column: str, reason: str) -> None:
            section_id, id_ = row[self.names.section], row[self.names.id]
            found = self.sections.get(section_id)
            school = found.school if found else self.school_of_person.get(f"{kind}:{id_}", "")
            self.quarantine.leave_out(row, column, reason, school)
            self.quarantine.doubt_enrolment(row, (section_id, sections), (id_, people), school, f"{kind}:")

        for row in self._read(name, [self.names.section, self.names.id]):
            section_id, id_ = row[self.names.section], row[self.names.id]
            if row.fault:
                leave_out(row, row.column, row.fault)
            elif section_id not in self.section_rows:
                if not self.quarantine.is_unread(section_id):
                    leave_out(row, self.names.section, sections.why_unknown(section_id))
            elif id_ not in counts:
                if not self.quarantine.is_unread(f"{kind}:{id_}"):
                    leave_out(row, self.names.id, people.why_unknown(id_))
            elif counts[id_] and (section := self.sections.get(section_id)):
                self.quarantine.count(name, section.school, 1)
                person = self.people[f"{kind}:{id_}"].id
                if role is Role.STUDENT:
                    section.add_student(person)
                else:
                    section.add_staff(person, role)

    def _read(self, name: str, columns: Iterable[str], optional: Iterable[str] = ()) -> Iterator[Row]:
        return self.files.read(name, columns, optional, self.quarantine.note)
