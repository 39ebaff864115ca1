"""Webhook events in Azure Tables: what waits, and what was taken, each a row in its school's partition."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.data.tables import UpdateMode
from azure.data.tables.aio import TableClient

from sync_core.domain.webhooks import WebhookEvent
from sync_core.state.row_codec import Entity, decode_key, encode_key, listed, one_word, words
from sync_core.state.table import REPEATED, Operation, batches, upserts, wire_faults

# What waits is w:… and what was taken t:…, so that a plan reads the one without the thousands of the other.
_WAITS, _TAKEN, _PLANNED = "w:", "t:", "planned"


class TableWebhookInbox:
    """Implements the port Webhook events."""

    def __init__(self, table: TableClient) -> None:
        self._table = table

    async def add(self, school: str, event: WebhookEvent) -> bool:
        partition = encode_key(school)
        if await self._get(partition, _row(_TAKEN, event.id)):
            return False
        waits = {"PartitionKey": partition, "RowKey": _row(_WAITS, event.id), **_columns(event)}
        async with wire_faults():
            try:
                await self._table.create_entity(waits, **REPEATED)
            except ResourceExistsError:
                before = await self._get(partition, waits["RowKey"])
                return before is not None and not before["sent"]
        return True

    async def mark_sent(self, school: str, id: str) -> None:
        row = {"PartitionKey": encode_key(school), "RowKey": _row(_WAITS, id), "sent": True}
        async with wire_faults():
            try:
                await self._table.update_entity(row, mode=UpdateMode.MERGE, **REPEATED)
            except ResourceNotFoundError:
                return

    async def waiting(self, school: str) -> tuple[WebhookEvent, ...]:
        found = [_read(row) async for row in self._rows(school, _WAITS)]
        return tuple(sorted(found, key=lambda event: event.id))

    async def mark_planned(self, school: str, ids: Sequence[str], at: datetime) -> None:
        partition, moment = encode_key(school), at.astimezone(UTC).isoformat()
        there = {row["RowKey"] async for row in self._rows(school, _WAITS, select=["RowKey"])}
        groups: list[list[Operation]] = []
        for id_ in ids:
            taken = {"PartitionKey": partition, "RowKey": _row(_TAKEN, id_), "event": id_, "taken_at": moment}
            waits = {"PartitionKey": partition, "RowKey": _row(_WAITS, id_)}
            groups.append([*upserts([taken]), *([("delete", waits)] if waits["RowKey"] in there else [])])
        await self._transact(groups)

    async def plan_times(self, school: str) -> tuple[datetime, ...]:
        row = await self._get(encode_key(school), _PLANNED)
        return tuple(map(datetime.fromisoformat, row["moments"].split())) if row else ()

    async def write_plan_times(self, school: str, moments: Sequence[datetime]) -> None:
        said = " ".join(moment.astimezone(UTC).isoformat() for moment in moments)
        row = {"PartitionKey": encode_key(school), "RowKey": _PLANNED, "moments": said}
        async with wire_faults():
            await self._table.upsert_entity(row, mode=UpdateMode.REPLACE)

    async def forget(self, school: str, before: datetime) -> None:
        moment = before.astimezone(UTC).isoformat()
        rows = self._rows(school, _TAKEN, "taken_at lt @before", ["PartitionKey", "RowKey"], before=moment)
        await self._transact([[("delete", dict(row))] async for row in rows])

    async def _get(self, partition: str, row: str) -> Mapping[str, Any] | None:
        async with wire_faults():
            try:
                return await self._table.get_entity(partition, row)
            except ResourceNotFoundError:
                return None

    async def _rows(
        self, school: str, prefix: str, also: str = "", select: list[str] | None = None, **parameters: str
    ) -> AsyncIterator[Mapping[str, Any]]:
        within = "PartitionKey eq @p and RowKey ge @first and RowKey lt @last"
        query = f"{within} and {also}" if also else within
        named = {"p": encode_key(school), "first": prefix, "last": prefix[:-1] + ";", **parameters}
        async with wire_faults():
            async for row in self._table.query_entities(query, parameters=named, select=select):
                yield row

    async def _transact(self, groups: Sequence[Sequence[Operation]]) -> None:
        for batch in batches(groups):
            async with wire_faults():
                await self._table.submit_transaction(batch, **REPEATED)


def _row(prefix: str, id_: str) -> str:
    return prefix + encode_key(id_)


def _columns(event: WebhookEvent) -> Entity:
    return {
        "event": event.id,
        "received_at": event.at.astimezone(UTC).isoformat(),
        **listed("groups", map(one_word, event.groups)),
        **listed("people", map(one_word, event.people)),
        "sent": False,
    }


def _read(row: Mapping[str, Any]) -> WebhookEvent:
    return WebhookEvent(
        row["event"],
        datetime.fromisoformat(row["received_at"]),
        _ids(row, "groups"),
        _ids(row, "people"),
        row["sent"],
    )


def _ids(row: Mapping[str, Any], name: str) -> tuple[str, ...]:
    return tuple(sorted(map(decode_key, words(row, name))))
