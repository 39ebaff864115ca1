"""An admin's settings of one school, validated on the way in: every fault named at once, and nothing unknown passes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from sync_core.domain.accounts import AccountProperty
from sync_core.domain.roster import GroupType
from sync_core.domain.school import (
    AfterSync,
    DepartedOwners,
    FeedContainer,
    FeedFolder,
    Limits,
    Matching,
    Mis,
    MisLocation,
    MisProperty,
    OneRosterApi,
    OneRosterVersion,
    Rollover,
    SchoolSettings,
    TeachingOwners,
    WondeApi,
)
from sync_core.errors import UnknownSetting
from sync_core.planning.matching import takes_domain
from sync_core.planning.names import identifier_in_nickname

DEFAULT_ACCOUNT_DOMAIN = "school.onmicrosoft.com"

_Upn = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[^@\s]+@[^@\s]+$", max_length=113)]
_Domain = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[A-Za-z0-9.-]*$", max_length=253)]
_Guid = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, to_lower=True, pattern=r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"
    ),
]
_CONTROL = r"^[^\x00-\x1f\x7f]*$"
# A secret goes there: over TLS, or not over a network at all.
_ENCRYPTED_OR_HERE = r"^(https://[A-Za-z0-9.-]+|http://(127\.0\.0\.1|localhost))(:\d{1,5})?(/[!-~]*)?$"


class MatchingValues(BaseModel):
    """How people of one role find their accounts: a MIS property, and the Entra property it is compared with."""

    model_config = ConfigDict(extra="forbid")

    mis: MisProperty = MisProperty.USERNAME_OR_EMAIL
    account: AccountProperty = AccountProperty.UPN
    domain: _Domain | None = Field(
        default=None,
        description="Appended to a MIS value without one; by default account_domain, if `account` is an address",
    )


_Secret = Annotated[str, StringConstraints(pattern=r"^MIS_SECRET_[A-Z0-9_]{1,100}$")]
_Share = Annotated[float, Field(ge=0, le=1)]
_People = Annotated[int, Field(ge=1, le=1_000_000)]


class LimitValues(BaseModel):
    """What is too destructive to run by itself; shares are of 1, and 1 switches a limit off."""

    model_config = ConfigDict(extra="forbid")

    smallest_snapshot: _Share = Field(default=0.8, description="Of the last accepted feed; 0 accepts any")
    class_loss: _Share = 0.4
    class_loss_people: _People = 5
    turnover: _Share = 0.8
    school_loss: _Share = 0.1
    school_loss_people: _People = 5
    week_loss: _Share = 0.2
    new_classes: Annotated[float, Field(ge=0, le=1_000_000)] = 3.0


class SchoolValues(BaseModel):
    """A school's settings. What is left out takes its default; what is unknown is a fault."""

    model_config = ConfigDict(extra="forbid")

    enabled: bool = Field(default=True, description="false: the school is paused, and its classes stay as they are")
    mis: Mis = Mis.OTHER
    types: frozenset[GroupType] | None = Field(
        default=None, description="Group types that become classes by themselves; by default all that the MIS has"
    )
    name_identifier: Annotated[str, StringConstraints(strip_whitespace=True, max_length=30, pattern=_CONTROL)] = Field(
        default="", description="Stands in names and addresses of new classes; by default the DfE code"
    )
    admin_owners: Annotated[tuple[_Upn, ...], Field(max_length=50)] = Field(
        default=(), description="User principal names of the admins who own every class"
    )
    teaching_owners: TeachingOwners | None = Field(
        default=None, description="By default all of a teaching group's staff for SEEMiS, the main teacher for others"
    )
    departed_owners: DepartedOwners = DepartedOwners.KEEP
    rollover: Rollover = Rollover.NEW
    account_domain: _Domain = DEFAULT_ACCOUNT_DOMAIN
    students: MatchingValues = MatchingValues()
    staff: MatchingValues = MatchingValues()
    access: Annotated[tuple[_Guid, ...], Field(max_length=100)] = Field(
        default=(), description="Entra ids of the users and groups whose app role counts for this school"
    )
    webhook_secrets: Annotated[tuple[_Secret, ...], Field(max_length=2)] = Field(
        default=(), description="The application settings with the secrets of the school's webhooks; two while rotating"
    )
    limits: LimitValues = LimitValues()

    @field_validator("name_identifier")
    @classmethod
    def _something_left(cls, identifier: str) -> str:
        if identifier and not identifier_in_nickname(identifier):
            raise ValueError("nothing of it can stand in a mail address; use letters and digits")
        return identifier

    @model_validator(mode="after")
    def _scholarpack(self) -> SchoolValues:
        if self.mis is Mis.SCHOLARPACK and self.types and GroupType.TEACHING in self.types:
            raise ValueError("types: teaching groups are not extracted from ScholarPack; leave teaching out")
        return self


