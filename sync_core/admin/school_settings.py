"""An admin's settings of one school, validated on the way in: every fault named at once, and nothing unknown passes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from sync_core.domain.nicknames import identifier_in_nickname
from sync_core.domain.roster import GroupType
from sync_core.domain.school import (
    EntraId,
    Matching,
    MatchingChoice,
    Mis,
    MisLocation,
    SchoolChoices,
    SchoolSettings,
    TeachingOwners,
)
from sync_core.errors import UnknownSetting, faults_of
from sync_core.planning.matching import takes_domain


@dataclass(frozen=True, slots=True, kw_only=True)
class SchoolBody(SchoolChoices):
    """A school's settings with where its MIS is read from and which tenant its classes are in."""

    tenant: EntraId
    source: Annotated[MisLocation, Field(discriminator="kind")]


def parse_school_settings(
    values: Mapping[str, object], *, school: str, tenant: str, source: MisLocation
) -> SchoolSettings:
    """The settings of `school`, whose MIS is read from `source`. Raises UnknownSetting naming every fault."""
    try:
        choices = _choices().validate_python(dict(values))
    except ValidationError as error:
        known = ", ".join(field.name for field in fields(SchoolChoices))
        raise UnknownSetting(
            f"school settings not understood: {faults_of(error.errors())}", f"the settings are {known}"
        ) from None
    return settings_of(choices, school=school, tenant=tenant, source=source)


def settings_of(choices: SchoolChoices, *, school: str, tenant: str, source: MisLocation) -> SchoolSettings:
    """Fill in the defaults that depend on the MIS (source: RM TEC7627933, notes *** and †)."""
    every_type = frozenset(GroupType) - ({GroupType.TEACHING} if choices.mis is Mis.SCHOLARPACK else set())
    usual_owners = TeachingOwners.ALL if choices.mis is Mis.SEEMIS else TeachingOwners.MAIN
    filled_in = {
        "types": every_type if choices.types is None else choices.types,
        "teaching_owners": choices.teaching_owners or usual_owners,
        "students": _matching(choices.students, choices.account_domain),
        "staff": _matching(choices.staff, choices.account_domain),
    }
    return SchoolSettings(school=school, tenant=tenant, source=source, **_values(choices, SchoolChoices) | filled_in)


def body_values(settings: SchoolSettings) -> dict[str, Any]:
    """The settings as the fields of a SchoolBody, which can be handed in again."""
    return _values(settings, SchoolBody)


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


@cache
def _choices() -> TypeAdapter[SchoolChoices]:
    return TypeAdapter(SchoolChoices)


def _values(choices: SchoolChoices, form: type[SchoolChoices]) -> dict[str, Any]:
    return {field.name: getattr(choices, field.name) for field in fields(form)}


def _matching(choice: MatchingChoice, account_domain: str) -> Matching:
    usual = account_domain if takes_domain(choice.account) else ""
    return Matching(choice.mis, choice.account, usual if choice.domain is None else choice.domain)
