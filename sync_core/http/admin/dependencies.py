"""What the routes depend on: ids of the path, the app, a school the caller is bound to, and a request on record."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi import Path as PathParameter

from sync_core import telemetry
from sync_core.admin.requests import Requester
from sync_core.app import App
from sync_core.domain.school import SchoolSettings
from sync_core.errors import NotFound
from sync_core.http.admin.auth import PRINCIPAL_HEADER, Caller, Role, read_caller

# Ids go into table keys and session ids as they are: a longer or unprintable one is none of ours.
SchoolId = Annotated[str, PathParameter(min_length=1, max_length=64, pattern=r"^[!-.0-~]+$")]
Key = Annotated[str, PathParameter(min_length=1, max_length=80, pattern=r"^[!-.0-~]+$")]


async def _app(request: Request) -> App:
    app: App = request.app.state.app
    return app


SyncApp = Annotated[App, Depends(_app)]


async def _signed_in(request: Request, app: SyncApp) -> Caller:
    return read_caller(request.headers.get(PRINCIPAL_HEADER), app.settings.signed_in_by_app_service)


SignedIn = Annotated[Caller, Depends(_signed_in)]


async def _admin(caller: SignedIn) -> Caller:
    caller.need(Role.ADMIN)
    return caller


Admin = Annotated[Caller, Depends(_admin)]
"""A caller with the role of an admin, whichever schools they are bound to."""


def _school_for(*roles: Role) -> Callable[..., Awaitable[SchoolSettings]]:
    async def bound(school: SchoolId, caller: SignedIn, app: SyncApp) -> SchoolSettings:
        """An unknown school is Forbidden, as another's is. Only admins of all schools learn that it is not there."""
        caller.need(*roles)
        settings = await app.services.schools.school(school)
        caller.need_school(settings, app.settings.everywhere)
        if settings is None:
            raise NotFound(f"there is no school {school}", "list the schools for their ids")
        return settings

    return bound


Administered = Annotated[SchoolSettings, Depends(_school_for(Role.ADMIN))]
Taught = Annotated[SchoolSettings, Depends(_school_for(Role.ADMIN, Role.TEACHER))]


@dataclass(frozen=True, slots=True)
class Target:
    """What a request is about. `name` is of a thing that is neither school nor class: a hold, a run, a message."""

    school: str = ""
    key: str = ""
    name: str = ""


async def school_target(settings: Administered) -> Target:
    return Target(settings.school)


async def class_target(settings: Administered, key: Key) -> Target:
    return Target(settings.school, key)


def requested(action: str, target_of: Callable[..., Awaitable[Target]]) -> Any:
    """Depends: the caller as the requester of a new run.

    The event of the request is emitted once `target_of` has let the caller pass, and before anything is done. So what
    the use case then refuses is on record too, and what the caller may not do, or did not put properly, is not.
    """

    async def requester(caller: SignedIn, app: SyncApp, target: Annotated[Target, Depends(target_of)]) -> Requester:
        requester = Requester(caller.id, app.new_run())
        _emit(requester, action, target)
        return requester

    return Depends(requester)


def recorded(action: str, target_of: Callable[..., Awaitable[Target]]) -> Any:
    """Depends: emits the event as `requested` does, for an action that is done at once and has no run."""

    async def record(caller: SignedIn, target: Annotated[Target, Depends(target_of)]) -> None:
        _emit(Requester(caller.id, run=""), action, target)

    return Depends(record)


def _emit(requester: Requester, action: str, target: Target) -> None:
    whole = f"{action} {target.name}".rstrip()
    telemetry.admin_requested(requester.id, target.school, whole, target.key, requester.run)
