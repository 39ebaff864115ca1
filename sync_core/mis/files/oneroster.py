"""Reads OneRoster 1.1 and 1.2 CSV (1EdTech). Homerooms are registration groups, scheduled classes teaching groups."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from functools import partial

from sync_core.domain.ids import MisId, SchoolId
from sync_core.domain.roster import GroupType, Person, School
from sync_core.mis.files.archive import FeedFiles
from sync_core.mis.files.strict_csv import Faults, Row, by_id, find_cycles, read_date, rejection
from sync_core.mis.roster import RosterClass, Snapshots, YearGroups, build_snapshots, read_school_year

_FILES = ("orgs.csv", "academicSessions.csv", "classes.csv", "users.csv", "enrollments.csv")
BULK, DELTA, ABSENT = "bulk", "delta", "absent"
_NEEDED = {"1.1": _FILES, "1.2": (*_FILES, "roles.csv")}
_TYPES = {"homeroom": GroupType.REGISTRATION, "scheduled": GroupType.TEACHING}
_SCHOOL_YEAR = "schoolYear"
_DATE = "%Y-%m-%d"

ReadTable = Callable[[str, Iterable[str], Iterable[str]], Iterable[Row]]
"""Reads a CSV file of the roster by name: its rows, to be iterated once, with some columns and optional columns.

