"""Plans for the command line: against the local world as it is, or against a real tenant that is only read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

from azure.identity.aio import AzureCliCredential

from local import loopback
from local.feed import read_feed, uk_today
from local.known_school import KnownSchool, not_checked
from local.nightly import open_state, schools_of, users_of, values_in_world
from local.tenant_preview import preview_tenant
from local.world import Addresses
from sync_core.clock import Clock, SystemClock
from sync_core.domain.accounts import Account, AccountProperty
from sync_core.domain.classes import TenantClass
from sync_core.domain.ids import AccountId
from sync_core.graph.connections import GraphTenants
from sync_core.graph.port import TenantReader
from sync_core.messaging.messages import Priority
from sync_core.mis.drop.reader import FileDropReader, open_store
from sync_core.mis.drop.readings import SharedReadings
from sync_core.mis.sources import MisSources
from sync_core.planning.preview.preview import Preview, preview_of
from sync_core.planning.school_plan import note_shared_names, plan_to_show
from sync_core.services import Reading


@dataclass(frozen=True, slots=True)
class SimulatedTenants:
    """Implements TenantReaders and TenantReader for the simulated tenant at `address`, without a sign-in."""

    address: str

    def of(self, tenant: str, priority: Priority) -> TenantReader:
        return self

    async def classes(self) -> tuple[TenantClass, ...]:
        listed = loopback.get(f"{self.address}/_sim/classes", timeout=60).raise_for_status().json()
        return tuple(
            TenantClass(one["id"], one["displayName"], one["externalId"] or "", one["externalSource"] or "")
            for one in listed
            if not one["deleted"]
        )


async def preview_world(
    addresses: Addresses, feed_path: Path, values: Mapping[str, object], accounts: Sequence[tuple[str, str]] | None
) -> list[Preview]:
    """What `sync` of the same feed would do in the local world, with the accounts that `sync` would create first."""
    feed = read_feed(feed_path, uk_today())
    schools = schools_of(feed, feed_path, values_in_world(values, accounts))
    clock, previews = SystemClock(), []
    async with open_state(addresses.tables) as state:
        await state.ensure_tables()
        users = users_of(feed, schools, accounts)
        for settings in schools:
            existing = await state.accounts(settings.tenant) or ()
            known = KnownSchool(
                settings=settings,
                known_accounts=(*existing, *_new_accounts(users, existing)),
                records=await state.class_records(settings.school),
                requests=await state.class_requests(settings.school),
                pinned=await state.pins(settings.school),
                open_holds=await state.holds(settings.school),
                accepted=await state.accepted_statistics(settings.school),
                past=await state.runs(settings.school),
            )
            reading = Reading(known, _sources(clock), clock, not_checked, SimulatedTenants(addresses.tenant))
            planned = await note_shared_names(
                await plan_to_show(settings.school, reading), reading, lambda shared: shared.names
            )
            previews.append(preview_of(planned, settings))
    return previews


async def preview_real_tenant(tenant: str, graph: str, feed_path: Path, values: Mapping[str, object]) -> list[Preview]:
    """What a first night would do in `tenant`, read with the account that is signed in to the Azure CLI.

    Raises SnapshotRejected, UnknownSetting, GraphRefused, Transient.
    """
    clock = SystemClock()
    async with AzureCliCredential(tenant_id=tenant) as credential:
        graph_tenant = GraphTenants(lambda _: credential, graph, clock).of(tenant, Priority.BULK)
        schools = schools_of(read_feed(feed_path, uk_today()), feed_path, values, tenant)
        return [await preview_tenant(settings, _sources(clock), graph_tenant, clock) for settings in schools]


def _sources(clock: Clock) -> MisSources:
    """Sources that read a feed in a folder as it is now."""
    return MisSources(FileDropReader(partial(open_store, None), timedelta(0), clock, SharedReadings(clock)), {}, clock)


def _new_accounts(users: Sequence[Mapping[str, str]], existing: Sequence[Account]) -> list[Account]:
    """The accounts of `users` that do not exist yet, with ids made up for the plan."""
    upns = {account.values.get(AccountProperty.UPN) for account in existing}
    names = {name.value: name for name in AccountProperty}
    return [
        Account(
            AccountId(f"new-account-{number}"),
            {names[name]: value.lower() for name, value in user.items() if name in names},
        )
        for number, user in enumerate(users, start=1)
        if user["userPrincipalName"].lower() not in upns
    ]
