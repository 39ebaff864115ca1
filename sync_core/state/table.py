"""One table of Azure Tables: reads, writes and transactions within its limits, and its failures in our words."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import AzureError, HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.data.tables import TableEntity, TableTransactionError, UpdateMode
from azure.data.tables.aio import TableClient

from sync_core.errors import LONGEST_SHOWN, AccessDenied, EtagConflict, RowRefused, RowTooLarge, Transient, one_line
from sync_core.state.overflow_rows import Torn, grouped_by_row, has_overflow, overflow_prefix, whole
from sync_core.state.row_codec import Entity, encode_key

Operation = tuple[Any, ...]
MERGE = {"mode": UpdateMode.MERGE}
REPLACE = {"mode": UpdateMode.REPLACE}
# Every write may be repeated. It is either unconditional and writes the same again, or it fails on its etag or because
# nothing is left to delete, and the caller reads again. The client repeats a POST or PATCH only if each request says so
# and then only the methods that it names (azure-core RetryPolicy, retry_on_methods).
REPEATED: dict[str, Any] = {"retry_on_methods": frozenset({"POST", "PATCH", "PUT", "DELETE"})}

_ENTITIES = 100
_BYTES = 3_500_000
"""The limit is 4 MiB, some of which is kept for the envelope of the entities."""
_LARGEST_ENTITY = 1_000_000
"""Bytes in one entity. The limit is 1 MiB, some of which is kept for keys and names."""
_COLUMNS = 252
_LONGEST_TEXT = 65_536
"""Bytes of one property: of a text in UTF-16, of binary ones on the wire."""
_LONGEST_KEY = 1_024
"""Bytes of a key, in UTF-16."""
# A read during a write is repeated at once: by the time it is noticed, the write is complete.
_READS = 5


@asynccontextmanager
async def wire_faults() -> AsyncIterator[None]:
    """Translates failures of the wire. The client has retried for 50 seconds by then."""
    try:
        yield
    except HttpResponseError as error:
        if error.status_code == 412:
            raise EtagConflict from None
        answered = f"Table storage answered {error.status_code}"
        if error.status_code in (401, 403):
            grant = "grant the app's identity the role Storage Table Data Contributor on the storage account"
            raise AccessDenied(answered, grant) from None
        if error.status_code in (400, 413):
            raise _refused(error) from None
        raise Transient(answered, "it is retried; if this continues, check the storage account") from None
    except AzureError as error:
        unreachable = f"Table storage cannot be reached ({type(error).__name__})"
        raise Transient(unreachable, "it is retried; if this continues, check the network") from None


class Table:
    """Partitions and keys are any text. `..._whole` reads a row together with its overflow rows."""

    def __init__(self, client: TableClient) -> None:
        self._client = client

    async def get(self, partition: str, key: str) -> TableEntity | None:
        async with wire_faults():
            try:
                return await self._client.get_entity(encode_key(partition), encode_key(key))
            except ResourceNotFoundError:
                return None

    async def query(
        self, partition: str, prefix: str = "", also: str = "", select: list[str] | None = None, **parameters: str
    ) -> AsyncIterator[TableEntity]:
        """The rows, in order, whose keys begin with `prefix` and that match the filter `also` with its `parameters`.

        `prefix` is encoded as keys are: a name in it needs `encode_key`.
        """
        conditions = ["PartitionKey eq @partition"]
        parameters["partition"] = encode_key(partition)
        if prefix:
            conditions.append("RowKey ge @first and RowKey lt @last")
            parameters |= {"first": prefix, "last": prefix[:-1] + chr(ord(prefix[-1]) + 1)}
        if also:
            conditions.append(also)
        query = " and ".join(conditions)
        async with wire_faults():
            async for row in self._client.query_entities(query, parameters=parameters, select=select):
                yield row

    async def query_all(self, where: str, select: list[str]) -> AsyncIterator[TableEntity]:
        """The columns `select` of the rows of all partitions that match the filter: for a small table only."""
        async with wire_faults():
            async for row in self._client.query_entities(where, select=select):
                yield row

    async def get_whole(self, partition: str, key: str) -> TableEntity | None:
        """Raises Transient if every read was torn."""
        for _ in range(_READS):
            row = await self.get(partition, key)
            if row is None or not has_overflow(row):
                return row
            with suppress(Torn):
                overflow = [row async for row in self.query(partition, overflow_prefix(row["RowKey"]))]
                return whole([row, *overflow])[0]
        raise _torn_reads()

    async def query_whole(self, partition: str, prefix: str, also: str = "", **parameters: str) -> list[TableEntity]:
        """The filter `also` has to match a row's overflow rows too. Raises Transient if every read was torn."""
        for _ in range(_READS):
            with suppress(Torn):
                return whole([row async for row in self.query(partition, prefix, also, None, **parameters)])
        raise _torn_reads()

    async def put(self, row: Entity) -> None:
        """Write the row, replacing an existing one."""
        entity_size(row)
        async with wire_faults():
            await self._client.upsert_entity(row, **REPLACE)

    async def create(self, row: Entity) -> bool:
        """Returns False if the row exists already."""
        async with wire_faults():
            try:
                await self._client.create_entity(row, **REPEATED)
            except ResourceExistsError:
                return False
        return True

    async def merge_found(self, row: Entity) -> None:
        """Does nothing if there is no such row."""
        async with wire_faults():
            with suppress(ResourceNotFoundError):
                await self._client.update_entity(row, mode=UpdateMode.MERGE, **REPEATED)

    async def merge_all_found(self, rows: Iterable[Entity]) -> None:
        """Skips rows that do not exist."""
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
        """The result of each operation. Each group is atomic; some groups may be written when it raises.

        Raises EtagConflict if a row has changed, or one to create exists.
        """
        results: list[Mapping[str, Any]] = []
        for batch in batches(groups):
            async with wire_faults():
                try:
                    results += await self._submit(batch)
                except (TableTransactionError, ResourceExistsError) as error:
                    if error.status_code == 409:
                        raise EtagConflict from None
                    raise
        return results

    async def _submit(self, batch: Sequence[Operation]) -> list[Mapping[str, Any]]:
        """One operation is sent as it is: the envelope of a transaction takes the client four times as long."""
        if len(batch) > 1:
            return await self._client.submit_transaction(batch, **REPEATED)
        kind, row, *options = batch[0]
        send: Mapping[str, Callable[..., Awaitable[Any]]] = {
            "create": self._client.create_entity,
            "update": self._client.update_entity,
            "upsert": self._client.upsert_entity,
            "delete": self._client.delete_entity,
        }
        return [await send[kind](row, **dict(*options), **REPEATED)]

    async def delete(self, partition: str, key: str) -> None:
        """Does nothing if there is no such row."""
        async with wire_faults():
            await self._client.delete_entity(encode_key(partition), encode_key(key))

    async def delete_whole(self, partition: str, key: str) -> None:
        """Deletes the row first, so that overflow rows left behind by a failure belong to no row."""
        await self.delete(partition, key)
        overflow = self.query(partition, overflow_prefix(encode_key(key)), select=["PartitionKey", "RowKey"])
        async with wire_faults():
            async for row in overflow:
                await self._client.delete_entity(row["PartitionKey"], row["RowKey"])

    async def delete_where(self, partition: str, prefix: str = "", also: str = "", **parameters: str) -> None:
        """Deletes each matching row together with its overflow rows. A repeated call deletes the rest."""
        keys = [row["RowKey"] async for row in self.query(partition, prefix, also, ["RowKey"], **parameters)]
        await self.transact(
            [("delete", {"PartitionKey": encode_key(partition), "RowKey": key}) for key in group]
            for group in grouped_by_row(keys)
        )


