"""What the triggers call, but those of changes of a class (applying/handler.py)."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from sync_core import telemetry
from sync_core.admin.classes.requests import act_on_class
from sync_core.admin.holds import decide_hold
from sync_core.admin.plans.apply import apply_plan
from sync_core.admin.tenant_probe import end_interrupted_probes
from sync_core.admin.undo import undo_run
from sync_core.admin.year.calendar import dates_ahead
from sync_core.admin.year.year_end import end_year, take_back
from sync_core.backoff import CallLimit
from sync_core.config import Settings
from sync_core.domain.ids import RunId
from sync_core.domain.runs import RunRecord
from sync_core.errors import RowRefused
from sync_core.messaging import messages
from sync_core.services import Services
from sync_core.sync.file_drops import check_file_drops
from sync_core.sync.nightly import TenantBlocked, refresh_tenant, start_night
from sync_core.sync.school import end_unwritten, sync_school
from sync_core.sync.webhooks import sync_webhook_events


@dataclass(frozen=True, slots=True)
class App:
    """The use cases with their services filled in: what the triggers call."""

    settings: Settings
    services: Services
    call_limit: CallLimit = field(default_factory=CallLimit)
    refusals: telemetry.Refusals = field(default_factory=telemetry.Refusals)

    def new_run(self) -> RunId:
        """A unique run id that tells a person when the run began."""
        return RunId(f"{self.services.clock.now():%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}")

    async def start_night(self) -> None:
        run = self.new_run()
        schools = await start_night(run, self.services, self.settings.sync_window, self.settings.history)
        telemetry.night_began(run, (*schools.enabled, *schools.unreadable))
        telemetry.schools_unreadable(schools.unreadable)
        for school in schools.readable:
            for each in await dates_ahead(school, self.services) if school.enabled else ():
                telemetry.date_ahead(school.school, run, each.name, each.day, each.classes, each.people or 0)

    async def check_file_drops(self) -> None:
        for checked in await check_file_drops(self.new_run(), self.services):
            telemetry.file_drop_checked(checked)

    async def handle_request(self, request: messages.Request) -> None:
        """A record that the tables refuse is no failure of the message: its run says why, and waiting is no help."""
        if isinstance(request, messages.RefreshTenant):
            await self._refresh_tenant(request)
            return
        try:
            run = await self._handle_in_turn(request)
        except RowRefused as refusal:
            run = await end_unwritten(request, refusal, self.services)
        if run:
            telemetry.school_synced(run)

    async def _handle_in_turn(self, request: messages.SchoolRequest) -> RunRecord | None:
        match request:
            case messages.SyncSchool():
                return await sync_school(request, self.services)
            case messages.SyncWebhookEvents():
                return await sync_webhook_events(request, self.services)
            case messages.DecideHold():
                return await decide_hold(request, self.services)
            case messages.ApplyPlan():
                return await apply_plan(request, self.services)
            case messages.UndoRun():
                return await undo_run(request, self.services)
            case messages.EndYear():
                return await end_year(request, self.services)
            case messages.TakeBackYearEnd():
                return await take_back(request, self.services)
            case messages.ActOnClass():
                return await act_on_class(request, self.services)

    async def _refresh_tenant(self, request: messages.RefreshTenant) -> None:
        """A blocked tenant is no failure of the message: only a grant changes it, and no further delivery."""
        await end_interrupted_probes(request.tenant, self.services)
        try:
            schools = await refresh_tenant(request, self.services, self.settings.history)
        except TenantBlocked as blocked:
            telemetry.tenant_blocked(request, blocked.check)
            for run in blocked.runs:
                telemetry.school_synced(run)
        else:
            telemetry.tenant_refreshed(request, schools)
