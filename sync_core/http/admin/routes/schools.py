"""The routes of schools and their settings, and the sync of a whole school."""

from typing import Annotated, Any

from fastapi import Body, Query, Response

from sync_core.admin.classes.requests import request_sync
from sync_core.admin.overview.matching import MatchingRules, report_matching
from sync_core.admin.requests import Accepted
from sync_core.admin.school_settings import Draft, merge_patch
from sync_core.admin.schools import StatedReason, pause_school, read_settings_changes, resume_school
from sync_core.admin.supposed import check_feed, preview_settings
from sync_core.domain.school.settings import SchoolSettings
from sync_core.errors import NotFound, SnapshotRejected
from sync_core.http.admin.dependencies import AccessibleSchools, Admin, Administered, Call, SchoolInPath, SignedIn
from sync_core.http.admin.drafts import check_outward, save_checked, wanted_settings
from sync_core.http.admin.etags import IfMatch, etag_of, require_match
from sync_core.http.admin.routes.router import admin_router
from sync_core.http.admin.schemas import (
    ABSENT,
    CONFLICT,
    OUTDATED,
    WITH_ETAG,
    MatchingPage,
    Plan,
    School,
    SettingsChanges,
    matching_page,
    school_body,
    school_json,
    settings_changes_body,
)
from sync_core.planning.feed_report import FeedReport
from sync_core.planning.matching.findings import Finding

router = admin_router("/schools", {})

_DryRun = Annotated[bool, Query(description="Save nothing, and answer with the plan that the settings would lead to")]
_Page = Annotated[int, Query(ge=1, le=100_000, description="A page has 50 people")]
_ChangesPage = Annotated[int, Query(ge=1, le=100_000, description="A page has 50 changes")]
_Finding = Annotated[Finding | None, Query(description="Lists only the people with this finding")]
_Patch = Annotated[dict[str, Any], Body(media_type="application/merge-patch+json")]


@router.get("", summary="List the schools that you administer")
async def list_schools(schools: AccessibleSchools) -> list[School]:
    return list(map(school_body, schools))


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
    wanted = await wanted_settings(school, draft, before, call)
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
    wanted = await wanted_settings(settings.school, _patched(settings, patch), settings, call)
    require_match(if_match, settings, settings.school)
    return await (_preview(wanted, call) if dry_run else _save(wanted, settings, call, response))


@router.get("/{school}/settings-changes", responses=ABSENT, summary="List who saved which settings, and when")
async def list_settings_changes(settings: Administered, call: SignedIn, page: _ChangesPage = 1) -> SettingsChanges:
    """Values are as text, by place. Owners are counted, not named."""
    return settings_changes_body(await read_settings_changes(settings.school, page, call.services))


@router.post("/{school}/pause", responses=ABSENT | OUTDATED | WITH_ETAG, summary="Pause a school, and say why")
async def pause(settings: Administered, body: StatedReason, call: SignedIn, response: Response) -> School:
    """Its classes stay as they are until it is resumed. Runs and refused requests repeat the reason."""
    call.record("pause", settings.school, body.reason)
    return _answer(await pause_school(settings, body.reason, call.caller.id, call.services), response)


@router.post("/{school}/resume", responses=ABSENT | OUTDATED | WITH_ETAG, summary="Sync a paused school again")
async def resume(
    settings: Administered, call: SignedIn, response: Response, body: StatedReason | None = None
) -> School:
    """From the next night on, or from the next request, webhook event or file drop. A reason is kept in the log."""
    call.record("resume", settings.school, body.reason if body else "")
    return _answer(await resume_school(settings, call.caller.id, call.services), response)


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
    settings = await wanted_settings(school, draft, saved, call) if draft else saved
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


async def _preview(wanted: SchoolSettings, call: Call) -> Plan:
    await check_outward(wanted, call)
    return Plan.model_validate((await preview_settings(wanted, call.services)).as_data(), from_attributes=True)


async def _save(wanted: SchoolSettings, before: SchoolSettings | None, call: Call, response: Response) -> School:
    await save_checked(wanted, before, call)
    return _answer(wanted, response)


def _answer(settings: SchoolSettings, response: Response) -> School:
    response.headers["ETag"] = etag_of(settings)
    return school_body(settings)


def _patched(settings: SchoolSettings, patch: dict[str, Any]) -> Draft:
    return Draft.of(merge_patch(school_json(settings), patch))
