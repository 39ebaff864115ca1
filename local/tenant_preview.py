"""The plan of a first night in a real tenant, for which no tables exist: its deltas and classes are only read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from azure.identity.aio import AzureCliCredential

from local.feed import read_feed, uk_today
from local.known_school import KnownSchool, not_checked
from local.nightly import schools_of
from local.preview import feed_sources
from sync_core.clock import Clock, SystemClock
from sync_core.domain.classes.desired import DesiredClass
from sync_core.domain.classes.record import ActualClass, ClassRecord
from sync_core.domain.classes.tenant_groups import GroupChange, TenantClass
from sync_core.domain.ids import AccountId, ClassId, SchoolId
from sync_core.domain.school.settings import SchoolSettings
from sync_core.errors import GraphDenied, Permanent
from sync_core.graph.connections import GraphTenants
from sync_core.graph.port import Tenant, TenantReader
from sync_core.messaging.messages import Priority
from sync_core.mis.port import MisSource
from sync_core.planning.membership import desired_classes
from sync_core.planning.preview.preview import Preview, preview_of
from sync_core.planning.school_plan import note_shared_names, plan_to_show
from sync_core.services import Reading

_GRAPH_SCOPE = "https://graph.microsoft.com/.default"


@dataclass(frozen=True, slots=True)
class _SignedInUser:
    """Implements TenantReaders and TenantReader for a user, to whom Graph may refuse the classes, or show their own."""

    tenant: Tenant

    def of(self, tenant: str, priority: Priority) -> TenantReader:
        return self

    async def classes(self) -> tuple[TenantClass, ...]:
        try:
            return await self.tenant.classes()
        except GraphDenied as denied:
            raise _refused(denied) from None

    async def members(self, class_id: ClassId) -> frozenset[AccountId]:
        return await self.tenant.members(class_id)

    async def owners(self, class_id: ClassId) -> frozenset[AccountId]:
        try:
            return await self.tenant.owners(class_id)
        except GraphDenied as denied:
            raise _refused(denied) from None


def _refused(denied: GraphDenied) -> Permanent:
    remedy = "preview the school in the deployed app, which may read them: POST …/schools/S/plan"
    return Permanent(f"Graph refused the signed-in user: {denied.code}", remedy)


async def preview_real_tenant(tenant: str, graph: str, feed_path: Path, values: Mapping[str, object]) -> list[Preview]:
    """What a first night would do in `tenant`, read with the account that is signed in to the Azure CLI.

    Raises ClientAuthenticationError, SnapshotRejected, UnknownSetting, GraphRefused, Transient.
    """
    clock, sources = SystemClock(), feed_sources()
    async with AzureCliCredential(tenant_id=tenant) as credential:
        # Else the failed sign-in looks like a Graph that is unavailable, for which its client waits.
        await credential.get_token(_GRAPH_SCOPE)
        graph_tenant = GraphTenants(lambda _: credential, graph, clock).of(tenant, Priority.BULK)
        schools = schools_of(read_feed(feed_path, uk_today()), feed_path, values, tenant)
        return [await preview_tenant(settings, sources, graph_tenant, clock) for settings in schools]


async def preview_tenant(settings: SchoolSettings, mis: MisSource, tenant: Tenant, clock: Clock) -> Preview:
    """A group counts as a class if it has the nickname: a caller that may only read groups cannot see its externalId.

    Raises SnapshotRejected, Transient, GraphRefused.
    """
    accounts = await tenant.account_changes(None, settings.account_properties)
    known = KnownSchool(settings, tuple(change.on(None) for change in accounts.accounts))
    snapshot = await mis.snapshot(settings)
    groups = await tenant.group_changes(None)
    by_nickname = {group.nickname.lower(): group for group in groups.groups if group.nickname and not group.gone}
    wanted = desired_classes(snapshot, settings, known.known_accounts, {}, {}).classes
    records = tuple(
        _record(settings.school, desired, group, clock)
        for desired in wanted
        if (group := by_nickname.get(desired.name.mail_nickname.lower()))
    )
    reading = Reading(replace(known, records=records), mis, clock, not_checked, _SignedInUser(tenant))
    planned = await plan_to_show(settings.school, reading)
    planned = await note_shared_names(planned, reading, lambda shared: shared.names)
    if not records:
        return preview_of(planned, settings)
    note = (
        f"{len(records)} groups with the addresses of classes are taken for them in this plan; a sync uses only those "
        "that it created itself, and creates new classes next to the others — the externalId of a group tells which"
    )
    return preview_of(planned.with_notes(note), settings)


def _record(school: SchoolId, desired: DesiredClass, group: GroupChange, clock: Clock) -> ClassRecord:
    """The row of a class as if a sync had left it as it is in Graph; unwanted owners count as added by hand."""
    members = group.members_added - (group.owners_added - desired.owners)
    owners = group.owners_added & desired.owners
    actual = ActualClass(class_id=group.id, name=desired.name, created_at=clock.now(), members=members, owners=owners)
    there = replace(desired, members=members, owners=owners)
    return ClassRecord(school=school, desired=there, tenant=there.tenant, actual=actual)