def _refused(error: HttpResponseError) -> RowRefused:
    code = getattr(error, "error_code", None) or "no error code"
    return RowRefused(
        f"Table storage refused a record: {error.status_code} {getattr(code, 'value', code)}",
        "an id or a list in it is too long or has characters that a table cannot hold: correct it in the MIS",
    )


def _torn_reads() -> Transient:
    return Transient("rows of Table storage changed during each of several reads", "it is retried")


def entity(partition: str, key: str, columns: Entity | None = None) -> Entity:
    return {"PartitionKey": encode_key(partition), "RowKey": encode_key(key), **(columns or {})}


def etag(row: TableEntity) -> str:
    return str(row.metadata["etag"])


def unchanged(row: TableEntity) -> dict[str, Any]:
    """How an update replaces that row, unless somebody has written it since it was read."""
    return {**REPLACE, "etag": etag(row), "match_condition": MatchConditions.IfNotModified}


def upserts(rows: Iterable[Entity], mode: dict[str, UpdateMode] = REPLACE) -> list[Operation]:
    return [("upsert", row, mode) for row in rows]


def deletes(rows: Iterable[Entity]) -> list[Operation]:
    return [("delete", row) for row in rows]


def entity_size(entity: Mapping[str, Any]) -> int:
    """Bytes of `entity` in Tables, rounded up. Raises RowTooLarge past a limit of one entity.

    The local emulator accepts larger entities, texts and keys than Azure does, so the limits are checked here.
    """
    texts = {name: _bytes_of(value) for name, value in entity.items() if isinstance(value, str | bytes)}
    size = sum(8 + 2 * len(name) + (texts[name] + 4 if name in texts else 8) for name in entity)
    if size > _LARGEST_ENTITY or len(entity) > _COLUMNS:
        raise _too_large(entity, f"has {size} bytes and does not fit into Table storage")
    for name, length in texts.items():
        if length > (_LONGEST_KEY if name in ("PartitionKey", "RowKey") else _LONGEST_TEXT):
            raise _too_large(entity, f"has {length} bytes in {name} and does not fit into Table storage")
    return size


def _bytes_of(text: str | bytes) -> int:
    if isinstance(text, bytes):
        return -(-len(text) // 3) * 4
    return 2 * len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass"))


def group_size(rows: Sequence[Entity], largest: int = _BYTES) -> int:
    """Bytes of `rows`, which are written together. Raises RowTooLarge if they are more than `largest`."""
    size = sum(entity_size(row) for row in rows)
    if size > largest:
        excess = f"and its overflow rows have {size} bytes and do not fit into one transaction of Table storage"
        raise _too_large(rows[0], excess)
    return size


def _too_large(row: Mapping[str, Any], excess: str) -> RowTooLarge:
    remedy = (
        "shorten an id that is too long, or split the group in the MIS, or leave its type out of the school's types"
    )
    key, partition = (one_line(row[name], LONGEST_SHOWN) for name in ("RowKey", "PartitionKey"))
    return RowTooLarge(f"row {key} of {partition} {excess}", remedy)


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
