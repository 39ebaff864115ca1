"""The routes of a school's groups and classes."""

from fastapi import APIRouter

from sync_core.admin.classes import ClassOptions, request_action, request_classes, request_resync
from sync_core.admin.explain import explain_person
from sync_core.admin.requests import Accepted, existing_class
from sync_core.http.admin.dependencies import Administered, GroupKey, Key, ListedClasses, ListedGroups, SignedIn, Taught
from sync_core.http.admin.schemas import ABSENT, CONFLICT, STARTS_RUN, Class, Group, Question, class_body, group_body
from sync_core.messaging.messages import Action
from sync_core.planning.explain.model import Explanation

router = APIRouter(prefix="/schools/{school}", responses=ABSENT)


@router.get("/groups", responses=CONFLICT, summary="List the groups as the MIS has them now")
async def list_groups(settings: Taught, groups: ListedGroups, call: SignedIn) -> list[Group]:
    requests = await call.services.classes.class_requests(settings.school)
    return [group_body(group, requests.get(group.key)) for group in groups]


@router.post("/groups/{key}/class", **STARTS_RUN, summary="Create a group's class, again if an earlier one is gone")
async def create_class(settings: Taught, key: GroupKey, call: SignedIn, body: ClassOptions | None = None) -> Accepted:
    requester = call.requester("create", settings.school, key)
    return await request_classes(settings, {key: body or ClassOptions()}, requester, call.services)


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
