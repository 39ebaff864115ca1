"""What an admin chooses for a school: the settings that the rules follow.

A setting's type, default, constraints and meaning are defined here alone. The API's schemas derive from them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from annotated_types import Ge, Le, MaxLen, MinLen

from sync_core.domain.accounts import AccountProperty
from sync_core.domain.constraints import (
    CONTROLS,
    FORM,
    PRINTABLE,
    Checked,
    CheckedWith,
    EachOnce,
    Exact,
    InOrder,
    Meaning,
    Text,
)
from sync_core.domain.ids import SchoolId
from sync_core.domain.nicknames import identifier_in_nickname
from sync_core.domain.roster import GroupType


class TeachingOwners(StrEnum):
    """Which of a teaching group's staff own its class."""

    MAIN = "main"
    ALL = "all"


class DepartedOwners(StrEnum):
    """What happens to an owner whom the sync made an owner and who no longer teaches the group."""

    KEEP = "keep"
    REVOKE = "revoke"


class Rollover(StrEnum):
    """Whether a group gets a new class in a new academic year, or keeps last year's class."""

    NEW = "new"
    REUSE = "reuse"


class Mis(StrEnum):
    """The systems that UK schools keep their groups in. SEEMiS and ScholarPack have rules of their own."""

    ARBOR = "arbor"
    BROMCOM = "bromcom"
    CLOUD_SCHOOL = "cloud_school"
    CMIS = "cmis"
    ED_GEN = "ed_gen"
    HORIZONS = "horizons"
    INTEGRIS = "integris"
    ISAMS = "isams"
    SCHOLARPACK = "scholarpack"
    SEEMIS = "seemis"
    SIMS = "sims"
    WCBS = "wcbs"
    OTHER = "other"


class MisProperty(StrEnum):
    """The MIS property of a person that is compared with accounts. USERNAME_OR_EMAIL tries each of the two."""

    USERNAME_OR_EMAIL = "username_or_email"
    USERNAME = "username"
    EMAIL = "email"
    ID = "id"


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


def _usable_identifier(identifier: str) -> str:
    if identifier and not identifier_in_nickname(identifier):
        raise ValueError("nothing of it can stand in a mail address; use letters and digits")
    return identifier


def _known_time_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        raise ValueError("no such time zone; use a name such as Europe/London") from None
    return name


def _folder_to_archive(after_sync: AfterSync, path: str) -> None:
    if after_sync is AfterSync.ARCHIVE and path.lower().endswith(".zip"):
        raise ValueError("a single zip file stays where it is; name its folder to have sets moved")


def _client_with_token_url(client: str, token_url: str | None) -> None:
    if bool(token_url) is not bool(client):
        raise ValueError("token_url and client go together; leave both out for a bearer token")


def _extracted_types(types: frozenset[GroupType] | None, mis: Mis) -> None:
    if mis is Mis.SCHOLARPACK and types and GroupType.TEACHING in types:
        raise ValueError("teaching groups are not extracted from ScholarPack; leave teaching out")


# Segments of plain characters, none of which is only dots.
_FOLDER = Text(
    r"^[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$",
    "a folder such as trust/oak, of letters, digits, dots, hyphens and underscores, without a slash at either end",
    strip=False,
)
_LABEL = "[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"
# A secret is sent there: over TLS, or not over a network at all.
_ENCRYPTED_OR_LOCAL = Text(
    rf"^(https://{_LABEL}(\.{_LABEL})*|http://(127\.0\.0\.1|localhost))(:\d{{1,5}})?(/[!-~]*)?$",
    "an address that begins with https:// (http:// only on this machine), without a user name in it",
)
# It is one segment of a URL's path.
_WONDE_ID = Text(r"^[!-\-0-~][!-.0-~]{0,39}$", "Wonde's id of the school, such as A1930499544")

_UPN = Text(rf"^[^@\s{CONTROLS}]+@[^@\s{CONTROLS}]+$", "a user principal name, such as head@school.org")
ENTRA_ID = Text(
    r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$",
    "an Entra id, such as 7c1f8e2a-4d3b-4f6a-9b0e-2d5c8a1e7f90",
    lower=True,
)
_DOMAIN = Text(rf"^({_LABEL}(\.{_LABEL})+)?$", "a domain, such as school.org, without @")
_SECRET = Text(
    r"^MIS_SECRET_[A-Z0-9_]{1,100}$",
    "the name of an application setting, such as MIS_SECRET_OAK, and never the secret itself",
    strip=False,
)

