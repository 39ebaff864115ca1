"""Reads OneRoster 1.1 and 1.2 CSV (1EdTech). Homerooms are registration groups, scheduled classes teaching groups."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from sync_core.domain.roster import GroupType, Person, School, Snapshot
from sync_core.errors import SnapshotRejected
from sync_core.mis.files.archive import FeedFiles
from sync_core.mis.files.strict_csv import Faults, Row, by_id, find_cycles, read_date, rejection
from sync_core.mis.roster import RosterClass, YearGroups, build_snapshots

_FILES = ("orgs", "academicSessions", "classes", "users", "enrollments")
_BULK, _DELTA, _ABSENT = "bulk", "delta", "absent"
_NEEDED = {"1.1": _FILES, "1.2": (*_FILES, "roles")}
_TYPES = {"homeroom": GroupType.REGISTRATION, "scheduled": GroupType.TEACHING}
_DATE = "%Y-%m-%d"


class Tables(Protocol):
    """The tables of one roster, by the names of their CSV files."""

    @property
    def taken_at(self) -> datetime:
        """When the MIS wrote the roster."""

    def read(self, name: str, columns: Iterable[str], optional: Iterable[str] = ()) -> Iterable[Row]:
        """The rows with these columns, to be iterated once. A missing `optional` column reads as empty.

        Raises SnapshotRejected, also during the iteration.
        """


def read_oneroster(sets: Sequence[FeedFiles]) -> dict[str, Snapshot]:
    """The schools in a full CSV set and the sets exported after it. Raises SnapshotRejected."""
    manifests = [_manifest(files) for files in sets]
    tables = _MergedSets(tuple(zip(sets, manifests, strict=True)))
    return read_roster(tables if manifests[-1].version == "1.1" else _UsersWithRoles(tables))


def is_bulk(files: FeedFiles) -> bool:
    """Whether all files of the set are bulk: everything, not only changes. Raises SnapshotRejected."""
    manifest = _manifest(files)
    return all(manifest.mode(f"{name}.csv") == _BULK for name in _NEEDED[manifest.version])


def listed_files(files: FeedFiles) -> list[str]:
    """The files that the set has according to its manifest. Raises SnapshotRejected."""
    manifest = _manifest(files)
    return [f"{name}.csv" for name in _NEEDED[manifest.version] if manifest.mode(f"{name}.csv") != _ABSENT]


@dataclass(frozen=True, slots=True)
class _Manifest:
    """The manifest of a set. `modes` are the modes of its files, by file name without .csv."""

    version: str
    modes: Mapping[str, str]

    def mode(self, file: str) -> str:
        return self.modes.get(file.removesuffix(".csv"), _ABSENT)


@dataclass(frozen=True, slots=True)
class _MergedSets:
    """Sets with their manifests, in the order of export, read as one: a bulk table replaces, a delta table changes."""

    sets: tuple[tuple[FeedFiles, _Manifest], ...]

    @property
    def taken_at(self) -> datetime:
        return self.sets[-1][0].taken_at

    def read(self, name: str, columns: Iterable[str], optional: Iterable[str] = ()) -> Iterator[Row]:
        """The rows of the last bulk table, changed by the delta tables after it."""
        columns, optional = tuple(columns), tuple(optional)
        deltas: list[FeedFiles] = []
        for files, manifest in reversed(self.sets):
            mode = manifest.mode(name)
            if mode == _BULK:
                yield from _patched([files, *deltas], name, columns, optional)
                return
            if mode == _DELTA:
                deltas.insert(0, files)
        raise SnapshotRejected(
            f'manifest.csv says that {name} is "{self.sets[-1][1].mode(name)}", and no earlier set has all of it',
            "nothing was changed; have the MIS export all files as bulk once, because changes alone do not show who "
            "has left",
        )


def _patched(
    sets: Sequence[FeedFiles], name: str, columns: tuple[str, ...], optional: tuple[str, ...]
) -> Iterator[Row]:
    bulk, *deltas = sets
    if not deltas:
        yield from bulk.read(name, columns, optional)
        return
    columns = tuple(dict.fromkeys(("sourcedId", *columns)))
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


@dataclass(frozen=True, slots=True)
class _UsersWithRoles:
    """Version 1.2 read as 1.1: users get their roles, each at an org, from a separate file."""

    files: Tables

    @property
    def taken_at(self) -> datetime:
        return self.files.taken_at

    def read(self, name: str, columns: Iterable[str], optional: Iterable[str] = ()) -> Iterable[Row]:
        if name != "users.csv":
            return self.files.read(name, columns, optional)
        user_columns = [column for column in columns if column not in ("orgSourcedIds", "role")]
        users = list(self.files.read(name, user_columns, optional))
        roles = self._roles({user["sourcedId"] for user in users})
        return [Row(user.location, {**user.cells, **_as_in_1_1(roles.get(user["sourcedId"], []))}) for user in users]

    def _roles(self, users: Set[str]) -> dict[str, list[Row]]:
        """The active roles by user, primary roles first. Raises SnapshotRejected."""
        faults = Faults()
        by_user: dict[str, list[Row]] = {}
        columns = ["status", "userSourcedId", "roleType", "role", "orgSourcedId"]
        for row in self.files.read("roles.csv", columns):
            if row["userSourcedId"] not in users:
                faults.add(row, "userSourcedId", f"user {row['userSourcedId']} is not in users.csv")
            elif _active(row, faults):
                by_user.setdefault(row["userSourcedId"], []).append(row)
        faults.raise_any()
        return {user: sorted(roles, key=lambda role: role["roleType"] != "primary") for user, roles in by_user.items()}


def _as_in_1_1(roles: Sequence[Row]) -> dict[str, str]:
    """A user who is a student at any org is a student, at those orgs."""
    chosen = [role for role in roles if role["role"] == "student"] or roles
    return {
        "role": chosen[0]["role"] if chosen else "",
        "orgSourcedIds": ",".join(dict.fromkeys(role["orgSourcedId"] for role in chosen)),
    }


def read_roster(files: Tables) -> dict[str, Snapshot]:
    """The schools of the roster. Rows marked `tobedeleted` are left out, as are enrolments of such users or classes.

    The dates of enrolments are ignored, because the MIS exports who is in a class now. Raises SnapshotRejected.
    """
    faults = Faults()
    columns = ["sourcedId", "status", "name", "type", "identifier"]
    orgs = by_id(files.read("orgs.csv", columns, optional=["parentSourcedId"]), "sourcedId", faults)
    find_cycles(orgs, "parentSourcedId", faults)
    schools = {
        id_: School(id_, row["name"], row["identifier"])
        for id_, row in orgs.items()
        if row["type"] == "school" and _active(row, faults)
    }
    sessions = _Sessions(files, faults)
    class_rows = by_id(
        files.read("classes.csv", ["sourcedId", "status", "title", "classType", "schoolSourcedId", "termSourcedIds"]),
        "sourcedId",
        faults,
    )
    classes: dict[str, RosterClass] = {}
    for id_, row in class_rows.items():
        if _active(row, faults) and (roster_class := _read_class(id_, row, schools, sessions, faults)):
            classes[id_] = roster_class

    user_rows = by_id(
        files.read(
            "users.csv", ["sourcedId", "status", "orgSourcedIds", "role", "username", "email"], optional=["grades"]
        ),
        "sourcedId",
        faults,
    )
    people: dict[str, Person] = {}
    years = YearGroups()
    for id_, row in user_rows.items():
        if _active(row, faults):
            people[id_] = Person(id_, row["username"], row["email"])
            _read_year(id_, row, orgs, years, faults)

    for row in files.read(
        "enrollments.csv", ["sourcedId", "status", "classSourcedId", "userSourcedId", "role"], optional=["primary"]
    ):
        if _active(row, faults):
            _enrol(row, (class_rows, classes), (user_rows, people), faults)
    faults.raise_any()
    return build_snapshots(schools.values(), classes.values(), years, people, sessions.latest_year(), files.taken_at)


def _manifest(files: FeedFiles) -> _Manifest:
    """Raises SnapshotRejected for an unknown version or mode."""
    properties = {row["propertyName"]: row["value"] for row in files.read("manifest.csv", ["propertyName", "value"])}
    version = properties.get("oneroster.version", "1.1")
    if version not in _NEEDED:
        raise SnapshotRejected(
            f"manifest.csv says OneRoster {version}, which is not supported",
            f"nothing was changed; have the MIS export OneRoster {' or '.join(_NEEDED)} CSV",
        )
    modes = {name: properties.get(f"file.{name}", _ABSENT) for name in _NEEDED[version]}
    for name, mode in modes.items():
        if mode not in (_BULK, _DELTA, _ABSENT):
            raise rejection(f'manifest.csv says that {name}.csv is "{mode}", not bulk, delta or absent')
    return _Manifest(version, modes)


class _Sessions:
    """Academic sessions and their school years. A school year is the calendar year in which it starts."""

    def __init__(self, files: Tables, faults: Faults) -> None:
        columns = ["sourcedId", "status", "type", "startDate", "endDate", "parentSourcedId"]
        rows = by_id(files.read("academicSessions.csv", columns), "sourcedId", faults)
        self._rows = {id_: row for id_, row in rows.items() if _active(row, faults)}
        self._starts = {id_: read_date(row, "startDate", _DATE, faults) for id_, row in self._rows.items()}
        self._ends = {id_: read_date(row, "endDate", _DATE, faults) for id_, row in self._rows.items()}
        find_cycles(self._rows, "parentSourcedId", faults)
        for row in self._rows.values():
            if row["parentSourcedId"] and row["parentSourcedId"] not in self._rows:
                faults.add(row, "parentSourcedId", f"session {row['parentSourcedId']} is not in academicSessions.csv")

    def __contains__(self, session: str) -> bool:
        return session in self._rows

    def academic_year(self, session: str) -> int | None:
        """The year of the schoolYear session above it, or of the one that contains its start, or its own year."""
        ancestor, seen = session, set[str]()
        while ancestor in self._rows and ancestor not in seen and self._rows[ancestor]["type"] != "schoolYear":
            seen.add(ancestor)
            ancestor = self._rows[ancestor]["parentSourcedId"]
        if ancestor not in self._rows or ancestor in seen:
            ancestor = self._surrounding_year(session) or session
        start = self._starts[ancestor]
        return start.year if start else None

    def latest_year(self) -> int | None:
        starts = [start for id_, start in self._starts.items() if start and self._rows[id_]["type"] == "schoolYear"]
        return max(starts).year if starts else None

    def _surrounding_year(self, session: str) -> str | None:
        start = self._starts[session]
        for id_, row in self._rows.items():
            first, last = self._starts[id_], self._ends[id_]
            if row["type"] == "schoolYear" and start and first and last and first <= start <= last:
                return id_
        return None


def _active(row: Row, faults: Faults) -> bool:
    """Bulk files leave the status empty, but may have a delta's `tobedeleted` as well."""
    if row["status"] not in ("", "active", "tobedeleted"):
        faults.add(row, "status", "is neither active nor tobedeleted")
    return row["status"] != "tobedeleted"


