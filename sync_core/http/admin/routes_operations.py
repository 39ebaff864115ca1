"""The routes of the admin API that are of no one school: dead letters, and full resyncs of a tenant."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter
from fastapi import Path as PathParameter

from sync_core import telemetry
from sync_core.admin.dead_letters import GivenUpMessage, Visible, list_dead_letters, replay_all, replay_one
from sync_core.admin.schools import erase_school
from sync_core.admin.tenants import request_full_resync
from sync_core.app import App
from sync_core.domain.school import SchoolSettings
from sync_core.errors import Forbidden
from sync_core.http.admin.auth import Caller, Role, SignedIn
from sync_core.http.admin.schemas import Accepted, Replayed
from sync_core.http.problems import Problem

PREFIX = "/api/admin"

_Tenant = Annotated[str, PathParameter(min_length=1, max_length=64, pattern=r"^[!-.0-~]+$")]
# Ids go into table keys and session ids as they are; what is longer or unprintable is no id of ours.
SchoolId = Annotated[str, PathParameter(min_length=1, max_length=64, pattern=r"^[!-.0-~]+$")]
_Queue = Annotated[Literal["sync-requests", "class-changes", "urgent-changes"], PathParameter()]
_Number = Annotated[int, PathParameter(ge=0, lt=2**63)]


def operations_routes(app: App) -> APIRouter:
    routes = APIRouter()
    everywhere = app.settings.everywhere
    absent: dict[int | str, dict[str, Any]] = {404: {"model": Problem}}

    @routes.post(
        f"{PREFIX}/tenants/{{tenant}}/full-resync",
        status_code=202,
        responses=absent,
        summary="Compare every class of a tenant with Microsoft 365 now, and then sync its schools",
    )
    async def full_resync(tenant: _Tenant, who: SignedIn) -> Accepted:
        """A night looks at what changed; a full resync looks at everything, as a night does once a week."""
        who.need(Role.ADMIN)
        if not who.everywhere(everywhere):
            raise Forbidden(
                "only who administers all schools may have a tenant fully resynced", "resync the class instead"
            )
        run = app.new_run()
        await request_full_resync(tenant, run, app.services)
        telemetry.admin_requested(who.id, "", f"full resync tenant {tenant}", "", run)
        return Accepted(run=run)

    @routes.delete(
        f"{PREFIX}/schools/{{school}}/records",
        status_code=204,
        responses={409: {"model": Problem}},
        summary="Erase what is held of a school that left",
    )
    async def erase(school: SchoolId, who: SignedIn) -> None:
        """Its classes stay as they are in Microsoft 365. What is not there is erased as well."""
        who.need(Role.ADMIN)
        if not who.everywhere(everywhere):
            raise Forbidden("only who administers all schools may erase what is held of one", "ask them to")
        await erase_school(school, app.services)
        telemetry.admin_requested(who.id, school, "erase records", "", "")

    def visible(who: Caller, schools: tuple[SchoolSettings, ...]) -> Visible:
        """A dead letter of no school that is known is for those alone who administer all of them."""
        bound = {found.school for found in schools if who.bound_to(found, everywhere)}
        return lambda found: found.school in bound or who.everywhere(everywhere)

    @routes.get(f"{PREFIX}/dead-letters", summary="Messages that the queues gave up, with reason and remedy")
    async def dead_letters(who: SignedIn) -> list[GivenUpMessage]:
        who.need(Role.ADMIN)
        ours = visible(who, await app.services.schools.schools())
        return list(await list_dead_letters(ours, app.services))

    @routes.post(f"{PREFIX}/dead-letters/replay", status_code=202, summary="Put them all back onto their queues")
    async def replay_dead_letters(who: SignedIn) -> Replayed:
        """What is not wanted any more does nothing when its turn comes."""
        who.need(Role.ADMIN)
        ours = visible(who, await app.services.schools.schools())
        telemetry.admin_requested(who.id, "", "replay all dead letters", "", "")
        return Replayed(messages=await replay_all(ours, app.services))

    @routes.post(
        f"{PREFIX}/dead-letters/{{queue}}/{{number}}/replay",
        status_code=202,
        responses=absent,
        summary="Put one back onto its queue",
    )
    async def replay_dead_letter(queue: _Queue, number: _Number, who: SignedIn) -> Replayed:
        who.need(Role.ADMIN)
        ours = visible(who, await app.services.schools.schools())
        telemetry.admin_requested(who.id, "", f"replay dead letter {number} of {queue}", "", "")
        return Replayed(messages=await replay_one(queue, number, ours, app.services))

    return routes
