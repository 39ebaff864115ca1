"""Accounts as the Microsoft 365 admin centre, Entra and PowerShell export them, and what is told of other files."""

from __future__ import annotations

import codecs
import io
import zipfile
from pathlib import Path

import pytest

from local.accounts import BadAccounts, ListedAccount, read_accounts
from local.preview import preview_first_night
from sync_core.domain.accounts import AccountProperty
from tests.mis import feeds

MAIL, EMPLOYEE, NICKNAME, SAM = (
    AccountProperty.MAIL,
    AccountProperty.EMPLOYEE_ID,
    AccountProperty.MAIL_NICKNAME,
    AccountProperty.SAM_ACCOUNT_NAME,
)
ADMIN_CENTRE = (
    "Block credential,City,Country/Region,Department,DirSyncEnabled,Display name,Fax,First name,Last dirsync time,"
    "Last name,Last password change time stamp,License assignment details,Licenses,Mobile Phone,Oath token meta data,"
    "Object Id,Office,Password never expires,Phone number,Postal code,Preferred data location,Preferred language,"
    "Proxy addresses,Release track,Soft deletion time stamp,State,Street address,Strong password required,Title,"
    "Usage location,User principal name,When created\n"
    "False,,,,,Zoë Pupil,,Zoë,,Pupil,,,A1 for students,,,0001,,,,,,,"
    "smtp:zoe@school.onmicrosoft.com+SMTP:zoe.pupil@school.uk,,,,,,,GB,zoe@school.uk,2026-01-01\n"
    "True,,,,,Blocked Pupil,,,,,,,,,,0002,,,,,,,,,,,,,,GB,blocked@school.uk,2026-01-01\n"
    "False,,,,,Gone Pupil,,,,,,,,,,0003,,,,,,,,,2026-05-05,,,,,GB,gone@school.uk,2026-01-01\n"
)
ENTRA = (
    "userPrincipalName,displayName,surname,mail,givenName,objectId,userType,jobTitle,department,accountEnabled,"
    "usageLocation,streetAddress,state,country,physicalDeliveryOfficeName,city,postalCode,telephoneNumber,mobile,"
    "authenticationPhoneNumber,authenticationAlternativePhoneNumber,authenticationEmail,alternateEmailAddress,ageGroup,"
    "consentProvidedForMinor,legalAgeGroupClassification\n"
    "zoe@school.uk,Zoë Pupil,Pupil,zoe.pupil@school.uk,Zoë,0001,Member,,,True,GB,,,,,,,,,,,,,,,\n"
    "blocked@school.uk,Blocked Pupil,Pupil,,Blocked,0002,Member,,,False,GB,,,,,,,,,,,,,,,\n"
    "guest_else.org#EXT#@school.onmicrosoft.com,Guest,,guest@else.org,,0003,Guest,,,True,,,,,,,,,,,,,,,,\n"
)
POWERSHELL = (
    "#TYPE Microsoft.Graph.PowerShell.Models.MicrosoftGraphUser\r\n"
    '"Id";"DisplayName";"UserPrincipalName";"Mail";"MailNickname";"EmployeeId";"OnPremisesSamAccountName";'
    '"AccountEnabled";"BusinessPhones"\r\n'
    '"0001";"Zoë Pupil";"zoe@school.uk";"zoe.pupil@school.uk";"zoe";"4711";"26zoe";"True";"System.String[]"\r\n'
)
ZOE = ListedAccount("zoe@school.uk", "Zoë Pupil", {MAIL: "zoe.pupil@school.uk"})
BLOCKED = ListedAccount("blocked@school.uk", "Blocked Pupil", enabled=False)
GUEST = ListedAccount("guest_else.org#EXT#@school.onmicrosoft.com", "Guest", {MAIL: "guest@else.org"}, guest=True)
OF_POWERSHELL = ListedAccount(
    "zoe@school.uk", "Zoë Pupil", {MAIL: "zoe.pupil@school.uk", NICKNAME: "zoe", EMPLOYEE: "4711", SAM: "26zoe"}
)
EXPORTS = {
    "admin centre": (ADMIN_CENTRE, [ZOE, BLOCKED]),
    "Entra": (ENTRA, [ZOE, BLOCKED, GUEST]),
    "PowerShell": (POWERSHELL, [OF_POWERSHELL]),
}
ENCODINGS = {
    "UTF-8": lambda text: text.encode(),
    "UTF-8 with a mark": lambda text: codecs.BOM_UTF8 + text.encode(),
    "UTF-16": lambda text: text.encode("utf-16"),
    "UTF-16 BE": lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
    "UTF-16 without a mark": lambda text: text.encode("utf-16-le"),
    "Windows-1252": lambda text: text.encode("cp1252"),
}


