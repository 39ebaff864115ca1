"""What other settings would lead to: a preview of the plan, and a check of the feed. Nothing is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sync_core.domain.accounts import Account
from sync_core.domain.classes.choices import Choices
from sync_core.domain.classes.desired import ClassRequest, Pin
from sync_core.domain.classes.record import ClassRecord
from sync_core.domain.ids import ClassKey, SchoolId
from sync_core.domain.roster import FeedStatistics
from sync_core.domain.runs import Hold, RunRecord
from sync_core.domain.school.settings import SchoolSettings
from sync_core.errors import Conflict, GraphDenied, UnknownSetting
from sync_core.messaging.messages import Priority
from sync_core.planning.feed_report import FeedReport, report_on
from sync_core.planning.preview.preview import Preview, preview_of
from sync_core.planning.school_plan import plan_to_show
from sync_core.services import Reading, Services
from sync_core.state.port import SchoolReader

_READS_FOR = timedelta(seconds=60)
"""How long accounts are read while the caller waits. Azure's load balancer ends a request after 230 seconds."""


@dataclass(frozen=True, slots=True)
class Supposed:
    """Implements SchoolReader: a reader with these settings, and accounts if they are given, in place of its own."""

    reader: SchoolReader
    settings: SchoolSettings
    accounts_now: tuple[Account, ...] | None = None

    async def school(self, school: SchoolId) -> SchoolSettings | None:
        return self.settings

    async def accounts(self, tenant: str) -> tuple[Account, ...] | None:
        return await self.reader.accounts(tenant) if self.accounts_now is None else self.accounts_now

    async def pins(self, school: SchoolId) -> Mapping[ClassKey, Pin]:
        return await self.reader.pins(school)

    async def choices(self, school: SchoolId) -> Choices:
        return await self.reader.choices(school)

    async def class_record(self, school: SchoolId, key: ClassKey) -> ClassRecord | None:
        return await self.reader.class_record(school, key)

    async def class_records(self, school: SchoolId) -> tuple[ClassRecord, ...]:
        return await self.reader.class_records(school)

    async def class_requests(self, school: SchoolId) -> Mapping[ClassKey, ClassRequest]:
        return await self.reader.class_requests(school)

    async def holds(self, school: SchoolId) -> tuple[Hold, ...]:
        return await self.reader.holds(school)

    async def accepted_statistics(self, school: SchoolId) -> FeedStatistics | None:
        return await self.reader.accepted_statistics(school)

    async def runs(self, school: SchoolId, since: datetime | None = None) -> tuple[RunRecord, ...]:
        return await self.reader.runs(school, since)


async def preview_settings(settings: SchoolSettings, services: Services) -> Preview:
    """What a sync would do with these settings, which are not saved. Writes nothing. Raises as `reading_with`."""
    reading = await reading_with(settings, services)
    return preview_of(await plan_to_show(settings.school, reading), settings)


async def reading_with(settings: SchoolSettings, services: Services) -> Reading:
    """What a plan reads if the school has these settings, which are not saved. Raises UnknownSetting, Conflict.

    The table has the account properties that the tenant's schools use. Accounts are read from Microsoft 365 if the
    settings use another one, as they would be before the first sync with these settings. A large tenant has more of
    them than a caller can wait for: then no plan is told, because one with a part of the accounts would be wrong.
    """
    unknown = await _unknown_accounts(settings, services)
    accounts = await _read_accounts(settings, unknown, services) if unknown else None
    return replace(services.reading, school=Supposed(services.reading.school, settings, accounts))


async def check_feed(settings: SchoolSettings, services: Services) -> FeedReport:
    """The feed that these settings name, compared with the last one of the school that was accepted.

    They may be saved or not. Nothing is planned. Raises SnapshotRejected, Transient.
    """
    snapshot = await services.mis.snapshot(settings)
    accepted = await services.schools.accepted_statistics(settings.school)
    return report_on(snapshot, settings.limits, accepted)


async def _unknown_accounts(settings: SchoolSettings, services: Services) -> str:
    """What the table does not have of the tenant's accounts; empty if a plan with these settings needs nothing more."""
    if await services.tenants.accounts(settings.tenant) is None:
        return f"the accounts of tenant {settings.tenant} have not been read yet"
    schools = await services.schools.schools(settings.tenant)
    missing = settings.account_properties - {used for school in schools for used in school.account_properties}
    return f"no school of tenant {settings.tenant} uses {', '.join(sorted(missing))} yet" if missing else ""


async def _read_accounts(settings: SchoolSettings, unknown: str, services: Services) -> tuple[Account, ...]:
    """Raises Conflict if there are too many, and UnknownSetting for a tenant that denies the app its accounts."""
    tenant = services.graph.of(settings.tenant, Priority.URGENT)
    began = services.clock.now()
    found: dict[str, Account] = {}
    try:
        async for part in tenant.first_accounts(None, settings.account_properties):
            found |= {change.id: change.on(None) for change in part.accounts}
            for id_ in part.removed:
                found.pop(id_, None)
            if part.more and services.clock.now() - began >= _READS_FOR:
                raise Conflict(
                    f"the plan with these settings is not known: {unknown}, and only {len(found)} accounts could be "
                    f"read within {_READS_FOR.seconds} seconds; nothing was saved",
                    'save the settings with "enabled": false, and wait for the night or request a full resync of the '
                    'tenant, which reads the accounts; a dry run with {"enabled": true} then shows the plan',
                )
    except GraphDenied as denied:
        raise UnknownSetting(f"tenant {settings.tenant}: {denied.message}", denied.remedy) from None
    return tuple(found.values())
