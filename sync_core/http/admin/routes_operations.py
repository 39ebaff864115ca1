"""The routes about no single school: dead letters, full resyncs of a tenant, erasing a school that left."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends
from fastapi import Path as PathParameter

from sync_core.admin.dead_letters import GivenUpMessage, Visible, list_dead_letters, replay_all, replay_one
from sync_core.admin.requests import Requester
from sync_core.admin.schools import erase_school
from sync_core.admin.tenants import request_full_resync
from sync_core.http.admin.dependencies import Admin, SchoolId, SyncApp, Target, recorded, requested
from sync_core.http.admin.schemas import ABSENT, CONFLICT, Accepted, Replayed

router = APIRouter()

_Tenant = Annotated[str, PathParameter(min_length=1, max_length=64, pattern=r"^[!-.0-~]+$")]
_Queue = Annotated[Literal["sync-requests", "class-changes", "urgent-changes"], PathParameter()]
_Number = Annotated[int, PathParameter(ge=0, lt=2**63)]


# --- tenants, and schools that left


async def _tenant(tenant: _Tenant, caller: Admin, app: SyncApp) -> Target:
    caller.need_all_schools(app.settings.everywhere, "have a tenant fully resynced", "resync the class instead")
    return Target(name=tenant)


@router.post(
    "/tenants/{tenant}/full-resync",
    status_code=202,
    responses=ABSENT,
    summary="Compare every class of a tenant with Microsoft 365 now, and then sync its schools",
)
async def full_resync(
    tenant: _Tenant, requester: Annotated[Requester, requested("full resync tenant", _tenant)], app: SyncApp
) -> Accepted:
    """A night compares the classes that changed; a full resync compares all, as one night a week does."""
    await request_full_resync(tenant, requester.run, app.services)
    return Accepted(run=requester.run)


async def _erased(school: SchoolId, caller: Admin, app: SyncApp) -> Target:
    caller.need_all_schools(app.settings.everywhere, "erase what is stored about a school", "ask one of them to")
    return Target(school)


@router.delete(
    "/schools/{school}/records",
    status_code=204,
    dependencies=[recorded("erase records", _erased)],
    responses=CONFLICT,
    summary="Erase what is stored about a school that left",
)
async def erase(school: SchoolId, app: SyncApp) -> None:
    """Its classes stay as they are in Microsoft 365. A school that is not there is erased as well."""
    await erase_school(school, app.services)


# --- dead letters


async def _visible(caller: Admin, app: SyncApp) -> Visible:
    """Those of the caller's schools. Only admins of all schools see a dead letter of no known school."""
    everywhere = app.settings.everywhere
    bound = {found.school for found in await app.services.schools.schools() if caller.bound_to(found, everywhere)}
    return lambda letter: letter.school in bound or caller.everywhere(everywhere)


_Ours = Annotated[Visible, Depends(_visible)]


async def _all_dead_letters(caller: Admin) -> Target:
    return Target()


async def _dead_letter(queue: _Queue, number: _Number, caller: Admin) -> Target:
    return Target(name=f"{number} of {queue}")


@router.get("/dead-letters", summary="Messages that the queues gave up, with reason and remedy")
async def dead_letters(ours: _Ours, app: SyncApp) -> list[GivenUpMessage]:
    return list(await list_dead_letters(ours, app.services))


@router.post(
    "/dead-letters/replay",
    status_code=202,
    dependencies=[recorded("replay all dead letters", _all_dead_letters)],
    summary="Put them all back onto their queues",
)
async def replay_dead_letters(ours: _Ours, app: SyncApp) -> Replayed:
    """A message that is no longer wanted does nothing when its turn comes."""
    return Replayed(messages=await replay_all(ours, app.services))


@router.post(
    "/dead-letters/{queue}/{number}/replay",
    status_code=202,
    dependencies=[recorded("replay dead letter", _dead_letter)],
    responses=ABSENT,
    summary="Put one back onto its queue",
)
async def replay_dead_letter(queue: _Queue, number: _Number, ours: _Ours, app: SyncApp) -> Replayed:
    return Replayed(messages=await replay_one(queue, number, ours, app.services))
