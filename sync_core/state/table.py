"""One table of Azure Tables: reads, writes and transactions within its limits."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from azure.core.exceptions import AzureError, HttpResponseError, ResourceNotFoundError
from azure.data.tables import UpdateMode
from azure.data.tables.aio import TableClient

from sync_core.errors import EtagConflict, SyncError, Transient
from sync_core.state.row_codec import SPLIT_THE_GROUP, Entity, entity_size


@asynccontextmanager
async def wire_faults() -> AsyncIterator[None]:
    """Failures of the wire in our words. The client has tried for 50 seconds by then."""
    try:
        yield
    except HttpResponseError as error:
        if error.status_code == 412:
            raise EtagConflict from None
        if error.status_code in (401, 403):
            raise SyncError(
                f"Table storage answered {error.status_code}",
                "grant the app's identity the role Storage Table Data Contributor on the storage account",
            ) from None
        raise Transient(
            f"Table storage answered {error.status_code}", "it is tried again by itself; look at the storage account"
        ) from None
    except AzureError as error:
        raise Transient(
            f"Table storage cannot be reached ({type(error).__name__})", "it is tried again; look at the network"
        ) from None


Operation = tuple[Any, ...]


# Every write may be repeated: it is unconditional and says the same again, or it is refused, having an etag or nothing
# left to delete, and whoever wrote looks again. The client repeats no POST and no PATCH unless told so for each request
# (azure-core RetryPolicy, retry_on_methods).
REPEATED: dict[str, Any] = {"retry_on_methods": frozenset({"POST", "PATCH"})}


MERGE = {"mode": UpdateMode.MERGE}


REPLACE = {"mode": UpdateMode.REPLACE}


_ENTITIES = 100


_BYTES = 3_500_000
"""4 MiB is the limit, of which some is kept for what goes around the entities."""


LARGEST_CLASS = 1_800_000
"""Bytes of all that is wanted of one class.

If everybody in it came at once, and as many others went, apply's record of that would be twice as large, and has to fit
into one transaction: what is refused is refused before anything is done.
"""


def upserts(rows: Iterable[Entity], mode: dict[str, UpdateMode] = REPLACE) -> list[Operation]:
    return [("upsert", row, mode) for row in rows]


def group_size(rows: Sequence[Entity], largest: int = _BYTES) -> int:
    """Bytes that `rows`, to be written together, take. Raises SyncError where they are more than `largest`."""
    size = sum(entity_size(row) for row in rows)
    if size > largest:
        raise SyncError(
            f"row {rows[0]['RowKey']} of {rows[0]['PartitionKey']} and what goes with it have {size} bytes "
            "and cannot be written to Table storage as one",
            SPLIT_THE_GROUP,
        )
    return size


def batches(groups: Iterable[Sequence[Operation]]) -> Iterator[list[Operation]]:
    """Transactions of at most 100 entities and 4 MiB. Each group stays together. Raises SyncError."""
    batch: list[Operation] = []
    size = 0
    for group in groups:
        bytes_ = group_size([operation[1] for operation in group])
        if batch and (len(batch) + len(group) > _ENTITIES or size + bytes_ > _BYTES):
            yield batch
            batch, size = [], 0
        batch.extend(group)
        size += bytes_
    if batch:
        yield batch


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
