"""A school's settings from plain values, validated as by the admin API: for local runs, benchmarks and tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from functools import cache

from pydantic import TypeAdapter, ValidationError

from sync_core.admin.school_settings import settings_of
from sync_core.domain.ids import SchoolId
from sync_core.domain.school.settings import SchoolChoices, SchoolSettings
from sync_core.domain.school.sources import MisLocation
from sync_core.errors import UnknownSetting, faults_for_sender


def parse_school_settings(
    values: Mapping[str, object], *, school: str, tenant: str, source: MisLocation
) -> SchoolSettings:
    """The settings of `school`, whose MIS is read from `source`. Raises UnknownSetting naming every fault."""
    try:
        choices = _choices().validate_python(dict(values))
    except ValidationError as error:
        known = ", ".join(field.name for field in fields(SchoolChoices))
        raise UnknownSetting(
            f"the school's settings were not understood: {faults_for_sender(error.errors())}",
            f"the known settings are {known}",
        ) from None
    return settings_of(choices, school=SchoolId(school), tenant=tenant, source=source)


@cache
def _choices() -> TypeAdapter[SchoolChoices]:
    return TypeAdapter(SchoolChoices)