_Path = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500, pattern=_CONTROL)]


# Segments of plain characters, none of which is only dots.
_Folder = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$", max_length=200)
]


def _with_a_port_that_is_one(url: str) -> str:
    if urlsplit(url).port == 0:
        raise ValueError("port 0 is none")
    return url


_Url = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=500, pattern=_ENCRYPTED_OR_HERE),
    AfterValidator(_with_a_port_that_is_one),
]
# It stands alone between two slashes of a path.
_WondeId = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[!-\-0-~][!-.0-~]{0,39}$")]


class FolderValues(BaseModel):
    """Files that the MIS exports: OneRoster CSV, or SDS CSV v2.1 or v1 in its UK form."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["folder"] = "folder"
    path: _Path = Field(description="A folder, or a zip file")
    after_sync: AfterSync = Field(default=AfterSync.KEEP, description="What becomes of a set that was taken")

    @model_validator(mode="after")
    def _a_folder_to_move_within(self) -> FolderValues:
        if self.after_sync is AfterSync.ARCHIVE and self.path.lower().endswith(".zip"):
            raise ValueError("a single zip file stays where it is; name its folder to have sets moved")
        return self


class ContainerValues(BaseModel):
    """Files that the MIS exports, or who delivers for it, into the deployment's blob container."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["container"] = "container"
    folder: _Folder = Field(description="Within the container")
    after_sync: AfterSync = Field(default=AfterSync.KEEP, description="What becomes of a set that was taken")


class OneRosterValues(BaseModel):
    """A OneRoster REST server."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["oneroster"] = "oneroster"
    url: _Url = Field(description="Before /ims/oneroster, with https")
    version: OneRosterVersion = OneRosterVersion.V1_2
    token_url: _Url | None = Field(
        default=None, description="Of OAuth 2 client credentials; without it, a bearer token"
    )
    client: Annotated[str, StringConstraints(strip_whitespace=True, max_length=200, pattern=_CONTROL)] = ""
    secret: _Secret = Field(description="The application setting with the client's secret, or with the bearer token")

    @model_validator(mode="after")
    def _both_or_neither(self) -> OneRosterValues:
        if bool(self.token_url) is not bool(self.client):
            raise ValueError("token_url and client go together; leave both out for a bearer token")
        return self


class WondeValues(BaseModel):
    """Wonde: one of its schools, at the domain of the school's region."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["wonde"] = "wonde"
    url: _Url = Field(
        default="https://api.wonde.com", description="Of the school's region, before /v1.0; elsewhere Wonde has no data"
    )
    school: _WondeId = Field(description="Wonde's id of the school, such as A1930499544")
    secret: _Secret = Field(description="The application setting with the bearer token")


_AnySource = FolderValues | ContainerValues | OneRosterValues | WondeValues
SourceValues = Annotated[_AnySource, Field(discriminator="kind")]


class SchoolBody(SchoolValues):
    """A school's settings with where its MIS is read from and which tenant its classes are in."""

    tenant: _Guid
    source: SourceValues


def parse_school_settings(
    values: Mapping[str, object], *, school: str, tenant: str, source: MisLocation
) -> SchoolSettings:
    """The settings of `school`, whose MIS is read from `source`. Raises UnknownSetting naming every fault."""
    try:
        chosen = SchoolValues.model_validate(dict(values))
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}".removeprefix(": Value error, ")
            for fault in error.errors(include_input=False, include_url=False)
        )
        raise UnknownSetting(
            f"school settings not understood: {faults}", f"the settings are {', '.join(SchoolValues.model_fields)}"
        ) from None
    return settings_of(chosen, school=school, tenant=tenant, source=source)


