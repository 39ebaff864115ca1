"""What an admin chooses for a school: the settings that the rules follow.

A setting's type, default, constraints and meaning are defined in this folder alone. The API's schemas derive from them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated
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
from sync_core.domain.school.limits import USUAL_LIMITS, Limits
from sync_core.domain.school.matching import USUAL_MATCHING, Domain, Matching, MatchingChoice
from sync_core.domain.school.sources import MisLocation, Secret
from sync_core.domain.school.year import NO_CALENDAR, SchoolYear


class TeachingOwners(StrEnum):
    """Which of a teaching group's staff own its class."""

    MAIN = "main"
    ALL = "all"


class DepartedOwners(StrEnum):
    """What happens to an owner whom the sync made an owner and who no longer teaches the group."""

    KEEP = "keep"
    REVOKE = "revoke"


class Teams(StrEnum):
    """Whether classes get teams in Microsoft Teams.

    NONE: no. CREATE: each class gets a team that its teachers activate. RELEASE: the sync activates the team from
    the day on which pupils come in.
    """

    NONE = "none"
    CREATE = "create"
    RELEASE = "release"


class Rollover(StrEnum):
    """Whether a group gets a new class in a new academic year, or keeps last year's class.

    ASK: where a group may continue a class of last year, by its people and its name, an admin decides.
    """

    NEW = "new"
    REUSE = "reuse"
    ASK = "ask"


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


def _extracted_types(types: frozenset[GroupType] | None, mis: Mis) -> None:
    if mis is Mis.SCHOLARPACK and types and GroupType.TEACHING in types:
        raise ValueError("teaching groups are not extracted from ScholarPack; leave teaching out")


_UPN = Text(rf"^[^@\s{CONTROLS}]+@[^@\s{CONTROLS}]+$", "a user principal name, such as head@school.org")


ENTRA_ID = Text(
    r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$",
    "an Entra id, such as 7c1f8e2a-4d3b-4f6a-9b0e-2d5c8a1e7f90",
    lower=True,
)


_Upn = Annotated[str, _UPN, MaxLen(113)]


Identifier = Annotated[str, PRINTABLE, MaxLen(30), Checked(_usable_identifier)]
"""What distinguishes a school's classes from those of others in the tenant."""


_Upns = Annotated[tuple[_Upn, ...], MaxLen(50), EachOnce()]


EntraId = Annotated[str, ENTRA_ID]


_EntraIds = Annotated[tuple[EntraId, ...], MaxLen(100)]


_Secrets = Annotated[tuple[Secret, ...], MaxLen(2), EachOnce()]


AccessName = Annotated[str, PRINTABLE, MinLen(1), MaxLen(256)]
"""A user or a group: an Entra id, a user principal name, or the display name of a group."""


PauseReason = Annotated[str, PRINTABLE, MaxLen(200)]


_TimeZone = Annotated[
    str, Text(r"^[A-Za-z0-9_+/-]+$", "a time zone, such as Europe/London"), MaxLen(60), Checked(_known_time_zone)
]


_Types = Annotated[frozenset[GroupType], InOrder(), EachOnce()]


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
    teams: Annotated[
        Teams,
        Meaning(
            "Whether classes get teams: none; create makes locked teams, which teachers activate; release also "
            "activates them from the day on which pupils come in, and adds the pupils"
        ),
    ] = Teams.NONE
    team_types: Annotated[_Types, Meaning("Group types whose classes get teams")] = frozenset(GroupType)
    rollover: Rollover = Rollover.NEW
    time_zone: Annotated[_TimeZone, Meaning("Whose date decides which enrolments count today")] = "Europe/London"
    year_starts_in: Annotated[
        int,
        Exact(),
        Ge(1),
        Le(12),
        Meaning("The month in which the academic year starts: 9 is September, 8 August (Scotland)"),
    ] = 9
    calendar: SchoolYear = NO_CALENDAR
    account_domain: Annotated[
        Domain, Meaning("Appended to user names without a domain; by default nothing is appended")
    ] = ""
    students: MatchingChoice = USUAL_MATCHING
    staff: MatchingChoice = USUAL_MATCHING
    access: Annotated[
        _EntraIds, Meaning("Entra ids of the users and groups whose app role counts for this school")
    ] = ()
    webhook_secrets: Annotated[
        _Secrets, Meaning("The application settings with the secrets of the school's webhooks; two while rotating")
    ] = ()
    limits: Limits = USUAL_LIMITS
    pause_reason: Annotated[PauseReason, Meaning("Why the school is paused, without anybody's name")] = ""

    def date_at(self, moment: datetime) -> date:
        """The date in the school's time zone."""
        return moment.astimezone(ZoneInfo(self.time_zone)).date()


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