A missing optional column reads as empty. Raises SnapshotRejected, also during the iteration.
"""


def read_oneroster(sets: Sequence[FeedFiles]) -> Snapshots:
    """The schools in a full CSV set and the sets exported after it. Raises SnapshotRejected."""
    sets_with_modes = [(files, read_modes(files)) for files in sets]
    read: ReadTable = partial(_read_merged, sets_with_modes)
    if "roles.csv" in sets_with_modes[-1][1]:
        read = partial(_read_as_1_1, read)
    return read_roster(read, sets[-1].taken_at)


def _read_merged(
    sets: Sequence[tuple[FeedFiles, Mapping[str, str]]], name: str, columns: Iterable[str], optional: Iterable[str]
) -> Iterable[Row]:
    """The rows of the last bulk table, changed by the delta tables after it. `sets` are in the order of export."""
    deltas: list[FeedFiles] = []
    for files, modes in reversed(sets):
        mode = modes.get(name, ABSENT)
        if mode == BULK:
            return _patched(files, deltas, name, columns, optional) if deltas else files.read(name, columns, optional)
        if mode == DELTA:
            deltas.insert(0, files)
    raise rejection(
        f'manifest.csv says that {name} is "{sets[-1][1].get(name, ABSENT)}", and no earlier set has all of it',
        "have the MIS export all files as bulk once, because changes alone do not show who left",
    )


def _patched(
    bulk: FeedFiles, deltas: Iterable[FeedFiles], name: str, columns: Iterable[str], optional: Iterable[str]
) -> Iterator[Row]:
    columns = dict.fromkeys(("sourcedId", *columns))
    patch: dict[str, list[Row]] = {}
    for files in deltas:
        changes: dict[str, list[Row]] = {}
        for row in files.read(name, columns, optional):
            changes.setdefault(row["sourcedId"], []).append(row)
        patch |= changes
    # A changed row keeps its position: the first teacher is the main one if none is marked. All rows of a repeated id
    # are passed on, because the reader reports the repetition as a fault.
    for row in bulk.read(name, columns, optional):
        yield from patch.pop(row["sourcedId"], [row])
    for new_rows in patch.values():
        yield from new_rows


def _read_as_1_1(read: ReadTable, name: str, columns: Iterable[str], optional: Iterable[str]) -> Iterable[Row]:
    """Version 1.2 read as 1.1: users get their active roles, each at an org, from a separate file."""
    if name != "users.csv":
        return read(name, columns, optional)
    user_columns = [column for column in columns if column not in ("orgSourcedIds", "role")]
    users = list(read(name, user_columns, optional))
    ids = {user["sourcedId"] for user in users}
    faults, roles_by_user = Faults(), dict[str, list[Row]]()
    for row in read("roles.csv", ["status", "userSourcedId", "roleType", "role", "orgSourcedId"], []):
        if faults.require_known(row, "userSourcedId", ids, "user", "users.csv") and _active(row, faults):
            roles_by_user.setdefault(row["userSourcedId"], []).append(row)
    faults.raise_any()
    places = {column: place for place, column in enumerate((*user_columns, *optional, "role", "orgSourcedIds"))}
    rows: list[Row] = []
    for user in users:
        roles = sorted(roles_by_user.get(user["sourcedId"], []), key=lambda role: role["roleType"] != "primary")
        # A user who is a student at any org is a student, at those orgs. For others, the primary role counts.
        chosen = [role for role in roles if role["role"] == "student"] or roles
        role = chosen[0]["role"] if chosen else ""
        orgs = ",".join(dict.fromkeys(role["orgSourcedId"] for role in chosen))
        cells = (*(user[column] for column in (*user_columns, *optional)), role, orgs)
        rows.append(Row(user.source, user.number, places, cells))
    return rows


def read_roster(read: ReadTable, taken_at: datetime) -> Snapshots:
    """The schools of the roster. Rows marked `tobedeleted` are left out, as are enrolments of such users or classes.

    The dates of enrolments are ignored, because the MIS exports who is in a class now. Raises SnapshotRejected.
    """
    faults = Faults()
    columns = ["sourcedId", "status", "name", "type", "identifier"]
    orgs = by_id(read("orgs.csv", columns, ["parentSourcedId"]), "sourcedId", faults)
    find_cycles(orgs, "parentSourcedId", faults)
    schools = {
        id_: School(SchoolId(id_), row["name"], row["identifier"])
        for id_, row in orgs.items()
        if row["type"] == "school" and _active(row, faults)
    }
    session_years, latest_year = _read_sessions(read, faults)
    columns = ["sourcedId", "status", "title", "classType", "schoolSourcedId", "termSourcedIds"]
    class_rows = by_id(read("classes.csv", columns, []), "sourcedId", faults)
    classes: dict[str, RosterClass] = {}
    for id_, row in class_rows.items():
        if (
            _active(row, faults)
            and faults.require(row, "title", row["title"])
            and faults.require(row, "classType", row["classType"] in _TYPES, "is neither homeroom nor scheduled")
            and faults.require_known(row, "schoolSourcedId", schools, "school", "orgs.csv")
            and (year := read_school_year(row, "termSourcedIds", session_years, faults)) is not None
        ):
            school, type_ = row["schoolSourcedId"], _TYPES[row["classType"]]
            classes[id_] = RosterClass(id=id_, school=school, name=row["title"], academic_year=year, type=type_)

    columns = ["sourcedId", "status", "orgSourcedIds", "role", "username", "email"]
    user_rows = by_id(read("users.csv", columns, ["grades", "enabledUser"]), "sourcedId", faults)
    people: dict[str, Person] = {}
    years = YearGroups(dict)
    for id_, row in user_rows.items():
        if _active(row, faults):
            user = people[id_] = Person(
                MisId(id_), row["username"], row["email"], row["enabledUser"].lower() != "false"
            )
            _read_year(user.id, row, orgs, years, faults)

    for row in read("enrollments.csv", ["sourcedId", "status", "classSourcedId", "userSourcedId", "role"], ["primary"]):
        if (
            _active(row, faults)
            and faults.require_known(row, "classSourcedId", class_rows, "class", "classes.csv")
            and faults.require_known(row, "userSourcedId", user_rows, "user", "users.csv")
            and (enrolled_in := classes.get(row["classSourcedId"]))
            and (person := people.get(row["userSourcedId"]))
        ):
            # The string of the users table: millions of enrolments keep each person's id in memory once.
            _enrol(row, enrolled_in, person.id, faults)
    faults.raise_any()
    return build_snapshots(schools.values(), classes.values(), years, people, latest_year, taken_at)


def read_modes(files: FeedFiles) -> dict[str, str]:
    """The mode of each file of the set's version, by its manifest. Raises SnapshotRejected if one is unknown."""
    properties = {row["propertyName"]: row["value"] for row in files.read("manifest.csv", ["propertyName", "value"])}
    version = properties.get("oneroster.version", "1.1")
    if version not in _NEEDED:
        raise rejection(
            f"manifest.csv says OneRoster {version}, which is not supported",
            f"have the MIS export OneRoster {' or '.join(_NEEDED)} CSV",
        )
    modes = {name: properties.get(f"file.{name.removesuffix('.csv')}", ABSENT) for name in _NEEDED[version]}
    for name, mode in modes.items():
        if mode not in (BULK, DELTA, ABSENT):
            raise rejection(f'manifest.csv says that {name} is "{mode}", not bulk, delta or absent')
    return modes


