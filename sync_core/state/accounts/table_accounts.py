"""The accounts of tenants in Azure Tables: a head, and the packed accounts that it names (ADR 31).

A partition is a tenant. Its rows are:

- `head`: the tokens of the deltas, the names of the parts, and all changes since the parts were written;
- `part <name> 00`, `part <name> 01` …: packed accounts, cut into rows. Nobody changes them.

A write replaces the head on condition of its etag, so that accounts and token change together or not at all. Parts are
written before the head that names them, under a name of their own. Nobody reads parts that no head names.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from uuid import uuid4

from azure.data.tables import TableEntity

from sync_core.domain.accounts import (
    Account,
    AccountChanges,
    AccountTokens,
    whole_accounts,
    with_changes,
)
from sync_core.domain.ids import AccountId
from sync_core.errors import EtagConflict, Transient
from sync_core.state.accounts.cache import AccountCache, CachedAccounts
from sync_core.state.accounts.packing import pack, unpack
from sync_core.state.overflow_rows import Torn
from sync_core.state.row_codec import Entity, chunked, joined
from sync_core.state.table import Operation, Table, entity, etag, unchanged, upserts

_HEAD, _PART = "head", "part "
_CHUNK = 48_000
"""Bytes of one property, which are 64,000 on the wire. A head has one of changes: about 1,500 of them."""
_CHUNKS = 15
"""Chunks of one row."""
_MOST_WRITES = 7
"""Parts keep what the head says is gone. So they are written anew after this many writes, which is a week of nights."""
_ATTEMPTS = 5
"""Reads or writes at most, where each of them met a writer."""
_EMPTY = pack({})
_TOKENS = tuple(of.name for of in fields(AccountTokens))


@dataclass(frozen=True, slots=True)
class _Head:
    """What the head of a tenant says; `row` is None if it has none. A part is its name and its number of rows.

    `writes` counts those that left changes in the head since the parts were written.
    """

    row: TableEntity | None = None
    tokens: AccountTokens = field(default_factory=AccountTokens)
    parts: tuple[tuple[str, int], ...] = ()
    changes: bytes = _EMPTY
    writes: int = 0

    @property
    def version(self) -> str:
        return etag(self.row) if self.row else ""

    @property
    def base(self) -> str:
        """The parts in one text."""
        return " ".join(f"{name}:{rows}" for name, rows in self.parts)


class TableAccounts:
    """The part of TenantStore that is about accounts."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._cache = AccountCache()
        self._heads: dict[str, _Head] = {}

    async def tokens(self, tenant: str) -> AccountTokens:
        """Keeps the head for the write that follows: it fails if somebody wrote meanwhile, and reads again."""
        self._heads[tenant] = await self._head(tenant)
        return self._heads[tenant].tokens

    async def read(self, tenant: str) -> tuple[Account, ...] | None:
        """Takes one request if the cache has the accounts, or all but the latest changes, and two otherwise.

        Raises Transient if every read was torn.
        """
        for _ in range(_ATTEMPTS):
            head = await self._head(tenant)
            if head.tokens.delta is None:
                return None
            with suppress(Torn):
                return await self._accounts_at(tenant, head)
        raise _disturbed("read")

    async def write(self, tenant: str, changes: AccountChanges) -> None:
        """Takes a read and a write, without the read after `tokens`, unless there are too many changes for the head.

        A write whose answer was lost meets its own head when it is repeated, and is done. Raises Transient if others
        wrote during every attempt.
        """
        for attempt in range(_ATTEMPTS):
            head = self._heads.pop(tenant, None) or await self._head(tenant)
            if attempt and _says(head, changes):
                return None
            with suppress(EtagConflict, Torn):
                return await self._write_after(tenant, head, changes)
        raise _disturbed("written")

    async def _head(self, tenant: str) -> _Head:
        row = await self._table.get(tenant, _HEAD)
        if row is None:
            return _Head()
        parts = [part.split(":") for part in joined(row, "parts").split()]
        return _Head(
            row,
            AccountTokens(**{name: joined(row, name) for name in _TOKENS if f"{name}_0" in row}),
            tuple((name, int(rows)) for name, rows in parts),
            row["changes"],
            row["writes"],
        )

    async def _accounts_at(self, tenant: str, head: _Head) -> tuple[Account, ...]:
        cached = self._cache.get(tenant)
        if cached and cached.version == head.version:
            return cached.accounts
        base = cached.of_base if cached and cached.base == head.base else await self._read_parts(tenant, head)
        accounts = tuple(whole_accounts(base, unpack(head.changes)).values())
        self._cache.put(tenant, CachedAccounts(head.version, accounts, head.base, base))
        return accounts

    async def _read_parts(self, tenant: str, head: _Head) -> dict[AccountId, Account]:
        """Raises Torn if a part is not there, because a newer head has others."""
        accounts: dict[AccountId, Account] = {}
        for name, rows in head.parts:
            found = [row async for row in self._table.query(tenant, f"{_PART}{name} ")]
            if len(found) != rows:
                raise Torn
            packed = b"".join(row[f"chunk_{at}"] for row in found for at in range(_CHUNKS) if f"chunk_{at}" in row)
            accounts = whole_accounts(accounts, unpack(packed))
        return accounts

    async def _write_after(self, tenant: str, head: _Head, changes: AccountChanges) -> None:
        entries = with_changes(unpack(head.changes), changes)
        now = replace(head, tokens=head.tokens.after(changes), parts=() if changes.full else head.parts)
        packed, complete = pack(entries), now.tokens.delta is not None
        writes = head.writes + 1 if now.parts and entries else 0
        if len(packed) <= _CHUNK and (not complete or (len(now.parts) <= 1 and writes < _MOST_WRITES)):
            now = replace(now, changes=packed, writes=writes)
        elif complete:
            accounts = whole_accounts(await self._read_parts(tenant, now), entries)
            now = replace(now, parts=(await self._write_part(tenant, pack(accounts)),), changes=_EMPTY, writes=0)
        else:
            now = replace(now, parts=(*now.parts, await self._write_part(tenant, packed)), changes=_EMPTY, writes=0)
        # What is there before the head is written belongs to the head before, or to no head that can still be written.
        outdated = await self._rows_of_parts(tenant, now) if set(head.parts) - set(now.parts) else []
        await self._write_head(tenant, head, now)
        for key in outdated:
            await self._table.delete(tenant, key)

    async def _rows_of_parts(self, tenant: str, but: _Head) -> list[str]:
        """The keys of all rows of parts that this head does not name."""
        keys = [row["RowKey"] async for row in self._table.query(tenant, _PART, select=["RowKey"])]
        named = {name for name, _ in but.parts}
        return [key for key in keys if key.split()[1] not in named]

    async def _write_head(self, tenant: str, before: _Head, now: _Head) -> None:
        columns: Entity = {
            **chunked("parts", now.base),
            "changes": now.changes,
            "writes": now.writes,
        }
        for name, token in asdict(now.tokens).items():
            columns |= chunked(name, token) if token is not None else {}
        row = entity(tenant, _HEAD, columns)
        write: Operation = ("update", row, unchanged(before.row)) if before.row else ("create", row)
        await self._table.transact([[write]])

    async def _write_part(self, tenant: str, packed: bytes) -> tuple[str, int]:
        chunks = [packed[at : at + _CHUNK] for at in range(0, len(packed), _CHUNK)]
        name = uuid4().hex
        rows = [
            entity(tenant, f"{_PART}{name} {at:03}", {f"chunk_{place}": chunk for place, chunk in enumerate(of_row)})
            for at, of_row in enumerate(_by(_CHUNKS, chunks))
        ]
        await self._table.transact([operation] for operation in upserts(rows))
        return name, len(rows)


def _says(head: _Head, changes: AccountChanges) -> bool:
    """Whether the head has the changes and their token. Of what is in parts, it does not tell."""
    entries = unpack(head.changes)
    in_parts = changes.full and head.parts
    return not in_parts and head.tokens.after(changes) == head.tokens and with_changes(entries, changes) == entries


def _by(count: int, chunks: Sequence[bytes]) -> list[Sequence[bytes]]:
    return [chunks[at : at + count] for at in range(0, len(chunks), count)]


def _disturbed(what: str) -> Transient:
    return Transient(f"the accounts of a tenant changed each time they were {what}", "it is retried")
