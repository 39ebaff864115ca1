"""A cache of the schools read from vendors, so that the next read requests only the changes since."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sync_core.domain.school import OneRosterApi, WondeApi

FULL_EVERY = timedelta(hours=12)
"""How often a school is read in full regardless, to find changes that its server does not report."""
_MAX_SCHOOLS = 20

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
    """The schools that this process read last. They are in memory only and never stored."""

    def __init__(self) -> None:
        self._schools: dict[tuple[OneRosterApi | WondeApi, str], CachedSchool] = {}

    def of(self, source: OneRosterApi | WondeApi, school: str, now: datetime) -> CachedSchool | None:
        """None if a full read is due. The key is the whole source, so a changed setting leads to a full read."""
        cached = self._schools.get((source, school))
        return cached if cached and now - cached.full_read_at < FULL_EVERY else None

    def put(self, source: OneRosterApi | WondeApi, school: str, cached: CachedSchool) -> None:
        self._schools.pop((source, school), None)
        self._schools[source, school] = cached
        if len(self._schools) > _MAX_SCHOOLS:
            del self._schools[next(iter(self._schools))]
