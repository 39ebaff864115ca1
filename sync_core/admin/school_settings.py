"""An admin's settings of one school: the body of the API, its faults, and the defaults that depend on the MIS."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import Annotated, Any

from annotated_types import MaxLen
from pydantic import BaseModel, Field, GetCoreSchemaHandler, TypeAdapter, ValidationError, WrapValidator
from pydantic_core import CoreSchema, core_schema

from sync_core.domain.constraints import Meaning
from sync_core.domain.ids import SchoolId
from sync_core.domain.nicknames import identifier_in_nickname
from sync_core.domain.roster import GroupType
from sync_core.domain.school.settings import (
    AccessName,
    EntraId,
    Identifier,
    Mis,
    SchoolChoices,
    SchoolSettings,
    TeachingOwners,
)
from sync_core.domain.school.sources import MisLocation
from sync_core.errors import UnknownSetting, faults_for_sender

_MOST_ACCESS = 100
_CORRECT = "correct the settings named here; in a PATCH, null removes one, for example of another kind of source"


@dataclass(frozen=True, slots=True, kw_only=True)
class SchoolBody(SchoolChoices):
    """A school's settings, with the source that its MIS is read from and the tenant that has its classes.

    `access` may have names, of which `find_access` makes ids.
    """

    id: Annotated[str, Meaning("As in the path; it may be left out")] = ""
    access: Annotated[
        tuple[AccessName, ...],
        MaxLen(_MOST_ACCESS),
        Meaning(
            "The users and groups whose app role counts for this school: Entra ids, user principal names or names of "
            "groups. Ids are stored and returned"
        ),
    ] = ()
    tenant: EntraId
    source: Annotated[MisLocation, Field(discriminator="kind")]


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a body of settings, by its place and without its value, and what to do."""

    message: str
    remedy: str

    @property
    def place(self) -> str:
        """The setting, with which the message begins: `limits.turnover`, `admin_owners.0`, `source.wonde.school`."""
        return self.message.partition(": ")[0]

    @property
    def text(self) -> str:
        """The message without the place."""
        return self.message.partition(": ")[2]


class FaultySettings(UnknownSetting):
    """A body of settings with these faults, every one of which the message names, with the remedy of each."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        remedies = dict.fromkeys(fault.remedy for fault in faults)
        super().__init__("; ".join(fault.message for fault in faults), "; ".join(remedies))
        self.faults = tuple(faults)


def refuse(faults: Sequence[Fault]) -> None:
    """Raises FaultySettings if there is any fault."""
    if faults:
        raise FaultySettings(faults)


def _or_none(value: Any, read: Callable[[Any], Any]) -> Any:
    try:
        return read(value)
    except ValidationError:
        return None


_IF_VALID = WrapValidator(_or_none)
_NamesIfValid = tuple[Annotated[AccessName | None, _IF_VALID], ...]


class Outward(BaseModel):
    """The settings of a body that its school, other schools or Microsoft 365 may not agree with; None if not valid."""

    id: Annotated[str | None, _IF_VALID] = ""
    tenant: Annotated[EntraId | None, _IF_VALID] = None
    name_identifier: Annotated[Identifier | None, _IF_VALID] = ""
    access: Annotated[Annotated[_NamesIfValid, MaxLen(_MOST_ACCESS)] | None, _IF_VALID] = ()


@dataclass(frozen=True, slots=True)
class Draft:
    """A body of settings as it was sent: read, or None with its faults. `outward` is there in both cases.

    So a caller learns in one answer what is wrong with a body, and what is wrong with it for this school and tenant.
    """

    body: SchoolBody | None
    faults: tuple[Fault, ...]
    outward: Outward

    @classmethod
    def of(cls, sent: Any) -> Draft:
        outward = Outward.model_validate(sent if isinstance(sent, Mapping) else {})
        try:
            return cls(_adapter().validate_python(sent), (), outward)
        except ValidationError as error:
            return cls(None, tuple(Fault(faults_for_sender([each]), _CORRECT) for each in error.errors()), outward)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """A route declares the schema of the body that it takes, and gets the draft."""
        return core_schema.no_info_wrap_validator_function(
            lambda sent, _: cls.of(sent), handler.generate_schema(SchoolBody)
        )


@cache
def _adapter() -> TypeAdapter[SchoolBody]:
    return TypeAdapter(SchoolBody)


def settings_of(choices: SchoolChoices, *, school: SchoolId, tenant: str, source: MisLocation) -> SchoolSettings:
    """Fill in the defaults that depend on the MIS (source: RM TEC7627933, notes *** and †)."""
    every_type = frozenset(GroupType) - ({GroupType.TEACHING} if choices.mis is Mis.SCHOLARPACK else set())
    usual_owners = TeachingOwners.ALL if choices.mis is Mis.SEEMIS else TeachingOwners.MAIN
    filled_in = {
        "types": every_type if choices.types is None else choices.types,
        "teaching_owners": choices.teaching_owners or usual_owners,
        "pause_reason": "" if choices.enabled else choices.pause_reason,
    }
    return SchoolSettings(school=school, tenant=tenant, source=source, **values_of(choices, SchoolChoices) | filled_in)


def values_of(choices: SchoolChoices, form: type[SchoolChoices]) -> dict[str, Any]:
    """The fields that `form` has, as arguments for it: a SchoolBody made from SchoolSettings can be saved again."""
    return {field.name: getattr(choices, field.name) for field in fields(form)}


def merge_patch(target: Any, patch: Any) -> Any:
    """JSON Merge Patch (RFC 7396): null removes a member, and what the patch leaves out stays."""
    if not isinstance(patch, Mapping):
        return patch
    members = dict(target) if isinstance(target, Mapping) else {}
    merged = {name: merge_patch(members.get(name), value) for name, value in patch.items() if value is not None}
    return {name: value for name, value in members.items() if name not in patch} | merged


def identifier_faults(
    identifier: str, school: SchoolId, tenant: str, others: Iterable[SchoolSettings]
) -> tuple[Fault, ...]:
    """A fault if another school of the tenant has the same identifier: class names would collide."""
    wanted = identifier_in_nickname(identifier).lower()
    return tuple(
        Fault(
            f"name_identifier: school {other.school} of the same tenant has it already",
            "choose another name_identifier, or leave it out to use the DfE code",
        )
        for other in others
        if identifier
        and wanted == identifier_in_nickname(other.name_identifier).lower()
        and (other.school != school and other.tenant == tenant)
    )


def encryption_faults(source: MisLocation) -> tuple[Fault, ...]:
    """A fault for each address without TLS. Only the local system has a server at one."""
    addresses = {f"source.{name}": getattr(source, name, None) or "" for name in ("url", "token_url")}
    return tuple(
        Fault(
            f"{name}: a deployed app takes no address that begins with http://",
            "give the https:// address of the MIS server",
        )
        for name, address in addresses.items()
        if address.startswith("http://")
    )
