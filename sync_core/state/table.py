"""One table of Azure Tables: reads, writes and transactions within its limits, and its failures in our words."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from azure.core.exceptions import AzureError, HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.data.tables import TableEntity, TableTransactionError, UpdateMode
from azure.data.tables.aio import TableClient

from sync_core.errors import AccessDenied, EtagConflict, RowTooLarge, Transient
from sync_core.state.overflow_rows import Torn, grouped_by_row, has_overflow, overflow_prefix, whole
from sync_core.state.row_codec import Entity, encode_key

Operation = tuple[Any, ...]
MERGE = {"mode": UpdateMode.MERGE}
REPLACE = {"mode": UpdateMode.REPLACE}
# Every write may be repeated: it is unconditional and says the same again, or it is refused, having an etag or nothing
# left to delete, and whoever wrote looks again. The client repeats no POST and no PATCH unless told so for each request
# (azure-core RetryPolicy, retry_on_methods).
REPEATED: dict[str, Any] = {"retry_on_methods": frozenset({"POST", "PATCH"})}

_ENTITIES = 100
_BYTES = 3_500_000
"""4 MiB is the limit, of which some is kept for what goes around the entities."""
_LARGEST_ENTITY = 1_000_000
"""Bytes in one entity: 1 MiB is the limit, of which some is kept for keys and names."""
_COLUMNS = 252
_SPLIT_THE_GROUP = "a class of this size cannot be followed: split the group in the MIS, or leave its type out"
# A read that other writes tear is repeated at once: each write is over when it shows.
_READS = 5


@asynccontextmanager
async def wire_faults() -> AsyncIterator[None]:
    """Failures of the wire in our words. The client has tried for 50 seconds by then."""
    try:
        yield
    except HttpResponseError as error:
        if error.status_code == 412:
            raise EtagConflict from None
        if error.status_code in (401, 403):
            raise AccessDenied(
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


class Table:
    """Partitions, keys and prefixes are any text. A row may go on in overflow rows, which `..._whole` reads with it."""

    def __init__(self, client: TableClient) -> None:
        self._client = client

    async def close(self) -> None:
        await self._client.close()

    async def get(self, partition: str, key: str) -> TableEntity | None:
        async with wire_faults():
            try:
                return await self._client.get_entity(encode_key(partition), encode_key(key))
            except ResourceNotFoundError:
                return None

    def query(
        self, partition: str, prefix: str = "", also: str = "", select: list[str] | None = None, **parameters: str
    ) -> AsyncIterator[TableEntity]:
        """The rows whose keys begin with `prefix`, in order, of which `also` is true: it names `parameters` with @."""
        return self._query(partition, encode_key(prefix), also, select, **parameters)

    async def get_whole(self, partition: str, key: str) -> TableEntity | None:
        """Raises Transient where the row is never whole."""

        async def read() -> list[TableEntity]:
            row = await self.get(partition, key)
            if row is None or not has_overflow(row):
                return [row] if row else []
            return [row, *[overflow async for overflow in self._query(partition, overflow_prefix(row["RowKey"]))]]

        return next(iter(await _untorn(read)), None)

    async def query_whole(self, partition: str, prefix: str) -> list[TableEntity]:
        """Raises Transient where the rows are never whole."""

        async def read() -> list[TableEntity]:
            return [row async for row in self.query(partition, prefix)]

        return await _untorn(read)

    async def put(self, row: Entity) -> None:
        """Write the row in place of the one that is there."""
        entity_size(row)
        async with wire_faults():
            await self._client.upsert_entity(row, **REPLACE)

    async def create(self, row: Entity) -> bool:
        """Whether there was none."""
        async with wire_faults():
            try:
                await self._client.create_entity(row, **REPEATED)
            except ResourceExistsError:
                return False
        return True

    async def merge_found(self, row: Entity) -> None:
        """Nothing happens where there is none."""
        async with wire_faults():
            with suppress(ResourceNotFoundError):
                await self._client.update_entity(row, mode=UpdateMode.MERGE, **REPEATED)

    async def merge_all_found(self, rows: Iterable[Entity]) -> None:
        """Rows that are not there are passed over."""
        for batch in batches([("update", row, MERGE)] for row in rows):
            async with wire_faults():
                try:
                    await self._client.submit_transaction(batch, **REPEATED)
                except TableTransactionError as error:
                    if error.status_code != 404:
                        raise
                    for _, row, _ in batch:
                        await self.merge_found(row)

    async def transact(self, groups: Iterable[Sequence[Operation]]) -> list[Mapping[str, Any]]:
        """What became of each operation. Each group is written as one; a prefix of them may be when it raises."""
        results: list[Mapping[str, Any]] = []
        for batch in batches(groups):
            async with wire_faults():
                results += await self._client.submit_transaction(batch, **REPEATED)
        return results

    async def delete(self, partition: str, key: str) -> None:
        """Nothing happens where there is none."""
        async with wire_faults():
            await self._client.delete_entity(encode_key(partition), encode_key(key))

    async def delete_whole(self, partition: str, key: str) -> None:
        """The row first, so that what is left of it when this raises belongs to no row."""
        await self.delete(partition, key)
        overflow = self._query(partition, overflow_prefix(encode_key(key)), select=["PartitionKey", "RowKey"])
        async with wire_faults():
            async for row in overflow:
                await self._client.delete_entity(row["PartitionKey"], row["RowKey"])

    async def delete_where(self, partition: str, prefix: str = "", also: str = "", **parameters: str) -> None:
        """Each row together with its overflow rows. Asked again, it deletes what is left."""
        keys = [row["RowKey"] async for row in self.query(partition, prefix, also, ["RowKey"], **parameters)]
        await self.transact(
            [("delete", {"PartitionKey": encode_key(partition), "RowKey": key}) for key in group]
            for group in grouped_by_row(keys)
        )

    async def _query(
        self, partition: str, prefix: str, also: str = "", select: list[str] | None = None, **parameters: str
    ) -> AsyncIterator[TableEntity]:
        conditions = ["PartitionKey eq @partition"]
        parameters["partition"] = encode_key(partition)
        if prefix:
            conditions.append("RowKey ge @first and RowKey lt @last")
            parameters |= {"first": prefix, "last": prefix[:-1] + chr(ord(prefix[-1]) + 1)}
        query = " and ".join([*conditions, *([also] if also else [])])
        async with wire_faults():
            async for row in self._client.query_entities(query, parameters=parameters, select=select):
                yield row


async def _untorn(read: Callable[[], Awaitable[list[TableEntity]]]) -> list[TableEntity]:
    for _ in range(_READS):
        with suppress(Torn):
            return whole(await read())
    raise Transient("rows of Table storage changed whenever they were read", "it is tried again by itself")


def entity(partition: str, key: str, columns: Entity | None = None) -> Entity:
    return {"PartitionKey": encode_key(partition), "RowKey": encode_key(key), **(columns or {})}


def etag(row: TableEntity) -> str:
    return str(row.metadata["etag"])


def upserts(rows: Iterable[Entity], mode: dict[str, UpdateMode] = REPLACE) -> list[Operation]:
    return [("upsert", row, mode) for row in rows]


def deletes(rows: Iterable[Entity]) -> list[Operation]:
    return [("delete", row) for row in rows]


def entity_size(entity: Mapping[str, Any]) -> int:
    """Bytes that `entity` takes in Tables, a little more than less. Raises RowTooLarge past the limit of one entity.

    The local emulator takes larger entities than Azure does, so this is checked here.
    """
    size = sum(
        8 + 2 * len(name) + (2 * len(value) + 4 if isinstance(value, str) else 8) for name, value in entity.items()
    )
    if size > _LARGEST_ENTITY or len(entity) > _COLUMNS:
        raise RowTooLarge(
            f"row {entity['RowKey']} of {entity['PartitionKey']} has {size} bytes and does not fit into Table storage",
            _SPLIT_THE_GROUP,
        )
    return size


def group_size(rows: Sequence[Entity], largest: int = _BYTES) -> int:
    """Bytes that `rows`, to be written together, take. Raises RowTooLarge where they are more than `largest`."""
    size = sum(entity_size(row) for row in rows)
    if size > largest:
        raise RowTooLarge(
            f"row {rows[0]['RowKey']} of {rows[0]['PartitionKey']} and what goes with it have {size} bytes "
            "and cannot be written to Table storage as one",
            _SPLIT_THE_GROUP,
        )
    return size


def batches(groups: Iterable[Sequence[Operation]]) -> Iterator[list[Operation]]:
    """Transactions of at most 100 entities and 4 MiB. Each group stays together. Raises RowTooLarge."""
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
