"""The routes of schools and their settings, and the sync of a whole school."""

from dataclasses import replace

from fastapi import APIRouter

from sync_core.admin.classes import request_sync
from sync_core.admin.requests import Accepted
from sync_core.admin.school_settings import SchoolBody, settings_of
from sync_core.admin.schools import save_school
from sync_core.domain.school import SchoolSettings
from sync_core.errors import Forbidden
from sync_core.http.admin.dependencies import Admin, Administered, SchoolInPath, SignedIn
from sync_core.http.admin.schemas import ABSENT, CONFLICT, School, school_body
from sync_core.messaging.messages import Priority

router = APIRouter(prefix="/schools")


@router.get("", summary="List the schools that you administer")
async def list_schools(call: Admin) -> list[School]:
    schools = await call.services.schools.schools()
    return [school_body(settings) for settings in schools if call.caller.has_access(settings)]


@router.get("/{school}", responses=ABSENT, summary="Read a school's settings")
async def read_school(settings: Administered) -> School:
    return school_body(settings)


@router.put("/{school}", summary="Save a school's settings, or add a new school")
async def put_school(school: SchoolInPath, body: SchoolBody, call: Admin) -> School:
    before = await call.services.schools.school(school)
    call.caller.need_school(before)
    wanted = settings_of(body, school=school, tenant=body.tenant, source=body.source)
    if not call.caller.all_schools:
        _need_same_place(before, wanted)
    call.record("save settings", school)
    call.services.graph.of(wanted.tenant, Priority.URGENT)  # raises UnknownSetting for a tenant out of reach
    await save_school(wanted, before, call.services)
    return school_body(wanted)


@router.delete("/{school}", status_code=204, responses=ABSENT, summary="Remove a school that leaves")
async def delete_school(settings: Administered, call: SignedIn) -> None:
    """Deletes its settings. Its classes stay as they are, and are synced again if the school is added again."""
    call.caller.need_all_schools("delete a school's settings", "pause the school instead")
    call.record("forget school", settings.school)
    await call.services.schools.forget_school(settings.school)


@router.post("/{school}/sync", status_code=202, responses=ABSENT | CONFLICT, summary="Sync a school now")
async def sync(settings: Administered, call: SignedIn) -> Accepted:
    return await request_sync(settings, call.requester("sync", settings.school), call.services)


def _need_same_place(before: SchoolSettings | None, wanted: SchoolSettings) -> None:
    """A school's own admin may change how it is synced, but not from where, to where, or who has access."""
    kept = {name: getattr(before, name) for name in ("tenant", "source", "access", "webhook_secrets")} if before else {}
    if not before or replace(wanted, **kept) != wanted:
        raise Forbidden(
            "only an admin of all schools may change tenant, source, access and webhook_secrets",
            "leave these four as they are",
        )
