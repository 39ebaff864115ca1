"""A plan on the command line: against the local world as it stands, or against a real tenant that is only read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from azure.identity.aio import AzureCliCredential

from local.known_school import KnownSchool
from local.nightly import accounts_of, schools_of
from local.tenant_preview import preview_tenant
from sync_core.admin.holds import preview_school
from sync_core.clock import Clock, SystemClock
from sync_core.domain.accounts import Account, AccountProperty
from sync_core.graph.connections import GraphTenants
from sync_core.messaging.messages import Priority
from sync_core.mis.drop.reader import FileDropReader, FileDropStores
from sync_core.mis.files.formats import read_feed
from sync_core.mis.sources import MisSources
from sync_core.planning.preview import Preview
from sync_core.services import Reading
from sync_core.state.store import TableState


async def preview_world(
    tables: str, feed_path: Path, values: Mapping[str, object], accounts: Sequence[tuple[str, str]] | None
) -> list[Preview]:
    """What `sync` of the same feed would do in the local world, which makes the accounts that are not there first."""
    feed = read_feed(feed_path)
    schools = schools_of(feed, feed_path, values)
    state, clock = TableState.from_connection_string(tables), SystemClock()
    try:
        await state.ensure_tables()
        users: Sequence[Mapping[str, str]] = (
            accounts_of(feed, schools) if accounts is None else [{"userPrincipalName": upn} for upn, _ in accounts]
        )
        previews = []
        for settings in schools:
            there = await state.accounts(settings.tenant) or ()
            known = KnownSchool(
                settings,
                (*there, *_to_come(users, there)),
                await state.class_records(settings.school),
                await state.class_requests(settings.school),
                await state.pins(settings.school),
                await state.holds(settings.school),
                await state.accepted_statistics(settings.school),
                await state.runs(settings.school),
            )
            previews.append(await preview_school(settings.school, Reading(known, _sources(clock), clock)))
        return previews
    finally:
        await state.close()


async def preview_real_tenant(tenant: str, graph: str, feed_path: Path, values: Mapping[str, object]) -> list[Preview]:
    """What a first night would do in `tenant`, read as whoever is signed in to the Azure CLI.

    Raises SnapshotRejected, UnknownSetting, GraphRefused, Transient.
    """
    clock = SystemClock()
    async with AzureCliCredential(tenant_id=tenant) as credential:
        there = GraphTenants(lambda _: credential, graph, clock).of(tenant, Priority.BULK)
        schools = schools_of(read_feed(feed_path), feed_path, values, tenant)
        return [await preview_tenant(settings, _sources(clock), there, clock) for settings in schools]


def _sources(clock: Clock) -> MisSources:
    """The feed that is handed in, as it is now."""
    return MisSources(FileDropReader(FileDropStores(None).of, timedelta(0), clock), {}, clock)


def _to_come(users: Sequence[Mapping[str, str]], there: Sequence[Account]) -> list[Account]:
    known = {account.values.get(AccountProperty.UPN) for account in there}
    names = {name.value: name for name in AccountProperty}
    return [
        Account(
            f"account-to-come-{number}", {names[name]: value.lower() for name, value in user.items() if name in names}
        )
        for number, user in enumerate(users, start=1)
        if user["userPrincipalName"].lower() not in known
    ]
