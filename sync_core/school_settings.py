"""An admin's settings of one school, validated on the way in: every fault named at once, and nothing unknown passes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from sync_core.errors import UnknownSetting
from sync_core.model import GroupType, School, SchoolSettings, TeachingOwners

DEFAULT_ACCOUNT_DOMAIN = "school.onmicrosoft.com"

_Upn = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[^@\s]+@[^@\s]+$")]


class _Values(BaseModel):
    model_config = ConfigDict(extra="forbid")

    types: frozenset[GroupType] = frozenset(GroupType)
    name_identifier: Annotated[str, StringConstraints(strip_whitespace=True, max_length=30)] = ""
    admin_owners: tuple[_Upn, ...] = ()
    teaching_owners: TeachingOwners = TeachingOwners.MAIN
    account_domain: Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]+$")] = DEFAULT_ACCOUNT_DOMAIN


def parse_school_settings(
    values: Mapping[str, object], *, school: School, tenant: str, mis_path: str
) -> SchoolSettings:
    """The settings of `school`, whose feed lies at `mis_path`. Raises UnknownSetting naming every fault.

    Without a value: all three group types, the DfE code as name identifier, no admin owners, the main teacher as owner
    of a teaching group, and accounts in `DEFAULT_ACCOUNT_DOMAIN`.
    """
    try:
        chosen = _Values.model_validate(dict(values))
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}"
            for fault in error.errors(include_input=False, include_url=False)
        )
        raise UnknownSetting(
            f"school settings not understood: {faults}", f"the settings are {', '.join(_Values.model_fields)}"
        ) from None
    return SchoolSettings(
        school=school.id,
        tenant=tenant,
        mis_path=mis_path,
        types=chosen.types,
        name_identifier=chosen.name_identifier or school.dfe_code,
        admin_owners=chosen.admin_owners,
        teaching_owners=chosen.teaching_owners,
        account_domain=chosen.account_domain,
    )
