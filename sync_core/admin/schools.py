"""Schools and their tenants: settings and who may change them, erasing records, checking and resyncing a tenant."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Annotated

from annotated_types import MinLen

from sync_core.admin.overview.pages import ListPage, page_of
from sync_core.admin.requests import Accepted, Requester
from sync_core.admin.school_settings import Fault, identifier_faults, refuse
from sync_core.domain.classes.tenant_groups import Drift
from sync_core.domain.constraints import FORM, Meaning
from sync_core.domain.ids import AccountId, SchoolId
from sync_core.domain.permissions import TenantCheck
from sync_core.domain.runs import Cause, SettingsChange
from sync_core.domain.school.settings import ENTRA_ID, PauseReason, SchoolSettings
from sync_core.domain.school.team_permissions import checked_for_teams
from sync_core.errors import Conflict, EtagConflict, NotFound, PreconditionFailed, UnknownSetting
from sync_core.graph.port import Tenant
from sync_core.messaging.messages import Priority, RefreshTenant
from sync_core.services import Services

_CORRECT_NAME = "correct the name, or give the Entra id of the user or group; nothing was saved"


@dataclass(frozen=True, slots=True)
class StatedReason:
    """Why a school is paused or resumed."""

    __pydantic_config__ = FORM
    reason: Annotated[PauseReason, MinLen(1), Meaning("Without anybody's name: runs and logs repeat it")]


async def save_school(
    settings: SchoolSettings, before: SchoolSettings | None, by: AccountId, services: Services
) -> None:
    """Save settings in place of `before`, which `outward_faults` and `refuse` have checked, and record who did it.

    Raises PreconditionFailed if somebody else saved other settings since `before` was read.

    The classes of a school that left and joins again may have changed meanwhile, so each is marked to be read first.
    """
    if before is None:
        records = await services.classes.class_records(settings.school)
        await services.classes.write_drift(settings.school, [Drift(record.key, stale=True) for record in records])
    try:
        await services.schools.replace_school(before, settings)
    except EtagConflict:
        now = await services.schools.school(settings.school)
        if now != settings:  # otherwise our own write was done, and only its answer was lost
            refuse(await outward_faults(settings.school, settings.tenant, settings.name_identifier, services))
            raise PreconditionFailed(
                f"somebody changed the settings of school {settings.school} at the same moment, so nothing was saved",
                "read the settings again, and repeat your change",
            ) from None
    change = SettingsChange.between(before, settings, by, services.clock.now())
    if change.settings:
        await services.schools.write_settings_change(change)


async def read_settings_changes(school: SchoolId, number: int, services: Services) -> ListPage[SettingsChange]:
    """Page `number` of the changes of the school's settings, newest first."""
    return page_of((await services.schools.settings_changes(school))[::-1], number)


async def pause_school(settings: SchoolSettings, reason: str, by: AccountId, services: Services) -> SchoolSettings:
    """The settings of the school, which is paused now. Raises PreconditionFailed."""
    paused = replace(settings, enabled=False, pause_reason=reason)
    await save_school(paused, settings, by, services)
    return paused


async def resume_school(settings: SchoolSettings, by: AccountId, services: Services) -> SchoolSettings:
    """The settings of the school, which is synced again. Raises PreconditionFailed."""
    resumed = replace(settings, enabled=True, pause_reason="")
    await save_school(resumed, settings, by, services)
    return resumed


async def outward_faults(
    school: SchoolId, tenant: str | None, identifier: str | None, services: Services
) -> tuple[Fault, ...]:
    """Why a school may not have this tenant or this identifier. None is neither checked nor compared."""
    faults: list[Fault] = []
    if tenant is not None:
        try:
            services.graph.of(tenant, Priority.URGENT)
        except UnknownSetting as unknown:
            faults.append(Fault(unknown.message, unknown.remedy))
        others = await services.schools.schools(tenant)
        faults += identifier_faults(identifier or "", school, tenant, others)
    return tuple(faults)


async def find_access(names: Iterable[str | None], tenant: Tenant) -> tuple[tuple[str, ...], tuple[Fault, ...]]:
    """The Entra ids of `names`, each once, and a fault for each name that has none. An id is taken as it is.

    None stands for a name that is no name: it has neither, and keeps the places of the others.
    """
    ids: list[str] = []
    faults: list[Fault] = []
    for place, name in enumerate(names):
        if name is None:
            continue
        found = (name.lower(),) if re.match(ENTRA_ID.pattern, name) else await tenant.find_principals(name)
        if len(found) == 1:
            ids += found
        else:
            faults.append(Fault(f"access.{place}: {_fault(name, found)}", _CORRECT_NAME))
    return tuple(dict.fromkeys(ids)), tuple(faults)


def access_taken_away(before: SchoolSettings, wanted: SchoolSettings) -> frozenset[str]:
    """The Entra ids that lose access."""
    return frozenset(before.access) - frozenset(wanted.access)


async def erase_school(school: SchoolId, services: Services) -> None:
    """Delete all data held about a school that has left; this cannot be undone. Raises Conflict.

    Its classes stay in Microsoft 365. If it joins again, they are recognised only by their names.
    """
    if await services.schools.school(school) is not None:
        raise Conflict(
            f"school {school} has not left, so nothing was erased", "to erase it, delete the school's settings first"
        )
    await services.schools.erase_school(school)


async def check_tenants(home: str, services: Services) -> list[TenantCheck]:
    """The check of each tenant that has a school, or of the tenant `home` if there is no school."""
    schools = await services.schools.schools()
    tenants = {school.tenant for school in schools} or {home}
    checks = [await services.reading.check_tenant(tenant) for tenant in sorted(tenants)]
    return [checked_for_teams(check, schools) for check in checks]


async def request_full_resync(tenant: str, requester: Requester, services: Services) -> Accepted:
    """Compare every class of the tenant with Microsoft 365, in the tenant's turn on the queue. Raises NotFound."""
    if not await services.schools.schools(tenant):
        raise NotFound(f"tenant {tenant} has no school", "list the schools to see their tenants")
    await services.outbox.send_requests([RefreshTenant(tenant, requester.run, Cause.ADMIN, full_resync=True)])
    return Accepted(requester.run)


def _fault(name: str, found: tuple[str, ...]) -> str:
    """A group is named. A user principal name is not repeated, because it names a person."""
    who = "this user principal name" if "@" in name else f"the name {name}"
    if found:
        return f"{len(found)} users and groups in Microsoft 365 have {who}: {', '.join(sorted(found))}"
    return f"no user or group in Microsoft 365 has {who}"
