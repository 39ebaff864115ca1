"""Webhook events in Azure Tables: those that wait and those that were planned, each a row of its school."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sync_core.domain.ids import SchoolId
from sync_core.domain.webhooks import WebhookEvent
from sync_core.state.row_codec import RowCodec, encode_key, encode_time
from sync_core.state.table import Operation, Table, deletes, entity, upserts

# A waiting event is w:…, the id of a planned one p:…: a plan reads the former without thousands of the latter.
_WAITING, _PLANNED, _PLAN_TIMES = "w:", "p:", "plan times"
EVENT_COLUMNS = RowCodec(WebhookEvent)


class TableWebhookInbox:
    """Implements the port WebhookInbox."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def add(self, school: SchoolId, event: WebhookEvent) -> bool:
        if await self._table.get(school, _PLANNED + event.id):
            return False
        waiting = EVENT_COLUMNS.columns(replace(event, sent=False))
        if await self._table.create(entity(school, _WAITING + event.id, waiting)):
            return True
        before = await self._table.get(school, _WAITING + event.id)
        return before is not None and not before["sent"]

    async def mark_sent(self, school: SchoolId, id: str) -> None:
        await self._table.merge_found(entity(school, _WAITING + id, {"sent": True}))

    async def waiting(self, school: SchoolId) -> tuple[WebhookEvent, ...]:
        found = [EVENT_COLUMNS.read(row) async for row in self._table.query(school, _WAITING)]
        return tuple(sorted(found, key=lambda event: event.id))

    async def others_wait(self, school: SchoolId, id: str) -> bool:
        own = encode_key(_WAITING + id)
        async for _ in self._table.query(school, _WAITING, "RowKey ne @own", ["RowKey"], own=own):
            return True
        return False

    async def mark_planned(self, school: SchoolId, ids: Sequence[str], at: datetime) -> None:
        there = {row["RowKey"] async for row in self._table.query(school, _WAITING, select=["RowKey"])}
        groups: list[list[Operation]] = []
        for id_ in ids:
            planned = entity(school, _PLANNED + id_, {"id": id_, "planned_at": encode_time(at)})
            waiting = entity(school, _WAITING + id_)
            groups.append([*upserts([planned]), *deletes([waiting] if waiting["RowKey"] in there else [])])
        await self._table.transact(groups)

    async def plan_times(self, school: SchoolId) -> tuple[datetime, ...]:
        row = await self._table.get(school, _PLAN_TIMES)
        return tuple(map(datetime.fromisoformat, row["moments"].split())) if row else ()

    async def write_plan_times(self, school: SchoolId, moments: Sequence[datetime]) -> None:
        await self._table.put(entity(school, _PLAN_TIMES, {"moments": " ".join(map(encode_time, moments))}))

    async def forget(self, school: SchoolId, before: datetime) -> None:
        await self._table.delete_where(school, _PLANNED, "planned_at lt @before", before=encode_time(before))
