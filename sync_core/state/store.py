"""State in Azure Tables: rows of classes with their history, schools, accounts, runs, delta tokens, faults."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from azure.core import MatchConditions
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import TableEntity, TableTransactionError, UpdateMode
from azure.data.tables.aio import TableServiceClient

from sync_core.domain.accounts import Account, AccountChanges
from sync_core.domain.classes import AppliedDelta, ClassRecord, ClassRequest, DesiredClass, Drift, Pin
from sync_core.domain.roster import FeedStatistics
from sync_core.domain.runs import Hold, RunRecord
from sync_core.domain.school import FileDrop, SchoolSettings
from sync_core.errors import SyncError, Transient
from sync_core.messaging.messages import SYNC_REQUESTS, Priority
from sync_core.messaging.port import MessageFault
from sync_core.state import class_rows, school_rows
from sync_core.state.account_cache import AccountCache
from sync_core.state.overflow_rows import Torn, grouped_by_row, has_overflow, overflow_range, split, whole
from sync_core.state.port import DeltaKind
from sync_core.state.row_codec import Entity, encode_key, entity_size
from sync_core.state.table import (
    LARGEST_CLASS,
    MERGE,
    REPEATED,
    Operation,
    batches,
    delete_found,
    group_size,
    update_those_there,
    upserts,
    wire_faults,
)
from sync_core.state.webhook_inbox import TableWebhookInbox

# One partition of `classes` holds a school's class rows (c:…) and their history (h:…), so that what was done and the
# record of it are one transaction.
CLASSES, SCHOOLS, ACCOUNTS, TENANTS, RUNS = "classes", "schools", "accounts", "tenants", "runs"
HOLDS, FAULTS, WEBHOOK_EVENTS = "holds", "messagefaults", "webhookevents"

_PARTITION = "PartitionKey eq @p"
_HISTORY = f"{_PARTITION} and RowKey ge 'h:' and RowKey lt 'h;'"
# Six tries more, over 50 seconds in all, of whatever fails.
_PATIENCE: dict[str, Any] = {f"retry_{what}": 6 for what in ("total", "connect", "read", "status")}
# A read that other writes tear is repeated at once: each write is over when it shows.
_READS = 5
_FEW_ACCOUNTS = 50
"""So many are read one by one, where all of the tenant's would be thousands."""
_SCHOOL_PARTITION = "school"
_FULL_RESYNC = "full resync"
_ACCEPTED_PARTITION = "accepted statistics"
_DROP_PARTITION = "drop"

logging.getLogger("azure.core.pipeline.policies.http_logging_policy").setLevel(logging.WARNING)


