"""What the routes depend on: ids in the path, the call with its caller, and a school that the caller has access to."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Query, Request
from fastapi import Path as PathParameter

from sync_core import telemetry
from sync_core.admin.classes.choices import RULE_NAME
from sync_core.admin.classes.groups import GroupState, existing_group, read_groups
from sync_core.admin.dead_letters import Visible, visible_to_all_schools, visible_to_schools
from sync_core.admin.health.checks import health_of_app, health_of_schools
from sync_core.admin.health.findings import Health
from sync_core.admin.overview.schools import SchoolOverview, list_overviews
from sync_core.admin.requests import Requester, existing_class
from sync_core.app import App
from sync_core.domain.classes.record import ClassRecord
from sync_core.domain.ids import ClassKey, RunId, SchoolId
from sync_core.domain.school.settings import SchoolSettings
from sync_core.errors import Conflict, NotFound
from sync_core.http.admin.auth import PRINCIPAL_HEADER, Caller, Role, read_caller
from sync_core.planning.naming.class_keys import is_key, keys_called, names_of_class, names_of_group
from sync_core.services import Services

# Ids become table keys and session ids unchanged, and people type them in a shell, to which each of these is plain.
PATH_ID = r"^[A-Za-z0-9._~:@+={}-]+$"
SchoolInPath = Annotated[SchoolId, PathParameter(min_length=1, max_length=64, pattern=PATH_ID)]
DigestInPath = Annotated[str, PathParameter(min_length=1, max_length=64, pattern=r"^[0-9a-f]+$")]
"""What identifies exactly what an admin was shown."""
_NameInPath = Annotated[
    str,
    PathParameter(
        alias="key",
        min_length=1,
        max_length=80,
        pattern=r"^[^\x00-\x1f\x7f/]+$",
        description="A class's key, or another name that only it has: its group's name in the MIS, its display name, "
        "or its mail nickname. A path cannot hold a slash: the query `name` of the list finds the key for such a name",
    ),
]
_NameInQuery = Annotated[
    str | None,
    Query(
        min_length=1,
        max_length=256,
        pattern=r"^[^\x00-\x1f\x7f]+$",
        description="Lists only the one with this key or name, also one with a slash (`2S/DT1`); 404 if there is none, "
        "409 with the keys if there are several",
    ),
]


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

    def record(self, action: str, school: SchoolId = SchoolId(""), reason: str = "") -> None:
        """Emit the event of an action that is done at once: it has no run."""
        telemetry.admin_requested(self.caller.id, school, action, ClassKey(""), RunId(""), reason)

    def requester(self, action: str, school: SchoolId = SchoolId(""), *keys: ClassKey) -> Requester:
        """The caller as the requester of a new run, once the event of the action is emitted: one for each class."""
        requester = Requester(self.caller.id, self.app.new_run())
        for key in keys or (ClassKey(""),):
            telemetry.admin_requested(self.caller.id, school, action, key, requester.run)
        return requester


def read_principal(request: Request, app: App) -> Caller:
    """Raises NotSignedIn."""
    settings = app.settings
    return read_caller(request.headers.get(PRINCIPAL_HEADER), settings.signed_in_by_app_service, settings.everywhere)


async def _signed_in(request: Request) -> Call:
    app: App = request.app.state.app
    caller = read_principal(request, app)
    if "authorization" in request.headers:  # a program sends a token, and a browser the cookie of its session
        caller.need_scope()
    app.call_limit.count(caller.id, app.services.clock.now())
    return Call(caller, app)


SignedIn = Annotated[Call, Depends(_signed_in)]


async def _admin(call: SignedIn) -> Call:
    call.caller.need(Role.ADMIN)
    return call


Admin = Annotated[Call, Depends(_admin)]
"""A call by an admin, whichever schools they have access to."""


async def _accessible_schools(call: Admin) -> tuple[SchoolSettings, ...]:
    return tuple(each for each in await call.services.schools.schools() if call.caller.has_access(each))


AccessibleSchools = Annotated[tuple[SchoolSettings, ...], Depends(_accessible_schools)]
"""All that the calling admin administers, without those whose settings cannot be read."""


async def _visible_letters(call: Admin, schools: AccessibleSchools) -> Visible:
    return visible_to_all_schools if call.caller.all_schools else visible_to_schools(schools)


VisibleLetters = Annotated[Visible, Depends(_visible_letters)]


async def _checked_health(call: Admin) -> Health:
    if call.caller.all_schools:
        return await health_of_app(call.app.settings, call.services)
    return await health_of_schools(call.caller.has_access, call.services)


CheckedHealth = Annotated[Health, Depends(_checked_health)]
"""The lines that the calling admin may see, each checked now."""


def _school_for(*roles: Role) -> Callable[..., Awaitable[SchoolSettings]]:
    async def school_of_caller(school: SchoolInPath, call: SignedIn, request: Request) -> SchoolSettings:
        """An unknown school is Forbidden, as another's is. Only admins of all schools learn that it does not exist."""
        call.caller.need(*roles)
        settings = await call.services.schools.school(school)
        request.state.school = settings.school if settings else ""  # for the event about a refusal
        call.caller.need_school(settings)
        if settings is None:
            raise NotFound(f"there is no school {school}", "list the schools to see their ids")
        return settings

    return school_of_caller


