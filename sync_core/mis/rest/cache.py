"""What was read of a school whole, kept in memory so that the next reading asks only for what changed since."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sync_core.domain.school import OneRosterApi, WondeApi

FULL_EVERY = timedelta(hours=12)
"""So often a school is read whole anyway: a change of which its server does not tell is found then."""

_SCHOOLS = 20

Record = Mapping[str, Any]
Collections = Mapping[str, Mapping[str, Record]]
"""Records by their ids, by collection: those fields alone that were asked for."""


@dataclass(frozen=True, slots=True)
class CachedSchool:
    """A school as it was when a reading began, `at`; the last that was whole began at `whole_at`."""

    collections: Collections
    at: datetime
    whole_at: datetime


class SchoolCache:
    """The schools that this process read last, a few. What is held is never written anywhere."""

    def __init__(self) -> None:
        self._schools: OrderedDict[tuple[OneRosterApi | WondeApi, str], CachedSchool] = OrderedDict()

    def of(self, source: OneRosterApi | WondeApi, school: str, now: datetime) -> CachedSchool | None:
        """None where it is to be read whole. The key is all of the source: what is set otherwise is another."""
        cached = self._schools.get((source, school))
        if cached and now - cached.whole_at < FULL_EVERY:
            return cached
        self._schools.pop((source, school), None)
        return None

    def put(self, source: OneRosterApi | WondeApi, school: str, cache: CachedSchool) -> None:
        self._schools[source, school] = cache
        self._schools.move_to_end((source, school))
        while len(self._schools) > _SCHOOLS:
            self._schools.popitem(last=False)
