"""The routes of the admin API, each with the role that it needs and the one use case that answers it."""

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import asdict, replace
from typing import Annotated, Any

from fastapi import Body, Depends, FastAPI, Request
from fastapi import Path as PathParameter
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException

from sync_core import telemetry
from sync_core.admin.classes import ClassOptions, request_action, request_class, request_resync, request_sync
from sync_core.admin.explain import explain_person
from sync_core.admin.groups import read_groups
from sync_core.admin.holds import (
    PlanDiffers,
    accepted_statistics,
    preview_school,
    request_decision,
)
from sync_core.admin.requests import Requester, existing_class
from sync_core.admin.school_settings import SchoolBody, location_of, settings_of
from sync_core.admin.schools import save_school
from sync_core.admin.undo import pinned_keys, request_release, request_undo
from sync_core.app import App
from sync_core.domain.roster import FeedStatistics
from sync_core.domain.runs import Hold
from sync_core.domain.school import SchoolSettings
from sync_core.errors import Forbidden, NotFound, SyncError, Unreadable
from sync_core.http.admin.auth import Caller, Role, SignedIn
from sync_core.http.admin.routes_operations import PREFIX, SchoolId, operations_routes
from sync_core.http.admin.schemas import (
    Accepted,
    Class,
    Group,
    NewClassBody,
    Plan,
    PlanProblem,
    Question,
    Run,
    School,
    class_body,
    group_body,
    run_body,
    school_body,
)
from sync_core.http.problems import MEDIA_TYPE, Problem, problem_of
from sync_core.messaging.messages import Action, Decision, Priority
from sync_core.planning.explanation import Explanation

_Key = Annotated[str, PathParameter(min_length=1, max_length=80, pattern=r"^[!-.0-~]+$")]
_Digest = Annotated[str, PathParameter(min_length=1, max_length=64, pattern=r"^[0-9a-f]+$")]
_RunId = Annotated[str, PathParameter(min_length=1, max_length=40, pattern=r"^[A-Za-z0-9-]+$")]

# Only for the OpenAPI document: App Service has checked the token before a request comes here.
_SIGN_IN = HTTPBearer(description="A token of Microsoft Entra ID for this app", auto_error=False)


class _AdminApi(FastAPI):
    """FastAPI declares every body that has a model as application/json; a refusal is application/problem+json."""

    def openapi(self) -> dict[str, Any]:
        document = super().openapi()
        for operation in (operation for path in document["paths"].values() for operation in path.values()):
            for status, response in operation["responses"].items():
                if status >= "400" and "application/json" in response["content"]:
                    response["content"] = {MEDIA_TYPE: response["content"]["application/json"]}
        return document


