"""The routes of a school's groups and classes."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import Query

from sync_core.admin.classes.groups import preview_classes
from sync_core.admin.classes.objections import ClassAction
from sync_core.admin.classes.one_class import read_one_class
from sync_core.admin.classes.requests import ClassOptions, request_action, request_classes, request_resync
from sync_core.admin.classes.several import request_for_several
from sync_core.admin.explain import explain_person
from sync_core.admin.requests import Accepted, Requester, existing_class
from sync_core.domain.classes.outcomes import AppliedDelta
from sync_core.domain.ids import ClassKey
from sync_core.http.admin.class_bodies import (
    AcceptedRuns,
    ClassesBody,
    ClassPeople,
    NewClass,
    class_people,
    new_class_body,
)
from sync_core.http.admin.dependencies import Administered, GroupKey, Key, ListedClasses, ListedGroups, SignedIn, Taught
from sync_core.http.admin.routes.router import admin_router
from sync_core.http.admin.schemas import ABSENT, CONFLICT, STARTS_RUN, Class, Group, Question, class_body, group_body
from sync_core.messaging.messages import Action
from sync_core.planning.explain.model import Explanation

router = admin_router("/schools/{school}", ABSENT)

_Offset = Annotated[int, Query(ge=0, le=1_000_000, description="How many of the newest are left out")]
_Limit = Annotated[int, Query(ge=1, le=500)]


@router.get("/groups", responses=CONFLICT, summary="List the groups as the MIS has them now")
async def list_groups(settings: Taught, groups: ListedGroups, call: SignedIn) -> list[Group]:
    requests = await call.services.classes.class_requests(settings.school)
    return [group_body(group, requests.get(group.key)) for group in groups]


@router.post("/groups/{key}/class", **STARTS_RUN, summary="Create a group's class, again if an earlier one is gone")
async def create_class(settings: Taught, key: GroupKey, call: SignedIn, body: ClassOptions | None = None) -> Accepted:
    requester = call.requester("create", settings.school, key)
    return await request_classes(settings, {key: body or ClassOptions()}, requester, call.services)


@router.post(
    "/groups/{key}/class/plan",
    responses=CONFLICT,
    summary="Preview the name and the address that a group's class gets",
)
async def preview_class(settings: Taught, key: GroupKey, call: SignedIn) -> NewClass:
    """Reads the MIS, and changes nothing."""
    (preview,) = await preview_classes(settings, [key], call.services)
    return new_class_body(preview)


@router.post("/classes/requests", **STARTS_RUN, summary="Request one action for several classes at once")
async def request_for_classes(settings: Administered, body: ClassesBody, call: SignedIn) -> AcceptedRuns:
    """One run for all of them, but one for each class to restore. If one class is refused, nothing is requested.

    Only the route of one class deletes it.
    """

    def begin(keys: Sequence[ClassKey]) -> Requester:
        return call.requester(body.action, settings.school, *keys)

    action = ClassAction(body.action)
    runs = await request_for_several(settings, action, body.classes, begin, call.services)
    return AcceptedRuns(runs=[accepted.run for accepted in runs])


@router.get("/classes", responses=CONFLICT, summary="List the school's classes")
async def list_classes(settings: Administered, records: ListedClasses, call: SignedIn) -> list[Class]:
    requests = await call.services.classes.class_requests(settings.school)
    return [class_body(record, requests.get(record.key)) for record in records]


@router.get(
    "/classes/{key}", responses=CONFLICT, summary="Read the state of a class, its last change and its last error"
)
async def read_class(settings: Administered, key: Key, call: SignedIn) -> Class:
    classes = call.services.classes
    record = await existing_class(settings.school, key, call.services)
    requests = await classes.class_requests(settings.school)
    return class_body(record, requests.get(key), await classes.history(settings.school, key))


@router.get("/classes/{key}/people", responses=CONFLICT, summary="List who is wanted in a class, and who is in it now")
async def list_people(settings: Administered, key: Key, call: SignedIn) -> ClassPeople:
    """Those who differ come first. `shown` is false if Microsoft 365 does not show who is in the class."""
    return class_people(await read_one_class(settings, key, call.services))


@router.get(
    "/classes/{key}/history", responses=CONFLICT, summary="List what syncs changed in a class, the newest change first"
)
async def list_history(
    settings: Administered, key: Key, call: SignedIn, offset: _Offset = 0, limit: _Limit = 50
) -> list[AppliedDelta]:
    await existing_class(settings.school, key, call.services)
    history = await call.services.classes.history(settings.school, key)
    return list(reversed(history))[offset : offset + limit]


@router.post("/classes/{key}/resync", **STARTS_RUN, summary="Make a class match the MIS again")
async def resync_class(settings: Administered, key: Key, call: SignedIn) -> Accepted:
    return await request_resync(settings, [key], call.requester("resync", settings.school, key), call.services)


@router.delete("/classes/{key}", **STARTS_RUN, summary="Delete a class; it can be restored for 30 days")
async def delete_class(settings: Administered, key: Key, call: SignedIn) -> Accepted:
    requester = call.requester("delete", settings.school, key)
    return await request_action(settings, key, Action.DELETE, requester, call.services)


@router.post("/classes/{key}/restore", **STARTS_RUN, summary="Restore a deleted class")
async def restore_class(settings: Administered, key: Key, call: SignedIn) -> Accepted:
    requester = call.requester("restore", settings.school, key)
    return await request_action(settings, key, Action.RESTORE, requester, call.services)


@router.post("/classes/{key}/explain", responses=CONFLICT, summary="Explain why a person is in a class, or is not")
async def explain(settings: Administered, key: Key, body: Question, call: SignedIn) -> Explanation:
    """Also since when, and what the next sync will do.

    The person is named in the body because addresses may be logged, and user principal names must not be.
    """
    return await explain_person(settings, key, body.person, call.services)
