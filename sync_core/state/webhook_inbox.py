"""Webhook events in Azure Tables: what waits, and what was taken, each a row in its school's partition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sync_core.domain.webhooks import WebhookEvent
from sync_core.state.row_codec import RowCodec, encode_time
from sync_core.state.table import Operation, Table, deletes, entity, upserts

# What waits is w:… and what was taken t:…, so that a plan reads the one without the thousands of the other.
_WAITS, _TAKEN, _PLANNED = "w:", "t:", "planned"
EVENT_COLUMNS = RowCodec(WebhookEvent)


class TableWebhookInbox:
    """Implements the port WebhookInbox."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def add(self, school: str, event: WebhookEvent) -> bool:
        if await self._table.get(school, _TAKEN + event.id):
            return False
        if await self._table.create(
            entity(school, _WAITS + event.id, EVENT_COLUMNS.columns(replace(event, sent=False)))
        ):
            return True
        before = await self._table.get(school, _WAITS + event.id)
        return before is not None and not before["sent"]

    async def sent(self, school: str, id: str) -> None:
        await self._table.merge_found(entity(school, _WAITS + id, {"sent": True}))

    async def waiting(self, school: str) -> tuple[WebhookEvent, ...]:
        found = [EVENT_COLUMNS.read(row) async for row in self._table.query(school, _WAITS)]
        return tuple(sorted(found, key=lambda event: event.id))

    async def take(self, school: str, ids: Sequence[str], at: datetime) -> None:
        there = {row["RowKey"] async for row in self._table.query(school, _WAITS, select=["RowKey"])}
        groups: list[list[Operation]] = []
        for id_ in ids:
            taken = entity(school, _TAKEN + id_, {"id": id_, "taken_at": encode_time(at)})
            waits = entity(school, _WAITS + id_)
            groups.append([*upserts([taken]), *deletes([waits] if waits["RowKey"] in there else [])])
        await self._table.transact(groups)

    async def planned(self, school: str) -> tuple[datetime, ...]:
        row = await self._table.get(school, _PLANNED)
        return tuple(map(datetime.fromisoformat, row["moments"].split())) if row else ()

    async def write_planned(self, school: str, moments: Sequence[datetime]) -> None:
        await self._table.put(entity(school, _PLANNED, {"moments": " ".join(map(encode_time, moments))}))

    async def forget(self, school: str, before: datetime) -> None:
        await self._table.delete_where(school, _TAKEN, "taken_at lt @before", before=encode_time(before))
