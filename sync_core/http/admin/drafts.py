"""Settings that a caller sends: checked before they are shown, tried or saved, by the API and the console alike."""

from __future__ import annotations

from dataclasses import replace

from sync_core.admin.school_settings import Draft, Fault, FaultySettings, encryption_faults, refuse, settings_of
from sync_core.admin.schools import access_taken_away, find_access, outward_faults, save_school
from sync_core.domain.ids import SchoolId
from sync_core.domain.school.settings import SchoolSettings
from sync_core.errors import Forbidden
from sync_core.http.admin.dependencies import Call
from sync_core.messaging.messages import Priority


async def wanted_settings(school: SchoolId, draft: Draft, before: SchoolSettings | None, call: Call) -> SchoolSettings:
    """The settings that a draft asks for, which the caller may save. Callers sign in to the app's own tenant.

    Raises FaultySettings naming every fault of the draft at once, also those for which valid settings are not saved.
    """
    sent, home = draft.outward, call.services.graph.of(call.app.settings.tenant, Priority.URGENT)
    access, unknown = await find_access(sent.access or (), home)
    faults = (*draft.faults, *_id_faults(sent.id, school), *unknown)
    if draft.body and not call.app.settings.on_one_machine:
        faults += encryption_faults(draft.body.source)
    if draft.body is None or faults:
        # The identifiers of another tenant are nobody's business who may not move the school there.
        tenant = sent.tenant if call.caller.all_schools or before is None else before.tenant
        raise FaultySettings((*faults, *await outward_faults(school, tenant, sent.name_identifier, call.services)))
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


async def save_checked(wanted: SchoolSettings, before: SchoolSettings | None, call: Call) -> None:
    """Save what `wanted_settings` returned, if nothing in the way of it has come since."""
    call.record("save settings", wanted.school)
    await check_outward(wanted, call)
    await save_school(wanted, before, call.caller.id, call.services)


async def check_outward(wanted: SchoolSettings, call: Call) -> None:
    """Raises FaultySettings for a tenant out of reach, or an identifier that another school has."""
    refuse(await outward_faults(wanted.school, wanted.tenant, wanted.name_identifier, call.services))


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
