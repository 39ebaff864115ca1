"""What the routes depend on: ids in the path, the call with its caller, and a school that the caller has access to."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from fastapi import Path as PathParameter

from sync_core import telemetry
from sync_core.admin.requests import Requester
from sync_core.app import App
from sync_core.domain.ids import ClassKey, RunId, SchoolId
from sync_core.domain.school import SchoolSettings
from sync_core.errors import NotFound
from sync_core.http.admin.auth import PRINCIPAL_HEADER, Caller, Role, read_caller
from sync_core.services import Services

# Ids become table keys and session ids unchanged, so one that is too long or not printable is rejected.
PATH_ID = r"^[!-.0-~]+$"
SchoolInPath = Annotated[SchoolId, PathParameter(min_length=1, max_length=64, pattern=PATH_ID)]
Key = Annotated[ClassKey, PathParameter(min_length=1, max_length=80, pattern=PATH_ID)]


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the API: the caller, and the app that answers.

    A route that changes anything calls `record` or `requester` once: after every check that the caller may do this, and
    before the use case. The event then also covers what the use case refuses, but no forbidden or invalid call.
    """

    caller: Caller
    app: App

    @property
    def services(self) -> Services:
        return self.app.services

    def record(self, action: str, school: SchoolId = SchoolId("")) -> None:
        """Emit the event of an action that is done at once: it has no run."""
        telemetry.admin_requested(self.caller.id, school, action, ClassKey(""), RunId(""))

    def requester(self, action: str, school: SchoolId = SchoolId(""), key: ClassKey = ClassKey("")) -> Requester:
        """The caller as the requester of a new run, once the event of the action is emitted."""
        requester = Requester(self.caller.id, self.app.new_run())
        telemetry.admin_requested(self.caller.id, school, action, key, requester.run)
        return requester


async def _signed_in(request: Request) -> Call:
    app: App = request.app.state.app
    header, settings = request.headers.get(PRINCIPAL_HEADER), app.settings
    return Call(read_caller(header, settings.signed_in_by_app_service, settings.everywhere), app)


SignedIn = Annotated[Call, Depends(_signed_in)]


async def _admin(call: SignedIn) -> Call:
    call.caller.need(Role.ADMIN)
    return call


Admin = Annotated[Call, Depends(_admin)]
"""A call by an admin, whichever schools they have access to."""


def _school_for(*roles: Role) -> Callable[..., Awaitable[SchoolSettings]]:
    async def school_of_caller(school: SchoolInPath, call: SignedIn) -> SchoolSettings:
        """An unknown school is Forbidden, as another's is. Only admins of all schools learn that it does not exist."""
        call.caller.need(*roles)
        settings = await call.services.schools.school(school)
        call.caller.need_school(settings)
        if settings is None:
            raise NotFound(f"there is no school {school}", "list the schools to see their ids")
        return settings

    return school_of_caller


Administered = Annotated[SchoolSettings, Depends(_school_for(Role.ADMIN))]
Taught = Annotated[SchoolSettings, Depends(_school_for(Role.ADMIN, Role.TEACHER))]