class TableState:
    """Implements the port StateStore."""

    def __init__(self, service: TableServiceClient) -> None:
        self._service = service
        self._account_cache = AccountCache()
        self._tables = {
            name: service.get_table_client(name)
            for name in (CLASSES, SCHOOLS, ACCOUNTS, TENANTS, RUNS, HOLDS, FAULTS, WEBHOOK_EVENTS)
        }
        self.inbox = TableWebhookInbox(self._tables[WEBHOOK_EVENTS])

    @classmethod
    def from_connection_string(cls, connection_string: str) -> TableState:
        return cls(TableServiceClient.from_connection_string(connection_string, **_PATIENCE))

    @classmethod
    def from_endpoint(cls, endpoint: str, credential: AsyncTokenCredential) -> TableState:
        return cls(TableServiceClient(endpoint, credential=credential, **_PATIENCE))

    async def ensure_tables(self) -> None:
        async with wire_faults():
            for name in self._tables:
                await self._service.create_table_if_not_exists(name, **REPEATED)

    async def close(self) -> None:
        for table in self._tables.values():
            await table.close()
        await self._service.close()

    # --- schools

    async def school(self, school: str) -> SchoolSettings | None:
        row = await self._get(SCHOOLS, _SCHOOL_PARTITION, encode_key(school))
        return school_rows.read_school(row) if row else None

    async def schools(self, tenant: str | None = None) -> tuple[SchoolSettings, ...]:
        rows = (
            self._query(SCHOOLS, _PARTITION, p=_SCHOOL_PARTITION)
            if tenant is None
            else self._query(SCHOOLS, "PartitionKey eq @p and tenant eq @t", p=_SCHOOL_PARTITION, t=tenant)
        )
        found = [school_rows.read_school(row) async for row in rows]
        return tuple(sorted(found, key=lambda settings: settings.school))

    async def save_school(self, settings: SchoolSettings) -> None:
        await self._put(SCHOOLS, _SCHOOL_PARTITION, encode_key(settings.school), school_rows.school_columns(settings))

    async def forget_school(self, school: str) -> None:
        async with wire_faults():
            await self._tables[SCHOOLS].delete_entity(_SCHOOL_PARTITION, encode_key(school))

    async def erase_school(self, school: str) -> None:
        for name in (CLASSES, RUNS, HOLDS, WEBHOOK_EVENTS):
            await delete_found(self._tables[name], _PARTITION, p=encode_key(school))
        await self.write_accepted_statistics(school, None)

    async def accepted_statistics(self, school: str) -> FeedStatistics | None:
        row = await self._get(SCHOOLS, _ACCEPTED_PARTITION, encode_key(school))
        return school_rows.read_statistics(row) if row else None

    async def write_accepted_statistics(self, school: str, statistics: FeedStatistics | None) -> None:
        key = encode_key(school)
        if statistics:
            await self._put(SCHOOLS, _ACCEPTED_PARTITION, key, school_rows.statistics_columns(statistics))
            return
        async with wire_faults():
            await self._tables[SCHOOLS].delete_entity(_ACCEPTED_PARTITION, key)

    async def holds(self, school: str) -> tuple[Hold, ...]:
        rows = self._query(HOLDS, _PARTITION, p=encode_key(school))
        return tuple(sorted([school_rows.read_hold(row) async for row in rows], key=lambda hold: hold.digest))

    async def replace_holds(self, school: str, before: Sequence[Hold], after: Sequence[Hold]) -> None:
        partition = encode_key(school)
        standing = {hold.digest: hold for hold in before}
        wanted = {hold.digest: hold for hold in after}
        fresh = [hold for digest, hold in wanted.items() if standing.get(digest) != hold]
        rows = [_entity(partition, hold.digest, school_rows.hold_columns(hold)) for hold in fresh]
        gone = [_entity(partition, digest, {}) for digest in sorted(standing.keys() - wanted.keys())]
        await self._transact(HOLDS, [*([put] for put in upserts(rows)), *([("delete", row)] for row in gone)])

    # --- classes

    async def class_record(self, school: str, key: str) -> ClassRecord | None:
        partition, row_key = encode_key(school), class_rows.class_row_key(key)

        async def read() -> list[TableEntity]:
            row = await self._get(CLASSES, partition, row_key)
            if row is None or not has_overflow(row):
                return [row] if row else []
            return [row, *[overflow async for overflow in self._between(CLASSES, partition, *overflow_range(row_key))]]

        rows = await self._whole(read)
        return class_rows.read_class(school, rows[0], _etag(rows[0])) if rows else None

    async def class_records(self, school: str) -> tuple[ClassRecord, ...]:
        rows = await self._whole_between(CLASSES, encode_key(school), "c:", "c;")
        found = [class_rows.read_class(school, row, _etag(row)) for row in rows]
        return tuple(sorted(found, key=lambda record: record.key))

    async def write_desired(self, school: str, classes: Sequence[DesiredClass]) -> tuple[str, ...]:
        partition = encode_key(school)
        groups: list[list[Operation]] = []
        too_large: list[str] = []
        for wanted in classes:
            row, *overflow = split(
                _entity(partition, class_rows.class_row_key(wanted.key), class_rows.desired_columns(wanted))
            )
            try:
                group_size([row, *overflow], LARGEST_CLASS)
            except SyncError:
                too_large.append(wanted.key)
                continue
            groups.append([*upserts([row], MERGE), *upserts(overflow)])
        await self._transact(CLASSES, groups)
        return tuple(too_large)

    async def class_requests(self, school: str) -> Mapping[str, ClassRequest]:
        rows = self._between(CLASSES, encode_key(school), "q:", "q;")
        found = [class_rows.read_request(row) async for row in rows]
        return {request.key: request for request in found}

    async def write_class_request(self, school: str, request: ClassRequest) -> None:
        key = class_rows.request_row_key(request.key)
        await self._put(CLASSES, encode_key(school), key, class_rows.request_columns(request))

    async def write_drift(self, school: str, drifts: Sequence[Drift]) -> None:
        rows: dict[str, Entity] = {}
        for drift in drifts:
            said = {"stale": drift.stale, "gone": drift.gone}
            row = _entity(encode_key(school), class_rows.class_row_key(drift.key), {})
            rows.setdefault(drift.key, row).update({name: value for name, value in said.items() if value is not None})
        for batch in batches([("update", row, MERGE)] for row in rows.values()):
            async with wire_faults():
                try:
                    await self._tables[CLASSES].submit_transaction(batch, **REPEATED)
                except TableTransactionError as error:
                    if error.status_code != 404:
                        raise
                    await update_those_there(self._tables[CLASSES], [row for _, row, _ in batch])

    async def write_actual(self, record: ClassRecord, delta: AppliedDelta | None = None) -> ClassRecord:
        partition = encode_key(record.school)
        row, *overflow = split(
            _entity(partition, class_rows.class_row_key(record.key), class_rows.actual_columns(record))
        )
        condition = {**MERGE, "etag": record.etag, "match_condition": MatchConditions.IfNotModified}
        operations: list[Any] = [("update", row, condition), *upserts(overflow)]
        if delta:
            moment = f"{delta.at:%Y%m%dT%H%M%S%f}Z-{uuid4().hex[:8]}"
            history = _entity(
                partition, class_rows.history_prefix(record.key) + moment, class_rows.delta_columns(record.key, delta)
            )
            # What is forgotten is found by its moment, and has to be found whole.
            operations += [("create", row) for row in split(history, "at")]
        group_size([operation[1] for operation in operations])
        async with wire_faults():
            results = await self._tables[CLASSES].submit_transaction(operations, **REPEATED)
        return replace(record, etag=results[0]["etag"])

    async def history(self, school: str, key: str) -> tuple[AppliedDelta, ...]:
        prefix = class_rows.history_prefix(key)
        rows = await self._whole_between(CLASSES, encode_key(school), prefix, prefix[:-1] + ";")
        return tuple(class_rows.read_delta(row) for row in rows)

    async def classes_of_run(self, school: str, run: str) -> tuple[str, ...]:
        rows = self._query(CLASSES, f"{_HISTORY} and run eq @run", ["class_key"], p=encode_key(school), run=run)
        return tuple(sorted({row["class_key"] async for row in rows}))

    async def forget_history(self, school: str, before: datetime) -> None:
        partition, moment = encode_key(school), before.astimezone(UTC).isoformat()
        rows = self._query(CLASSES, f"{_HISTORY} and at lt @before", ["RowKey"], p=partition, before=moment)
        keys = grouped_by_row([row["RowKey"] async for row in rows])
        await self._transact(CLASSES, [[("delete", _entity(partition, key, {})) for key in group] for group in keys])
        await delete_found(self._tables[RUNS], f"{_PARTITION} and at lt @before", p=partition, before=moment)

    async def pins(self, school: str) -> Mapping[str, Pin]:
        rows = await self._whole_between(CLASSES, encode_key(school), "p:", "p;")
        found = [class_rows.read_pin(row) for row in rows]
        return {pin.key: pin for pin in found}

    async def write_pins(self, school: str, pins: Sequence[Pin]) -> None:
        partition = encode_key(school)
        rows = [_entity(partition, class_rows.pin_row_key(pin.key), class_rows.pin_columns(pin)) for pin in pins]
        await self._transact(CLASSES, [upserts(split(row)) for row in rows])

    async def forget_pin(self, school: str, key: str) -> None:
        partition, row_key = encode_key(school), class_rows.pin_row_key(key)
        async with wire_faults():
            await self._tables[CLASSES].delete_entity(partition, row_key)
            async for row in self._between(CLASSES, partition, *overflow_range(row_key), select=["RowKey"]):
                await self._tables[CLASSES].delete_entity(partition, row["RowKey"])

    # --- accounts and deltas

    async def accounts(self, tenant: str) -> tuple[Account, ...] | None:
        followed = await self._get(TENANTS, encode_key(tenant), _token_row(DeltaKind.ACCOUNTS))
        if followed is None:
            return None
        accounts = self._account_cache.get(tenant, _etag(followed))
        if accounts is None:
            accounts = await self._all_accounts(tenant)
            self._account_cache.put(tenant, _etag(followed), accounts)
        return accounts

    async def write_accounts(self, tenant: str, changes: AccountChanges) -> None:
        partition = encode_key(tenant)
        ids = {change.id for change in changes.accounts} | changes.removed
        if changes.full or len(ids) > _FEW_ACCOUNTS:
            known = {account.id: account for account in await self._all_accounts(tenant)}
        else:
            listed = [await self._get(ACCOUNTS, partition, id_) for id_ in sorted(ids)]
            known = {row["RowKey"]: school_rows.read_account(row) for row in listed if row}
        named = {change.id: change for change in changes.accounts if change.id not in changes.removed}
        gone = known.keys() - named.keys() if changes.full else known.keys() & changes.removed
        now = [change.on(None if changes.full else known.get(change.id)) for change in named.values()]
        fresh = [account for account in now if account != known.get(account.id)]
        rows = [_entity(partition, account.id, school_rows.account_columns(account)) for account in fresh]
        left = [_entity(partition, account, {}) for account in sorted(gone)]
        await self._transact(ACCOUNTS, [*([put] for put in upserts(rows, MERGE)), *([("delete", row)] for row in left)])

    async def _all_accounts(self, tenant: str) -> tuple[Account, ...]:
        rows = self._query(ACCOUNTS, _PARTITION, p=encode_key(tenant))
        return tuple([school_rows.read_account(row) async for row in rows])

    async def delta_token(self, tenant: str, kind: DeltaKind) -> str | None:
        row = await self._get(TENANTS, encode_key(tenant), _token_row(kind))
        return school_rows.read_token(row) if row else None

    async def write_delta_token(self, tenant: str, kind: DeltaKind, token: str) -> None:
        await self._put(TENANTS, encode_key(tenant), _token_row(kind), school_rows.token_columns(token))

    async def last_full_resync(self, tenant: str) -> datetime | None:
        row = await self._get(TENANTS, encode_key(tenant), _FULL_RESYNC)
        return datetime.fromisoformat(row["resynced_at"]) if row else None

    async def write_full_resync(self, tenant: str, at: datetime) -> None:
        await self._put(TENANTS, encode_key(tenant), _FULL_RESYNC, {"resynced_at": at.isoformat()})

    async def synced_set(self, drop: FileDrop) -> str | None:
        row = await self._get(SCHOOLS, _DROP_PARTITION, school_rows.file_drop_key(drop))
        return str(row["fingerprint"]) if row else None

    async def write_synced_set(self, drop: FileDrop, fingerprint: str, at: datetime) -> None:
        said = {"fingerprint": fingerprint, "taken_at": at.isoformat()}
        await self._put(SCHOOLS, _DROP_PARTITION, school_rows.file_drop_key(drop), said)

    # --- runs and faults

    async def write_run(self, run: RunRecord) -> None:
        await self._put(RUNS, encode_key(run.school), encode_key(run.id), school_rows.run_columns(run))

    async def run(self, school: str, run: str) -> RunRecord | None:
        row = await self._get(RUNS, encode_key(school), encode_key(run))
        return school_rows.read_run(school, row) if row else None

    async def runs(self, school: str, since: datetime | None = None) -> tuple[RunRecord, ...]:
        # Moments are written in UTC and in one form, so that they compare as text.
        began = since.astimezone(UTC).isoformat() if since else ""
        rows = self._query(RUNS, "PartitionKey eq @p and at ge @since", p=encode_key(school), since=began)
        return tuple(sorted([school_rows.read_run(school, row) async for row in rows], key=lambda run: run.at))

    async def write_message_fault(self, fault: MessageFault) -> None:
        await self._put(FAULTS, fault.queue, encode_key(fault.message_id), school_rows.fault_columns(fault))

    async def message_faults(self, queue: str) -> tuple[MessageFault, ...]:
        rows = self._query(FAULTS, _PARTITION, p=queue)
        return tuple([school_rows.read_fault(row) async for row in rows])

    async def forget_message_faults(self, before: datetime) -> None:
        moment = before.astimezone(UTC).isoformat()
        for queue in (SYNC_REQUESTS, *Priority):
            await delete_found(self._tables[FAULTS], f"{_PARTITION} and at lt @before", p=queue, before=moment)

    # --- the wire

    async def _get(self, table: str, partition: str, row: str) -> TableEntity | None:
        async with wire_faults():
            try:
                return await self._tables[table].get_entity(partition, row)
            except ResourceNotFoundError:
                return None

    async def _put(self, table: str, partition: str, row: str, columns: Entity) -> None:
        entity = _entity(partition, row, columns)
        entity_size(entity)
        async with wire_faults():
            await self._tables[table].upsert_entity(entity, mode=UpdateMode.REPLACE)

    def _between(
        self, table: str, partition: str, first: str, last: str, select: list[str] | None = None
    ) -> AsyncIterator[TableEntity]:
        within = "PartitionKey eq @p and RowKey ge @first and RowKey lt @last"
        return self._query(table, within, select, p=partition, first=first, last=last)

    async def _query(
        self, table: str, query: str, select: list[str] | None = None, **parameters: str
    ) -> AsyncIterator[TableEntity]:
        async with wire_faults():
            async for row in self._tables[table].query_entities(query, parameters=parameters, select=select):
                yield row

    async def _whole_between(self, table: str, partition: str, first: str, last: str) -> list[TableEntity]:
        async def read() -> list[TableEntity]:
            return [row async for row in self._between(table, partition, first, last)]

        return await self._whole(read)

    async def _whole(self, read: Callable[[], Awaitable[list[TableEntity]]]) -> list[TableEntity]:
        for _ in range(_READS):
            with suppress(Torn):
                return whole(await read())
        raise Transient("rows of Table storage changed whenever they were read", "it is tried again by itself")

    async def _transact(self, table: str, groups: Sequence[Sequence[Operation]]) -> None:
        for batch in batches(groups):
            async with wire_faults():
                await self._tables[table].submit_transaction(batch, **REPEATED)


def _entity(partition: str, row: str, columns: Entity) -> Entity:
    return {"PartitionKey": partition, "RowKey": row, **columns}


def _token_row(kind: DeltaKind) -> str:
    return f"delta {kind}"


def _etag(row: TableEntity) -> str:
    return str(row.metadata["etag"])