Administered = Annotated[SchoolSettings, Depends(_school_for(Role.ADMIN))]
Taught = Annotated[SchoolSettings, Depends(_school_for(Role.ADMIN, Role.TEACHER))]


async def _class_key(settings: Administered, name: _NameInPath, call: SignedIn) -> ClassKey:
    """The key of the class with that key or name. A key that no class has is returned for the use case to refuse."""
    return await key_of_class(settings.school, name, call.services)


async def _group_key(settings: Taught, name: _NameInPath, call: SignedIn) -> ClassKey:
    """The key for the class of the group with that key or name. The use case looks a key up."""
    if is_key(name):
        return ClassKey(name)
    return _key_of_group(settings.school, name, await read_groups(settings, call.services))


async def _listed_classes(settings: Administered, call: SignedIn, name: _NameInQuery = None) -> tuple[ClassRecord, ...]:
    if name is None:
        return await call.services.classes.class_records(settings.school)
    key = await key_of_class(settings.school, name, call.services)
    return (await existing_class(settings.school, key, call.services),)


async def _listed_groups(settings: Taught, call: SignedIn, name: _NameInQuery = None) -> tuple[GroupState, ...]:
    groups = await read_groups(settings, call.services)
    if name is None:
        return groups
    return (existing_group(settings.school, _key_of_group(settings.school, name, groups), groups),)


async def key_of_class(school: SchoolId, name: str, services: Services) -> ClassKey:
    """The key of the class with that key or name. Raises NotFound, and Conflict if several classes have the name."""
    if await services.classes.class_record(school, ClassKey(name)):
        return ClassKey(name)
    records = await services.classes.class_records(school)
    return _only_key(school, name, {record.key: names_of_class(record) for record in records})


def _key_of_group(school: SchoolId, name: str, groups: Iterable[GroupState]) -> ClassKey:
    named = {
        found.key: (found.key, *names_of_group(found.group), *(names_of_class(found.record) if found.record else ()))
        for found in groups
    }
    return _only_key(school, name, named)


def _only_key(school: SchoolId, name: str, named: Mapping[ClassKey, Iterable[str]]) -> ClassKey:
    keys = keys_called(name, named)
    if len(keys) > 1:
        raise Conflict(
            f"school {school} has {len(keys)} classes with this name: {', '.join(keys)}", "give one of these keys"
        )
    if not keys and not is_key(name):
        raise NotFound(
            f"school {school} has no class or group with this name",
            "list the school's classes or groups to see their names and keys",
        )
    return keys[0] if keys else ClassKey(name)


async def overviews_of(call: Admin) -> tuple[SchoolOverview, ...]:
    """Only admins of all schools see those whose settings cannot be read."""
    every = await call.services.schools.every_school()
    accessible = [each for each in every.readable if call.caller.has_access(each)]
    unreadable = every.unreadable if call.caller.all_schools else {}
    return await list_overviews(accessible, unreadable, call.app.settings.sync_schedule, call.services)


Key = Annotated[ClassKey, Depends(_class_key)]
GroupKey = Annotated[ClassKey, Depends(_group_key)]
RuleId = Annotated[str, PathParameter(pattern=f"^{RULE_NAME}$", description="Such as maths-head")]
ListedClasses = Annotated[tuple[ClassRecord, ...], Depends(_listed_classes)]
ListedGroups = Annotated[tuple[GroupState, ...], Depends(_listed_groups)]
"""All of the school, or the one that the query names."""
Overviews = Annotated[tuple[SchoolOverview, ...], Depends(overviews_of)]
"""How the schools are that the caller has access to, worst first."""
