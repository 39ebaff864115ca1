"""A cache of the schools read from vendors, so that the next read requests only the changes since."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sync_core.domain.ids import SchoolId
from sync_core.domain.school import OneRosterApi, WondeApi
from sync_core.mis.rest.quirks import Quirks

FULL_EVERY = timedelta(hours=12)
"""How often a school is read in full regardless, to find changes that its server does not report."""
_MAX_SCHOOLS = 20

_K = TypeVar("_K")
_V = TypeVar("_V")

Record = Mapping[str, Any]
Collections = Mapping[str, Mapping[str, Record]]
"""Records by collection and id, with the requested fields only."""


@dataclass(frozen=True, slots=True)
class CachedSchool:
    """A school as it was at `began_at`, when the last read began. `full_read_at` is when the last full read began."""

    collections: Collections
    began_at: datetime
    full_read_at: datetime


class SchoolCache:
    """The schools that this process read last, and the quirks of their servers. In memory only and never stored."""

    def __init__(self) -> None:
        self._schools: dict[tuple[OneRosterApi | WondeApi, SchoolId], CachedSchool] = {}
        self._quirks: dict[OneRosterApi | WondeApi, Quirks] = {}

    def of(self, source: OneRosterApi | WondeApi, school: SchoolId, now: datetime) -> CachedSchool | None:
        """None if a full read is due. The key is the whole source, so a changed setting leads to a full read."""
        cached = self._schools.get((source, school))
        return cached if cached and now - cached.full_read_at < FULL_EVERY else None

    def put(self, source: OneRosterApi | WondeApi, school: SchoolId, cached: CachedSchool) -> None:
        _put_last(self._schools, (source, school), cached)

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
