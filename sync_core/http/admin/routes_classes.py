"""The routes of a school's groups and classes."""

from typing import Annotated

from fastapi import APIRouter, Body, Depends

from sync_core.admin.classes import ClassOptions, request_action, request_class, request_resync
from sync_core.admin.explain import explain_person
from sync_core.admin.groups import read_groups
from sync_core.admin.requests import Requester, existing_class
from sync_core.http.admin.dependencies import Administered, Key, SyncApp, Target, Taught, class_target, requested
from sync_core.http.admin.schemas import (
    ABSENT,
    CONFLICT,
    Accepted,
    Class,
    Group,
    NewClassBody,
    Question,
    class_body,
    group_body,
)
from sync_core.messaging.messages import Action
from sync_core.planning.explanation import Explanation

router = APIRouter(prefix="/schools/{school}", responses=ABSENT)


@router.get("/groups", responses=CONFLICT, summary="The groups as the MIS has them now")
async def list_groups(settings: Taught, app: SyncApp) -> list[Group]:
    requests = await app.services.classes.class_requests(settings.school)
    groups = await read_groups(settings, app.services)
    return [group_body(group, requests.get(group.key)) for group in groups]


async def _options(body: Annotated[NewClassBody | None, Body()] = None) -> ClassOptions:
    chosen = body or NewClassBody()
    return ClassOptions(chosen.display_name, chosen.description, chosen.required_until)


_Options = Annotated[ClassOptions, Depends(_options)]


async def _group_target(settings: Taught, key: Key, options: _Options) -> Target:
    """`options`, so that a body that is not understood is no request."""
    return Target(settings.school, key)


_Create = Annotated[Requester, requested("create", _group_target)]
_Resync = Annotated[Requester, requested("resync", class_target)]
_Delete = Annotated[Requester, requested(Action.DELETE, class_target)]
_Restore = Annotated[Requester, requested(Action.RESTORE, class_target)]


@router.post(
    "/groups/{key}/class",
    status_code=202,
    responses=CONFLICT,
    summary="Create the class of a group, or create it again where it is gone",
)
async def create_class(settings: Taught, key: Key, options: _Options, requester: _Create, app: SyncApp) -> Accepted:
    await request_class(settings, key, options, requester, app.services)
    return Accepted(run=requester.run)


@router.get("/classes", summary="The school's classes")
async def list_classes(settings: Administered, app: SyncApp) -> list[Class]:
    requests = await app.services.classes.class_requests(settings.school)
    records = await app.services.classes.class_records(settings.school)
    return [class_body(record, requests.get(record.key)) for record in records]


@router.get("/classes/{key}", summary="The state of a class, and why")
async def read_class(settings: Administered, key: Key, app: SyncApp) -> Class:
    record = await existing_class(settings.school, key, app.services)
    requests = await app.services.classes.class_requests(settings.school)
    return class_body(record, requests.get(key), await app.services.classes.history(settings.school, key))


@router.post("/classes/{key}/resync", status_code=202, responses=CONFLICT, summary="Bring a class to what the MIS says")
async def resync_class(settings: Administered, key: Key, requester: _Resync, app: SyncApp) -> Accepted:
    await request_resync(settings, key, requester, app.services)
    return Accepted(run=requester.run)


@router.delete(
    "/classes/{key}",
    status_code=202,
    responses=CONFLICT,
    summary="Delete a class from Microsoft 365; it can be restored for 30 days",
)
async def delete_class(settings: Administered, key: Key, requester: _Delete, app: SyncApp) -> Accepted:
    await request_action(settings, key, Action.DELETE, requester, app.services)
    return Accepted(run=requester.run)


@router.post("/classes/{key}/restore", status_code=202, responses=CONFLICT, summary="Restore a deleted class")
async def restore_class(settings: Administered, key: Key, requester: _Restore, app: SyncApp) -> Accepted:
    await request_action(settings, key, Action.RESTORE, requester, app.services)
    return Accepted(run=requester.run)


@router.post(
    "/classes/{key}/explain",
    responses=CONFLICT,
    summary="Why a person is in a class or not, since when, and what the next sync does about it",
)
async def explain(settings: Administered, key: Key, body: Question, app: SyncApp) -> Explanation:
    """A POST with a body, because addresses may be logged, and a user principal name must not be."""
    return await explain_person(settings, key, body.person, app.services)
