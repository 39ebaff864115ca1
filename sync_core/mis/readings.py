"""What was read of a source that several schools have: on disk, for the schools that are read after the first."""

from __future__ import annotations

import asyncio
import errno
import tempfile
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Generic, Protocol, TypeVar
from weakref import WeakValueDictionary, finalize

from sync_core.clock import Clock

_KEPT_FOR = timedelta(hours=12)
"""As long as schools that are read from servers are cached."""


class UnnamedFile:
    """A file of mode 0600 that has no name in any folder.

    It is gone when this object is, and when the process is, however that ends.
    """

    def __init__(self, max_bytes: int) -> None:
        """Raises OSError if there is no place for it."""
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  # it is open while this object exists
        finalize(self, self._file.close)
        self._max_bytes = max_bytes
        self.size = 0

    def append(self, content: bytes) -> int:
        """Write at the end of the file. Returns where that began. Raises OSError if it would exceed `max_bytes`."""
        start = self.size
        self._file.seek(start)
        if start + len(content) > self._max_bytes:
            raise OSError(errno.EFBIG, "more than the readings may take")
        if self._file.write(content) < len(content):
            raise OSError(errno.ENOSPC, "written in part")
        self.size += len(content)
        return start

    def read(self, start: int, length: int) -> bytes:
        self._file.seek(start)
        return self._file.read(length)


class Reading(Protocol):
    """What was read, as it was at `read_at` or later. `size` is what it takes on disk, in bytes."""

    @property
    def read_at(self) -> datetime: ...

    @property
    def size(self) -> int: ...


_K = TypeVar("_K", bound=Hashable)
_R = TypeVar("_R", bound=Reading)


@dataclass(slots=True)
class LastReadings(Generic[_K, _R]):
    """The last readings of this process, by what was read: together at most `max_bytes` on disk."""

    clock: Clock
    max_bytes: int
    _readings: dict[_K, _R] = field(default_factory=dict)
    _turns: WeakValueDictionary[Hashable, asyncio.Lock] = field(default_factory=WeakValueDictionary)

    def turn(self, source: Hashable) -> asyncio.Lock:
        """What a school holds while it looks for a reading of the source and makes one. Its other schools wait."""
        return self._turns.setdefault(source, asyncio.Lock())

    def last(self, key: _K) -> _R | None:
        oldest = self.clock.now() - _KEPT_FOR
        self.forget(lambda _, reading: reading.read_at <= oldest)
        return self._readings.get(key)

    def forget(self, outdated: Callable[[_K, _R], bool]) -> None:
        self._readings = {key: reading for key, reading in self._readings.items() if not outdated(key, reading)}

    def keep(self, key: _K, reading: _R) -> None:
        """Replace the last reading, and drop the oldest others if there is no room for all."""
        self._readings.pop(key, None)
        self._readings[key] = reading
        self.drop_while(lambda readings: sum(each.size for each in readings) > self.max_bytes)

    def drop_while(self, too_much: Callable[[Iterable[_R]], bool]) -> None:
        """Drop the oldest readings while all of them together are too much."""
        while too_much(self._readings.values()):
            del self._readings[next(iter(self._readings))]