def written(content: bytes | str, folder: Path, name: str = "accounts.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("export", EXPORTS)
def test_an_export_is_taken_as_it_is(export: str, encoding: str, tmp_path: Path) -> None:
    text, expected = EXPORTS[export]
    assert read_accounts(written(ENCODINGS[encoding](text), tmp_path)) == expected


@pytest.mark.parametrize(
    "header",
    [
        "userPrincipalName,displayName",
        "USERPRINCIPALNAME,DISPLAYNAME",
        " User Principal Name , Display Name ",
        "user_principal_name,display-name",
        '"UserPrincipalName","DisplayName"',
        "sep=,\nUser principal name,Display name",
        "User principal name\tDisplay name",
        "User principal name;Display name;",
    ],
)
def test_a_header_is_read_in_any_capitals_with_blanks_and_signs(header: str, tmp_path: Path) -> None:
    separator = next((each for each in "\t;" if each in header), ",")
    text = f"{header}\nzoe@school.uk{separator}Zoë Pupil\n\n"
    assert read_accounts(written(text, tmp_path)) == [ListedAccount("zoe@school.uk", "Zoë Pupil")]


@pytest.mark.parametrize(
    ("proxies", "mail"),
    [
        ("SMTP:a@b.uk", "a@b.uk"),
        ("smtp:old@b.uk+SMTP:a@b.uk+X500:/o=x", "a@b.uk"),
        ("smtp:old@b.uk;SMTP:a@b.uk", "a@b.uk"),
        ("{SMTP:a@b.uk, smtp:old@b.uk}", "a@b.uk"),
        ("smtp:old@b.uk", ""),
        ("System.String[]", ""),
        (
            "+".join(f"smtp:alias{number}@a-long-domain-of-a-school.sch.uk" for number in range(40)) + "+SMTP:a@b.uk",
            "a@b.uk",
        ),
    ],
)
def test_the_primary_proxy_address_is_the_mail_address(proxies: str, mail: str, tmp_path: Path) -> None:
    text = f'User principal name,Proxy addresses\nu@b.uk,"{proxies}"\n'
    (account,) = read_accounts(written(text, tmp_path))
    assert account.values.get(MAIL, "") == mail


def test_the_same_row_twice_is_one_account(tmp_path: Path) -> None:
    text = "userPrincipalName,displayName\nu@b.uk,U\nU@B.uk,U\nu@b.uk,U\n"
    assert read_accounts(written(text, tmp_path)) == [ListedAccount("u@b.uk", "U")]


def test_a_plan_finds_people_by_the_mail_of_an_export_and_says_who_is_disabled(tmp_path: Path) -> None:
    feed = feeds.write(feeds.oneroster(), tmp_path / "feed")
    header = "Block credential,Display name,User principal name,Proxy addresses\n"
    export = f"{header}True,A,apupil@school.uk,\nFalse,B,26ben@school.uk,smtp:b@school.uk+SMTP:ben@else.org\n"
    for kept in (export, export.replace("SMTP", "smtp")):
        listed = read_accounts(written(kept, tmp_path))
        (preview,) = preview_first_night(feed, {"account_domain": "school.uk"}, listed)
        assert preview.run.people_disabled == ("p1",)
        assert ("p2" in preview.run.people_without_account) == (kept != export)


def test_what_is_usual_is_not_told_to_the_tenant() -> None:
    assert ZOE.as_user() == {
        "userPrincipalName": "zoe@school.uk",
        "displayName": "Zoë Pupil",
        "mail": "zoe.pupil@school.uk",
    }
    assert BLOCKED.as_user()["accountEnabled"] is False
    assert GUEST.as_user()["userType"] == "Guest"
    assert "Zoë" not in repr(ZOE)


def _zip() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("users.csv", ENTRA)
    return packed.getvalue()


HEADER = "userPrincipalName,displayName,accountEnabled\n"
BAD: dict[str, tuple[bytes | str, str]] = {
    "empty": ("", "is empty and has no header"),
    "blank lines": ("\n\n,,\n", "is empty and has no header"),
    "only a header": (HEADER, "has no accounts below its header"),
    "only deleted accounts": (
        "userPrincipalName,Soft deletion time stamp\nann@b.uk,2026-01-01\n",
        "has no accounts below its header",
    ),
    "no such column": (
        "Display name,Object Id,Ann's column\nAnn,1,2\n",
        'has no column "userPrincipalName" or "User principal name" (columns found: Display name, Object Id, 1 with '
        "other names)",
    ),
    "no header": (
        "ann@b.uk,Ann Pupil,0001\n",
        'has no column "userPrincipalName" or "User principal name" (columns found: 3 with other names)',
    ),
    "two names": (
        "User principal name,userPrincipalName\nann@b.uk,ann@b.uk\n",
        'says the same in the columns "User principal name" and "userPrincipalName" — nothing was changed; delete one',
    ),
    "two states": (
        "userPrincipalName,Block credential,accountEnabled\nann@b.uk,False,True\n",
        'says the same in the columns "Block credential" and "accountEnabled" — nothing was changed; delete one of',
    ),
    "a name without a domain": (
        f"{HEADER}ann,Ann,True\n",
        'line 2, column "userPrincipalName", is not a user principal',
    ),
    "no name": (f"{HEADER},Ann,True\n", 'line 2, column "userPrincipalName", is not a user principal name'),
    "no state": (
        f"{HEADER}ann@b.uk,Ann,Pupil\n",
        'line 2, column "accountEnabled", is neither true nor false — nothing was changed; write True',
    ),
    "a short row": (f"{HEADER}bob@b.uk,Bob,True\nann@b.uk\nbob2@b.uk,,\n", "line 3 has 1 cells instead of 3"),
    "a long row": (f"{HEADER}ann@b.uk,Ann,True,x\n", "line 2 has 4 cells instead of 3"),
    "cut off": (f"{HEADER}ann@b.uk,An", "line 2: the file is cut off"),
    "a quotation mark": (f'{HEADER}"ann@b.uk,Ann,True\nbob@b.uk,Bob,True\n', "line 2 has 4 cells instead of 3"),
    "two rows of one account": (
        f"{HEADER}ann@b.uk,Ann,True\nbob@b.uk,Bob,True\nANN@b.uk,Ann,False\n",
        'line 4, column "userPrincipalName", repeats the user principal name of line 2, with other values — nothing',
    ),
    "zip": (_zip(), "is an Excel workbook or a zip file, and not CSV"),
    "old Excel": (b"\xd0\xcf\x11\xe0\xa1\xb1", "is an Excel workbook, and not CSV"),
    "HTML": ("<!DOCTYPE html><html><body>Ann</body></html>", "is a web page, and not CSV"),
    "HTML without a type": ("<html><body>Ann</body></html>", "is a web page, and not CSV"),
    "JSON": ('[{"userPrincipalName": "ann@b.uk"}]', 'has no column "userPrincipalName" or'),
    "two encodings": (f"{HEADER}ann@b.uk,Ännchen,True\n".encode() + b"bob@b.uk,B\xf6b,True\n", "line 3, byte 11: not"),
    "neither encoding": (HEADER.encode() + b"ann@b.uk,A\x81nn,True\n", "neither UTF-8 nor Windows-1252"),
    "NUL": (f"{HEADER}ann@b.uk,Ann\0,True\n", "line 2: has a NUL character"),
    "a long cell": (
        f"{HEADER}ann@b.uk,{'Ann' * 9000},True\n",
        'has more than 20000 characters in the column "displayName"',
    ),
}


@pytest.mark.parametrize("fault", BAD)
def test_a_file_that_cannot_be_used_says_where_and_no_value(fault: str, tmp_path: Path) -> None:
    content, told = BAD[fault]
    path = written(content, tmp_path)
    with pytest.raises(BadAccounts) as refused:
        read_accounts(path)
    message = str(refused.value)
    assert message.startswith(str(path))
    assert told in message
    assert " — nothing was changed; " in message
    assert not any(value in message.replace(str(path), "").casefold() for value in ("ann", "ännchen", "bob", "b.uk"))


def test_a_path_without_a_file_is_told(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere.csv"):
        with pytest.raises(BadAccounts, match=f"{path} is no file — nothing was changed; name the CSV file"):
            read_accounts(path)
