"""Reads the tables of OneRoster (1EdTech). Homerooms are registration groups, scheduled classes teaching groups."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sync_core.domain.ids import MisId, SchoolId
from sync_core.domain.roster import GroupType, MisGroup, Person, School
from sync_core.mis.academic_years import Calendar, Session, session_years, year_of_class
from sync_core.mis.files.text import one_word, same_word
from sync_core.mis.files.words import Dates, DayFirst, Role, is_present, read_boolean, read_role
from sync_core.mis.quarantine import KnownIds, Quarantine
from sync_core.mis.roster import RosterClass, Snapshots, YearGroups, build_snapshots
from sync_core.mis.rows import LeaveOut, Row, by_id, nearest, split_ids

_TYPES = {"homeroom": GroupType.REGISTRATION, "scheduled": GroupType.TEACHING, "": GroupType.TEACHING}
_NOT_SCHOOLS = ("department", "district", "local", "state", "national")
"""The other types of org. A type of an exporter's own, such as academy, is that of a school."""
UNKNOWN_STATUS = "is neither active nor tobedeleted"
ROLE_DATES = ("beginDate", "endDate")

ReadTable = Callable[[str, Iterable[str], Iterable[str]], Iterable[Row]]
"""Reads a table of a roster by its name in OneRoster: its rows, to be iterated once, with some columns and optional
columns. It can be read again.

A missing optional column reads as empty. Raises SnapshotRejected, also during the iteration.
"""


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables of a roster. `extension` is that of their files; empty for the collections of a server."""

    read: ReadTable
    extension: str = ""

    def source(self, name: str) -> str:
        """The name of the file or the collection, for messages."""
        return f"{name}{self.extension}"


def read_roster(tables: Tables, taken_at: datetime, calendar: Calendar, quarantine: Quarantine) -> Snapshots:
    """The schools of the roster, as they are today. Raises SnapshotRejected.

    Rows marked `tobedeleted` do not count, nor do enrolments of such users or classes, or those that ended or have not
    begun. Rows that cannot be understood are left out.
    """
    roster = _Roster(tables, calendar, quarantine)
    roster.read_orgs()
    roster.read_classes()
    roster.read_users()
    roster.read_enrolments()
    roster.add_years()
    roster.count()
    classes = roster.classes.values()
    return build_snapshots(
        roster.schools.values(), classes, roster.years, roster.people, calendar, taken_at, quarantine
    )


def read_classes(tables: Tables, calendar: Calendar, quarantine: Quarantine) -> list[MisGroup]:
    """The classes of the roster, as they are today, without its year groups. Raises SnapshotRejected."""
    roster = _Roster(tables, calendar, quarantine)
    roster.read_orgs()
    roster.read_classes()
    roster.read_users()
    roster.read_enrolments()
    return [each.to_group() for each in roster.classes.values()]


def dates_of(tables: Tables, name: str, columns: Iterable[str], calendar: Calendar, quarantine: Quarantine) -> Dates:
    """The dates of begin and end in a table that has `columns`."""

    def texts() -> Iterable[str]:
        return (row[column] for row in tables.read(name, columns, ROLE_DATES) for column in ROLE_DATES if row[column])

    return Dates(texts, DayFirst.YES, lambda text: quarantine.note(f"{tables.source(name)} {text}"), calendar.zone)


def role_in_force(
    row: Row,
    dates: Dates,
    calendar: Calendar,
    leave_out: LeaveOut,
    quarantine: Quarantine,
    academic_year: int | None = None,
) -> bool:
    """Whether an enrolment, in a class of that academic year, or a role counts today.

    One whose dates cannot be read is left out.
    """
    begin, end = row["beginDate"], row["endDate"]
    if not (begin or end):
        return True
    begins, ends = dates.read(begin), dates.read(end)
    for column, text, day in (("beginDate", begin, begins), ("endDate", end, ends)):
        if text and day is None:
            leave_out(row, column, "is not a date")
            return False
    if calendar.in_force(begins, ends, academic_year):
        return True
    quarantine.note("{n} enrolments or roles ended before today or begin later, and do not count today")
    return False


def may_be_in_class(role: str) -> bool:
    """Whether an enrolment with this role may say who is in a class. That of an aide or a parent says nothing."""
    return read_role(role) in (Role.STUDENT, Role.TEACHER, None)


def nearest_schools(orgs: Mapping[str, Row], types: Callable[[str], bool]) -> dict[str, str]:
    """The school that each org is, or is within, by their ids."""
    schools = {id_ for id_, row in orgs.items() if types(same_word(row["type"]))}
    return nearest({id_: row["parentSourcedId"] for id_, row in orgs.items()}, schools)


@dataclass(slots=True)
class _Roster:
    """The tables of a roster while they are read, each of which refers to those before it."""

    tables: Tables
    calendar: Calendar
    quarantine: Quarantine
    schools: dict[str, School] = field(default_factory=dict)
    school_of_org: dict[str, str] = field(default_factory=dict)
    class_rows: dict[str, Row] = field(default_factory=dict)
    classes: dict[str, RosterClass] = field(default_factory=dict)
    user_rows: dict[str, Row] = field(default_factory=dict)
    people: dict[str, Person] = field(default_factory=dict)
    pupils: list[tuple[str, str, Person]] = field(default_factory=list)
    years: YearGroups = field(init=False)

    def __post_init__(self) -> None:
        self.years = YearGroups(self.quarantine.budget, f'"grades" of {self._source("users")}')

    def read_orgs(self) -> None:
        columns = ["sourcedId", "status", "name", "type", "identifier"]
        leave_out = self.quarantine.leaving_out(lambda row: row["sourcedId"])
        budget = self.quarantine.budget
        orgs = by_id(self.tables.read("orgs", columns, ["parentSourcedId"]), "sourcedId", leave_out, budget)
        present = {id_: row for id_, row in orgs.items() if is_present(row["status"]) is not False}
        self.school_of_org = nearest_schools(present, lambda type_: type_ not in _NOT_SCHOOLS)
        self.schools = {
            id_: School(SchoolId(id_), present[id_]["name"], present[id_]["identifier"])
            for id_ in dict.fromkeys(self.school_of_org.values())
        }

    def read_classes(self) -> None:
        years = self._session_years()

        leave_out = self.quarantine.leaving_out(
            lambda row: self._school_of(row["schoolSourcedId"]), self.quarantine.doubt_groups_by("sourcedId")
        )
        columns = ["sourcedId", "status", "title", "schoolSourcedId"]
        rows = self.tables.read("classes", columns, ["classType", "termSourcedIds", "subjects"])
        self.class_rows = by_id(rows, "sourcedId", leave_out, self.quarantine.budget)
        for id_, row in self.class_rows.items():
            present, school = is_present(row["status"]), self._school(row["schoolSourcedId"])
            terms, type_ = row.ids("termSourcedIds"), _TYPES.get(one_word(row["classType"]))
            year = year_of_class(terms, years) if terms and years else self.calendar.current_year
            if present is False:
                continue
            if present is None:
                leave_out(row, "status", UNKNOWN_STATUS)
            elif not row["title"]:
                leave_out(row, "title", "is empty")
            elif type_ is None:
                leave_out(row, "classType", "is neither homeroom nor scheduled")
            elif not school:
                leave_out(row, "schoolSourcedId", f"names no school in {self._source('orgs')}, nor a part of one")
            elif years and not terms:
                leave_out(row, "termSourcedIds", "is empty")
            elif isinstance(year, str):
                leave_out(row, "termSourcedIds", f"{year} in {self._source('academicSessions')}")
            else:
                self.classes[id_] = RosterClass(id_, school, row["title"], year, self.quarantine.budget, type_)
                self.classes[id_].subject = ", ".join(sorted(split_ids(row["subjects"]), key=str.casefold))
                self._note_class(row, school, guessed=not years)

    def _note_class(self, row: Row, school: str, guessed: bool) -> None:
        if guessed:
            year = self.calendar.current_year
            self.quarantine.note(
                f"{{n}} classes have no academic session in the feed: today's date gives them the year {year} — have "
                "the MIS export the sessions of each class",
                school,
            )
        if not row["classType"]:
            self.quarantine.note("{n} classes have no classType and count as teaching groups", school)

    def _session_years(self) -> Mapping[str, int | None]:
        """Faults of sessions are those of the classes that use them: their year is not known."""
        unread: dict[str, int | None] = {}

        def leave_out(row: Row, column: str, reason: str) -> None:
            if row.fault:
                unread[row["sourcedId"]] = None

        columns = ["sourcedId", "status", "type", "startDate", "endDate"]
        found = self.tables.read("academicSessions", columns, ["parentSourcedId", "schoolYear"])
        rows = by_id(found, "sourcedId", leave_out, self.quarantine.budget)
        texts = [row[column] for row in rows.values() for column in ("startDate", "endDate")]
        note, source = self.quarantine.note, self._source("academicSessions")
        dates = Dates(lambda: texts, DayFirst.YES, lambda text: note(f"{source} {text}"), self.calendar.zone)
        sessions = {
            id_: Session(
                row["type"],
                row["parentSourcedId"],
                row["schoolYear"],
                dates.read(row["startDate"]),
                dates.read(row["endDate"]),
            )
            for id_, row in rows.items()
            if not row.fault and is_present(row["status"])
        }
        return unread | session_years(sessions, self.calendar)

    def read_users(self) -> None:
        doubt = self.quarantine.doubt_people_by("sourcedId")
        leave_out = self.quarantine.leaving_out(self._first_school, doubt)
        columns = ["sourcedId", "status", "orgSourcedIds", "role", "username", "email"]
        users = self.tables.read("users", columns, ["grades", "enabledUser"])
        self.user_rows = by_id(users, "sourcedId", leave_out, self.quarantine.budget, joined="orgSourcedIds")
        for id_, row in self.user_rows.items():
            if (present := is_present(row["status"])) is None:
                leave_out(row, "status", UNKNOWN_STATUS)
            elif present:
                enabled = read_boolean(row["enabledUser"] or "true") is not False
                self.people[id_] = Person(MisId(id_), row["username"], row["email"], enabled)
                self._find_year(row, self.people[id_], leave_out)

    def _find_year(self, row: Row, person: Person, leave_out: LeaveOut) -> None:
        """A pupil is in the year group of their first grade, at each of their schools."""
        grade, role = next(iter(row.ids("grades")), ""), read_role(row["role"])
        schools = dict.fromkeys(filter(None, map(self._school, row.ids("orgSourcedIds"))))
        if grade:
            self.years.see_grade(next(iter(schools), ""))
        if grade and role is None:
            leave_out(row, "role", _why_no_role(row))
        elif grade and role is Role.STUDENT:
            for school in schools:
                self.quarantine.budget.keep_id(person.id)
                self.pupils.append((school, grade, person))
            if not schools and not any(org in self.school_of_org for org in row.ids("orgSourcedIds")):
                leave_out(row, "orgSourcedIds", f"names no school in {self._source('orgs')}, nor a part of one")

    def read_enrolments(self) -> None:
        classes, people, class_rows, user_rows = self.classes, self.people, self.class_rows, self.user_rows
        known = KnownIds(class_rows, self._source("classes")), KnownIds(user_rows, self._source("users"))

        def leave_out(row: Row, column: str, reason: str) -> None:
            self._leave_out_enrolment(row, column, reason, *known)

        names = ("classSourcedId", "userSourcedId")
        dates = dates_of(self.tables, "enrollments", names, self.calendar, self.quarantine)
        columns = ["sourcedId", "status", *names, "role"]
        for row in self.tables.read("enrollments", columns, ["primary", "schoolSourcedId", *ROLE_DATES]):
            status, class_id, user_id = row["status"], row["classSourcedId"], row["userSourcedId"]
            if row.fault:
                leave_out(row, row.column, row.fault)
            elif status and not (present := is_present(status)):
                if present is None:
                    leave_out(row, "status", UNKNOWN_STATUS)
            elif not may_be_in_class(row["role"]):
                continue
            elif class_id not in class_rows:
                if not self.quarantine.is_unread(class_id):
                    leave_out(row, "classSourcedId", known[0].why_unknown(class_id))
            elif user_id not in user_rows:
                if not self.quarantine.is_unread(user_id):
                    leave_out(row, "userSourcedId", known[1].why_unknown(user_id))
            elif (
                (enrolled_in := classes.get(class_id))
                and (person := people.get(user_id))
                and role_in_force(row, dates, self.calendar, leave_out, self.quarantine, enrolled_in.academic_year)
            ):
                # The string of the users table: millions of enrolments keep each person's id in memory once.
                _enrol(row, enrolled_in, person.id, leave_out)

    def add_years(self) -> None:
        """A pupil who is switched off in the MIS and in no class has left or is yet to come: they are in no year group.

        This says nothing where hardly any pupil is switched on, or where a row that was left out may enrol them.
        """
        in_doubt = any(self.quarantine.left_out_of(self._source(name)) for name in ("classes", "enrollments"))
        off = {person.id for _, _, person in self.pupils if not person.enabled}
        in_class = {pupil for each in self.classes.values() for pupil in each.students}
        not_here = set[MisId]() if in_doubt or 2 * len(off) >= len(self.pupils) else off - in_class
        for school, grade, person in self.pupils:
            if person.id in not_here:
                self.quarantine.note(
                    "{n} pupils are switched off in the MIS (enabledUser) and in no class, so no year group has them",
                    school,
                )
            else:
                self.years.add(school, grade, person.id)

    def _leave_out_enrolment(self, row: Row, column: str, reason: str, classes: KnownIds, users: KnownIds) -> None:
        """It removes nobody: neither the people whom it names, nor those whom a spreadsheet may have changed."""
        class_id, user_id = row["classSourcedId"], row["userSourcedId"]
        enrolled_in = self.classes.get(class_id)
        school = enrolled_in.school if enrolled_in else self._school_of(row["schoolSourcedId"])
        if not school and user_id in self.user_rows:
            school = self._first_school(self.user_rows[user_id])
        self.quarantine.leave_out(row, column, reason, school)
        self.quarantine.doubt_enrolment(row, (class_id, classes), (user_id, users), school)

    def count(self) -> None:
        """The rows of each school, against which those left out are counted."""
        for each in self.classes.values():
            self.quarantine.count(self._source("classes"), each.school, 1)
            self.quarantine.count(self._source("enrollments"), each.school, len(each.students) + len(each.teachers))
        for id_ in self.people:
            self.quarantine.count(self._source("users"), self._first_school(self.user_rows[id_]), 1)

    def _source(self, name: str) -> str:
        return self.tables.source(name)

    def _school(self, org: str) -> str:
        return self.school_of_org.get(org, "")

    def _school_of(self, org: str) -> str:
        """The school, or the org itself: a school that the feed does not have is still not another one."""
        return self.school_of_org.get(org, org)

    def _first_school(self, user: Row) -> str:
        orgs = user.ids("orgSourcedIds")
        return next(filter(None, map(self._school, orgs)), orgs[0] if orgs else "")


def _enrol(row: Row, roster_class: RosterClass, person: MisId, leave_out: LeaveOut) -> None:
    role, primary = read_role(row["role"]), read_boolean(row["primary"])
    if role is None:
        leave_out(row, "role", _why_no_role(row))
    elif role is Role.STUDENT:
        roster_class.add_student(person)
    elif primary is None:
        leave_out(row, "primary", "is neither true nor false")
    else:
        roster_class.add_staff(person, role, primary)


def _why_no_role(row: Row) -> str:
    return "is not a role of OneRoster" if row["role"] else "is empty"
