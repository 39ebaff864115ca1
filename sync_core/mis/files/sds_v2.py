"""Reads School Data Sync v2.1 CSV (Microsoft): case-sensitive headers, a separate roles file, absence is deletion."""

from __future__ import annotations

from collections.abc import Mapping

from sync_core.domain.roster import GroupType, Person, School, Snapshot
from sync_core.mis.files.archive import FeedFiles
from sync_core.mis.files.strict_csv import Faults, Row, by_id, find_cycles, read_date
from sync_core.mis.roster import RosterClass, YearGroups, build_snapshots

_DATE = "%Y-%m-%d"
_STUDENT = "student"


def read_sds_v2(files: FeedFiles) -> dict[str, Snapshot]:
    """The schools of the feed: every org that a class or a student's role names. Raises SnapshotRejected."""
    faults = Faults()
    orgs = by_id(files.read("orgs.csv", ["sourcedId", "name", "type"], ["parentSourcedId"]), "sourcedId", faults)
    find_cycles(orgs, "parentSourcedId", faults)
    session_years = _academic_years(files, faults)
    user_rows = by_id(files.read("users.csv", ["sourcedId", "username"], optional=["email"]), "sourcedId", faults)
    people = {id_: Person(id_, row["username"], row["email"]) for id_, row in user_rows.items()}

    classes: dict[str, RosterClass] = {}
    columns = ["sourcedId", "orgSourcedId", "title", "sessionSourcedIds"]
    for id_, row in by_id(files.read("classes.csv", columns), "sourcedId", faults).items():
        if roster_class := _read_class(id_, row, orgs, session_years, faults):
            classes[id_] = roster_class

    pupils = YearGroups()
    for row in files.read("roles.csv", ["userSourcedId", "orgSourcedId", "role"], optional=["grade"]):
        if row["userSourcedId"] not in people:
            faults.add(row, "userSourcedId", f"user {row['userSourcedId']} is not in users.csv")
        elif row["orgSourcedId"] not in orgs:
            faults.add(row, "orgSourcedId", f"org {row['orgSourcedId']} is not in orgs.csv")
        elif row["role"].lower() == _STUDENT and row["grade"]:
            pupils.add(row["orgSourcedId"], row["grade"], row["userSourcedId"])

    for row in files.read("enrollments.csv", ["classSourcedId", "userSourcedId", "role"]):
        if row["classSourcedId"] not in classes:
            faults.add(row, "classSourcedId", f"class {row['classSourcedId']} is not in classes.csv")
        elif row["userSourcedId"] not in people:
            faults.add(row, "userSourcedId", f"user {row['userSourcedId']} is not in users.csv")
        elif not row["role"]:
            faults.add(row, "role", "is empty")
        elif row["role"].lower() == _STUDENT:
            classes[row["classSourcedId"]].students[people[row["userSourcedId"]].id] = None
        else:
            classes[row["classSourcedId"]].teachers[people[row["userSourcedId"]].id] = None
    faults.raise_any()
    schools = [School(id_, row["name"], id_) for id_, row in orgs.items()]
    return build_snapshots(
        schools, classes.values(), pupils, people, max(session_years.values(), default=None), files.taken_at
    )


def _academic_years(files: FeedFiles, faults: Faults) -> dict[str, int]:
    """The year of each session: of the schoolYear session with the same school year, or else of its own start."""
    columns = ["sourcedId", "type", "schoolYear", "startDate"]
    rows = by_id(files.read("academicSessions.csv", columns), "sourcedId", faults)
    starts = {id_: read_date(row, "startDate", _DATE, faults) for id_, row in rows.items()}
    year_starts = {row["schoolYear"]: starts[id_] for id_, row in rows.items() if row["type"] == "schoolYear"}
    chosen = {id_: year_starts.get(row["schoolYear"]) or starts[id_] for id_, row in rows.items()}
    return {id_: start.year for id_, start in chosen.items() if start}


def _read_class(
    id_: str, row: Row, orgs: Mapping[str, Row], years: Mapping[str, int], faults: Faults
) -> RosterClass | None:
    sessions = [session.strip() for session in row["sessionSourcedIds"].split(",") if session.strip()]
    unknown = [session for session in sessions if session not in years]
    if not row["title"]:
        faults.add(row, "title", "is empty")
    elif row["orgSourcedId"] not in orgs:
        faults.add(row, "orgSourcedId", f"org {row['orgSourcedId']} is not in orgs.csv")
    elif not sessions:
        faults.add(row, "sessionSourcedIds", "is empty")
    elif unknown:
        faults.add(row, "sessionSourcedIds", f"session {unknown[0]} is not in academicSessions.csv")
    elif len({years[session] for session in sessions}) > 1:
        faults.add(row, "sessionSourcedIds", "the sessions belong to different school years")
    else:
        return RosterClass(
            id=id_,
            school=row["orgSourcedId"],
            type=GroupType.TEACHING,
            name=row["title"],
            academic_year=years[sessions[0]],
        )
    return None
