"""Reads School Data Sync v2.1 CSV (Microsoft): case-sensitive headers, a separate roles file, absence is deletion."""

from __future__ import annotations

from sync_core.domain.ids import MisId, SchoolId
from sync_core.domain.roster import Person, School
from sync_core.mis.files.archive import FeedFiles
from sync_core.mis.files.strict_csv import Faults, by_id, find_cycles, read_date
from sync_core.mis.roster import RosterClass, Snapshots, YearGroups, build_snapshots, read_school_year

_DATE = "%Y-%m-%d"
_STUDENT = "student"


def read_sds_v2(files: FeedFiles) -> Snapshots:
    """The schools of the feed: every org that a class or a student's role names. Raises SnapshotRejected."""
    faults = Faults()
    orgs = by_id(files.read("orgs.csv", ["sourcedId", "name", "type"], ["parentSourcedId"]), "sourcedId", faults)
    find_cycles(orgs, "parentSourcedId", faults)
    session_years = _academic_years(files, faults)
    user_rows = by_id(files.read("users.csv", ["sourcedId", "username"], optional=["email"]), "sourcedId", faults)
    people = {id_: Person(MisId(id_), row["username"], row["email"]) for id_, row in user_rows.items()}

    classes: dict[str, RosterClass] = {}
    columns = ["sourcedId", "orgSourcedId", "title", "sessionSourcedIds"]
    for id_, row in by_id(files.read("classes.csv", columns), "sourcedId", faults).items():
        if (
            faults.require(row, "title", row["title"])
            and faults.require_known(row, "orgSourcedId", orgs, "org", "orgs.csv")
            and (year := read_school_year(row, "sessionSourcedIds", session_years, faults)) is not None
        ):
            classes[id_] = RosterClass(id=id_, school=row["orgSourcedId"], name=row["title"], academic_year=year)

    pupils = YearGroups(dict)
    for row in files.read("roles.csv", ["userSourcedId", "orgSourcedId", "role"], optional=["grade"]):
        if (
            faults.require_known(row, "userSourcedId", people, "user", "users.csv")
            and faults.require_known(row, "orgSourcedId", orgs, "org", "orgs.csv")
            and row["role"].lower() == _STUDENT
            and row["grade"]
        ):
            pupils[row["orgSourcedId"], row["grade"]][people[row["userSourcedId"]].id] = None

    for row in files.read("enrollments.csv", ["classSourcedId", "userSourcedId", "role"]):
        if (
            faults.require_known(row, "classSourcedId", classes, "class", "classes.csv")
            and faults.require_known(row, "userSourcedId", people, "user", "users.csv")
            and faults.require(row, "role", row["role"])
        ):
            roster_class = classes[row["classSourcedId"]]
            members = roster_class.students if row["role"].lower() == _STUDENT else roster_class.teachers
            members[people[row["userSourcedId"]].id] = None
    faults.raise_any()
    schools = [School(SchoolId(id_), row["name"], id_) for id_, row in orgs.items()]
    latest_year = max(session_years.values(), default=None)
    return build_snapshots(schools, classes.values(), pupils, people, latest_year, files.taken_at)


def _academic_years(files: FeedFiles, faults: Faults) -> dict[str, int]:
    """The year of each session: of the schoolYear session with the same school year, or else of its own start."""
    columns = ["sourcedId", "type", "schoolYear", "startDate"]
    rows = by_id(files.read("academicSessions.csv", columns), "sourcedId", faults)
    starts = {id_: read_date(row, "startDate", _DATE, faults) for id_, row in rows.items()}
    year_starts = {row["schoolYear"]: starts[id_] for id_, row in rows.items() if row["type"] == "schoolYear"}
    chosen = {id_: year_starts.get(row["schoolYear"]) or starts[id_] for id_, row in rows.items()}
    return {id_: start.year for id_, start in chosen.items() if start}