_Upn = Annotated[str, _UPN, MaxLen(113)]
Identifier = Annotated[str, PRINTABLE, MaxLen(30), Checked(_usable_identifier)]
"""What distinguishes a school's classes from those of others in the tenant."""
_Upns = Annotated[tuple[_Upn, ...], MaxLen(50), EachOnce()]
_Domain = Annotated[str, _DOMAIN, MaxLen(253)]
EntraId = Annotated[str, ENTRA_ID]
_EntraIds = Annotated[tuple[EntraId, ...], MaxLen(100)]
_Secret = Annotated[str, _SECRET]
_Secrets = Annotated[tuple[_Secret, ...], MaxLen(2), EachOnce()]
_Url = Annotated[str, _ENCRYPTED_OR_LOCAL, MaxLen(500), Checked(_existing_port)]
_BaseUrl = Annotated[_Url, Checked(lambda url: url.rstrip("/"))]
AccessName = Annotated[str, PRINTABLE, MinLen(1), MaxLen(256)]
"""A user or a group: an Entra id, a user principal name, or the display name of a group."""
PauseReason = Annotated[str, PRINTABLE, MaxLen(200)]
_AfterSync = Annotated[AfterSync, Meaning("What becomes of a set that was taken")]
_TimeZone = Annotated[
    str, Text(r"^[A-Za-z0-9_+/-]+$", "a time zone, such as Europe/London"), MaxLen(60), Checked(_known_time_zone)
]
_Share = Annotated[float, Exact(), Ge(0), Le(1)]
_Times = Annotated[float, Exact(), Ge(0), Le(1_000_000)]
_People = Annotated[int, Exact(), Ge(1), Le(1_000_000)]
_Emails = Annotated[tuple[WondeEmail, ...], MinLen(1), MaxLen(len(WondeEmail)), EachOnce()]
_Types = Annotated[frozenset[GroupType], InOrder(), EachOnce()]
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
    secret: Annotated[_Secret, Meaning("The application setting with the client's secret, or with the bearer token")]
    kind: Literal["oneroster"] = "oneroster"


@dataclass(frozen=True, slots=True, kw_only=True)
class WondeApi:
    """Wonde: one of its schools, at the domain of the school's region."""

    __pydantic_config__ = FORM
    url: Annotated[
        _BaseUrl, Meaning("Of the school's region, before /v1.0; Wonde has the school's data nowhere else")
    ] = "https://api.wonde.com"
    school: Annotated[str, _WONDE_ID, Meaning("Wonde's id of the school, such as A1930499544")]
    secret: Annotated[_Secret, Meaning("The application setting with the bearer token")]
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


@dataclass(frozen=True, slots=True)
class MatchingChoice:
    """How people of one role find their accounts: a MIS property, and the account property it is compared with."""

    __pydantic_config__ = FORM
    mis: Annotated[
        MisProperty, Meaning("By default the user name and the e-mail address are both tried, as the MIS gives them")
    ] = MisProperty.USERNAME_OR_EMAIL
    account: Annotated[AccountProperty | None, Meaning("By default userPrincipalName and mail are both compared")] = (
        None
    )
    domain: Annotated[
        _Domain | None,
        Meaning("Appended to a MIS value without one; by default account_domain, if `account` is an address"),
    ] = None

    @property
    def account_properties(self) -> tuple[AccountProperty, ...]:
        """The account properties that MIS values are compared with."""
        return (self.account,) if self.account else (AccountProperty.UPN, AccountProperty.MAIL)

    def rule(self, account_domain: str) -> Matching:
        """The rule of this choice in a school with this `account_domain`, which completes addresses only."""
        usual = account_domain if all(name.is_address for name in self.account_properties) else ""
        return Matching(self.mis, self.account, usual if self.domain is None else self.domain)


