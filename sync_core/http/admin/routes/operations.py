"""The routes about no single school: tenants and what the app may do there, schools that left, dead letters."""

from typing import Annotated, Any, Literal

from fastapi import Path as PathParameter
from pydantic import StringConstraints

from sync_core.admin.dead_letters import ListedDeadLetter, list_dead_letters, replay_all, replay_one
from sync_core.admin.health.findings import Health
from sync_core.admin.health.pauses import pause_schools, paused_for, resume_schools, synced
from sync_core.admin.overview.schools import SchoolOverview
from sync_core.admin.requests import Accepted
from sync_core.admin.schools import StatedReason, check_tenants, erase_school, request_full_resync
from sync_core.admin.tenant_probe import last_probe, probe_tenant
from sync_core.domain.ids import AccountId
from sync_core.domain.permissions import TenantCheck
from sync_core.domain.tenants import Probe
from sync_core.http.admin.csv_files import AS_CSV, Accept, accepts_csv, csv_response
from sync_core.http.admin.dependencies import (
    PATH_ID,
    AccessibleSchools,
    Admin,
    CheckedHealth,
    Overviews,
    SchoolInPath,
    VisibleLetters,
)
from sync_core.http.admin.routes.router import admin_router
from sync_core.http.admin.schemas import (
    ABSENT,
    CONFLICT,
    OUTDATED,
    ChangedSchools,
    ProbeBody,
    Replayed,
    TenantProbe,
    probe_body,
)

router = admin_router("", {})

_Tenant = Annotated[str, StringConstraints(to_lower=True), PathParameter(min_length=1, max_length=64, pattern=PATH_ID)]
_Queue = Annotated[Literal["sync-requests", "class-changes", "urgent-changes"], PathParameter()]
_Number = Annotated[int, PathParameter(ge=0, lt=2**63)]


# --- the health of the app


@router.get("/health", summary="Check the health of the app, or of your schools")
async def health(health: CheckedHealth) -> Health:
    """A line for each check, with what to do where one is not ok. Nothing is changed. It takes a minute at most.

    For an admin of all schools: the version, the settings, the tables, the queues and their dead letters, Graph and its
    permissions in each tenant, the last night, and the source and the last sync of each school. For other admins: the
    lines of their schools. Graph answers one request for each tenant, and the server of an MIS up to four for a school.
    """
    return health


# --- all schools of an admin


@router.post("/pause", responses=OUTDATED, summary="Pause all your schools, and say why")
async def pause(body: StatedReason, call: Admin, schools: AccessibleSchools) -> ChangedSchools:
    """Those that are paused already keep their reason. Changes that an earlier plan has sent are still applied."""
    call.record("pause all schools", reason=body.reason)
    return ChangedSchools(schools=await pause_schools(synced(schools), body.reason, call.caller.id, call.services))


@router.post("/resume", responses=OUTDATED, summary="Resume all your schools that were paused for this reason")
async def resume(body: StatedReason, call: Admin, schools: AccessibleSchools) -> ChangedSchools:
    call.record("resume all schools", reason=body.reason)
    return ChangedSchools(schools=await resume_schools(paused_for(body.reason, schools), call.caller.id, call.services))


# --- tenants, and schools that left


@router.post("/tenants/{tenant}/probe", responses=ABSENT | CONFLICT, summary="Probe a tenant")
async def probe(tenant: _Tenant, call: Admin, body: ProbeBody | None = None) -> TenantProbe:
    """Makes one class named "MIS Class Sync probe (removes itself)", asks what no documentation tells, and deletes it.

    The named accounts, or else up to 20 disabled ones, are members of it for some minutes at most. The answer takes
    some seconds in a tenant whose replicas are quick, and up to four minutes in one whose replicas are slow.
    """
    call.caller.need_all_schools("probe a tenant", "ask an admin of all schools to probe it")
    call.record(f"probe tenant {tenant}")
    people = [AccountId(str(person)) for person in body.people] if body else []
    begun = Probe(tenant=tenant, id=call.app.new_run(), requested_by=call.caller.id, began_at=call.services.clock.now())
    return probe_body(await probe_tenant(begun, call.app.settings.tenant, people, call.services))


@router.get("/tenants/{tenant}/probe", responses=ABSENT, summary="Read the last probe of a tenant")
async def read_probe(tenant: _Tenant, call: Admin) -> TenantProbe:
    """Its answers, even if the caller who started it did not wait for them."""
    call.caller.need_all_schools("read the probe of a tenant", "ask an admin of all schools to read it")
    return probe_body(await last_probe(tenant, call.services))


@router.get("/tenants", summary="List the tenants, each with the Graph permissions that it has granted the app")
async def tenants(call: Admin) -> list[TenantCheck]:
    """Reads the app's token for each tenant that has a school, or for the app's own tenant while there is no school.

    A managed identity's token may take up to 24 hours to carry a later grant, and is reported as it is.
    """
    call.caller.need_all_schools("read what each tenant has granted", "ask an admin of all schools to read it")
    return await check_tenants(call.app.settings.tenant, call.services)


@router.post("/tenants/{tenant}/full-resync", status_code=202, responses=ABSENT, summary="Fully resync a tenant now")
async def full_resync(tenant: _Tenant, call: Admin) -> Accepted:
    """Compares every class of the tenant with Microsoft 365, then syncs its schools.

    A night compares only the classes that changed, except that one night a week is a full resync too.
    """
    call.caller.need_all_schools("request the full resync of a tenant", "resync single classes instead")
    return await request_full_resync(tenant, call.requester(f"full resync tenant {tenant}"), call.services)


@router.delete("/schools/{school}/records", status_code=204, responses=CONFLICT, summary="Erase a school that left")
async def erase(school: SchoolInPath, call: Admin) -> None:
    """Erases all data held about it. Its classes stay in Microsoft 365. Erasing an unknown school succeeds too."""
    call.caller.need_all_schools("erase the data held about a school", "ask an admin of all schools to erase it")
    call.record("erase records", school)
    await erase_school(school, call.services)


# --- all schools


@router.get(
    "/overview", response_model=list[SchoolOverview], responses=AS_CSV, summary="See how each school is, worst first"
)
async def overview(overviews: Overviews, accept: Accept = "") -> Any:
    """The schools that you administer, in step with their MIS or not, healthy or not; as CSV if the request accepts it.

    As recorded: neither the MIS nor Microsoft 365 is read.
    """
    return csv_response(SchoolOverview, overviews) if accepts_csv(accept) else overviews


# --- dead letters


@router.get("/dead-letters", summary="List the dead-lettered messages, each with the reason and the remedy")
async def dead_letters(call: Admin, visible: VisibleLetters) -> list[ListedDeadLetter]:
    return await list_dead_letters(visible, call.services)


@router.post("/dead-letters/replay", status_code=202, summary="Replay all dead letters")
async def replay_dead_letters(call: Admin, visible: VisibleLetters) -> Replayed:
    """Puts them back on their queues. A message that is out of date by now changes nothing."""
    call.record("replay all dead letters")
    return Replayed(messages=await replay_all(visible, call.services))


@router.post("/dead-letters/{queue}/{number}/replay", status_code=202, responses=ABSENT, summary="Replay a dead letter")
async def replay_dead_letter(queue: _Queue, number: _Number, call: Admin, visible: VisibleLetters) -> Replayed:
    call.record(f"replay dead letter {number} of {queue}")
    return Replayed(messages=await replay_one(queue, number, visible, call.services))
