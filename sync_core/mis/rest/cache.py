"""A cache of the schools read from vendors, so that the next read requests only the changes since."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from sync_core.domain.ids import SchoolId
from sync_core.domain.school.sources import OneRosterApi, WondeApi
from sync_core.mis.budget import MAX_CACHED, Budget
from sync_core.mis.records import Record, Schema
from sync_core.mis.rest.quirks import Quirks

FULL_EVERY = timedelta(hours=12)
"""How often a school is read in full regardless, to find changes that its server does not report."""
_MAX_SCHOOLS = 20
_MAX_STEP = 65_536

_K = TypeVar("_K")
_V = TypeVar("_V")

Collections = Mapping[str, Mapping[str, Record]]
"""Records by collection and id, with the requested fields only."""


@dataclass(frozen=True, slots=True)
class PackedRecords:
    """Records by id, as compressed lines of JSON: a twentieth of what they take as objects."""

    schema: Schema
    content: bytes

    @classmethod
    def of(cls, schema: Schema, records: Mapping[str, Record]) -> PackedRecords:
        packing = zlib.compressobj(level=1)
        parts = [packing.compress(f"{json.dumps([id_, *schema.dump(one)])}\n".encode()) for id_, one in records.items()]
        return cls(schema, b"".join([*parts, packing.flush()]))

    def unpack(self, budget: Budget) -> dict[str, Record]:
        """Raises SnapshotRejected above the budget."""
        records: dict[str, Record] = {}
        for line in self._lines():
            id_, *dumped = json.loads(line)
            records[id_] = self.schema.load(dumped)
            budget.keep(records[id_].size)
        return records

    def _lines(self) -> Iterator[bytes]:
        unpacking, packed, rest = zlib.decompressobj(), self.content, b""
        while not unpacking.eof:
            *lines, rest = (rest + unpacking.decompress(packed, _MAX_STEP)).split(b"\n")
            packed = unpacking.unconsumed_tail
            yield from lines


@dataclass(frozen=True, slots=True)
class CachedSchool:
    """A school as it was at `began_at`, when the last read began. `full_read_at` is when the last full read began."""

    collections: Mapping[str, PackedRecords]
    began_at: datetime
    full_read_at: datetime

    @property
    def size(self) -> int:
        return sum(len(packed.content) for packed in self.collections.values())


class SchoolCache:
    """The schools that this process read last, and the quirks of their servers. In memory only and never stored."""

    def __init__(self, max_bytes: int = MAX_CACHED) -> None:
        self._max_bytes = max_bytes
        self._schools: dict[tuple[OneRosterApi | WondeApi, SchoolId], CachedSchool] = {}
        self._quirks: dict[OneRosterApi | WondeApi, Quirks] = {}

    @property
    def size(self) -> int:
        """Bytes of memory."""
        return sum(school.size for school in self._schools.values())

    def of(self, source: OneRosterApi | WondeApi, school: SchoolId, now: datetime) -> CachedSchool | None:
        """None if a full read is due. The key is the whole source, so a changed setting leads to a full read."""
        cached = self._schools.get((source, school))
        return cached if cached and now - cached.full_read_at < FULL_EVERY else None

    def put(self, source: OneRosterApi | WondeApi, school: SchoolId, cached: CachedSchool) -> None:
        _put_last(self._schools, (source, school), cached)
        while self.size > self._max_bytes:
            del self._schools[next(iter(self._schools))]

    def quirks(self, source: OneRosterApi | WondeApi) -> Quirks:
        return self._quirks.get(source, Quirks())

    def put_quirks(self, source: OneRosterApi | WondeApi, quirks: Quirks) -> None:
        _put_last(self._quirks, source, quirks)


def _put_last(entries: dict[_K, _V], key: _K, value: _V) -> None:
    """Put the entry last, and drop the first one if there are more than _MAX_SCHOOLS."""
    entries.pop(key, None)
    entries[key] = value
    if len(entries) > _MAX_SCHOOLS:
        del entries[next(iter(entries))]
