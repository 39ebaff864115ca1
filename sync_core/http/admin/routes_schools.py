"""The routes of schools and their settings, and the sync of a whole school."""

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Response
from pydantic import TypeAdapter

from sync_core.admin.classes import request_sync
from sync_core.admin.overview.matching import MatchingRules, report_matching
from sync_core.admin.requests import Accepted
from sync_core.admin.school_settings import (
    Draft,
    Fault,
    encryption_faults,
    merge_patch,
    refusal,
    refuse,
    settings_of,
)
from sync_core.admin.schools import (
    StatedReason,
    access_taken_away,
    find_access,
    outward_faults,
    pause_school,
    resume_school,
    save_school,
)
from sync_core.admin.supposed import check_feed, preview_settings
from sync_core.domain.ids import SchoolId
from sync_core.domain.school import SchoolSettings
from sync_core.errors import Forbidden, NotFound, SnapshotRejected
from sync_core.http.admin.dependencies import Admin, Administered, Call, SchoolInPath, SignedIn
from sync_core.http.admin.etags import IfMatch, etag_of, require_match
from sync_core.http.admin.schemas import (
    ABSENT,
    CONFLICT,
    OUTDATED,
    WITH_ETAG,
    MatchingPage,
    Plan,
    School,
    matching_page,
    school_body,
)
from sync_core.messaging.messages import Priority
from sync_core.planning.feed_report import FeedReport
from sync_core.planning.matching.findings import Finding

router = APIRouter(prefix="/schools")

_DryRun = Annotated[bool, Query(description="Save nothing, and answer with the plan that the settings would lead to")]
_Page = Annotated[int, Query(ge=1, le=100_000, description="A page has 50 people")]
_Finding = Annotated[Finding | None, Query(description="Lists only the people with this finding")]
_Patch = Annotated[dict[str, Any], Body(media_type="application/merge-patch+json")]


@router.get("", summary="List the schools that you administer")
async def list_schools(call: Admin) -> list[School]:
    schools = await call.services.schools.schools()
    return [school_body(settings) for settings in schools if call.caller.has_access(settings)]


@router.get("/{school}", responses=ABSENT | WITH_ETAG, summary="Read a school's settings")
async def read_school(settings: Administered, response: Response) -> School:
    return _answer(settings, response)


@router.put(
    "/{school}", responses=CONFLICT | OUTDATED | WITH_ETAG, summary="Save a school's settings, or add a new school"
)
async def put_school(
    school: SchoolInPath,
    draft: Annotated[Draft, Body()],
    call: Admin,
    response: Response,
    if_match: IfMatch = None,
    dry_run: _DryRun = False,
) -> School | Plan:
    """Takes what GET gives. A setting that is left out gets its default; to keep the others, use PATCH."""
    before = await call.services.schools.school(school)
    call.caller.need_school(before)
    wanted = await _wanted(school, draft, before, call)
    require_match(if_match, before, school)
    return await (_preview(wanted, call) if dry_run else _save(wanted, before, call, response))


@router.patch(
    "/{school}",
    responses=ABSENT | CONFLICT | OUTDATED | WITH_ETAG,
    summary="Change some of a school's settings, and keep the others",
)
async def patch_school(
    settings: Administered,
    patch: _Patch,
    call: SignedIn,
    response: Response,
    if_match: IfMatch = None,
    dry_run: _DryRun = False,
) -> School | Plan:
    """A JSON Merge Patch (RFC 7396) of what GET gives: null sets a setting back to its default."""
    wanted = await _wanted(settings.school, _patched(settings, patch), settings, call)
    require_match(if_match, settings, settings.school)
    return await (_preview(wanted, call) if dry_run else _save(wanted, settings, call, response))


@router.post("/{school}/pause", responses=ABSENT | OUTDATED | WITH_ETAG, summary="Pause a school, and say why")
async def pause(settings: Administered, body: StatedReason, call: SignedIn, response: Response) -> School:
    """Its classes stay as they are until it is resumed. Runs and refused requests repeat the reason."""
    call.record("pause", settings.school, body.reason)
    return _answer(await pause_school(settings, body.reason, call.services), response)


@router.post("/{school}/resume", responses=ABSENT | OUTDATED | WITH_ETAG, summary="Sync a paused school again")
async def resume(
    settings: Administered, call: SignedIn, response: Response, body: StatedReason | None = None
) -> School:
    """From the next night on, or from the next request, webhook event or file drop. A reason is kept in the log."""
    call.record("resume", settings.school, body.reason if body else "")
    return _answer(await resume_school(settings, call.services), response)


@router.delete("/{school}", status_code=204, responses=ABSENT, summary="Remove a school that leaves")
async def delete_school(settings: Administered, call: SignedIn) -> None:
    """Deletes its settings. Its classes stay as they are, and are synced again if the school is added again."""
    call.caller.need_all_schools("delete a school's settings", "pause the school instead")
    call.record("forget school", settings.school)
    await call.services.schools.forget_school(settings.school)


