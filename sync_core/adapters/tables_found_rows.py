"""Writes to rows as far as they are there: deleted where a query finds them, updated where they have not gone."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import UpdateMode
from azure.data.tables.aio import TableClient

from sync_core.adapters.tables_entity import Entity
from sync_core.adapters.tables_faults import wire_faults
from sync_core.adapters.tables_transactions import REPEATED, batches


async def delete_found(table: TableClient, query: str, **parameters: str) -> None:
    """`query` finds rows of one partition, and names its parameters with @. Asked again, it deletes what is left."""
    async with wire_faults():
        rows = table.query_entities(query, parameters=parameters, select=["PartitionKey", "RowKey"])
        for batch in batches([[("delete", dict(row))] async for row in rows]):
            await table.submit_transaction(batch, **REPEATED)


async def update_those_there(table: TableClient, rows: Sequence[Entity]) -> None:
    for row in rows:
        with suppress(ResourceNotFoundError):
            await table.update_entity(row, mode=UpdateMode.MERGE, **REPEATED)
