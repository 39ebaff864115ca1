"""Where the MIS of a school is read from: files that it exports, or a server."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Literal
from urllib.parse import urlsplit

from annotated_types import MaxLen, MinLen

from sync_core.domain.constraints import FORM, PRINTABLE, Checked, CheckedWith, EachOnce, Meaning, Text
from sync_core.domain.school.matching import LABEL


class OneRosterVersion(StrEnum):
    """The version of the REST interface; 1.2 has a list of each user's roles."""

    V1_1 = "1.1"
    V1_2 = "1.2"


class WondeEmail(StrEnum):
    """The e-mail addresses of a person's contact details in Wonde, under Wonde's names. EMAIL is the general one."""

    WORK = "work"
    PRIMARY = "primary"
    EMAIL = "email"
    HOME = "home"


class AfterSync(StrEnum):
    """What happens to a set of files after it was read."""

    KEEP = "keep"
    ARCHIVE = "archive"


def _existing_port(url: str) -> str:
    if urlsplit(url).port == 0:
        raise ValueError("port 0 is none")
    return url


def _folder_to_archive(after_sync: AfterSync, path: str) -> None:
    if after_sync is AfterSync.ARCHIVE and path.lower().endswith(".zip"):
        raise ValueError("a single zip file stays where it is; name its folder to have sets moved")


def _client_with_token_url(client: str, token_url: str | None) -> None:
    if bool(token_url) is not bool(client):
        raise ValueError("token_url and client go together; leave both out for a bearer token")


# Segments of plain characters, none of which is only dots.
_FOLDER = Text(
    r"^[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$",
    "a folder such as trust/oak, of letters, digits, dots, hyphens and underscores, without a slash at either end",
    strip=False,
)


# A secret is sent there: over TLS, or not over a network at all.
_ENCRYPTED_OR_LOCAL = Text(
    rf"^(https://{LABEL}(\.{LABEL})*|http://(127\.0\.0\.1|localhost))(:\d{{1,5}})?(/[!-~]*)?$",
    "an address that begins with https:// (http:// only on this machine), without a user name in it",
)


# It is one segment of a URL's path.
_WONDE_ID = Text(r"^[!-\-0-~][!-.0-~]{0,39}$", "Wonde's id of the school, such as A1930499544")


_SECRET = Text(
    r"^MIS_SECRET_[A-Z0-9_]{1,100}$",
    "the name of an application setting, such as MIS_SECRET_OAK, and never the secret itself",
    strip=False,
)


Secret = Annotated[str, _SECRET]


_Url = Annotated[str, _ENCRYPTED_OR_LOCAL, MaxLen(500), Checked(_existing_port)]


_BaseUrl = Annotated[_Url, Checked(lambda url: url.rstrip("/"))]


_AfterSync = Annotated[AfterSync, Meaning("What becomes of a set that was taken")]


_Emails = Annotated[tuple[WondeEmail, ...], MinLen(1), MaxLen(len(WondeEmail)), EachOnce()]


_SCHOOL_EMAILS = (WondeEmail.WORK, WondeEmail.PRIMARY, WondeEmail.EMAIL)


@dataclass(frozen=True, slots=True)
class FeedFolder:
    """Files that the MIS exports: OneRoster CSV, or School Data Sync CSV v2 or v1."""

    __pydantic_config__ = FORM
    path: Annotated[str, PRINTABLE, MinLen(1), MaxLen(500), Meaning("A folder, or a zip file")]
    after_sync: Annotated[_AfterSync, CheckedWith("path", _folder_to_archive)] = AfterSync.KEEP
    kind: Literal["folder"] = "folder"


@dataclass(frozen=True, slots=True)
class FeedContainer:
    """Files that the MIS, or a service for it, exports into the deployment's blob container."""

    __pydantic_config__ = FORM
    folder: Annotated[str, _FOLDER, MaxLen(200), Meaning("Within the container")]
    after_sync: _AfterSync = AfterSync.KEEP
    kind: Literal["container"] = "container"


FileDrop = FeedFolder | FeedContainer
"""Where sets of files are dropped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OneRosterApi:
    """A OneRoster REST server."""

    __pydantic_config__ = FORM | {"validate_default": True}
    url: Annotated[_BaseUrl, Meaning("Before /ims/oneroster, with https")]
    version: OneRosterVersion = OneRosterVersion.V1_2
    token_url: Annotated[_Url | None, Meaning("Of OAuth 2 client credentials; without it, a bearer token")] = None
    client: Annotated[str, PRINTABLE, MaxLen(200), CheckedWith("token_url", _client_with_token_url)] = ""
    secret: Annotated[Secret, Meaning("The application setting with the client's secret, or with the bearer token")]
    kind: Literal["oneroster"] = "oneroster"


@dataclass(frozen=True, slots=True, kw_only=True)
class WondeApi:
    """Wonde: one of its schools, at the domain of the school's region."""

    __pydantic_config__ = FORM
    url: Annotated[
        _BaseUrl, Meaning("Of the school's region, before /v1.0; Wonde has the school's data nowhere else")
    ] = "https://api.wonde.com"
    school: Annotated[str, _WONDE_ID, Meaning("Wonde's id of the school, such as A1930499544")]
    secret: Annotated[Secret, Meaning("The application setting with the bearer token")]
    staff_email: Annotated[
        _Emails, Meaning("Which e-mail address of a member of staff is used: the first of these that Wonde has")
    ] = _SCHOOL_EMAILS
    student_email: Annotated[
        _Emails,
        Meaning(
            "The same for a student. An MIS often keeps a parent's address there: name the address that the school "
            "gives its students"
        ),
    ] = _SCHOOL_EMAILS
    kind: Literal["wonde"] = "wonde"


MisLocation = FeedFolder | FeedContainer | OneRosterApi | WondeApi
"""Where a school's MIS is read from; `kind` is the tag."""
