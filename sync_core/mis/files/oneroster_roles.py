"""The roles of OneRoster 1.2 (1EdTech), each of a user at an org and with dates, read as version 1.1 has them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial

from sync_core.mis.academic_years import Calendar
from sync_core.mis.files.oneroster import ROLE_DATES, UNKNOWN_STATUS, Tables, dates_of, role_in_force
from sync_core.mis.files.text import same_word
from sync_core.mis.files.words import is_present
from sync_core.mis.quarantine import KnownIds, Quarantine
from sync_core.mis.rows import Row

_ROLES = "roles"
_STUDENT, _NO_ROLE = "student", "other"


def with_roles(tables: Tables, calendar: Calendar, quarantine: Quarantine) -> Tables:
    """The tables with a role and orgs in `users`: those that the table `roles` has today."""
    return replace(tables, read=partial(_read_as_1_1, tables, calendar, quarantine))


def _read_as_1_1(
    tables: Tables,
    calendar: Calendar,
    quarantine: Quarantine,
    name: str,
    columns: Iterable[str],
    optional: Iterable[str],
) -> Iterable[Row]:
    if name != "users":
        return tables.read(name, columns, optional)
    user_columns = [column for column in columns if column not in ("orgSourcedIds", "role")]
    users: list[Row] = []
    for row in tables.read(name, user_columns, optional):
        quarantine.budget.keep_row(row.cells)
        users.append(row)
    roles_by_user = _roles_of_today(tables, calendar, quarantine, users)
    places = {column: place for place, column in enumerate((*user_columns, *optional, "role", "orgSourcedIds"))}
    rows: list[Row] = []
    for user in users:
        roles = sorted(roles_by_user.get(user["sourcedId"], []), key=lambda role: role["roleType"] != "primary")
        # A user who is a student at any org is a student, at those orgs. For others, the primary role counts.
        chosen = [role for role in roles if same_word(role["role"]) == _STUDENT] or roles
        role = chosen[0]["role"] if chosen else _NO_ROLE
        orgs = ",".join(dict.fromkeys(role["orgSourcedId"] for role in chosen))
        cells = (*(user[column] for column in (*user_columns, *optional)), role, orgs)
        rows.append(Row(user.source, user.at, places, cells, user.fault, user.column))
    return rows


def _roles_of_today(
    tables: Tables, calendar: Calendar, quarantine: Quarantine, users: Iterable[Row]
) -> dict[str, list[Row]]:
    ids = {user["sourcedId"]: user["sourcedId"] for user in users}
    known = KnownIds(ids, tables.source("users"))

    def leave_out(row: Row, column: str, reason: str) -> None:
        quarantine.leave_out(row, column, reason)
        quarantine.doubt_role(row, row["userSourcedId"], known)

    dates = dates_of(tables, _ROLES, ("userSourcedId",), calendar, quarantine)
    roles_by_user: dict[str, list[Row]] = {}
    read_rows, source = 0, tables.source(_ROLES)
    for row in tables.read(_ROLES, ["status", "userSourcedId", "roleType", "role", "orgSourcedId"], ROLE_DATES):
        read_rows += 1
        present = is_present(row["status"])
        if row.fault:
            leave_out(row, row.column, row.fault)
        elif present is None:
            leave_out(row, "status", UNKNOWN_STATUS)
        elif row["userSourcedId"] not in ids:
            leave_out(row, "userSourcedId", known.why_unknown(row["userSourcedId"]))
        elif present and role_in_force(row, dates, calendar, leave_out, quarantine):
            quarantine.budget.keep_row(row.cells)
            roles_by_user.setdefault(ids[row["userSourcedId"]], []).append(row)
    quarantine.count(source, "", read_rows - quarantine.left_out_of(source))
    return roles_by_user
