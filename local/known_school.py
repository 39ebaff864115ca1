"""A school as plain values in place of tables: enough to make a plan, with nothing to write to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sync_core.domain.accounts import Account
from sync_core.domain.classes.choices import NO_CHOICES, Choices
from sync_core.domain.classes.desired import ClassRequest, Pin
from sync_core.domain.classes.record import ClassRecord
from sync_core.domain.ids import ClassKey
from sync_core.domain.permissions import TenantCheck, unchecked
from sync_core.domain.roster import FeedStatistics
from sync_core.domain.runs import Hold, RunRecord
from sync_core.domain.school.settings import SchoolSettings
from sync_core.errors import Permanent


@dataclass(frozen=True, slots=True)
class KnownSchool:
    """Implements SchoolReader for one school and its tenant; the ids that it is called with are ignored."""

    settings: SchoolSettings
    known_accounts: tuple[Account, ...]
    records: tuple[ClassRecord, ...] = ()
    requests: Mapping[ClassKey, ClassRequest] = field(default_factory=dict)
    pinned: Mapping[ClassKey, Pin] = field(default_factory=dict)
    open_holds: tuple[Hold, ...] = ()
    accepted: FeedStatistics | None = None
    past: tuple[RunRecord, ...] = ()

    async def school(self, school: str) -> SchoolSettings | None:
        return self.settings

    async def class_record(self, school: str, key: ClassKey) -> ClassRecord | None:
        return next((record for record in self.records if record.key == key), None)

    async def class_records(self, school: str) -> tuple[ClassRecord, ...]:
        return self.records

    async def class_requests(self, school: str) -> Mapping[ClassKey, ClassRequest]:
        return self.requests

    async def choices(self, school: str) -> Choices:
        return NO_CHOICES

    async def pins(self, school: str) -> Mapping[ClassKey, Pin]:
        return self.pinned

    async def accounts(self, tenant: str) -> tuple[Account, ...]:
        return self.known_accounts

    async def holds(self, school: str) -> tuple[Hold, ...]:
        return self.open_holds

    async def accepted_statistics(self, school: str) -> FeedStatistics | None:
        return self.accepted

    async def runs(self, school: str, since: datetime | None = None) -> tuple[RunRecord, ...]:
        return tuple(run for run in self.past if since is None or run.at >= since)


async def not_checked(tenant: str) -> TenantCheck:
    """Stands for the check of a tenant in a preview, for which nobody signs in as the app."""
    return unchecked(tenant, Permanent("a preview has no token of the app", "check the tenant of the deployed app"))