def location_of(values: _AnySource) -> MisLocation:
    match values:
        case FolderValues():
            return FeedFolder(values.path, values.after_sync)
        case ContainerValues():
            return FeedContainer(values.folder, values.after_sync)
        case OneRosterValues():
            return OneRosterApi(
                values.url.rstrip("/"), values.version, values.token_url or "", values.client, values.secret
            )
        case WondeValues():
            return WondeApi(values.url.rstrip("/"), values.school, values.secret)


def source_values(location: MisLocation) -> _AnySource:
    """The location as it is handed out, and as it can be handed in again."""
    match location:
        case FeedFolder(path, after_sync):
            return FolderValues(path=path, after_sync=after_sync)
        case FeedContainer(folder, after_sync):
            return ContainerValues(folder=folder, after_sync=after_sync)
        case OneRosterApi(url, version, token_url, client, secret):
            return OneRosterValues(url=url, version=version, token_url=token_url or None, client=client, secret=secret)
        case WondeApi(url, school, secret):
            return WondeValues(url=url, school=school, secret=secret)


def settings_of(chosen: SchoolValues, *, school: str, tenant: str, source: MisLocation) -> SchoolSettings:
    """Fill in the defaults that depend on the MIS (source: RM TEC7627933, notes *** and †)."""
    every_type = frozenset(GroupType) - ({GroupType.TEACHING} if chosen.mis is Mis.SCHOLARPACK else set())
    usual_owners = TeachingOwners.ALL if chosen.mis is Mis.SEEMIS else TeachingOwners.MAIN
    return SchoolSettings(
        school=school,
        tenant=tenant,
        enabled=chosen.enabled,
        mis=chosen.mis,
        source=source,
        types=every_type if chosen.types is None else chosen.types,
        name_identifier=chosen.name_identifier,
        admin_owners=chosen.admin_owners,
        teaching_owners=chosen.teaching_owners or usual_owners,
        departed_owners=chosen.departed_owners,
        rollover=chosen.rollover,
        students=_matching(chosen.students, chosen.account_domain),
        staff=_matching(chosen.staff, chosen.account_domain),
        access=chosen.access,
        webhook_secrets=chosen.webhook_secrets,
        limits=Limits(**chosen.limits.model_dump()),
    )


def body_of(settings: SchoolSettings) -> SchoolBody:
    """The settings as they are handed out, and as they can be handed in again."""
    domain = settings.students.domain or settings.staff.domain or DEFAULT_ACCOUNT_DOMAIN
    return SchoolBody(
        tenant=settings.tenant,
        source=source_values(settings.source),
        enabled=settings.enabled,
        mis=settings.mis,
        types=settings.types,
        name_identifier=settings.name_identifier,
        admin_owners=settings.admin_owners,
        teaching_owners=settings.teaching_owners,
        departed_owners=settings.departed_owners,
        rollover=settings.rollover,
        account_domain=domain,
        students=_values(settings.students),
        staff=_values(settings.staff),
        access=settings.access,
        webhook_secrets=settings.webhook_secrets,
        limits=LimitValues(**asdict(settings.limits)),
    )


def check_beside_others(settings: SchoolSettings, others: Iterable[SchoolSettings]) -> None:
    """Raises UnknownSetting where another school of the tenant has the same identifier: their names would collide."""
    wanted = identifier_in_nickname(settings.name_identifier).lower()
    for other in others:
        same = settings.name_identifier and wanted == identifier_in_nickname(other.name_identifier).lower()
        if same and other.school != settings.school and other.tenant == settings.tenant:
            raise UnknownSetting(
                f"name_identifier: school {other.school} of the same tenant has it already",
                "choose another, or leave it out to have the DfE code",
            )


def _matching(values: MatchingValues, account_domain: str) -> Matching:
    usual = account_domain if takes_domain(values.account) else ""
    return Matching(values.mis, values.account, usual if values.domain is None else values.domain)


def _values(rule: Matching) -> MatchingValues:
    return MatchingValues(mis=rule.mis_property, account=rule.account_property, domain=rule.domain)