def build_api(app: App) -> FastAPI:
    """The API over `app`. Every refusal is a Problem."""
    api = _AdminApi(
        title="MIS Class Sync admin API",
        summary="Groups, classes and settings of schools",
        version="1",
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,
        redoc_url=None,
        dependencies=[Depends(_SIGN_IN)],
        responses={status: {"model": Problem} for status in (400, 401, 403, 422, 503)},
        exception_handlers={
            PlanDiffers: _differ,
            SyncError: _refuse,
            RequestValidationError: _invalid,
            HTTPException: _unknown,
        },
    )
    api.state.signed_in_by_app_service = app.settings.signed_in_by_app_service
    everywhere = app.settings.everywhere

    def school_for(*roles: Role) -> Callable[..., Coroutine[Any, Any, SchoolSettings]]:
        async def bound(school: SchoolId, who: SignedIn) -> SchoolSettings:
            who.need(*roles)
            settings = await app.services.schools.school(school)
            who.need_school(settings, everywhere)
            if settings is None:
                raise NotFound(f"there is no school {school}", "list the schools for their ids")
            return settings

        return bound

    administered = Annotated[SchoolSettings, Depends(school_for(Role.ADMIN))]
    taught = Annotated[SchoolSettings, Depends(school_for(Role.ADMIN, Role.TEACHER))]
    absent: dict[int | str, dict[str, Any]] = {404: {"model": Problem}}
    conflict: dict[int | str, dict[str, Any]] = absent | {409: {"model": Problem}}
    differs: dict[int | str, dict[str, Any]] = absent | {409: {"model": PlanProblem | Problem}}

    def requester(who: Caller, school: str, action: str, key: str = "") -> Requester:
        run = app.new_run()
        telemetry.admin_requested(who.id, school, action, key, run)
        return Requester(who.id, run)

    # --- schools

    @api.get(f"{PREFIX}/schools", summary="The schools that you administer")
    async def list_schools(who: SignedIn) -> list[School]:
        who.need(Role.ADMIN)
        return [school_body(found) for found in await app.services.schools.schools() if who.bound_to(found, everywhere)]

    @api.get(f"{PREFIX}/schools/{{school}}", responses=absent, summary="A school's settings")
    async def read_school(settings: administered) -> School:
        return school_body(settings)

    @api.put(f"{PREFIX}/schools/{{school}}", summary="Save a school's settings; a new school joins by it")
    async def put_school(school: SchoolId, body: SchoolBody, who: SignedIn) -> School:
        who.need(Role.ADMIN)
        before = await app.services.schools.school(school)
        who.need_school(before, everywhere)
        wanted = settings_of(body, school=school, tenant=body.tenant, source=location_of(body.source))
        if not who.everywhere(everywhere):
            _need_same_place(before, wanted)
        app.services.graph.of(wanted.tenant, Priority.URGENT)
        await save_school(wanted, before, app.services)
        telemetry.admin_requested(who.id, school, "save settings", "", "")
        return school_body(wanted)

    @api.delete(f"{PREFIX}/schools/{{school}}", status_code=204, responses=absent, summary="A school leaves")
    async def delete_school(settings: administered, who: SignedIn) -> None:
        """Its settings are forgotten; its classes stay as they are, and are followed again when it joins anew."""
        if not who.everywhere(everywhere):
            raise Forbidden("only who administers all schools may let one leave", "pause the school instead")
        await app.services.schools.forget_school(settings.school)
        telemetry.admin_requested(who.id, settings.school, "forget school", "", "")

    @api.post(f"{PREFIX}/schools/{{school}}/sync", status_code=202, responses=conflict, summary="Sync a school now")
    async def sync(settings: administered, who: SignedIn) -> Accepted:
        asked = requester(who, settings.school, "sync")
        await request_sync(settings, asked, app.services)
        return Accepted(run=asked.run)

    # --- groups

    @api.get(f"{PREFIX}/schools/{{school}}/groups", responses=conflict, summary="The groups as the MIS has them now")
    async def list_groups(settings: taught) -> list[Group]:
        requests = await app.services.classes.class_requests(settings.school)
        groups = await read_groups(settings, app.services)
        return [group_body(found, requests.get(found.key)) for found in groups]

    @api.post(
        f"{PREFIX}/schools/{{school}}/groups/{{key}}/class",
        status_code=202,
        responses=conflict,
        summary="Create the class of a group, or create it anew where it is gone",
    )
    async def create_class(
        settings: taught, key: _Key, who: SignedIn, body: Annotated[NewClassBody | None, Body()] = None
    ) -> Accepted:
        said = body or NewClassBody()
        options = ClassOptions(said.display_name, said.description, said.required_until)
        asked = requester(who, settings.school, "create", key)
        await request_class(settings, key, options, asked, app.services)
        return Accepted(run=asked.run)

    # --- classes

    @api.get(f"{PREFIX}/schools/{{school}}/classes", responses=absent, summary="The school's classes")
    async def list_classes(settings: administered) -> list[Class]:
        requests = await app.services.classes.class_requests(settings.school)
        records = await app.services.classes.class_records(settings.school)
        return [class_body(record, requests.get(record.key)) for record in records]

    @api.get(
        f"{PREFIX}/schools/{{school}}/classes/{{key}}",
        responses=absent,
        summary="How a class stands, and why",
    )
    async def read_class(settings: administered, key: _Key) -> Class:
        record = await existing_class(settings.school, key, app.services)
        requests = await app.services.classes.class_requests(settings.school)
        return class_body(record, requests.get(key), await app.services.classes.history(settings.school, key))

    @api.post(
        f"{PREFIX}/schools/{{school}}/classes/{{key}}/resync",
        status_code=202,
        responses=conflict,
        summary="Bring a class to what the MIS says",
    )
    async def resync_class(settings: administered, key: _Key, who: SignedIn) -> Accepted:
        asked = requester(who, settings.school, "resync", key)
        await request_resync(settings, key, asked, app.services)
        return Accepted(run=asked.run)

    @api.delete(
        f"{PREFIX}/schools/{{school}}/classes/{{key}}",
        status_code=202,
        responses=conflict,
        summary="Delete a class from Microsoft 365; it can be restored for 30 days",
    )
    async def delete_class(settings: administered, key: _Key, who: SignedIn) -> Accepted:
        asked = requester(who, settings.school, Action.DELETE, key)
        await request_action(settings, key, Action.DELETE, asked, app.services)
        return Accepted(run=asked.run)

    @api.post(
        f"{PREFIX}/schools/{{school}}/classes/{{key}}/restore",
        status_code=202,
        responses=conflict,
        summary="Restore a deleted class",
    )
    async def restore_class(settings: administered, key: _Key, who: SignedIn) -> Accepted:
        asked = requester(who, settings.school, Action.RESTORE, key)
        await request_action(settings, key, Action.RESTORE, asked, app.services)
        return Accepted(run=asked.run)

    @api.post(
        f"{PREFIX}/schools/{{school}}/classes/{{key}}/explain",
        responses=conflict,
        summary="Why somebody is in a class or not, since when, and what the next sync does about it",
    )
    async def explain(settings: administered, key: _Key, body: Question) -> Explanation:
        """Asked with a body, so that no user principal name stands in an address, which may be logged."""
        return await explain_person(settings, key, body.person, app.services)

    # --- before it happens

    @api.post(
        f"{PREFIX}/schools/{{school}}/plan", responses=conflict, response_model=Plan, summary="What a sync would do now"
    )
    async def plan(settings: administered) -> Any:
        """Nothing is written, anywhere."""
        return (await preview_school(settings.school, app.services.reading)).as_data()

    @api.get(f"{PREFIX}/schools/{{school}}/holds", responses=absent, summary="What was too much for the last plan")
    async def list_holds(settings: administered) -> list[Hold]:
        return list(await app.services.schools.holds(settings.school))

    async def decide(settings: SchoolSettings, digest: str, decision: Decision, who: Caller) -> Accepted:
        asked = requester(who, settings.school, f"{decision} hold {digest}")
        await request_decision(settings, digest, decision, asked, app.services)
        return Accepted(run=asked.run)

    @api.post(
        f"{PREFIX}/schools/{{school}}/holds/{{digest}}/approve",
        status_code=202,
        responses=differs,
        summary="Do what was held, if it is still just that",
    )
    async def approve_hold(settings: administered, digest: _Digest, who: SignedIn) -> Accepted:
        return await decide(settings, digest, Decision.APPROVE, who)

    @api.post(
        f"{PREFIX}/schools/{{school}}/holds/{{digest}}/reject",
        status_code=202,
        responses=differs,
        summary="Keep the classes as they are until the MIS differs again",
    )
    async def reject_hold(settings: administered, digest: _Digest, who: SignedIn) -> Accepted:
        return await decide(settings, digest, Decision.REJECT, who)

    @api.get(
        f"{PREFIX}/schools/{{school}}/accepted-statistics",
        responses=absent,
        summary="What a feed is compared with",
    )
    async def read_accepted_statistics(settings: administered) -> FeedStatistics:
        return await accepted_statistics(settings.school, app.services)

    @api.delete(
        f"{PREFIX}/schools/{{school}}/accepted-statistics",
        status_code=204,
        responses=absent,
        summary="Take the next feed as it comes",
    )
    async def delete_accepted_statistics(settings: administered, who: SignedIn) -> None:
        """For a feed that was rejected and is right: only what its plan holds stands before the classes then."""
        await app.services.schools.write_accepted_statistics(settings.school, None)
        telemetry.admin_requested(who.id, settings.school, "forget accepted snapshot", "", "")

    # --- runs

    @api.get(f"{PREFIX}/schools/{{school}}/runs", responses=absent, summary="The school's runs, oldest first")
    async def list_runs(settings: administered) -> list[Run]:
        return [run_body(run) for run in await app.services.runs.runs(settings.school)]

    @api.get(f"{PREFIX}/schools/{{school}}/runs/{{run}}", responses=absent, summary="What a run came to")
    async def read_run(settings: administered, run: _RunId) -> Run:
        found = await app.services.runs.run(settings.school, run)
        if found is None:
            raise NotFound(f"school {settings.school} has no run {run}", "list the school's runs for their ids")
        return run_body(found)

    @api.post(
        f"{PREFIX}/schools/{{school}}/runs/{{run}}/undo",
        status_code=202,
        responses=conflict,
        summary="Give each class of a run back who was in it before, and keep it so",
    )
    async def undo(settings: administered, run: _RunId, who: SignedIn) -> Accepted:
        asked = requester(who, settings.school, f"undo {run}")
        await request_undo(settings, run, asked, app.services)
        return Accepted(run=asked.run)

    @api.delete(
        f"{PREFIX}/schools/{{school}}/classes/{{key}}/pin",
        status_code=202,
        responses=conflict,
        summary="Have a pinned class follow the MIS again",
    )
    async def release(settings: administered, key: _Key, who: SignedIn) -> Accepted:
        asked = requester(who, settings.school, "release", key)
        await request_release(settings, [key], asked, app.services)
        return Accepted(run=asked.run)

    @api.delete(
        f"{PREFIX}/schools/{{school}}/pins",
        status_code=202,
        responses=conflict,
        summary="Have all pinned classes follow the MIS again",
    )
    async def release_all(settings: administered, who: SignedIn) -> Accepted:
        keys = await pinned_keys(settings.school, app.services)
        asked = requester(who, settings.school, "release")
        await request_release(settings, keys, asked, app.services)
        return Accepted(run=asked.run)

    api.include_router(operations_routes(app))

    return api