@router.post("/{school}/sync", status_code=202, responses=ABSENT | CONFLICT, summary="Sync a school now")
async def sync(settings: Administered, call: SignedIn) -> Accepted:
    return await request_sync(settings, call.requester("sync", settings.school), call.services)


@router.post("/{school}/feed-check", responses=ABSENT | CONFLICT, summary="Read a school's feed, and plan nothing")
async def feed_check(school: SchoolInPath, call: Admin, draft: Annotated[Draft | None, Body()] = None) -> FeedReport:
    """What the feed of the saved settings has, or that of settings in the body as PUT takes them, which are not saved.

    A feed that cannot be read is refused (409) with the cause and the remedy.
    """
    saved = await call.services.schools.school(school)
    call.caller.need_school(saved)
    settings = await _wanted(school, draft, saved, call) if draft else saved
    if settings is None:
        raise NotFound(
            f"there is no school {school}, so nothing was read",
            "list the schools to see their ids, or send the settings of a new school as the body",
        )
    try:
        report = await check_feed(settings, call.services)
    except SnapshotRejected as rejected:
        raise rejected.for_admin() if call.caller.all_schools else rejected from None
    return report if call.caller.all_schools else report.of_one_school()


@router.post(
    "/{school}/matching",
    responses=ABSENT | CONFLICT,
    summary="List who finds no account, one in doubt or a disabled one",
)
async def matching(
    settings: Administered,
    call: SignedIn,
    rules: Annotated[MatchingRules | None, Body()] = None,
    finding: _Finding = None,
    page: _Page = 1,
) -> MatchingPage:
    """By the rules in the body, which are not saved, or by the saved ones. The MIS is read; nothing is changed.

    The answer has the values that were looked for, so do not keep it.
    """
    return matching_page(await report_matching(settings, call.services, rules), finding, page)


# --- what saving has in common


async def _wanted(school: SchoolId, draft: Draft, before: SchoolSettings | None, call: Call) -> SchoolSettings:
    """The settings that a draft asks for, which the caller may save. Callers sign in to the app's own tenant.

    Raises UnknownSetting naming every fault of the draft at once, also those for which valid settings are not saved.
    """
    sent, home = draft.outward, call.services.graph.of(call.app.settings.tenant, Priority.URGENT)
    access, unknown = await find_access(sent.access or (), home)
    faults = (*draft.faults, *_id_faults(sent.id, school), *unknown)
    if draft.body and not call.app.settings.on_one_machine:
        faults += encryption_faults(draft.body.source)
    if draft.body is None or faults:
        # The identifiers of another tenant are nobody's business who may not move the school there.
        tenant = sent.tenant if call.caller.all_schools or before is None else before.tenant
        raise refusal((*faults, *await outward_faults(school, tenant, sent.name_identifier, call.services)))
    body = draft.body
    wanted = settings_of(replace(body, access=access), school=school, tenant=body.tenant, source=body.source)
    if not call.caller.all_schools:
        _need_same_place(before, wanted)
    return wanted


def _id_faults(sent: str | None, school: SchoolId) -> tuple[Fault, ...]:
    if sent is None or sent in ("", school):
        return ()
    remedy = f"send {school} as id, or leave it out; an id cannot be changed"
    return (Fault("id: is that of another school", remedy),)


async def _preview(wanted: SchoolSettings, call: Call) -> Plan:
    refuse(await outward_faults(wanted.school, wanted.tenant, wanted.name_identifier, call.services))
    return Plan.model_validate((await preview_settings(wanted, call.services)).as_data(), from_attributes=True)


async def _save(wanted: SchoolSettings, before: SchoolSettings | None, call: Call, response: Response) -> School:
    call.record("save settings", wanted.school)
    refuse(await outward_faults(wanted.school, wanted.tenant, wanted.name_identifier, call.services))
    await save_school(wanted, before, call.services)
    return _answer(wanted, response)


def _answer(settings: SchoolSettings, response: Response) -> School:
    response.headers["ETag"] = etag_of(settings)
    return school_body(settings)


def _patched(settings: SchoolSettings, patch: dict[str, Any]) -> Draft:
    return Draft.of(merge_patch(TypeAdapter(School).dump_python(school_body(settings), mode="json"), patch))


def _need_same_place(before: SchoolSettings | None, wanted: SchoolSettings) -> None:
    """A school's own admin may change how it is synced, and add admins, but not from where, to where, or lock out."""
    kept = {name: getattr(before, name) for name in ("tenant", "source", "webhook_secrets")} if before else {}
    if not before or replace(wanted, **kept) != wanted:
        raise Forbidden(
            "only an admin of all schools may change tenant, source and webhook_secrets",
            "leave these three as they are",
        )
    if lost := access_taken_away(before, wanted):
        raise Forbidden(
            f"only an admin of all schools may take access away from {', '.join(sorted(lost))}",
            "keep those ids in access, and add others to them",
        )
