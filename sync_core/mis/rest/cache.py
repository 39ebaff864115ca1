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
class Held:
    """A school as it was when a reading began, `at`; the last that was whole began at `whole_at`."""

    collections: Collections
    at: datetime
    whole_at: datetime


class HeldSchools:
    """The schools that this process read last, a few. What is held is never written anywhere."""

    def __init__(self) -> None:
        self._held: OrderedDict[tuple[OneRosterApi | WondeApi, str], Held] = OrderedDict()

    def of(self, source: OneRosterApi | WondeApi, school: str, now: datetime) -> Held | None:
        """None where it is to be read whole. The key is all of the source: what is set otherwise is another."""
        held = self._held.get((source, school))
        if held and now - held.whole_at < FULL_EVERY:
            return held
        self._held.pop((source, school), None)
        return None

    def hold(self, source: OneRosterApi | WondeApi, school: str, held: Held) -> None:
        self._held[source, school] = held
        self._held.move_to_end((source, school))
        while len(self._held) > _SCHOOLS:
            self._held.popitem(last=False)
