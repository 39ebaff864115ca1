"""The CSV sets of OneRoster 1.1 and 1.2 (1EdTech): manifests, changes after a full set, and the roles of 1.2."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial

from sync_core.mis.academic_years import Calendar
from sync_core.mis.budget import Budget
from sync_core.mis.files.archive import FeedFiles
from sync_core.mis.files.oneroster import Tables, read_roster
from sync_core.mis.files.oneroster_roles import with_roles
from sync_core.mis.files.text import same_word
from sync_core.mis.quarantine import Quarantine
from sync_core.mis.rejection import rejection
from sync_core.mis.roster import Snapshots
from sync_core.mis.rows import Row

_SESSIONS = "academicSessions.csv"
_FILES = ("orgs.csv", _SESSIONS, "classes.csv", "users.csv", "enrollments.csv")
BULK, DELTA, ABSENT = "bulk", "delta", "absent"
UNLISTED = "not in the manifest"
"""In place of the mode of a file that the manifest does not list."""
WITHOUT_FILE = (ABSENT, UNLISTED)
_NEEDED = {"1.1": _FILES, "1.2": (*_FILES, "roles.csv")}
_VERSION = "oneroster.version"
_IS_VERSION = re.compile(r"\d(\.\d)?").fullmatch
_WITH_PATCH = re.compile(r"^(\d\.\d)\.\d{1,3}$")
"""A version that differs in no column, as 1.2.1 from 1.2."""
_STATUS = "status"
_CSV = ".csv"


def read_oneroster(sets: Sequence[FeedFiles], calendar: Calendar) -> Snapshots:
    """The schools in a full CSV set and the sets exported after it. Raises SnapshotRejected."""
    quarantine = Quarantine()
    sets_with_modes = [(files, read_modes(files)) for files in sets]
    if not sets[-1].has("manifest.csv"):
        quarantine.note("the set has no manifest.csv and was read as a full set (bulk) — have the MIS export it, too")
    tables = Tables(partial(_read_merged, sets_with_modes, quarantine), _CSV)
    if "roles.csv" in sets_with_modes[-1][1]:
        tables = with_roles(tables, calendar, quarantine)
    return read_roster(tables, sets[-1].taken_at, calendar, quarantine)


def is_full_set(files: FeedFiles) -> bool:
    """Whether the set has everything, and not only changes. Sessions may be absent. Raises SnapshotRejected."""
    modes = read_modes(files)
    return all(mode == BULK or (mode in WITHOUT_FILE and name == _SESSIONS) for name, mode in modes.items())


def read_modes(files: FeedFiles) -> dict[str, str]:
    """The mode of each file of the set's version, by its manifest. Raises SnapshotRejected if one is unknown.

    A set without a manifest has all files in full; with roles.csv it is version 1.2.
    """
    if not files.has("manifest.csv"):
        return dict.fromkeys(_NEEDED[_version_by_files(files)], BULK)
    properties = _properties(files)
    written = properties.get(_VERSION, "1.1").removeprefix("v")
    version = _WITH_PATCH.sub(r"\1", written)
    if version not in _NEEDED:
        raise rejection(
            f"manifest.csv says OneRoster {version if _IS_VERSION(version) else '(a value)'}, which is not supported",
            f"have the MIS export OneRoster {' or '.join(_NEEDED)} CSV",
            f"manifest.csv says OneRoster {written}, which is not supported",
        )
    modes = {name: properties.get(_property(name), UNLISTED) for name in _NEEDED[version]}
    for name, mode in modes.items():
        if mode not in (BULK, DELTA, *WITHOUT_FILE):
            raise rejection(
                f"manifest.csv says of {name} neither bulk, delta nor absent",
                shown=f'manifest.csv says that {name} is "{mode}", not bulk, delta or absent',
            )
    return modes


def describe_oneroster(files: FeedFiles) -> str:
    """The format of a set whose modes could be read, and what shows its version."""
    if not files.has("manifest.csv"):
        shown = "but roles.csv" if files.has("roles.csv") else "and no roles.csv"
        return f"OneRoster {_version_by_files(files)} CSV (it has no manifest.csv, {shown})"
    if version := _properties(files).get(_VERSION):
        return f"OneRoster {version.removeprefix('v')} CSV (manifest.csv says so)"
    return "OneRoster CSV, read as 1.1 (manifest.csv names no version)"


def _version_by_files(files: FeedFiles) -> str:
    return "1.2" if files.has("roles.csv") else "1.1"


def _properties(files: FeedFiles) -> dict[str, str]:
    """The properties of the manifest."""
    rows = files.read("manifest.csv", ["propertyName", "value"])
    return {same_word(row["propertyName"]): same_word(row["value"]) for row in rows}


def _property(name: str) -> str:
    """The property of the manifest that has the mode of a file, as one word."""
    return f"file.{same_word(name.removesuffix(_CSV))}"


def _read_merged(
    sets: Sequence[tuple[FeedFiles, Mapping[str, str]]],
    quarantine: Quarantine,
    table: str,
    columns: Iterable[str],
    optional: Iterable[str],
) -> Iterable[Row]:
    """The rows of the last bulk table, changed by the delta tables after it. `sets` are in the order of export.

    A bulk table may lack the column `status`: it has no deleted records.
    """
    name = f"{table}{_CSV}"
    deltas: list[FeedFiles] = []
    for files, modes in reversed(sets):
        mode = modes.get(name, UNLISTED)
        if mode == BULK:
            of_all = [column for column in columns if column != _STATUS]
            if not deltas:
                return files.read(name, of_all, (*optional, _STATUS), quarantine.note)
            bulk = files.read(name, dict.fromkeys(("sourcedId", *of_all)), (*optional, _STATUS), quarantine.note)
            with_id = tuple(dict.fromkeys(("sourcedId", _STATUS, *columns)))
            changes = [each.read(name, with_id, optional, quarantine.note) for each in deltas]
            return _patched(quarantine.budget, bulk, *changes)
        if mode == DELTA:
            deltas.insert(0, files)
    if name == _SESSIONS and not deltas:
        return []
    mode = sets[-1][1].get(name, UNLISTED)
    if mode == UNLISTED:
        raise rejection(
            f"manifest.csv does not list {name} (as file.{table}), and no earlier set has all of it",
            f"have the MIS export {name}, and list it in manifest.csv as bulk",
        )
    raise rejection(
        f'manifest.csv says that {name} is "{mode}", and no earlier set has all of it',
        "have the MIS export all files as bulk once, because changes alone do not show who left",
    )


def _patched(budget: Budget, bulk: Iterable[Row], *deltas: Iterable[Row]) -> Iterator[Row]:
    patch: dict[str, list[Row]] = {}
    for delta in deltas:
        changes: dict[str, list[Row]] = {}
        for row in delta:
            budget.keep_row(row.cells)
            changes.setdefault(row["sourcedId"], []).append(row)
        patch |= changes
    # All rows of a repeated id are passed on, because the reader leaves the repetition out.
    for row in bulk:
        yield from patch.pop(row["sourcedId"], [row])
    for new_rows in patch.values():
        yield from new_rows
