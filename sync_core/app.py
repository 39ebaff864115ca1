"""The use cases with their ports filled in: what the triggers call."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from sync_core import telemetry
from sync_core.admin.classes import act_on_class
from sync_core.admin.holds import decide_hold
from sync_core.admin.undo import undo_run
from sync_core.applying.change import apply_change
from sync_core.clock import Clock
from sync_core.config import Settings
from sync_core.domain.classes import Outcome
from sync_core.graph.port import Tenants
from sync_core.messaging.messages import (
    ActOnClass,
    Change,
    DecideHold,
    Priority,
    RefreshTenant,
    Request,
    SyncSchool,
    SyncWebhookEvents,
    UndoRun,
)
from sync_core.messaging.port import DeadLetters, Outbox
from sync_core.mis.port import FileDrops, MisSource
from sync_core.state.port import StateStore, WebhookInbox
from sync_core.sync.file_drops import check_file_drops
from sync_core.sync.nightly import refresh_tenant, start_night
from sync_core.sync.school import sync_school
from sync_core.sync.webhooks import sync_webhook_events


@dataclass(frozen=True, slots=True)
class App:
    """The use cases with their ports filled in: what the triggers call."""

    settings: Settings
    tenants: Tenants
    mis: MisSource
    drops: FileDrops
    state: StateStore
    inbox: WebhookInbox
    outbox: Outbox
    dead_letters: DeadLetters
    clock: Clock

    def new_run(self) -> str:
        """An id by which a person can tell when it was, and which no other run has."""
        return f"{self.clock.now():%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"

    async def start_night(self) -> None:
        run, window, history = self.new_run(), self.settings.sync_window, self.settings.history
        telemetry.night_began(run, await start_night(run, self.state, self.outbox, self.clock, window, history))

    async def check_file_drops(self) -> None:
        for collected in await check_file_drops(self.new_run(), self.drops, self.state, self.outbox, self.clock):
            telemetry.file_drop_checked(collected)

    async def handle_request(self, request: Request) -> None:
        match request:
            case RefreshTenant():
                tenant = self.tenants.of(request.tenant, Priority.BULK)
                history = self.settings.history
                schools = await refresh_tenant(request, tenant, self.state, self.outbox, self.clock, history)
                telemetry.tenant_refreshed(request, schools)
            case SyncSchool():
                telemetry.school_synced(await sync_school(request, self.mis, self.state, self.outbox, self.clock))
            case SyncWebhookEvents():
                run = await sync_webhook_events(request, self.inbox, self.mis, self.state, self.outbox, self.clock)
                if run:
                    telemetry.school_synced(run)
            case DecideHold():
                telemetry.school_synced(await decide_hold(request, self.mis, self.state, self.outbox, self.clock))
            case UndoRun():
                telemetry.school_synced(await undo_run(request, self.state, self.outbox, self.clock))
            case ActOnClass():
                telemetry.school_synced(await act_on_class(request, self.state, self.outbox, self.clock))

    async def handle_change(self, change: Change, priority: Priority) -> Outcome:
        outcome = await apply_change(change, self.state, self.tenants.of(change.tenant, priority), self.clock)
        telemetry.change_settled(change, outcome)
        return outcome
