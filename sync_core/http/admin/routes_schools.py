"""The routes of schools and their settings, and the sync of a whole school."""

from dataclasses import dataclass, replace
from typing import Annotated

from fastapi import APIRouter, Depends

from sync_core.admin.classes import request_sync
from sync_core.admin.requests import Requester
from sync_core.admin.school_settings import SchoolBody, settings_of
from sync_core.admin.schools import save_school
from sync_core.domain.school import SchoolSettings
from sync_core.errors import Forbidden
from sync_core.http.admin.dependencies import (
    Admin,
    Administered,
    SchoolId,
    SyncApp,
    Target,
    recorded,
    requested,
    school_target,
)
from sync_core.http.admin.schemas import ABSENT, CONFLICT, Accepted, School, school_body
from sync_core.messaging.messages import Priority

router = APIRouter(prefix="/schools")


@router.get("", summary="The schools that you administer")
async def list_schools(caller: Admin, app: SyncApp) -> list[School]:
    schools = await app.services.schools.schools()
    return [school_body(settings) for settings in schools if caller.bound_to(settings, app.settings.everywhere)]


@router.get("/{school}", responses=ABSENT, summary="A school's settings")
async def read_school(settings: Administered) -> School:
    return school_body(settings)


@dataclass(frozen=True, slots=True)
class _Saving:
    before: SchoolSettings | None
    wanted: SchoolSettings


async def _saving(school: SchoolId, body: SchoolBody, caller: Admin, app: SyncApp) -> _Saving:
    before = await app.services.schools.school(school)
    caller.need_school(before, app.settings.everywhere)
    wanted = settings_of(body, school=school, tenant=body.tenant, source=body.source)
    if not caller.everywhere(app.settings.everywhere):
        _need_same_place(before, wanted)
    return _Saving(before, wanted)


async def _saved(saving: Annotated[_Saving, Depends(_saving)]) -> Target:
    return Target(saving.wanted.school)


@router.put(
    "/{school}",
    dependencies=[recorded("save settings", _saved)],
    summary="Save a school's settings; a new school joins by it",
)
async def put_school(saving: Annotated[_Saving, Depends(_saving)], app: SyncApp) -> School:
    app.services.graph.of(saving.wanted.tenant, Priority.URGENT)  # raises UnknownSetting for a tenant out of reach
    await save_school(saving.wanted, saving.before, app.services)
    return school_body(saving.wanted)


async def _leaving(settings: Administered, caller: Admin, app: SyncApp) -> Target:
    caller.need_all_schools(app.settings.everywhere, "delete a school's settings", "pause the school instead")
    return Target(settings.school)


@router.delete(
    "/{school}",
    status_code=204,
    dependencies=[recorded("forget school", _leaving)],
    responses=ABSENT,
    summary="A school leaves",
)
async def delete_school(settings: Administered, app: SyncApp) -> None:
    """Its settings are deleted. Its classes stay as they are, and are followed again when it joins again."""
    await app.services.schools.forget_school(settings.school)


@router.post("/{school}/sync", status_code=202, responses=ABSENT | CONFLICT, summary="Sync a school now")
async def sync(
    settings: Administered, requester: Annotated[Requester, requested("sync", school_target)], app: SyncApp
) -> Accepted:
    await request_sync(settings, requester, app.services)
    return Accepted(run=requester.run)


def _need_same_place(before: SchoolSettings | None, wanted: SchoolSettings) -> None:
    """A school's own admin may change how it is synced, but not from where, to where, or who has access."""
    kept = {name: getattr(before, name) for name in ("tenant", "source", "access", "webhook_secrets")} if before else {}
    if not before or replace(wanted, **kept) != wanted:
        raise Forbidden(
            "only an admin of all schools may change tenant, source, access and webhook_secrets",
            "leave these four as they are",
        )
