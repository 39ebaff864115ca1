"""What was read of file drops, on disk while their export sets stay the same: a set of many schools is read once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache

from pydantic import TypeAdapter

from sync_core.clock import Clock
from sync_core.domain.ids import SchoolId
from sync_core.domain.roster import Snapshot
from sync_core.domain.school.sources import FileDrop
from sync_core.mis.academic_years import Calendar
from sync_core.mis.drop.export_sets import ExportSet
from sync_core.mis.readings import LastReadings, UnnamedFile
from sync_core.mis.threads import InThread

MAX_BYTES = 100_000_000
"""A thousand pupils take 0.2 MB (measured). Flex Consumption gives an instance 0.8 GB of temporary disk (published)."""


class StoredSnapshots(Mapping[SchoolId, Snapshot]):
    """The snapshots of one reading, on disk. Each access reads one school's part of the file and no other."""

    def __init__(self, snapshots: Mapping[SchoolId, Snapshot], max_bytes: int) -> None:
        """Raises OSError if they cannot be written, or take more than `max_bytes`."""
        self._file = UnnamedFile(max_bytes)
        self._places: dict[SchoolId, tuple[int, int]] = {}
        adapter = _json()
        for school, snapshot in snapshots.items():
            text = adapter.dump_json(snapshot)
            self._places[school] = self._file.append(text), len(text)

    @property
    def size(self) -> int:
        return self._file.size

    def __getitem__(self, school: SchoolId) -> Snapshot:
        return _json().validate_json(self._file.read(*self._places[school]))

    def __contains__(self, school: object) -> bool:
        return school in self._places

    def __iter__(self) -> Iterator[SchoolId]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


@cache
def _json() -> TypeAdapter[Snapshot]:
    """Made when a set is first read: it takes 80 ms, which the start of a worker need not spend."""
    return TypeAdapter(Snapshot)


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read at `read_at` of `sets`: the export sets that were in use then, newest first."""

    sets: Sequence[ExportSet]
    read_at: datetime
    snapshots: StoredSnapshots

    @property
    def size(self) -> int:
        return self.snapshots.size


@dataclass(slots=True)
class SharedReadings:
    """The last readings of this process, which the schools of a file drop share: at most `max_bytes` on disk.

    A reading is of one day and one start of the academic year: on another day, other people of the same set count.
    """

    clock: Clock
    max_bytes: int = MAX_BYTES
    in_thread: InThread = asyncio.to_thread
    _readings: LastReadings[tuple[FileDrop, Calendar], Reading] = field(init=False)

    def __post_init__(self) -> None:
        self._readings = LastReadings(self.clock, self.max_bytes)

    def turn(self, drop: FileDrop) -> asyncio.Lock:
        """What a school holds while it looks at the drop and reads it. The drop's other schools wait."""
        return self._readings.turn(drop)

    def last(self, drop: FileDrop, calendar: Calendar) -> Reading | None:
        """The last reading. It is up to date if its sets are still those in use."""
        return self._readings.last((drop, calendar))

    async def keep(
        self, drop: FileDrop, calendar: Calendar, sets: Sequence[ExportSet], snapshots: Mapping[SchoolId, Snapshot]
    ) -> Mapping[SchoolId, Snapshot]:
        """The same snapshots, from disk. They replace those of the drop's earlier sets, and the oldest others.

        What the disk has no room for is not kept: the next school then reads the set again.
        """
        read_at = self.clock.now()
        try:
            stored = await self.in_thread(StoredSnapshots, snapshots, self.max_bytes)
        except OSError:
            return snapshots
        self._readings.forget(lambda key, reading: key[0] == drop and reading.sets != sets)
        self._readings.keep((drop, calendar), Reading(sets, read_at, stored))
        return stored
