"""An admin's settings of one school: the body of the API, the defaults that depend on the MIS, and a check."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any

from annotated_types import MaxLen
from pydantic import Field

from sync_core.domain.constraints import Meaning
from sync_core.domain.ids import SchoolId
from sync_core.domain.nicknames import identifier_in_nickname
from sync_core.domain.roster import GroupType
from sync_core.domain.school import (
    AccessName,
    EntraId,
    Matching,
    MatchingChoice,
    Mis,
    MisLocation,
    SchoolChoices,
    SchoolSettings,
    TeachingOwners,
)
from sync_core.errors import UnknownSetting
from sync_core.planning.matching.accounts import takes_domain


@dataclass(frozen=True, slots=True, kw_only=True)
class SchoolBody(SchoolChoices):
    """A school's settings, with the source that its MIS is read from and the tenant that has its classes.

    `access` may have names, of which `resolve_access` makes ids.
    """

    id: Annotated[str, Meaning("As in the path; it may be left out")] = ""
    access: Annotated[
        tuple[AccessName, ...],
        MaxLen(100),
        Meaning(
            "The users and groups whose app role counts for this school: Entra ids, user principal names or names of "
            "groups. Ids are stored and returned"
        ),
    ] = ()
    tenant: EntraId
    source: Annotated[MisLocation, Field(discriminator="kind")]


def settings_of(choices: SchoolChoices, *, school: SchoolId, tenant: str, source: MisLocation) -> SchoolSettings:
    """Fill in the defaults that depend on the MIS (source: RM TEC7627933, notes *** and †)."""
    every_type = frozenset(GroupType) - ({GroupType.TEACHING} if choices.mis is Mis.SCHOLARPACK else set())
    usual_owners = TeachingOwners.ALL if choices.mis is Mis.SEEMIS else TeachingOwners.MAIN
    filled_in = {
        "types": every_type if choices.types is None else choices.types,
        "teaching_owners": choices.teaching_owners or usual_owners,
        "students": _matching(choices.students, choices.account_domain),
        "staff": _matching(choices.staff, choices.account_domain),
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


def check_identifier(settings: SchoolSettings, others: Iterable[SchoolSettings]) -> None:
    """Raises UnknownSetting if another school of the tenant has the same identifier: class names would collide."""
    wanted = identifier_in_nickname(settings.name_identifier).lower()
    for other in others:
        same = settings.name_identifier and wanted == identifier_in_nickname(other.name_identifier).lower()
        if same and other.school != settings.school and other.tenant == settings.tenant:
            raise UnknownSetting(
                f"name_identifier: school {other.school} of the same tenant has it already",
                "choose another, or leave it out to use the DfE code",
            )


def _matching(choice: MatchingChoice, account_domain: str) -> Matching:
    usual = account_domain if all(map(takes_domain, choice.account_properties)) else ""
    return Matching(choice.mis, choice.account, usual if choice.domain is None else choice.domain)
