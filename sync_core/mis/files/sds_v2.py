"""Reads School Data Sync v2 and v2.1 CSV (Microsoft). Absence is deletion. v2 has the roles in users.csv."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from sync_core.domain.ids import MisId, SchoolId
from sync_core.domain.roster import Person, School
from sync_core.mis.academic_years import Calendar, Session, session_years, year_of_class
from sync_core.mis.files.archive import FeedFiles
from sync_core.mis.files.oneroster import nearest_schools
from sync_core.mis.files.words import Dates, DayFirst, Role, read_role
from sync_core.mis.quarantine import KnownIds, Quarantine
from sync_core.mis.rejection import rejection
from sync_core.mis.roster import RosterClass, Snapshots, YearGroups, build_snapshots
from sync_core.mis.rows import Row, by_id

_SESSIONS = "academicSessions.csv"
_DATES = ("roleStartDate", "roleEndDate")
_NO_ROLE = "is not a role of School Data Sync"


def read_sds_v2(files: FeedFiles, calendar: Calendar) -> Snapshots:
    """The schools of the feed: every org that a class or a student's role names, or the school that it is part of.

    Rows that cannot be understood are left out. Raises SnapshotRejected.
    """
    feed = _Feed(files, calendar, Quarantine())
    feed.read_orgs()
    feed.read_users()
    feed.read_classes()
    feed.read_roles()
    feed.read_enrolments()
    feed.count()
    schools = [School(SchoolId(id_), feed.orgs[id_]["name"], id_) for id_ in dict.fromkeys(feed.school_of_org.values())]
    return build_snapshots(
        schools, feed.classes.values(), feed.years, feed.people, calendar, files.taken_at, feed.quarantine
    )


def describe_sds_v2(files: FeedFiles) -> str:
    """The version of the format, and what shows it."""
    if files.has("roles.csv"):
        return "School Data Sync v2.1 CSV (it has roles.csv)"
    return "School Data Sync v2 CSV (users.csv has the roles)"


@dataclass(slots=True)
class _Feed:
    """The tables of a feed while they are read, each of which refers to those before it."""

    files: FeedFiles
    calendar: Calendar
    quarantine: Quarantine
    orgs: dict[str, Row] = field(default_factory=dict)
    school_of_org: dict[str, str] = field(default_factory=dict)
    school_of_person: dict[str, str] = field(default_factory=dict)
    user_rows: dict[str, Row] = field(default_factory=dict)
    people: dict[str, Person] = field(default_factory=dict)
    class_rows: dict[str, Row] = field(default_factory=dict)
    classes: dict[str, RosterClass] = field(default_factory=dict)
    years: YearGroups = field(init=False)

    def __post_init__(self) -> None:
        table = "roles.csv" if self.files.has("roles.csv") else "users.csv"
        self.years = YearGroups(self.quarantine.budget, f'"grade" of {table}')

    def read_orgs(self) -> None:
        leave_out = self.quarantine.leaving_out(lambda row: row["sourcedId"])
        found = self._read("orgs.csv", ["sourcedId", "name", "type"], ["parentSourcedId"])
        self.orgs = by_id(found, "sourcedId", leave_out, self.quarantine.budget)
        within = nearest_schools(self.orgs, lambda type_: type_ == "school")
        self.school_of_org = {org: within.get(org, org) for org in self.orgs}

    def read_users(self) -> None:
        leave_out = self.quarantine.leaving_out(
            lambda row: self._first_school(row), self.quarantine.doubt_people_by("sourcedId")
        )
        columns = ["email", "orgSourcedIds", "role", "grade"]
        found = self._read("users.csv", ["sourcedId", "username"], columns)
        self.user_rows = by_id(found, "sourcedId", leave_out, self.quarantine.budget, joined="orgSourcedIds")
        self.people = {id_: Person(MisId(id_), row["username"], row["email"]) for id_, row in self.user_rows.items()}

    def read_classes(self) -> None:
        years = self._session_years()

        leave_out = self.quarantine.leaving_out(
            lambda row: self._school_of(row["orgSourcedId"]), self.quarantine.doubt_groups_by("sourcedId")
        )
        columns = ["sourcedId", "orgSourcedId", "title"]
        found = self._read("classes.csv", columns, ["sessionSourcedIds"])
        self.class_rows = by_id(found, "sourcedId", leave_out, self.quarantine.budget)
        for id_, row in self.class_rows.items():
            school, terms = self.school_of_org.get(row["orgSourcedId"], ""), row.ids("sessionSourcedIds")
            if terms and not self.files.has(_SESSIONS):
                raise rejection(f"{_SESSIONS} is missing, and {row.location} names a session")
            year = year_of_class(terms, years) if terms and years else self.calendar.current_year
            if not row["title"]:
                leave_out(row, "title", "is empty")
            elif not school:
                leave_out(row, "orgSourcedId", "is not in orgs.csv")
            elif isinstance(year, str):
                leave_out(row, "sessionSourcedIds", f"{year} in {_SESSIONS}")
            else:
                self.classes[id_] = RosterClass(id_, school, row["title"], year, self.quarantine.budget)
                if not (terms and years):
                    self.quarantine.note(
                        "{n} classes have no academic session in the feed: today's date gives them the year "
                        f"{year} — have the MIS export the sessions of each class",
                        school,
                    )

    def _session_years(self) -> dict[str, int | None]:
        if not self.files.has(_SESSIONS):
            return {}
        found = self._read(_SESSIONS, ["sourcedId", "startDate"], ["type", "schoolYear", "endDate"])
        rows = by_id(found, "sourcedId", lambda row, column, reason: None, self.quarantine.budget)
        texts = [row[column] for row in rows.values() for column in ("startDate", "endDate")]
        dates = self._dates(lambda: texts, _SESSIONS)
        sessions = {
            id_: Session(row["type"], "", row["schoolYear"], dates.read(row["startDate"]), dates.read(row["endDate"]))
            for id_, row in rows.items()
            if not row.fault
        }
        return session_years(sessions, self.calendar)

    def read_roles(self) -> None:
        """A pupil is in the year group of their grade, at each school where they are a pupil today."""
        if not self.files.has("roles.csv"):
            self._read_roles_of_users()
            return
        known = KnownIds(self.people, "users.csv")

        def doubt(row: Row, school: str) -> None:
            self.quarantine.doubt_role(row, row["userSourcedId"], known, school)

        leave_out = self.quarantine.leaving_out(lambda row: self._school_of(row["orgSourcedId"]), doubt)
        dates = self._role_dates()
        for row in self._read("roles.csv", ["userSourcedId", "orgSourcedId", "role"], ["grade", *_DATES]):
            user, role = row["userSourcedId"], read_role(row["role"])
            days = [dates.read(row[of]) for of in _DATES]
            if row["grade"]:
                self.years.see_grade(self.school_of_org.get(row["orgSourcedId"], ""))
            if row.fault:
                leave_out(row, row.column, row.fault)
            elif user not in self.people:
                if not self.quarantine.is_unread(user):
                    leave_out(row, "userSourcedId", known.why_unknown(user))
            elif role is None:
                if row["grade"]:
                    leave_out(row, "role", _NO_ROLE if row["role"] else "is empty")
            elif unread := next((of for of, day in zip(_DATES, days, strict=True) if row[of] and day is None), ""):
                leave_out(row, unread, "is not a date")
            elif not self.calendar.in_force(days[0], days[1]):
                self.quarantine.note("{n} roles ended before today or begin later, and do not count today")
            elif school := self.school_of_org.get(row["orgSourcedId"], ""):
                self.school_of_person.setdefault(user, school)
                if role is Role.STUDENT and row["grade"]:
                    self.years.add(school, row["grade"], self.people[user].id)
            elif role is Role.STUDENT and row["grade"]:
                leave_out(row, "orgSourcedId", "is not in orgs.csv")

    def _role_dates(self) -> Dates:
        def texts() -> Iterable[str]:
            rows = self.files.read("roles.csv", ["userSourcedId"], _DATES)
            return (row[column] for row in rows for column in _DATES)

        return self._dates(texts, "roles.csv")

    def _dates(self, texts: Callable[[], Iterable[str]], file: str) -> Dates:
        return Dates(texts, DayFirst.YES, lambda text: self.quarantine.note(f"{file} {text}"), self.calendar.zone)

    def _read_roles_of_users(self) -> None:
        if "role" not in self.files.files["users.csv"].header():
            raise rejection("roles.csv is missing, and users.csv has no column role")
        for id_, row in self.user_rows.items():
            schools = dict.fromkeys(filter(None, (self.school_of_org.get(org) for org in row.ids("orgSourcedIds"))))
            role = read_role(row["role"])
            if row["grade"]:
                self.years.see_grade(next(iter(schools), ""))
            if row["grade"] and (role is None or (role is Role.STUDENT and not schools)):
                field_ = "role" if role is None else "orgSourcedIds"
                self.quarantine.leave_out(
                    row, field_, _NO_ROLE if role is None else "is not in orgs.csv", self._first_school(row)
                )
                self.quarantine.doubt_person(id_, self._first_school(row))
            for school in schools:
                self.school_of_person.setdefault(id_, school)
                if role is Role.STUDENT and row["grade"]:
                    self.years.add(school, row["grade"], self.people[id_].id)

    def read_enrolments(self) -> None:
        classes, users = KnownIds(self.class_rows, "classes.csv"), KnownIds(self.people, "users.csv")

        def leave_out(row: Row, column: str, reason: str) -> None:
            class_id, user_id = row["classSourcedId"], row["userSourcedId"]
            found = self.classes.get(class_id)
            school = found.school if found else self.school_of_person.get(user_id, "")
            self.quarantine.leave_out(row, column, reason, school)
            self.quarantine.doubt_enrolment(row, (class_id, classes), (user_id, users), school)

        for row in self._read("enrollments.csv", ["classSourcedId", "userSourcedId", "role"]):
            class_id, user_id, role = row["classSourcedId"], row["userSourcedId"], read_role(row["role"])
            if row.fault:
                leave_out(row, row.column, row.fault)
            elif class_id not in self.class_rows:
                if not self.quarantine.is_unread(class_id):
                    leave_out(row, "classSourcedId", classes.why_unknown(class_id))
            elif user_id not in self.people:
                if not self.quarantine.is_unread(user_id):
                    leave_out(row, "userSourcedId", users.why_unknown(user_id))
            elif role is None:
                leave_out(row, "role", _NO_ROLE if row["role"] else "is empty")
            elif (found := self.classes.get(class_id)) and role is not Role.NONE:
                person = self.people[user_id].id
                if role is Role.STUDENT:
                    found.add_student(person)
                else:
                    found.add_staff(person, role)

    def count(self) -> None:
        for each in self.classes.values():
            self.quarantine.count("classes.csv", each.school, 1)
            self.quarantine.count("enrollments.csv", each.school, len(each.students) + len(each.teachers))
        for school in self.school_of_person.values():
            self.quarantine.count("users.csv", school, 1)
            self.quarantine.count("roles.csv", school, 1)

    def _read(self, name: str, columns: Iterable[str], optional: Iterable[str] = ()) -> Iterator[Row]:
        return self.files.read(name, columns, optional, self.quarantine.note)

    def _school_of(self, org: str) -> str:
        return self.school_of_org.get(org, org)

    def _first_school(self, user: Row) -> str:
        return next(map(self._school_of, user.ids("orgSourcedIds")), "")