async def _differ(_: Request, error: PlanDiffers) -> Response:
    body = PlanProblem.model_validate({**asdict(problem_of(error)), "plan": error.plan.as_data()})
    return Response(body.model_dump_json(), problem_of(error).status, media_type=MEDIA_TYPE)


async def _refuse(_: Request, error: SyncError) -> Response:
    return _answer(problem_of(error))


async def _invalid(_: Request, error: RequestValidationError) -> Response:
    remedy = f"correct what is named; {PREFIX}/openapi.json describes every body"
    return _answer(problem_of(Unreadable(faults_of_request(error), remedy)))


async def _unknown(_: Request, error: HTTPException) -> Response:
    refusal = SyncError(str(error.detail), f"{PREFIX}/openapi.json lists every address and method")
    return _answer(problem_of(refusal, error.status_code), error.headers)


def _need_same_place(before: SchoolSettings | None, wanted: SchoolSettings) -> None:
    """A school's own admin may change how it is synced, but not where from and where to, nor who may."""
    kept = {name: getattr(before, name) for name in ("tenant", "source", "access", "webhook_secrets")} if before else {}
    if not before or replace(wanted, **kept) != wanted:
        raise Forbidden(
            "only who administers all schools may change tenant, source, access and webhook_secrets",
            "leave these four as they are",
        )


def faults_of_request(error: RequestValidationError) -> str:
    """Each place at fault and its fault, without the value there, which may be anything."""
    return "; ".join(f"{'.'.join(map(str, fault['loc'])) or 'body'}: {fault['msg']}" for fault in error.errors())


def _answer(problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse(asdict(problem), problem.status, headers, MEDIA_TYPE)