def _read_class(
    id_: str, row: Row, schools: Mapping[str, School], sessions: _Sessions, faults: Faults
) -> RosterClass | None:
    terms = [term.strip() for term in row["termSourcedIds"].split(",") if term.strip()]
    unknown = [term for term in terms if term not in sessions]
    if not row["title"]:
        faults.add(row, "title", "is empty")
    elif row["classType"] not in _TYPES:
        faults.add(row, "classType", "is neither homeroom nor scheduled")
    elif row["schoolSourcedId"] not in schools:
        faults.add(row, "schoolSourcedId", f"school {row['schoolSourcedId']} is not in orgs.csv")
    elif not terms:
        faults.add(row, "termSourcedIds", "is empty")
    elif unknown:
        faults.add(row, "termSourcedIds", f"session {unknown[0]} is not in academicSessions.csv")
    else:
        years = {sessions.academic_year(term) for term in terms}
        year = years.pop()
        if years:
            faults.add(row, "termSourcedIds", "the sessions belong to different school years")
        elif year is not None:
            return RosterClass(
                id=id_,
                school=row["schoolSourcedId"],
                type=_TYPES[row["classType"]],
                name=row["title"],
                academic_year=year,
            )
    return None


def _read_year(id_: str, row: Row, orgs: Mapping[str, Row], years: YearGroups, faults: Faults) -> None:
    """A pupil is in the year group of their first grade at their first org."""
    pupil_orgs = [org.strip() for org in row["orgSourcedIds"].split(",") if org.strip()]
    for org in pupil_orgs:
        if org not in orgs:
            faults.add(row, "orgSourcedIds", f"org {org} is not in orgs.csv")
            return
    grade = row["grades"].split(",")[0].strip()
    if row["role"] == "student" and grade and pupil_orgs:
        years.add(pupil_orgs[0], grade, id_)


def _enrol(
    row: Row,
    classes: tuple[Mapping[str, Row], Mapping[str, RosterClass]],
    users: tuple[Mapping[str, Row], Mapping[str, Person]],
    faults: Faults,
) -> None:
    class_id, user_id = row["classSourcedId"], row["userSourcedId"]
    if class_id not in classes[0]:
        faults.add(row, "classSourcedId", f"class {class_id} is not in classes.csv")
        return
    if user_id not in users[0]:
        faults.add(row, "userSourcedId", f"user {user_id} is not in users.csv")
        return
    if class_id not in classes[1] or user_id not in users[1]:
        return
    # The string of the users table: millions of enrolments keep each person's id in memory once.
    user_id = users[1][user_id].id
    primary = row["primary"].lower()
    if primary not in ("", "true", "false"):
        faults.add(row, "primary", "is neither true nor false")
    match row["role"]:
        case "student":
            classes[1][class_id].students[user_id] = None
        case "teacher":
            classes[1][class_id].teachers[user_id] = None
            if primary == "true":
                classes[1][class_id].main[user_id] = None
        case "administrator" | "proctor":
            pass
        case _:
            faults.add(row, "role", "is not student, teacher, administrator or proctor")