@dataclass(frozen=True, slots=True)
class Matching(MatchingChoice):
    """How people of one role find their accounts. An empty `domain` is not appended."""

    domain: _Domain = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What is too destructive to run without an admin's approval; shares are of 1, and 1 switches a limit off."""

    __pydantic_config__ = FORM
    smallest_snapshot: Annotated[
        _Share, Meaning("Groups, students or enrolments of a feed, per one of the last accepted feed; 0 accepts any")
    ] = 0.8
    class_loss: Annotated[_Share, Meaning("Students whom a class loses, if at least class_loss_people")] = 0.4
    class_loss_people: _People = 5
    turnover: Annotated[_Share, Meaning("Students of a class who are others than before")] = 0.8
    school_loss: Annotated[_Share, Meaning("Memberships lost in one plan, if at least school_loss_people")] = 0.1
    school_loss_people: _People = 5
    week_loss: Annotated[_Share, Meaning("Memberships lost in seven days, if at least school_loss_people")] = 0.2
    new_classes: Annotated[_Times, Meaning("Classes made in one plan, per group of the last accepted feed")] = 3.0
    unmatched: Annotated[
        _Share, Meaning("Students, or staff, who find no account of their own, if at least unmatched_people")
    ] = 0.2
    unmatched_people: _People = 10
    left_out: Annotated[
        _Share,
        Meaning("Rows of one file that cannot be read, if more than left_out_rows; above it the feed is rejected"),
    ] = 0.02
    left_out_rows: _People = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class SchoolChoices:
    """What an admin chooses for a school. None is the default that depends on the MIS."""

    __pydantic_config__ = FORM
    name: Annotated[str, PRINTABLE, MaxLen(100), Meaning("What people call the school")] = ""
    enabled: Annotated[bool, Exact(), Meaning("false: the school is paused, and its classes stay as they are")] = True
    mis: Mis = Mis.OTHER
    types: Annotated[
        _Types | None,
        CheckedWith("mis", _extracted_types),
        Meaning("Group types whose groups all become classes; by default all that the MIS has"),
    ] = None
    name_identifier: Annotated[
        Identifier,
        Meaning("Stands in names and addresses of new classes; by default the DfE code, or the school's name"),
    ] = ""
    admin_owners: Annotated[_Upns, Meaning("User principal names of the admins who own every class")] = ()
    teaching_owners: Annotated[
        TeachingOwners | None,
        Meaning("By default all of a teaching group's staff for SEEMiS, the main teacher for others"),
    ] = None
    departed_owners: DepartedOwners = DepartedOwners.KEEP
    rollover: Rollover = Rollover.NEW
    time_zone: Annotated[_TimeZone, Meaning("Whose date decides which enrolments count today")] = "Europe/London"
    year_starts_in: Annotated[
        int,
        Exact(),
        Ge(1),
        Le(12),
        Meaning("The month in which the academic year starts: 9 is September, 8 August (Scotland)"),
    ] = 9
    account_domain: Annotated[
        _Domain, Meaning("Appended to user names without a domain; by default nothing is appended")
    ] = ""
    students: MatchingChoice = MatchingChoice()
    staff: MatchingChoice = MatchingChoice()
    access: Annotated[
        _EntraIds, Meaning("Entra ids of the users and groups whose app role counts for this school")
    ] = ()
    webhook_secrets: Annotated[
        _Secrets, Meaning("The application settings with the secrets of the school's webhooks; two while rotating")
    ] = ()
    limits: Limits = Limits()
    pause_reason: Annotated[PauseReason, Meaning("Why the school is paused, without anybody's name")] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SchoolSettings(SchoolChoices):
    """The settings of one school that the rules follow. Made by `settings_of`, which fills in what was not chosen."""

    school: SchoolId
    tenant: str
    source: MisLocation
    types: _Types
    teaching_owners: TeachingOwners

    @property
    def student_matching(self) -> Matching:
        """How pupils find their accounts."""
        return self.students.rule(self.account_domain)

    @property
    def staff_matching(self) -> Matching:
        """How members of staff find their accounts."""
        return self.staff.rule(self.account_domain)

    @property
    def paused(self) -> str:
        """What a paused school is, with the reason that an admin gave."""
        return f"paused ({self.pause_reason})" if self.pause_reason else "paused"

    @property
    def account_properties(self) -> frozenset[AccountProperty]:
        """What matching needs to know of the tenant's accounts; admin owners are named by UPN."""
        return frozenset({AccountProperty.UPN, *self.students.account_properties, *self.staff.account_properties})
