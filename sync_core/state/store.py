"""The store in Azure Tables: classes with their history, schools, accounts, runs, delta tokens and message faults."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any

from azure.core.credentials_async import AsyncTokenCredential
from azure.data.tables.aio import TableServiceClient

from sync_core.domain.accounts import Account, AccountChanges, AccountTokens
from sync_core.domain.ids import RunId, SchoolId
from sync_core.domain.roster import FeedStatistics
from sync_core.domain.runs import Hold, HoldStatus, LeftOutRows, RunRecord, SettingsChange
from sync_core.domain.school.settings import SchoolSettings
from sync_core.domain.school.sources import FileDrop
from sync_core.domain.tenants import Probe, TenantFacts
from sync_core.errors import EtagConflict, UnknownSetting
from sync_core.messaging.port import MessageFault
from sync_core.state import school_rows
from sync_core.state.accounts.table_accounts import TableAccounts
from sync_core.state.class_rows import HISTORY
from sync_core.state.class_tables import ClassTables
from sync_core.state.port import EverySchool
from sync_core.state.row_codec import Entity, chunked, encode_key, encode_time, joined
from sync_core.state.table import (
    REPEATED,
    Operation,
    Table,
    deletes,
    entity,
    unchanged,
    upserts,
    wire_faults,
)
from sync_core.state.webhook_inbox import TableWebhookInbox

CLASSES, SCHOOLS, ACCOUNTS, TENANTS, RUNS = "classes", "schools", "accounts", "tenants", "runs"
HOLDS, FAULTS, WEBHOOK_EVENTS = "holds", "messagefaults", "webhookevents"

# Six retries of whatever fails, over 50 seconds in all. Without the proxy of the environment, because aiohttp would
# look for a password in ~/.netrc too, in a thread, before each request: a sixth of the processor time of a quiet night.
_CLIENT: dict[str, Any] = {
    **{f"retry_{what}": 6 for what in ("total", "connect", "read", "status")},
    "use_env_settings": False,
    "permit_redirects": False,
}
# The partitions of the table of schools.
_SETTINGS, _STATISTICS, _DROPS, _LEFT_OUT = "school", "accepted statistics", "file drop", "left out"
_CHANGES = "settings changes "
_FACTS, _PROBE, _GROUPS_TOKEN = "facts", "probe ", "delta groups"


class TableState(ClassTables):
    """Implements the ports of the tables, except that `inbox` implements WebhookInbox."""

    def __init__(self, service: TableServiceClient) -> None:
        self._service = service
        self._tables = {
            name: Table(service.get_table_client(name))
            for name in (CLASSES, SCHOOLS, ACCOUNTS, TENANTS, RUNS, HOLDS, FAULTS, WEBHOOK_EVENTS)
        }
        super().__init__(self._tables[CLASSES])
        self._schools = self._tables[SCHOOLS]
        self._accounts, self._tenants = TableAccounts(self._tables[ACCOUNTS]), self._tables[TENANTS]
        self._runs, self._holds, self._faults = self._tables[RUNS], self._tables[HOLDS], self._tables[FAULTS]
        self.inbox = TableWebhookInbox(self._tables[WEBHOOK_EVENTS])

    @classmethod
    def from_connection_string(cls, connection_string: str) -> TableState:
        return cls(TableServiceClient.from_connection_string(connection_string, **_CLIENT))

    @classmethod
    def from_endpoint(cls, endpoint: str, credential: AsyncTokenCredential) -> TableState:
        return cls(TableServiceClient(endpoint, credential=credential, **_CLIENT))

    async def ensure_tables(self) -> None:
        missing = await self.missing_tables()
        async with wire_faults():
            for name in missing:
                await self._service.create_table_if_not_exists(name, **REPEATED)

    async def close(self) -> None:
        await self._service.close()

    async def missing_tables(self) -> tuple[str, ...]:
        async with wire_faults():
            found = {table.name async for table in self._service.list_tables()}
        return tuple(name for name in self._tables if name not in found)

    async def check_write(self) -> None:
        await self._faults.delete("no queue", "no message")

    # --- schools

    async def school(self, school: SchoolId) -> SchoolSettings | None:
        row = await self._schools.get(_SETTINGS, school)
        return school_rows.read_school(row) if row else None

    async def schools(self, tenant: str | None = None) -> tuple[SchoolSettings, ...]:
        return (await self.every_school(tenant)).readable

    async def every_school(self, tenant: str | None = None) -> EverySchool:
        also = school_rows.NO_CLAIM if tenant is None else f"{school_rows.NO_CLAIM} and tenant eq @tenant"
        readable: list[SchoolSettings] = []
        unreadable: dict[SchoolId, UnknownSetting] = {}
        async for row in self._schools.query(_SETTINGS, also=also, tenant=tenant or ""):
            try:
                readable.append(school_rows.read_school(row))
            except UnknownSetting as reason:
                unreadable[school_rows.school_of(row)] = reason
        return EverySchool(tuple(sorted(readable, key=lambda settings: settings.school)), unreadable)

    async def save_school(self, settings: SchoolSettings) -> None:
        await self.replace_school(await self.school(settings.school), settings)

    async def replace_school(self, before: SchoolSettings | None, settings: SchoolSettings) -> None:
        wanted = entity(_SETTINGS, settings.school, school_rows.SETTINGS_COLUMNS.columns(settings))
        row = await self._schools.get(_SETTINGS, settings.school)
        if (school_rows.read_school(row) if row else None) != before:
            raise EtagConflict
        write = ("create", wanted) if row is None else ("update", wanted, unchanged(row))
        old = school_rows.claim_of(before.tenant, before.name_identifier) if before else ""
        new = school_rows.claim_of(settings.tenant, settings.name_identifier)
        claims: list[Operation] = upserts([_claim(old, "")]) if old not in ("", new) else []
        claims += [await self._claimed(new, settings.school)] if new not in ("", old) else []
        await self._schools.transact([[write, *claims]])

    async def _claimed(self, key: str, school: SchoolId) -> Operation:
        """The school has this name identifier. Raises EtagConflict if another school has it."""
        row, claim = await self._schools.get(_SETTINGS, key), _claim(key, school)
        if row and row["holder"] not in ("", school):
            raise EtagConflict
        return ("update", claim, unchanged(row)) if row else ("create", claim)

    async def forget_school(self, school: SchoolId) -> None:
        """The name identifier is free first: a school without a claim harms less than a claim without a school."""
        if row := await self._schools.get(_SETTINGS, school):
            if claim := school_rows.claim_of(str(row.get("tenant")), str(row.get("name_identifier", ""))):
                await self._schools.put(_claim(claim, ""))
            await self._schools.delete(_SETTINGS, school)

    async def erase_school(self, school: SchoolId) -> None:
        for name in (CLASSES, RUNS, HOLDS, WEBHOOK_EVENTS):
            await self._tables[name].delete_where(school)
        await self._schools.delete_where(_CHANGES + school)
        await self.write_accepted_statistics(school, None)
        await self._schools.delete(_LEFT_OUT, school)

    async def accepted_statistics(self, school: SchoolId) -> FeedStatistics | None:
        row = await self._schools.get(_STATISTICS, school)
        return school_rows.STATISTICS_COLUMNS.read(row) if row else None

    async def write_accepted_statistics(self, school: SchoolId, statistics: FeedStatistics | None) -> None:
        if statistics:
            await self._schools.put(entity(_STATISTICS, school, school_rows.STATISTICS_COLUMNS.columns(statistics)))
        else:
            await self._schools.delete(_STATISTICS, school)

    async def left_out(self, school: SchoolId) -> LeftOutRows | None:
        row = await self._schools.get(_LEFT_OUT, school)
        return school_rows.LEFT_OUT_COLUMNS.read(row) if row else None

    async def write_left_out(self, school: SchoolId, left_out: LeftOutRows) -> None:
        await self._schools.put(entity(_LEFT_OUT, school, school_rows.LEFT_OUT_COLUMNS.columns(left_out)))

    async def write_settings_change(self, change: SettingsChange) -> None:
        row = entity(
            _CHANGES + change.school,
            f"{encode_time(change.at)} {change.by}",
            school_rows.CHANGE_COLUMNS.columns(change),
        )
        await self._schools.put(row)

    async def settings_changes(self, school: SchoolId) -> tuple[SettingsChange, ...]:
        return tuple([school_rows.CHANGE_COLUMNS.read(row) async for row in self._schools.query(_CHANGES + school)])

    async def holds(self, school: SchoolId) -> tuple[Hold, ...]:
        rows = [row async for row in self._holds.query(school)]
        return tuple(sorted(school_rows.read_holds(rows), key=lambda hold: hold.digest))

    async def open_holds(self, schools: Collection[SchoolId]) -> Mapping[SchoolId, int]:
        is_open = f"status eq '{HoldStatus.OPEN}'"  # the row of a hold has a status, and those of its classes have none
        found = Counter([row["PartitionKey"] async for row in self._holds.query_all(is_open, ["PartitionKey"])])
        return {school: found[encode_key(school)] for school in schools}

    async def replace_holds(self, school: SchoolId, before: Sequence[Hold], after: Sequence[Hold]) -> None:
        wanted = {hold.digest: hold for hold in after}
        changed = [hold for hold in wanted.values() if hold not in before]
        fresh = [entity(school, key, columns) for hold in changed for key, columns in school_rows.rows_of_hold(hold)]
        outdated = [hold for hold in before if hold.digest not in wanted]
        gone = [entity(school, key) for hold in outdated for key in school_rows.keys_of_hold(hold)]
        await self._holds.transact([operation] for operation in (*upserts(fresh), *deletes(gone)))

    # --- history

    async def forget_history(self, school: SchoolId, before: datetime) -> None:
        await self._classes.delete_where(school, HISTORY, "at lt @before", before=encode_time(before))
        for table, partition in ((self._runs, school), (self._schools, _CHANGES + school)):
            await table.delete_where(partition, also="at lt @before", before=encode_time(before))

    # --- accounts and deltas

    async def accounts(self, tenant: str) -> tuple[Account, ...] | None:
        return await self._accounts.read(tenant)

    async def account_tokens(self, tenant: str) -> AccountTokens:
        return await self._accounts.tokens(tenant)

    async def write_accounts(self, tenant: str, changes: AccountChanges) -> None:
        await self._accounts.write(tenant, changes)

    async def groups_token(self, tenant: str) -> str | None:
        row = await self._tenants.get(tenant, _GROUPS_TOKEN)
        return joined(row, "token") if row else None

    async def write_groups_token(self, tenant: str, token: str) -> None:
        await self._tenants.put(entity(tenant, _GROUPS_TOKEN, chunked("token", token)))

    async def facts(self, tenant: str) -> TenantFacts:
        row = await self._tenants.get(tenant, _FACTS)
        return school_rows.FACTS_COLUMNS.read(row) if row else TenantFacts()

    async def write_facts(self, tenant: str, facts: TenantFacts) -> None:
        await self._tenants.put(entity(tenant, _FACTS, school_rows.FACTS_COLUMNS.columns(facts)))

    async def write_probe(self, probe: Probe) -> None:
        await self._tenants.put(entity(probe.tenant, _PROBE + probe.id, school_rows.PROBE_COLUMNS.columns(probe)))

    async def probes(self, tenant: str) -> tuple[Probe, ...]:
        found = [school_rows.PROBE_COLUMNS.read(row) async for row in self._tenants.query(tenant, _PROBE)]
        return tuple(sorted(found, key=lambda probe: probe.began_at))

    async def synced_set(self, drop: FileDrop) -> str | None:
        row = await self._schools.get(_DROPS, school_rows.file_drop_key(drop))
        return str(row["fingerprint"]) if row else None

    async def write_synced_set(self, drop: FileDrop, fingerprint: str, at: datetime) -> None:
        columns = {"fingerprint": fingerprint, "synced_at": encode_time(at)}
        await self._schools.put(entity(_DROPS, school_rows.file_drop_key(drop), columns))

    # --- runs and faults

    async def write_run(self, run: RunRecord) -> None:
        await self._runs.put(entity(run.school, run.id, school_rows.RUN_COLUMNS.columns(run)))

    async def run(self, school: SchoolId, run: RunId) -> RunRecord | None:
        row = await self._runs.get(school, run)
        return school_rows.RUN_COLUMNS.read(row) if row else None

    async def runs(self, school: SchoolId, since: datetime | None = None) -> tuple[RunRecord, ...]:
        rows = self._runs.query(school, also="at ge @since", since=encode_time(since) if since else "")
        found = [school_rows.RUN_COLUMNS.read(row) async for row in rows]
        return tuple(sorted(found, key=lambda run: run.at))

    async def write_message_fault(self, fault: MessageFault) -> None:
        await self._faults.put(entity(fault.queue, fault.message_id, school_rows.FAULT_COLUMNS.columns(fault)))

    async def message_faults(self, queue: str) -> tuple[MessageFault, ...]:
        return tuple([school_rows.FAULT_COLUMNS.read(row) async for row in self._faults.query(queue)])

    async def forget_message_faults(self, before: datetime) -> None:
        keys = ["PartitionKey", "RowKey"]
        old = [row async for row in self._faults.query_all(f"at lt '{encode_time(before)}'", keys)]
        for _, of_queue in groupby(old, key=itemgetter("PartitionKey")):
            await self._faults.transact([operation] for operation in deletes(of_queue))


def _claim(key: str, holder: str) -> Entity:
    return entity(_SETTINGS, key, {"holder": holder})
