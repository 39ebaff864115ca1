"""Lists of all schools of a server, on disk and divided by school: the schools of a district read each of them once."""

from __future__ import annotations

import json
from array import array
from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from sync_core.clock import Clock
from sync_core.domain.school.sources import OneRosterApi
from sync_core.mis.budget import MAX_PLACES, Budget
from sync_core.mis.readings import LastReadings, UnnamedFile
from sync_core.mis.records import Record, Schema
from sync_core.mis.rest.paging import ListFacts, Take, WholeList

MAX_BYTES = 200_000_000
"""300,000 enrolments take 0.14 GB (measured). Flex Consumption gives an instance 0.8 GB of temporary disk (published).
"""

Keys = Callable[[Record], Set[str]]
"""The keys under which a record is found, such as that of its school."""
KeyedRecord = tuple[str, Record, Set[str]]
"""A record's id, the record, and its keys."""
_PLACE, _KEY = 16, 250
"""Bytes of memory that a place takes, and a key."""
_ENCODER = json.JSONEncoder(separators=(",", ":"))


class StoredRecords:
    """Records on disk. In memory are only their places in the file, by key, which take about `memory` bytes."""

    def __init__(self, schema: Schema, max_bytes: int) -> None:
        """Raises OSError if there is no place for the file."""
        self._schema = schema
        self._file = UnnamedFile(max_bytes)
        self._places: dict[str, array[int]] = {}
        self.memory = 0

    @property
    def size(self) -> int:
        return self._file.size

    def add(self, records: Sequence[KeyedRecord]) -> None:
        """Raises OSError if they cannot be written, or all take more than `max_bytes`."""
        lines = [_ENCODER.encode([id_, *self._schema.dump(record)]).encode() for id_, record, _ in records]
        start = self._file.append(b"".join(lines))
        for line, (_, _, keys) in zip(lines, records, strict=True):
            for key in keys:
                self.memory += _PLACE if key in self._places else _PLACE + _KEY + len(key)
                self._places.setdefault(key, array("Q")).extend((start, len(line)))
            start += len(line)

    def of(self, keys: Set[str]) -> dict[str, Record]:
        """The records that have one of the keys, in the order in which they were added."""
        found = [self._places[key] for key in keys if key in self._places]
        places = {start: length for each in found for start, length in zip(each[::2], each[1::2], strict=True)}
        lines = (json.loads(self._file.read(start, places[start])) for start in sorted(places))
        return {id_: self._schema.load(dumped) for id_, *dumped in lines}


@dataclass(frozen=True, slots=True)
class _SharedList:
    records: StoredRecords
    facts: ListFacts
    read_at: datetime

    @property
    def size(self) -> int:
        return self.records.size


_Readings = LastReadings[tuple[OneRosterApi, str], _SharedList]


class SharedLists:
    """The lists of all schools that this process read last: at most `max_bytes` on disk."""

    def __init__(self, clock: Clock, max_bytes: int = MAX_BYTES) -> None:
        self._readings: _Readings = LastReadings(clock, max_bytes)

    def of(self, source: OneRosterApi, since: datetime) -> ListsOfServer:
        """The lists of the server, as they were at `since` or later, as this client may read them."""
        return ListsOfServer(self._readings, source, since)


@dataclass(slots=True)
class ListsOfServer:
    """The lists of one server for one read of a school. `oldest` is when the reading of the oldest used list began."""

    _readings: _Readings
    _source: OneRosterApi
    _since: datetime
    oldest: datetime | None = field(default=None, init=False)

    def has(self, name: str) -> bool:
        """Whether the list is there without a request."""
        return self._last(name) is not None

    async def part(
        self,
        name: str,
        schema: Schema,
        keys: Keys,
        wanted: Set[str],
        budget: Budget,
        stream: Callable[[Take], Awaitable[ListFacts]],
    ) -> WholeList:
        """The records of a list that have one of the `wanted` keys, within the budget.

        `stream` reads the list if no other school did since then. What it raises is raised, and nothing is kept. What
        the disk or the memory has no room for is not kept either: the next school then reads the list again.
        """
        async with self._readings.turn((self._source, name)):
            if last := self._last(name):
                self._use(last.read_at)
                records = last.records.of(wanted)
                budget.keep(sum(record.size for record in records.values()))
                return WholeList(records, last.facts)
            read_at = self._readings.clock.now()
            records = {}
            stored = _Storing(schema, self._readings.max_bytes)

            def take(page: Mapping[str, Record]) -> None:
                keyed = [(id_, record, keys(record)) for id_, record in page.items()]
                chosen = {id_: record for id_, record, of_record in keyed if not wanted.isdisjoint(of_record)}
                budget.keep(sum(record.size for record in chosen.values()))
                records.update(chosen)
                stored.add(keyed)

            facts = await stream(take)
            if stored.records:
                self._readings.keep((self._source, name), _SharedList(stored.records, facts, read_at))
                self._readings.drop_while(lambda lists: sum(each.records.memory for each in lists) > MAX_PLACES)
            self._use(read_at)
            return WholeList(records, facts)

    def _last(self, name: str) -> _SharedList | None:
        last = self._readings.last((self._source, name))
        return last if last and last.read_at >= self._since else None

    def _use(self, read_at: datetime) -> None:
        self.oldest = min(self.oldest or read_at, read_at)


class _Storing:
    """Records that are stored while there is room; `records` is None once there is none."""

    def __init__(self, schema: Schema, max_bytes: int) -> None:
        self.records: StoredRecords | None = None
        with suppress(OSError):
            self.records = StoredRecords(schema, max_bytes)

    def add(self, records: Sequence[KeyedRecord]) -> None:
        if self.records is not None:
            try:
                self.records.add(records)
            except OSError:
                self.records = None
            else:
                self.records = self.records if self.records.memory <= MAX_PLACES else None