def _read_sessions(read: ReadTable, faults: Faults) -> tuple[dict[str, int | None], int | None]:
    """The school year of each session, and the latest one. A school year is the calendar year in which it starts."""
    columns = ["sourcedId", "status", "type", "startDate", "endDate", "parentSourcedId"]
    all_rows = by_id(read("academicSessions.csv", columns, []), "sourcedId", faults)
    rows = {id_: row for id_, row in all_rows.items() if _active(row, faults)}
    starts = {id_: read_date(row, "startDate", _DATE, faults) for id_, row in rows.items()}
    ends = {id_: read_date(row, "endDate", _DATE, faults) for id_, row in rows.items()}
    find_cycles(rows, "parentSourcedId", faults)
    for row in rows.values():
        if row["parentSourcedId"]:
            faults.require_known(row, "parentSourcedId", rows, "session", "academicSessions.csv")
    years = {id_: start.year if (start := _year_start(id_, rows, starts, ends)) else None for id_ in rows}
    latest = max((year for id_, year in years.items() if year and rows[id_]["type"] == _SCHOOL_YEAR), default=None)
    return years, latest


def _year_start(
    session: str, rows: Mapping[str, Row], starts: Mapping[str, date | None], ends: Mapping[str, date | None]
) -> date | None:
    """The start of the school year above the session, or of the one that contains its start, or its own start."""
    ancestor, seen = session, set[str]()
    while ancestor in rows and ancestor not in seen:
        if rows[ancestor]["type"] == _SCHOOL_YEAR:
            return starts[ancestor]
        seen.add(ancestor)
        ancestor = rows[ancestor]["parentSourcedId"]
    start = starts[session]
    for id_, row in rows.items():
        first, last = starts[id_], ends[id_]
        if row["type"] == _SCHOOL_YEAR and start and first and last and first <= start <= last:
            return first
    return start


def _active(row: Row, faults: Faults) -> bool:
    """Bulk files leave the status empty, but may have a delta's `tobedeleted` as well."""
    if (status := row["status"]) not in ("", "active", "tobedeleted"):
        faults.add(row, "status", "is neither active nor tobedeleted")
    return status != "tobedeleted"


def _read_year(person: MisId, row: Row, orgs: Mapping[str, Row], years: YearGroups, faults: Faults) -> None:
    """A pupil is in the year group of their first grade at their first org."""
    pupil_orgs = row.ids("orgSourcedIds")
    unknown = next((org for org in pupil_orgs if org not in orgs), None)
    known = faults.require(row, "orgSourcedIds", unknown is None, f"org {unknown} is not in orgs.csv")
    grade = row["grades"].split(",")[0].strip()
    if known and row["role"] == "student" and grade and pupil_orgs:
        years[pupil_orgs[0], grade][person] = None


def _enrol(row: Row, roster_class: RosterClass, person: MisId, faults: Faults) -> None:
    primary = row["primary"].lower()
    faults.require(row, "primary", primary in ("", "true", "false"), "is neither true nor false")
    match row["role"]:
        case "student":
            roster_class.students[person] = None
        case "teacher":
            roster_class.teachers[person] = None
            if primary == "true":
                roster_class.main = roster_class.main or person
        case "administrator" | "proctor":
            pass
        case _:
            faults.add(row, "role", "is not student, teacher, administrator or proctor")
