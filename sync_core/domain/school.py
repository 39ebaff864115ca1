"""What an admin chooses for a school: the settings that the rules follow."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sync_core.domain.accounts import AccountProperty
from sync_core.domain.roster import GroupType


class TeachingOwners(StrEnum):
    """Which of a teaching group's staff own its class."""

    MAIN = "main"
    ALL = "all"


class DepartedOwners(StrEnum):
    """What becomes of an owner whom we made one and who teaches the group no longer."""

    KEEP = "keep"
    REVOKE = "revoke"


class Rollover(StrEnum):
    """Whether a new academic year makes new classes, or goes on with last year's class of the same group."""

    NEW = "new"
    REUSE = "reuse"


class Mis(StrEnum):
    """The systems that UK schools keep their groups in; two of them have a rule of their own."""

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
    """What of a person in the MIS is compared with accounts."""

    USERNAME_OR_EMAIL = "username_or_email"
    USERNAME = "username"
    EMAIL = "email"
    ID = "id"


@dataclass(frozen=True, slots=True)
class Matching:
    """How people of one role find their accounts. `domain` is appended to a MIS value that has none, if not empty."""

    mis_property: MisProperty
    account_property: AccountProperty
    domain: str


class OneRosterVersion(StrEnum):
    """Of the REST interface; 1.2 has users' roles in a list of their own."""

    V1_1 = "1.1"
    V1_2 = "1.2"


class AfterSync(StrEnum):
    """What becomes of a set of files that was taken."""

    KEEP = "keep"
    ARCHIVE = "archive"


@dataclass(frozen=True, slots=True)
class FeedFolder:
    """A folder that the MIS exports to, or a zip file."""

    path: str
    after_sync: AfterSync = AfterSync.KEEP


@dataclass(frozen=True, slots=True)
class FeedContainer:
    """A folder of the deployment's blob container for exports."""

    folder: str
    after_sync: AfterSync = AfterSync.KEEP


FileDrop = FeedFolder | FeedContainer
"""Where sets of files are dropped."""


@dataclass(frozen=True, slots=True)
class OneRosterApi:
    """A OneRoster REST server, by the URL before `/ims/oneroster`.

    `secret` is the name of the application setting that holds the secret of `client` (OAuth 2 client credentials at
    `token_url`) or, where these two are empty, a bearer token.
    """

    url: str
    version: OneRosterVersion
    token_url: str
    client: str
    secret: str


@dataclass(frozen=True, slots=True)
class WondeApi:
    """Wonde, by the URL of the school's region, before `/v1.0`. `school` is Wonde's own id of the school.

    `secret` is the name of the application setting that holds the bearer token.
    """

    url: str
    school: str
    secret: str


MisLocation = FeedFolder | FeedContainer | OneRosterApi | WondeApi
"""Where a school's MIS is read from."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What is too destructive to run by itself; shares are of 1.

    `smallest_snapshot`: groups, students or enrolments of a feed against the last accepted one. `class_loss`: students
    that a class may lose, if they are at least `class_loss_people`. `turnover`: students of a class that may be others
    than before. `school_loss` and `week_loss`: memberships that a school may lose in one plan and in seven days, if
    they are at least `school_loss_people`. `new_classes`: classes made in one plan, in times of the groups of the last
    accepted feed.
    """

    smallest_snapshot: float = 0.8
    class_loss: float = 0.4
    class_loss_people: int = 5
    turnover: float = 0.8
    school_loss: float = 0.1
    school_loss_people: int = 5
    week_loss: float = 0.2
    new_classes: float = 3.0


@dataclass(frozen=True, slots=True)
class SchoolSettings:
    """What an admin chose for one school. Made by `school_settings`, which knows the defaults and the faults.

    `types` are those whose groups become classes by themselves. An empty `name_identifier` stands for the DfE code.
    `access` are the Entra ids of users and groups whose app role counts for this school. `webhook_secrets` are the
    names of the application settings with the secrets that its MIS side signs webhooks with.
    """

    school: str
    tenant: str
    enabled: bool
    mis: Mis
    source: MisLocation
    types: frozenset[GroupType]
    name_identifier: str
    admin_owners: tuple[str, ...]
    teaching_owners: TeachingOwners
    departed_owners: DepartedOwners
    rollover: Rollover
    students: Matching
    staff: Matching
    access: tuple[str, ...]
    webhook_secrets: tuple[str, ...]
    limits: Limits

    @property
    def account_properties(self) -> frozenset[AccountProperty]:
        """What matching needs to know of the tenant's accounts; admin owners are named by UPN."""
        return frozenset({AccountProperty.UPN, self.students.account_property, self.staff.account_property})
