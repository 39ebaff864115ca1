"""When each record of a vendor's server changed: noted by comparing what is there with what was there before."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

Record = dict[str, Any]

_APART = timedelta(hours=7)
"""What is there at first was changed one after the other."""


@dataclass(slots=True)
class Changes:
    """Of one server. `now` is its clock; `hard` has it forget what is deleted, as some do."""

    now: Callable[[], datetime]
    hard: bool = False
    _known: dict[str, dict[str, tuple[Record, datetime, bool]]] = field(default_factory=dict)

    def note(self, collection: str, records: Iterable[Record], id_: str) -> None:
        """These are all there are; `id_` names the field that tells them apart."""
        moment, first = self.now(), collection not in self._known
        known = self._known.setdefault(collection, {})
        there = {record[id_]: record for record in records}
        for number, (key, record) in enumerate(there.items()):
            if key not in known or known[key][0] != record or known[key][2]:
                known[key] = (record, moment - _APART * (number + 1) if first else moment, False)
        for key in known.keys() - there.keys():
            if self.hard:
                del known[key]
            elif not known[key][2]:
                known[key] = (known[key][0], moment, True)

    def of(self, collection: str, deleted: bool) -> list[tuple[Record, datetime]]:
        """Those that are there, or those that were, each with when that began."""
        known = self._known.get(collection, {})
        return [(record, moment) for record, moment, gone in known.values() if gone is deleted]
