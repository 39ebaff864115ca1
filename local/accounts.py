"""The accounts of a tenant in a CSV file, as Microsoft's own exports have them (docs/accounts.md)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from sync_core.domain.accounts import AccountProperty
from sync_core.errors import SnapshotRejected
from sync_core.mis.files.archive import open_file
from sync_core.mis.files.csv_file import CsvFile
from sync_core.mis.files.text import one_word
from sync_core.mis.files.words import read_boolean
from sync_core.mis.rows import Row

_UPN, _NAME, _TYPE = "userPrincipalName", "displayName", "userType"
_ENABLED, _BLOCKED = "accountEnabled", "Block credential"
_PROXIES, _DELETED = "Proxy addresses", "Soft deletion time stamp"
_VALUES = tuple(AccountProperty)
_PRIMARY = re.compile(r"(?:^|[+;, {])SMTP:([^\s+;,{}]+@[^\s+;,{}]+)")
"""The primary one of proxy addresses, which alone has capitals. The admin centre joins them with a plus."""
_MAX_CELL = 20_000
"""Characters: proxy addresses are a long list."""
_SAME = ((_ENABLED, _BLOCKED),)
_READ = (*_VALUES, _NAME, _TYPE, _ENABLED, _BLOCKED, _PROXIES, _DELETED)
# The columns that the exports have and that are not read: they tell a header from a row of values.
_NOT_READ = (
    # Microsoft 365 admin centre, Users, Active users, Export users
    *("City", "Country/Region", "Department", "DirSyncEnabled", "Fax", "First name", "Last dirsync time", "Last name"),
    *("Last password change time stamp", "License assignment details", "Licenses", "Mobile Phone", "Office"),
    *("Oath token meta data", "Object Id", "Password never expires", "Phone number", "Postal code", "Release track"),
    *("Preferred data location", "Preferred language", "State", "Street address", "Strong password required", "Title"),
    *("Usage location", "When created"),
    # Entra, Users, Download users
    *("surname", "givenName", "jobTitle", "physicalDeliveryOfficeName", "officeLocation", "telephoneNumber", "mobile"),
    *("authenticationPhoneNumber", "authenticationAlternativePhoneNumber", "authenticationEmail", "ageGroup"),
    *("alternateEmailAddress", "consentProvidedForMinor", "legalAgeGroupClassification", "companyName"),
    *("creationType", "directorySynced", "invitationState", "identityIssuer", "createdDateTime"),
    # PowerShell, Get-MgUser | Export-Csv
    *("Id", "BusinessPhones", "Country", "EmployeeType", "ImmutableId", "OnPremisesImmutableId", "UserName", "Name"),
)
_KNOWN = frozenset(map(one_word, (*_READ, *_NOT_READ)))
_REMEDY = "export the accounts again as CSV, with the user principal name of each (docs/accounts.md)"


class BadAccounts(Exception):
    """A file of accounts that cannot be used. The message says where the fault is and what to do, and has no value."""

    def __init__(self, what: str, remedy: str = _REMEDY) -> None:
        super().__init__(f"{what} — nothing was changed; {remedy}")


@dataclass(frozen=True, slots=True)
class ListedAccount:
    """An account of a list. `values` are those of its other properties that people are matched by."""

    upn: str = field(repr=False)
    display_name: str = field(default="", repr=False)
    values: Mapping[AccountProperty, str] = field(default_factory=dict, repr=False)
    enabled: bool = True
    guest: bool = False

    def as_user(self) -> dict[str, object]:
        """The user in Graph's names, without what is usual."""
        user: dict[str, object] = {_UPN: self.upn, _NAME: self.display_name}
        user |= {name.value: value for name, value in self.values.items()}
        return user | ({} if self.enabled else {_ENABLED: False}) | ({_TYPE: "Guest"} if self.guest else {})


def read_accounts(path: Path) -> list[ListedAccount]:
    """The accounts of a file, without deleted ones. Raises BadAccounts."""
    if not path.is_file():
        raise BadAccounts(f"{path} is no file", "name the CSV file with the accounts")
    try:
        file = CsvFile(str(path), partial(open_file, path, str(path)), _MAX_CELL)
        _check(file, file.columns())
        accounts = list(_accounts(file.rows((_UPN,), [name for name in _READ if name != _UPN])))
    except SnapshotRejected as rejected:
        raise BadAccounts(rejected.message) from None
    if not accounts:
        raise BadAccounts(f"{path} has no accounts below its header")
    return accounts


def _check(file: CsvFile, columns: Sequence[str]) -> None:
    """Raises BadAccounts if the header has no user principal name, or one thing twice."""
    if not any(columns):
        raise BadAccounts(f"{file.name} is empty and has no header")
    words = list(map(one_word, columns))
    if one_word(_UPN) not in words:
        raise BadAccounts(
            f'{file.name} has no column "{_UPN}" or "User principal name" (columns found: {_known(columns)})'
        )
    for names in (*((name,) for name in _READ), *_SAME):
        wanted = set(map(one_word, names))
        alike = [column for column, word in zip(columns, words, strict=True) if word in wanted]
        if len(alike) > 1:
            listed = " and ".join(f'"{column}"' for column in alike)
            raise BadAccounts(f"{file.name} says the same in the columns {listed}", "delete one of them")


def _known(columns: Iterable[str]) -> str:
    """The names that the exports have, and the number of the others: a file without a header begins with values."""
    named = [column for column in columns if column]
    known = [column for column in named if one_word(column) in _KNOWN]
    others = len(named) - len(known)
    return ", ".join([*known, *([f"{others} with other names"] if others else [])])


def _accounts(rows: Iterable[Row]) -> Iterator[ListedAccount]:
    seen: dict[str, tuple[Row, ListedAccount]] = {}
    for row in rows:
        if row.fault:
            raise BadAccounts(f"{row.location}{_column(row.column)} {row.fault}")
        if row[_DELETED]:
            continue
        account = _account(row)
        first, same = seen.setdefault(account.upn.lower(), (row, account))
        if first is row:
            yield account
        elif same != replace(account, upn=same.upn):
            raise BadAccounts(
                f"{row.location}{_column(_UPN)} repeats the user principal name of {first.place}, with other values",
                "keep one row for each account",
            )


def _account(row: Row) -> ListedAccount:
    upn = row[_UPN]
    if "@" not in upn:
        raise BadAccounts(
            f"{row.location}{_column(_UPN)} is not a user principal name", "write the name with its @ there"
        )
    enabled, blocked = _boolean(row, _ENABLED), _boolean(row, _BLOCKED)
    values: dict[AccountProperty, str] = {
        name: row[name] for name in _VALUES if name is not AccountProperty.UPN and row[name]
    }
    if AccountProperty.MAIL not in values and (primary := _PRIMARY.search(row[_PROXIES])):
        values[AccountProperty.MAIL] = primary[1]
    guest = row[_TYPE].casefold() == "guest" or "#ext#" in upn.lower()
    return ListedAccount(upn, row[_NAME], values, enabled is not False and not blocked, guest)


def _boolean(row: Row, column: str) -> bool | None:
    """None for an empty cell."""
    value = read_boolean(row[column])
    if row[column] and value is None:
        raise BadAccounts(f"{row.location}{_column(column)} is neither true nor false", "write True or False there")
    return value if row[column] else None


def _column(name: str) -> str:
    return f', column "{name}",' if name else ""
